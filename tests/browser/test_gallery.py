"""The gallery in a real browser on a phone: how long a page is, and its pager by keyboard."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "app"))
from demo_runs import write_run

expect.set_options(timeout=60_000)
PHONE = {"width": 390, "height": 844}
LONGEST = 6000
"""Pixels that a page of the gallery may be long on a phone."""


@pytest.fixture
def demo_root(tmp_path: Path) -> Path:
    """Three tiny models: a row has a scan and three maps, as with those of the repository."""
    root = tmp_path / "checkpoints"
    for seed, name in enumerate(("vgg16", "resnet50", "densenet121")):
        write_run(root, name, weights=True, seed=seed)
    return root


def test_a_page_is_short_on_a_phone_and_the_keyboard_turns_it(page: Page, address: str) -> None:
    page.set_viewport_size(PHONE)
    page.goto(f"{address}/Gallery")
    main = page.get_by_test_id("stMain")
    choice = main.get_by_test_id("stSelectbox").filter(has_text="Which scans").locator("input")
    choice.click()
    page.get_by_role("option", name="Uncertain").click()
    expect(main.get_by_text("Page 1 of 2")).to_have_count(2)
    rows = main.locator(".oct-maps:visible")
    expect(rows).to_have_count(6)
    expect(rows.first.locator("img")).to_have_count(4)
    height = page.get_by_test_id("stMainBlockContainer").evaluate("page => page.scrollHeight")
    assert 1000 < height < LONGEST
    assert main.evaluate("page => page.scrollWidth <= page.clientWidth"), "no way to the side"
    scan, first_map = (rows.first.locator("img").nth(place).bounding_box() for place in (0, 1))
    assert scan and first_map and scan["y"] == first_map["y"] and scan["x"] < first_map["x"]

    names = main.locator("h2:visible")
    first = names.all_inner_texts()
    following = main.get_by_role("button", name="Next").first
    following.focus()
    page.keyboard.press("Enter")
    expect(main.get_by_text("Page 2 of 2")).to_have_count(2)
    expect(names.first).not_to_have_text(first[0])
    assert not set(first) & set(names.all_inner_texts())
    before = main.get_by_role("button", name="Previous").last
    before.focus()
    page.keyboard.press("Space")
    expect(main.get_by_text("Page 1 of 2")).to_have_count(2)
    expect(names.first).to_have_text(first[0])
