"""From pixels to the page: the verdict of the shipped runs on drawn scans and on what is none, and
the clicks that undo what was done to a scan.
"""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from oct_core.scans.colour import paint_falsely
from oct_core.scans.phantom import make_phantom

expect.set_options(timeout=90_000)
UPRIGHT = make_phantom("DME", 11).pixels
NO_ANSWER = "No answer: show it to a person"


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (400, 500)).astype(np.uint8)


def upload(page: Page, address: str, *pictures: np.ndarray) -> None:
    """Open the viewer with these pictures, and wait until the last one is read."""
    page.goto(f"{address}/Viewer")
    files = []
    for place, pixels in enumerate(pictures):
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
        files.append({"name": f"{place}.png", "mimeType": "image/png", "buffer": buffer.getvalue()})
    page.locator('[data-testid="stFileUploader"] input[type="file"]').first.set_input_files(files)
    expect(verdict(page)).to_be_visible()


def verdict(page: Page) -> Locator:
    return page.get_by_test_id("verdict")


def mark(page: Page) -> Locator:
    return verdict(page).locator(".oct-mark")


def mend(page: Page, title: str) -> Locator:
    return page.locator('[data-testid="stMain"]').get_by_role("button", name=title, exact=True)


def test_noise_has_no_answer_and_its_percentages_are_gray(page: Page, shipped: str) -> None:
    upload(page, shipped, noise())
    expect(verdict(page)).to_contain_text(NO_ANSWER)
    expect(verdict(page)).to_contain_text("It does not look like a retinal B-scan")
    expect(page.get_by_text("✓")).to_have_count(0)
    cards = page.locator('[data-testid^="prediction-"]')
    expect(cards).to_have_count(4)
    assert cards.first.get_attribute("data-testid") == "prediction-ensemble"
    for call in page.locator(".oct-call").all():
        assert float(call.evaluate("element => getComputedStyle(element).opacity")) < 0.8
        assert call.evaluate("element => getComputedStyle(element).filter") == "grayscale(1)"


def test_a_drawn_scan_has_a_verdict_with_class_and_probability_or_reasons(
    page: Page, shipped: str
) -> None:
    upload(page, shipped, UPRIGHT)
    words = verdict(page).inner_text()
    assert re.search(r"(Answer|Caution): DME, \d+\.\d%|No answer: show it to a person", words)
    expect(page.get_by_text("✓")).to_have_count(1 if "Answer: " in words else 0)
    assert "it does not look like" not in words.lower() and "looks" not in words
    ensemble = page.get_by_test_id("prediction-ensemble")
    expect(ensemble).to_contain_text(re.compile(r"DME\s*\d+\.\d%"))
    page.get_by_text("How this verdict is made").click()
    expect(page.get_by_text("Else the answer is the class with the highest")).to_be_visible()
    expect(page.get_by_text("by patient it is at least").first).to_be_visible()


@pytest.mark.parametrize(
    ("pixels", "words", "title", "note"),
    [
        (UPRIGHT[::-1], "looks upside down", "Turn it", "mirrored top to bottom"),
        (np.rot90(UPRIGHT), "looks turned to the left", "Turn it", "turned to the right"),
        (np.rot90(UPRIGHT, -1), "looks turned to the right", "Turn it", "turned to the left"),
        (255 - UPRIGHT, "looks inverted", "Invert", "inverted"),
        (
            paint_falsely(UPRIGHT, "rainbow"),
            "looks false-coloured",
            "Take its luminance",
            "luminance of its colours taken",
        ),
    ],
    ids=["upside down", "left", "right", "inverted", "false colour"],
)
def test_one_click_undoes_what_was_done_to_a_scan(
    page: Page, shipped: str, pixels: np.ndarray, words: str, title: str, note: str
) -> None:
    upload(page, shipped, pixels)
    expect(verdict(page)).to_contain_text(words)
    expect(mark(page)).not_to_have_text("✓")
    expect(page.get_by_text(note, exact=True)).to_have_count(0)
    mend(page, title).click()
    expect(page.get_by_text(note, exact=True)).to_be_visible()
    expect(verdict(page)).not_to_contain_text(words)
    expect(mend(page, title)).to_have_count(0)


def test_invert_switched_on_by_mistake_is_switched_off(page: Page, shipped: str) -> None:
    upload(page, shipped, UPRIGHT)
    expect(verdict(page)).not_to_contain_text("inverted")
    page.locator('[data-testid="stCheckbox"]').filter(has_text="Invert").locator("label").click()
    expect(verdict(page)).to_contain_text("inverted")
    mend(page, "Switch invert off").click()
    expect(verdict(page)).not_to_contain_text("inverted")


def cut(page: Page, slider: str, thumb: int, key: str, times: int) -> None:
    """Move an end of the box by the keyboard."""
    end = page.locator('[data-testid="stSlider"]').filter(has_text=slider).get_by_role("slider")
    end.nth(thumb).focus()
    for _ in range(times):
        page.keyboard.press(key)


def switch_crop_on(page: Page) -> None:
    page.locator('[data-testid="stCheckbox"]').filter(has_text="Crop").locator("label").click()
    expect(page.get_by_text("Columns to keep")).to_be_visible()


def test_a_crop_of_a_coloured_scan_keeps_the_warning(page: Page, shipped: str) -> None:
    upload(page, shipped, paint_falsely(UPRIGHT, "rainbow"))
    expect(verdict(page)).to_contain_text("colour")
    switch_crop_on(page)
    cut(page, "Columns to keep", 0, "ArrowRight", 4)
    expect(page.get_by_text(re.compile("508 x 496"))).to_be_visible()
    expect(verdict(page)).to_contain_text("colour")
    expect(mark(page)).not_to_have_text("✓")


def test_a_gray_crop_beside_coloured_panels_does_not_warn(page: Page, shipped: str) -> None:
    panel = paint_falsely(UPRIGHT[:, :16], "jet")
    upload(page, shipped, np.hstack([np.repeat(UPRIGHT[..., None], 3, axis=2), panel]))
    expect(verdict(page)).to_contain_text("colour")
    switch_crop_on(page)
    cut(page, "Columns to keep", 1, "ArrowLeft", 16)
    expect(page.get_by_text(re.compile("512 x 496"))).to_be_visible()
    expect(verdict(page)).not_to_contain_text("colour")


def test_every_open_scan_has_its_verdict(page: Page, shipped: str) -> None:
    upload(page, shipped, noise(), UPRIGHT)
    badges = page.get_by_test_id("badge")
    expect(badges).to_have_count(2)
    expect(badges.first).to_have_text(re.compile("No answer"))
    expect(badges.last).to_have_text(re.compile("DME|No answer"))
    page.get_by_text("All 2 open scans").click()
    expect(page.get_by_text("Download the table (CSV)")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_text("Download the table (CSV)").click()
    head, first, *rest = download.value.path().read_text().splitlines()
    assert ",verdict,reason,gate_bscan," in head and len(rest) == 7
    assert first.startswith("0.png,ensemble,") and ",refer," in first
