"""The app as a person sees it: a real server, a real browser, real files."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from oct_core.scans import suffixes
from oct_core.scans.phantom import make_phantom

expect.set_options(timeout=90_000)
ROOT = Path(__file__).resolve().parents[2]
INSIDE = Path(__file__).with_name("inside")
UPLOAD = '[data-testid="stFileUploader"] input[type="file"]'
PAGES = {
    "": "Three CNNs",
    "Viewer": "Viewer",
    "Training_curves": "Training curves",
    "Performance": "Performance",
    "Predictions": "Predictions",
    "Gallery": "Gallery",
    "Explanations": "Explanations",
    "Data_and_models": "Data and models",
}


def test_every_page_is_in_the_list() -> None:
    files = [path.stem.split("_", 1)[1] for path in sorted((ROOT / "pages").glob("[0-9]*.py"))]
    assert list(PAGES) == ["", *files]


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def upload(page: Page, name: str, data: bytes) -> None:
    page.locator(UPLOAD).first.set_input_files(
        [{"name": name, "mimeType": "image/png", "buffer": data}]
    )


@pytest.mark.parametrize("name", list(PAGES))
def test_every_page_opens_by_deep_link_on_a_fresh_server(
    page: Page, address: str, name: str
) -> None:
    page.goto(f"{address}/{name}")
    expect(page.locator("h1").first).to_contain_text(PAGES[name])
    nothing_failed(page)


def nothing_failed(page: Page) -> None:
    """Once the page is complete: neither a traceback nor the sentence that stands in for one."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    assert page.locator('[data-testid="stException"]').count() == 0
    assert page.get_by_text("Something went wrong").count() == 0


def test_upload_read_switch_target_download(page: Page, address: str) -> None:
    page.goto(f"{address}/Viewer")
    upload(page, "scan.png", png(make_phantom("DME", 11).pixels))
    for run in ("vgg16", "resnet50", "densenet121"):
        expect(page.get_by_test_id(f"prediction-{run}")).to_contain_text(
            re.compile(r"(CNV|DME|DRUSEN|NORMAL)\s*\d+\.\d%")
        )
    expect(page.get_by_text("Download the figure (PNG)")).to_be_visible()
    page.locator('[data-testid="stSelectbox"]').filter(has_text="Target class").locator(
        "input"
    ).click()
    page.get_by_role("option", name="DRUSEN").click()
    expect(page.locator('img[alt*="DRUSEN"]').first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_text("Download the figure (PNG)").click()
    assert Image.open(Path(download.value.path())).size[0] > 800
    nothing_failed(page)


def test_a_choice_made_while_the_maps_are_being_drawn(page: Page, address: str) -> None:
    """It interrupts the run that took the upload; the browser then sends the emptied uploader once
    more.
    """
    page.goto(f"{address}/Viewer")
    upload(page, "scan.png", png(make_phantom("DME", 11).pixels))
    page.locator('[data-testid="stSelectbox"]').filter(has_text="Target class").locator(
        "input"
    ).click()
    page.get_by_role("option", name="DRUSEN").click()
    expect(page.locator('img[alt*="target DRUSEN"]').first).to_be_visible()
    expect(page.get_by_text("Download the figure (PNG)")).to_be_visible()
    nothing_failed(page)


def choose_method(page: Page, name: str) -> None:
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    field = page.locator('[data-testid="stMultiSelect"]').filter(has_text="Methods")
    field.locator("input").click()
    field.locator("input").fill(name)
    page.get_by_role("option", name=name).click()
    page.keyboard.press("Escape")


def test_a_slow_map_has_an_estimate_and_is_stopped_while_answers_come(
    page: Page, address: str
) -> None:
    page.goto(f"{address}/Viewer")
    upload(page, "one.png", png(make_phantom("DME", 11).pixels))
    expect(page.get_by_text("Download the figure (PNG)")).to_be_visible()
    choose_method(page, "Score-CAM")
    offer = page.get_by_text("Score-CAM of ResNet50 at layer4: the model has to run 2048 times")
    expect(offer).to_contain_text("on this machine")
    expect(page.get_by_text("Score-CAM of DenseNet121")).to_be_visible()
    page.get_by_role("button", name="Make this map").nth(1).click()
    expect(page.get_by_text("1 slow computation")).to_be_visible()
    expect(page.get_by_text(re.compile("Score-CAM of ResNet50.* left"))).to_be_visible()
    upload(page, "two.png", png(make_phantom("CNV", 12).pixels))
    expect(page.locator('[data-testid="stMain"] strong').get_by_text("two.png")).to_be_visible()
    # While the page is drawn anew, the answers about the scan before are still there, greyed.
    expect(page.get_by_test_id("prediction-resnet50").first).to_contain_text("%")
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_visible()
    stop.click()
    expect(page.get_by_text("slow computation")).to_have_count(0)
    expect(page.get_by_text("All 2 open scans")).to_be_visible()
    nothing_failed(page)


def test_a_file_name_that_is_markdown_appears_as_it_is(page: Page, address: str) -> None:
    name = "--x **y** :smile: a->b www.b.de [c](http:d) $e$ :red[f] 1@g.de.png"
    page.goto(f"{address}/Viewer")
    upload(page, name, png(make_phantom("DME", 11).pixels))
    expect(page.get_by_test_id("verdict")).to_be_visible()
    heading = page.locator('[data-testid="stMain"] strong').first
    expect(heading).to_be_visible()
    assert heading.inner_text().replace("\u2060", "") == name
    assert heading.locator("*").count() == 0, "no link, no colour, no formula"


def test_nothing_is_asked_of_another_host(page: Page, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/Viewer")
    page.locator('[data-testid="stMain"]').get_by_role("button", name="Open").first.click()
    expect(page.get_by_text("Download the figure (PNG)")).to_be_visible()
    assert not [
        url
        for url in asked
        if not url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))
    ]


