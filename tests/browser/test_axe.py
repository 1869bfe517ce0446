"""Can everybody use the app: axe-core on every page, and the ring of focus, in a real browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect
from test_app import PAGES, UPLOAD, png

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "app"))
from conftest import serve
from demo_runs import write_run

from oct_core.scans.phantom import make_phantom

expect.set_options(timeout=90_000)
BACKGROUNDS: dict[Literal["light", "dark"], str] = {
    "light": "rgb(255, 255, 255)",
    "dark": "rgb(23, 22, 20)",
}
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
# Serious and critical findings, and the order of headings, which axe calls moderate.
# Only colours differ on a dark page. axe sees nothing in a drawing, and takes long to say so.
FIND = """async (place) => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const rules = dark ? {runOnly: ["color-contrast"]} : {};
  const found = await axe.run(
    {include: [place], exclude: [".main-svg"]}, {resultTypes: ["violations"], ...rules}
  );
  return found.violations
    .filter(each => ["serious", "critical"].includes(each.impact) || each.id === "heading-order")
    .flatMap(each => each.nodes.map(node => [each.id, node.target.join(" "), node.html]));
}"""
SETTLED = """() => {
  const state = document.querySelector("[data-test-script-state]");
  const rests = state && state.getAttribute("data-test-script-state") === "notRunning";
  if (!rests || document.querySelector('[data-stale="true"]')) window.since = null;
  else window.since = window.since || performance.now();
  return Boolean(window.since && performance.now() - window.since > 400);
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one server for all tests: three runs that can be asked, one in training."""
    folder = tmp_path_factory.mktemp("axe")
    for seed, name in enumerate(("vgg16", "resnet50", "densenet121")):
        write_run(folder / "checkpoints", name, weights=True, seed=seed)
    write_run(folder / "checkpoints", "mine-vgg16", "training")
    with serve(folder / "checkpoints", folder / "server.log") as (address, _):
        yield address


def settle(page: Page) -> None:
    page.wait_for_function(SETTLED, polling=100)


def findings(page: Page, place: str = "html") -> list[Any]:
    """Of the page as it is now, light and dark. place : a selector, what to look at."""
    found: list[Any] = []
    page.evaluate(AXE)
    for scheme, background in BACKGROUNDS.items():
        page.emulate_media(color_scheme=scheme)
        expect(page.get_by_test_id("stApp")).to_have_css("background-color", background)
        settle(page)
        found += [(scheme, *each) for each in page.evaluate(FIND, place)]
    return found


@pytest.mark.parametrize("name", list(PAGES))
def test_axe_finds_nothing_serious(page: Page, site: str, name: str) -> None:
    page.goto(f"{site}/{name}")
    expect(page.locator("h1").first).to_contain_text(PAGES[name])
    settle(page)
    assert findings(page) == []
    tabs = page.get_by_test_id("stMain").get_by_role("tab")
    for place in range(1, tabs.count()):
        tabs.nth(place).click()
        settle(page)
        panel = f'[id="{tabs.nth(place).get_attribute("aria-controls")}"]'
        assert findings(page, panel) == [], tabs.nth(place).inner_text()


def test_axe_finds_nothing_serious_with_a_scan_open(page: Page, site: str) -> None:
    page.goto(f"{site}/Viewer")
    scan = {"name": "a.png", "mimeType": "image/png", "buffer": png(make_phantom("DME", 3).pixels)}
    page.locator(UPLOAD).first.set_input_files([scan])
    expect(page.get_by_text("Download the figure (PNG)")).to_be_visible()
    settle(page)
    assert findings(page) == []
