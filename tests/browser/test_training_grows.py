"""A real training on the CPU, watched in a real browser; and the pages that tell of runs on a
phone, with their links by name.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import ROOT, serve
from playwright.sync_api import Browser, Page, expect

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "app"))
from demo_runs import picture_bytes, write_run

from oct_core.types import CLASSES

expect.set_options(timeout=90_000)
NAVIGATION = (
    *("Home", "Viewer", "Training curves", "Performance", "Predictions", "Gallery"),
    *("Explanations", "Data and models"),
)
POINTS = """() => {
  const loss = [...document.querySelectorAll(".js-plotly-plot")].find(
    plot => plot.querySelector(".gtitle")?.textContent.includes("Loss by epoch"));
  return loss ? loss.querySelectorAll(".scatterlayer path.point").length : 0;
}"""
"""How many points are drawn in the chart of the loss."""


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Path]:
    """The folder of runs in which one is being trained, on prepared phantoms; it ends with the
    test.
    """
    for number in range(8):
        for place, label in enumerate(CLASSES):
            path = tmp_path / "scans" / label / f"{label}-{100 * place + number}-1.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture_bytes(label, number))
    root = tmp_path / "checkpoints"
    root.mkdir()
    oct_core = [sys.executable, "-m", "oct_core"]
    # In a process of its own: it forks, which a browser in this one does not bear.
    prepare = [*oct_core, "prepare", str(tmp_path / "scans"), "--out", str(tmp_path / "data")]
    subprocess.run([*prepare, "--size", "64"], cwd=ROOT, check=True, timeout=90)
    train = [
        *(*oct_core, "train", "densenet121", "--run", "mine", "--data", str(tmp_path / "data")),
        *("--init", "random", "--phantoms", "0", "--epochs", "500", "--limit", "16"),
        *("--device", "cpu"),
    ]
    environment = {**os.environ, "OCT_CHECKPOINTS": str(root), "OMP_NUM_THREADS": "1"}
    with (
        (tmp_path / "train.log").open("wb") as log,
        subprocess.Popen(train, cwd=ROOT, env=environment, stdout=log, stderr=log) as process,
    ):
        yield root
        process.kill()
    print((tmp_path / "train.log").read_text(errors="replace"))


@pytest.fixture
def watched(training: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a server on that folder, once the run has its card."""
    until = time.monotonic() + 60
    while not (training / "mine" / "card.json").is_file() and time.monotonic() < until:
        time.sleep(0.1)
    with serve(training, tmp_path / "watched.log") as (address, _):
        yield address


def test_the_curve_of_a_run_in_training_grows_without_a_click(page: Page, watched: str) -> None:
    page.goto(f"{watched}/Training_curves")
    page.wait_for_function(f"({POINTS})() > 0", polling=200)
    points = int(page.evaluate(POINTS))
    page.wait_for_function(f"({POINTS})() > {points}", polling=200)
    assert "DenseNet121 (mine) is being trained" in page.get_by_test_id("stMain").inner_text()
    assert page.get_by_test_id("stException").count() == 0


@pytest.fixture
def demo_root(tmp_path: Path) -> Path:
    """A finished run and one in training."""
    write_run(tmp_path / "checkpoints", "vgg16")
    return write_run(tmp_path / "checkpoints", "my-own-resnet50-at-64-pixels", "training").parent


def test_on_a_phone_nothing_is_wider_than_the_screen_and_links_have_their_names(
    browser: Browser, address: str
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(90_000)
    page = context.new_page()
    for name in ("", "Training_curves", "Data_and_models"):
        page.goto(f"{address}/{name}")
        app = page.get_by_test_id("stApp")
        expect(page.locator("h2").last).to_be_attached()
        expect(app).to_have_attribute("data-test-script-state", "notRunning")
        main = page.get_by_test_id("stMain")
        assert main.evaluate("part => part.scrollWidth <= part.clientWidth"), name
        tags = page.locator("h1, h2, h3, h4, h5, h6").evaluate_all(
            "all => all.map(heading => Number(heading.tagName[1]))"
        )
        assert tags[0] == 1 and tags.count(1) == 1, (name, tags)
        assert all(after <= before + 1 for before, after in pairwise(tags)), (name, tags)
    page.set_viewport_size({"width": 1200, "height": 800})
    page.goto(address)
    menu = page.get_by_role("navigation")
    for name in NAVIGATION:
        expect(menu.get_by_role("link", name=name, exact=True)).to_have_count(1)
    expect(page.get_by_test_id("stMain").get_by_role("link", name="Viewer")).to_be_visible()
    context.close()