def test_a_bad_file_and_a_5_mb_file(page: Page, address: str) -> None:
    page.goto(f"{address}/Viewer")
    upload(page, "bad.png", b"this is no picture")
    expect(
        page.get_by_text("this is not a PNG, JPEG, TIFF, BMP, WebP, JPEG 2000 or PNM picture").first
    ).to_be_visible()
    noise = np.random.default_rng(0).integers(0, 255, (2300, 2400)).astype(np.uint8)
    large = png(noise)
    assert len(large) > 5_000_000
    upload(page, "large.png", large)
    expect(page.get_by_text("does not look like a retinal B-scan").first).to_be_visible()
    expect(page.get_by_test_id("prediction-vgg16")).to_be_visible()


def test_files_of_every_suffix_are_taken_by_the_drop_zone(
    page: Page, address: str, tmp_path: Path
) -> None:
    """The drop zone judges by suffix and by the browser's own table of kinds: Chrome saves a JPEG
    as .jfif. The content decides what a file is, so all may be JPEGs.
    """
    files = [tmp_path / f"scan{suffix}" for suffix in suffixes()]
    for seed, file in enumerate(files):
        Image.fromarray(make_phantom("DME", seed, 96, 128).pixels).save(file, "JPEG")
    page.goto(f"{address}/Viewer")
    page.locator(UPLOAD).first.set_input_files(files)
    strip = page.locator(".st-key-oct_strip")
    for file in files:
        expect(strip.locator("button:visible").filter(has_text=file.name).first).to_be_visible()
    assert page.get_by_text("files are not allowed").count() == 0
    nothing_failed(page)


@pytest.fixture
def looked_into(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The server tells what is alive in it, in this file, and a closed tab may come back for a few
    seconds only.
    """
    monkeypatch.setenv("STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL", "6")
    monkeypatch.setenv("PYTHONPATH", str(INSIDE))
    monkeypatch.setenv("OCT_ALIVE", str(tmp_path / "alive.json"))
    return tmp_path / "alive.json"


def alive(told: Path, server: int) -> dict[str, int]:
    """What is alive of uploads in the server, see inside/sitecustomize.py."""
    told.unlink(missing_ok=True)
    os.kill(server, signal.SIGUSR1)
    until = time.monotonic() + 30
    while not told.exists() and time.monotonic() < until:
        time.sleep(0.1)
    found: dict[str, int] = json.loads(told.read_text())
    return found


def held(address: str) -> dict[str, int]:
    """Kind -> what the server holds of sessions, closed ones too, and for download."""
    with urllib.request.urlopen(f"{address}/_stcore/metrics") as answer:
        found = re.findall(
            r'cache_type="(st_session_state|st_memory_media_file_storage)".*} (\d+)',
            answer.read().decode(),
        )
    return {kind: int(value) for kind, value in found if value != "0"}


def test_what_outlives_a_tab_would_be_seen(tmp_path: Path) -> None:
    code = """
import os, signal
from dataclasses import replace
from urllib.parse import urlsplit
from oct_core.scans.phantom import make_phantom
kept = replace(make_phantom("CNV", 1).scan, source="upload")
urlsplit("<p>data:image/jpeg;base64," + "A" * 30_000)
os.kill(os.getpid(), signal.SIGUSR1)
"""
    told = tmp_path / "alive.json"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (INSIDE, ROOT))),
        "OCT_ALIVE": str(told),
    }
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    found = json.loads(told.read_text())
    assert found["scans"] == 1 and found["pictures"] > 0


def test_the_last_tab_leaves_nothing_behind_when_it_is_closed(
    page: Page, looked_into: Path, address: str, server: int
) -> None:
    page.goto(f"{address}/Viewer")
    for seed in (11, 12):
        upload(page, f"scan{seed}.png", png(make_phantom("DME", seed).pixels))
        expect(page.get_by_text("Download the figure (PNG)")).to_be_visible()
    expect(page.get_by_text("All 2 open scans")).to_be_visible()
    choose_method(page, "Score-CAM")
    page.get_by_role("button", name="Make this map").nth(1).click()
    expect(page.get_by_text("1 slow computation")).to_be_visible()
    assert set(held(address)) == {"st_session_state", "st_memory_media_file_storage"}
    assert alive(looked_into, server)["scans"] == 2
    page.close()
    until = time.monotonic() + 30
    while held(address) and time.monotonic() < until:
        time.sleep(0.5)
    assert held(address) == {}
    while (rest := alive(looked_into, server))["scans"] and time.monotonic() < until:
        time.sleep(0.5)  # slow work ends with the piece it is in
    assert rest == {"scans": 0, "pictures": 0}
