"""Many scans, enlarged pictures, keys and a phone: the viewer in a real browser."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from playwright.sync_api import Browser, Dialog, FilePayload, Locator, Page, expect

from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES

expect.set_options(timeout=30_000)
UPLOAD = '[data-testid="stFileUploader"] input[type="file"]'


def scans(count: int) -> list[FilePayload]:
    files: list[FilePayload] = []
    for number in range(count):
        buffer = io.BytesIO()
        phantom = make_phantom(CLASSES[number % 4], number, 96, 128)
        Image.fromarray(phantom.pixels).save(buffer, "PNG")
        name = f"study_of_the_eye_number_{number:02d}_left.png"
        files.append({"name": name, "mimeType": "image/png", "buffer": buffer.getvalue()})
    return files


def open_viewer(browser: Browser, address: str, width: int, height: int, files: int) -> Page:
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{address}/Viewer")
    page.locator(UPLOAD).set_input_files(scans(files))
    finished(page)
    return page


def finished(page: Page) -> None:
    expect(page.get_by_test_id("verdict")).to_be_visible()
    expect(page.locator('[data-group="layers"] img').first).to_be_attached()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def tiles(page: Page) -> Locator:
    return page.locator('.st-key-oct_strip [class*="st-key-show_"] button:visible')


def name_shown(page: Page) -> str:
    return page.locator(".oct-scan img").get_attribute("alt") or ""


@pytest.mark.parametrize("width", [1280, 390])
def test_twelve_scans_are_switched_by_their_thumbnails(
    browser: Browser, site: str, width: int
) -> None:
    page = open_viewer(browser, site, width, 800, 12)
    expect(tiles(page)).to_have_count(12)
    last, strip = tiles(page).last, page.locator(".st-key-oct_strip")
    expect(last).to_have_attribute("aria-current", "true")
    expect(last).to_be_in_viewport(ratio=0.9)
    assert "study_of…left.png" in last.inner_text(), "both ends of a name"
    assert "url(" in last.evaluate("e => getComputedStyle(e).backgroundImage")
    expect(page.locator(".st-key-oct_strip [data-testid=badge]")).to_have_count(12)
    boxes = [tile.bounding_box() for tile in tiles(page).all()]
    assert len({box["y"] for box in boxes if box}) == 1, "one line"
    assert strip.evaluate("e => e.scrollWidth > e.clientWidth"), "it scrolls sideways"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tiles(page).nth(3).click()
    expect(tiles(page).nth(3)).to_have_attribute("aria-current", "true")
    finished(page)
    assert "number_03" in name_shown(page)
    summary = page.get_by_text("All 12 open scans")
    expect(summary).to_be_visible()
    summary.click()
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    page.context.close()


def test_a_picture_enlarges_beside_the_scan_with_one_zoom_for_all(
    browser: Browser, site: str
) -> None:
    page = open_viewer(browser, site, 1366, 768, 2)
    deepest = page.locator('[data-group="cards"] button.oct-zoom')
    expect(deepest).to_have_count(3)
    deepest.first.click()
    table = page.locator("dialog.oct-light")
    expect(table).to_be_visible()
    captions = table.locator("figcaption")
    expect(captions).to_have_count(4)
    assert "number_01" in captions.first.inner_text(), "which scan it is"
    assert all(name in table.inner_text() for name in ("VGG16", "ResNet50", "DenseNet121"))
    assert captions.first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)") >= 18

    page.keyboard.press("+")
    places = table.locator(".oct-light-view img").evaluate_all(
        "all => all.map(e => new DOMMatrix(getComputedStyle(e).transform))"
        ".map(m => [m.a, m.e, m.f].map(v => Math.round(v * 10)).join())"
    )
    assert len(set(places)) == 1 and places[0].startswith("13,-"), "the same spot in all"
    page.keyboard.press("0")

    now = table.locator(".oct-light-now figcaption")
    assert "block5, VGG16" in now.inner_text()
    page.keyboard.press("ArrowLeft")
    assert "block4, VGG16" in now.inner_text()
    page.keyboard.press("ArrowDown")
    assert "layer3, ResNet50" in now.inner_text()

    pictures = table.locator(".oct-light-view img")
    assert len(set(pictures.evaluate_all("all => all.map(e => e.src)"))) > 1
    page.keyboard.press("o")
    assert len(set(pictures.evaluate_all("all => all.map(e => e.src)"))) == 1, "the scan alone"
    page.keyboard.press("o")

    page.keyboard.press("p")
    expect(table.locator("figcaption")).to_have_count(1)
    assert captions.first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)") >= 18
    page.wait_for_function("document.fullscreenElement !== null")
    page.keyboard.press("m")
    expect(table.locator("figcaption")).to_have_count(5)
    assert all("ResNet50" in text for text in captions.all_inner_texts()), "one model, all layers"
    page.keyboard.press("s")
    expect(table.locator("figcaption")).to_have_count(1)
    page.keyboard.press("k")
    # The scan before, with the table open.
    expect(page.locator('.oct-scan img[alt*="number_00"]')).to_be_attached()
    finished(page)
    expect(table).to_be_visible()
    assert "layer3, ResNet50" in captions.first.inner_text(), "the same map of the other scan"
    table.get_by_role("button", name="Close").click()
    expect(table).to_be_hidden()

    page.get_by_role("radio", name="Guided backpropagation").click()
    maps = page.locator('[data-group="layers"] button.oct-zoom')
    expect(maps).to_have_count(3)
    finished(page)
    maps.first.click()
    expect(captions).to_have_count(4)
    page.keyboard.press("Escape")
    expect(table).to_be_hidden()
    page.context.close()


def test_keys_change_the_scan_and_can_be_switched_off(browser: Browser, site: str) -> None:
    page = open_viewer(browser, site, 1366, 768, 2)
    assert "number_01" in name_shown(page)
    page.locator("h1").first.click()
    page.keyboard.press("k")
    expect(page.locator('.oct-scan img[alt*="number_00"]')).to_be_visible()
    finished(page)
    overlay = page.locator("button[data-light=overlay]")
    page.keyboard.press("o")
    expect(overlay).to_have_attribute("aria-pressed", "false")
    sources = page.locator('[data-group="layers"] img').evaluate_all("all => all.map(e => e.src)")
    assert len(set(sources)) == 1, "the scan in the place of every map"
    overlay.click()
    expect(overlay).to_have_attribute("aria-pressed", "true")
    page.get_by_test_id("stCheckbox").filter(has_text="Keys on this page").locator("label").click()
    page.wait_for_timeout(1000)  # the switch is sent, and the page begins to be drawn anew
    finished(page)
    page.keyboard.press("j")
    page.wait_for_timeout(500)
    assert "number_00" in name_shown(page)
    page.context.close()


def test_the_first_screen_holds_scan_verdict_answers_and_deepest_maps(
    browser: Browser, site: str
) -> None:
    page = open_viewer(browser, site, 1366, 768, 1)
    for part in (".oct-verdict", ".oct-scan img", *(f".oct-card >> nth={n}" for n in range(4))):
        expect(page.locator(part).first).to_be_in_viewport(ratio=0.99)
    for picture in page.locator('[data-group="cards"] img').all():
        expect(picture).to_be_in_viewport(ratio=0.99)
    page.context.close()


def test_a_reload_is_asked_about_while_uploads_are_open(browser: Browser, site: str) -> None:
    page = open_viewer(browser, site, 1366, 768, 1)
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.evaluate("() => { setTimeout(() => location.reload(), 0) }")
    page.wait_for_timeout(1500)
    assert asked == ["beforeunload"] and "number_00" in name_shown(page)
    page.locator('[data-testid="stSidebarNavItems"] a[href$="/Gallery"]').click()
    expect(page.locator("h1").first).to_have_text("Gallery")
    page.evaluate("() => { setTimeout(() => location.reload(), 0) }")
    page.wait_for_timeout(1500)
    assert len(asked) == 2, "on every page"
    page.locator('[data-testid="stSidebarNavItems"] a[href$="/Viewer"]').click()
    finished(page)
    page.get_by_role("button", name="Close this scan").click()
    expect(page.get_by_text("Open a scan to begin")).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    page.reload()
    assert len(asked) == 2, "nothing is lost, nothing is asked"
    page.context.close()


def test_on_a_phone_the_uploader_is_in_the_page(browser: Browser, site: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{site}/Viewer")
    zone = page.get_by_test_id("stMain").get_by_test_id("stFileUploaderDropzone")
    expect(zone).to_be_in_viewport()
    with page.expect_file_chooser() as chooser:
        zone.locator("button").tap()
    chooser.value.set_files(scans(1))
    finished(page)
    expect(page.get_by_test_id("verdict")).to_be_in_viewport()
    again = [scans(1)[0], {**scans(1)[0], "name": "copy.png"}]
    page.locator(UPLOAD).set_input_files(again)  # type: ignore[arg-type]
    expect(page.get_by_text("copy.png holds the same picture as")).to_be_visible()
    finished(page)
    expect(tiles(page)).to_have_count(0)  # one scan, opened three times
    context.close()
