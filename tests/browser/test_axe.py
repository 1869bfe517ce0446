"""Can everybody use the app: axe-core on every page, and the ring of focus, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from test_app import PAGES, UPLOAD, png

from oct_core.scans.phantom import make_phantom

expect.set_options(timeout=90_000)
BACKGROUNDS: dict[Literal["light", "dark"], str] = {
    "light": "rgb(255, 255, 255)",
    "dark": "rgb(23, 22, 20)",
}
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
# Serious and critical findings, and the order of headings, which axe calls moderate.
# Only colours differ on a dark page. axe sees nothing in a drawing, and takes long to say so. It
# does not read what a style sheet writes either, as in the menu: there the browser's word counts.
FIND = """async (place) => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const rules = dark ? {runOnly: ["color-contrast"]} : {};
  const found = await axe.run(
    {include: [place], exclude: [".main-svg"]}, {resultTypes: ["violations"], ...rules}
  );
  return found.violations
    .filter(each => ["serious", "critical"].includes(each.impact) || each.id === "heading-order")
    .flatMap(each => each.nodes.map(node => [each.id, node.target.join(" "), node.html]))
    .filter(([id, , html]) => !(id === "link-name" && html.includes("stSidebarNavLink")));
}"""
SETTLED = """() => {
  const state = document.querySelector("[data-test-script-state]");
  const rests = state && state.getAttribute("data-test-script-state") === "notRunning";
  if (!rests || document.querySelector('[data-stale="true"]')) window.since = null;
  else window.since = window.since || performance.now();
  return Boolean(window.since && performance.now() - window.since > 250);
}"""


def settle(page: Page) -> None:
    page.wait_for_function(SETTLED, polling=100)


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One for all pages of this file: the app's scripts are fetched once."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(90_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    yield page
    page.close()


def wear(page: Page, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    app = page.get_by_test_id("stApp")
    expect(app).to_have_css("background-color", BACKGROUNDS[scheme])
    settle(page)


def open_tab(tab: Locator) -> None:
    """A click while a chart above is being drawn may miss it: it is clicked again."""
    for _ in range(5):
        tab.click()
        with suppress(AssertionError):
            expect(tab).to_have_attribute("aria-selected", "true", timeout=5_000)
            return
    raise AssertionError("the tab does not open")


def findings(page: Page) -> list[Any]:
    """Of the page and of each of its tabs, and of the page in the dark: with the name of the tab.
    The style sheet and the themes are one for all tabs.
    """
    found: list[Any] = []
    page.evaluate(AXE)
    tabs = page.get_by_test_id("stMain").get_by_role("tab")
    for scheme in BACKGROUNDS:
        wear(page, scheme)
        for place in range(max(1, tabs.count() if scheme == "light" else 1)):
            tab = ""
            if tabs.count():
                open_tab(tabs.nth(place))
                settle(page)
                tab = tabs.nth(place).inner_text()
            part = '[role="tabpanel"]' if place else "html"
            found += [(scheme, tab, *each) for each in page.evaluate(FIND, part)]
    return found


@pytest.mark.parametrize("name", list(PAGES))
def test_axe_finds_nothing_serious(page: Page, site: str, name: str) -> None:
    page.goto(f"{site}/{name}")
    expect(page.locator("h1").first).to_contain_text(PAGES[name])
    settle(page)
    assert findings(page) == []


def test_axe_finds_nothing_serious_with_a_scan_open(page: Page, site: str) -> None:
    page.goto(f"{site}/Viewer")
    scan = {"name": "a.png", "mimeType": "image/png", "buffer": png(make_phantom("DME", 3).pixels)}
    page.locator(UPLOAD).first.set_input_files([scan])
    expect(page.get_by_text("Download the figure (PNG)")).to_be_visible()
    settle(page)
    assert findings(page) == []


# What is reached by Tab -> its ring, that of what holds it, or null.
RING = """() => {
  const at = document.activeElement;
  if (at === document.body) return null;
  const name = `${at.tagName} ${at.dataset.testid || at.getAttribute("aria-label") || ""}`;
  for (let place = at, up = 0; place && up < 4; place = place.parentElement, up++) {
    const style = getComputedStyle(place);
    if (style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2)
      return [name, style.outlineColor];
  }
  return [name, null];
}"""
RING_COLOURS = {"light": "rgb(0, 95, 150)", "dark": "rgb(90, 176, 234)"}


@pytest.mark.parametrize("name", ["Viewer", "Data_and_models"])
def test_what_tab_reaches_has_a_ring_that_is_seen(page: Page, site: str, name: str) -> None:
    page.goto(f"{site}/{name}")
    settle(page)
    assert menu(page) == ["Home", *(each.replace("_", " ") for each in PAGES if each)]
    for scheme in BACKGROUNDS:
        wear(page, scheme)
        reached = []
        while (ring := press_tab(page)) is not None and len(reached) < 100:
            reached.append(ring)
        assert {"A stSidebarNavLink", "MAIN stMain"} <= {element for element, _ in reached}
        assert len(reached) > 15
        assert [each for each in reached if each[1] != RING_COLOURS[scheme]] == []


def menu(page: Page) -> list[str]:
    """What the browser, which reads style sheets, tells a screen reader of the menu's links."""
    session = page.context.new_cdp_session(page)
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    found = {"nodeId": root, "selector": '[data-testid="stSidebarNavLink"]'}
    names = []
    for link in session.send("DOM.querySelectorAll", found)["nodeIds"]:
        of_link = {"nodeId": link, "fetchRelatives": False}
        [node] = session.send("Accessibility.getPartialAXTree", of_link)["nodes"]
        names.append(node["name"]["value"])
    return names


