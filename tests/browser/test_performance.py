"""Performance in a real browser: what a click, the slider and each kind of file do."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "app"))
from demo_runs import write_run

expect.set_options(timeout=60_000)


@pytest.fixture
def demo_root(tmp_path: Path) -> Path:
    """Stored answers are all that this page reads: nothing needs to be trained."""
    return write_run(tmp_path / "checkpoints", "vgg16").parent


def chart(page: Page, title: str) -> Locator:
    """The visible chart whose title has this."""
    return page.locator('[data-testid="stPlotlyChart"]:visible').filter(has_text=title).first


def file_of(page: Page, button: Locator) -> bytes:
    """What a click on it downloads."""
    with page.expect_download() as download:
        button.click()
    return Path(download.value.path()).read_bytes()


def test_the_open_tab_stays_open_in_another_language(page: Page, address: str) -> None:
    page.goto(f"{address}/Performance")
    main, side = page.get_by_test_id("stMain"), page.get_by_test_id("stSidebar")
    main.get_by_role("tab", name="Calibration").click()
    expect(main.get_by_text("Reliability with the temperature").first).to_be_visible()
    for language, tab, title in (
        ("한국어", "보정", "온도를 적용한 신뢰도"),
        ("English", "Calibration", "Reliability with the temperature"),
    ):
        side.get_by_text(language, exact=True).click()
        expect(main.get_by_role("tab", name=tab, exact=True)).to_have_attribute(
            "aria-selected", "true"
        )
        expect(main.get_by_text(title).first).to_be_visible()


def test_a_cell_the_slider_and_the_files(page: Page, address: str) -> None:
    page.goto(f"{address}/Performance")
    matrix = chart(page, "VGG16: confusion matrix")
    expect(matrix).to_be_visible()
    main = page.locator('[data-testid="stMain"]')

    csv = main.get_by_role("button", name="Table (CSV)").first
    assert file_of(page, csv).decode("utf-8-sig").startswith("model,accuracy,accuracy_low")
    matrix.scroll_into_view_if_needed()
    matrix.hover()
    picture = file_of(page, matrix.locator('[data-title^="Download plot"]'))
    assert picture.startswith(b"\x89PNG") and len(picture) > 5000
    main.get_by_text("Description and file of this chart").first.click()
    html = file_of(page, main.get_by_role("button", name="Chart (HTML)").first)
    assert b"confusion matrix" in html and len(html) > 100_000

    box = matrix.locator(".nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 8, box["y"] + box["height"] / 8)
    expect(main.get_by_text(re.compile(r"VGG16: \d+ scans? of CNV called CNV"))).to_be_visible()

    page.get_by_role("tab", name="Threshold").click()
    sensitivity = page.locator('[data-testid="stMetricValue"]:visible').first
    slider = page.get_by_role("slider").locator("visible=true").first
    slider.focus()
    slider.press("Home")
    expect(sensitivity).to_have_text("1.000")
    slider.press("End")
    expect(sensitivity).to_have_text("0.000")