def press_tab(page: Page) -> list[Any] | None:
    """The element that it reaches and the colour of its ring; None at the end of the page."""
    page.keyboard.press("Tab")
    ring: list[Any] | None = page.evaluate(RING)
    return ring


@pytest.mark.parametrize(
    ("locale", "words"), [("en-GB", "There is no such page"), ("ko-KR", "페이지가 없습니다")]
)
def test_an_unknown_address_is_answered_in_the_apps_own_words(
    browser: Browser, site: str, locale: str, words: str
) -> None:
    context = browser.new_context(locale=locale)
    page = context.new_page()
    page.goto(f"{site}/Nonsense")
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("h2")).to_have_css("visibility", "hidden")
    shown = "element => getComputedStyle(element, '::before').content"
    assert dialog.locator("h2").evaluate(shown) == f'"{words}"'
    assert len(dialog.locator("h2 + div").evaluate(shown)) > 30
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator("h1").first).to_be_visible()
    context.close()


# Of every text of a chart, "contrast with the page: text" if it is below 4.5.
FAINT = """() => {
  const linear = part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const luminance = colour => {
    const [red, green, blue] = colour.match(/[\\d.]+/g).map(part => linear(Number(part) / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const page = luminance(getComputedStyle(document.querySelector(".stApp")).backgroundColor);
  const drawn = [...document.querySelectorAll(".main-svg text")].filter(
    text => text.textContent.trim() && !text.closest(".heatmaplayer, .bartext-inside")
  );
  const faint = drawn.map(text => {
    const own = luminance(getComputedStyle(text).fill);
    const contrast = (Math.max(own, page) + 0.05) / (Math.min(own, page) + 0.05);
    return [contrast, `${contrast.toFixed(2)}: ${text.textContent}`];
  }).filter(([contrast]) => contrast < 4.5).map(([, words]) => words);
  return [drawn.length, faint];
}"""


@pytest.mark.parametrize("name", ["Viewer", "Performance", "Data_and_models"])
def test_the_words_of_charts_stand_out(page: Page, site: str, name: str) -> None:
    page.goto(f"{site}/{name}")
    settle(page)
    expect(page.locator(".main-svg .xtick text").first).to_be_attached()
    for scheme in BACKGROUNDS:
        wear(page, scheme)
        drawn, faint = page.evaluate(FAINT)
        assert drawn > 10 and faint == []
