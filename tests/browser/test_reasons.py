"""Every reason of a verdict that rests on runs and their files, from pixels to the page: copies of
shipped runs whose card, stored answers or gate are changed, in one server that sees the change.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, serve
from PIL import Image
from playwright.sync_api import Page, expect

from oct_core.runs.weights import load_run
from oct_core.scans import read_scan
from oct_core.scans.colour import paint_falsely
from oct_core.scans.phantom import make_phantom
from oct_core.trust.gate import Gate

WAIT_MS = 90_000
SCAN = make_phantom("DME", 11).pixels
RUN, OTHER = "resnet50", "densenet121"
SOURCE = ROOT / "checkpoints"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reasons") / "runs"


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[str]:
    root.mkdir()
    with serve(root, root.parent / "server.log") as (found, _):
        yield found


@pytest.fixture(autouse=True)
def fresh(root: Path) -> None:
    """Each test starts with one run as it was shipped."""
    for folder in root.iterdir():
        shutil.rmtree(folder)
    copy(root, RUN)


def copy(root: Path, name: str) -> None:
    (root / name).mkdir(exist_ok=True)
    for file in ("card.json", "predictions.csv", "gate.npz", "weights.safetensors"):
        shutil.copy(SOURCE / name / file, root / name / file)


def change_card(root: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    file = root / name / "card.json"
    card = json.loads(file.read_text())
    change(card)
    file.write_text(json.dumps(card))


def set_level(root: Path, question: int, score: float) -> None:
    """Moves the scale of one question so that SCAN has that score."""
    run = load_run(root / RUN)
    with np.load(root / RUN / "gate.npz") as arrays:
        gate = dict(arrays)
    [answer] = run.predict([read_scan(png(SCAN))])
    raw = float(Gate(**gate).measure(np.asarray(answer.features)[None])[0, question])
    gate["levels"][question] = raw - score, raw - score + 1
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **gate)
    (root / RUN / "gate.npz").write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    change_card(root, RUN, lambda card: card["gate"].update(sha256=digest))


def set_confidence(root: Path, wanted: float) -> None:
    """The temperature at which the run is so sure of SCAN."""
    run = load_run(root / RUN)
    [answer] = run.predict([read_scan(png(SCAN))])
    logits = np.asarray(answer.logits, dtype=np.float64)
    low, high = 0.01, 100.0
    for _ in range(80):
        middle = (low * high) ** 0.5
        chances = np.exp((logits - logits.max()) / middle)
        low, high = (middle, high) if (chances / chances.sum()).max() > wanted else (low, middle)
    change_card(root, RUN, lambda card: card.update(temperature=high))


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()


def without_validation(root: Path) -> None:
    file = root / RUN / "predictions.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(line for line in lines if not line.startswith("val,")) + "\n")


def mislabel(root: Path) -> None:
    """Validation labels that make the run wrong nearly always, so that every class stays
    possible.
    """
    file = root / RUN / "predictions.csv"
    head, *lines = file.read_text().splitlines()
    following = {"CNV": "DME", "DME": "DRUSEN", "DRUSEN": "NORMAL", "NORMAL": "CNV"}
    changed = []
    for line in lines:
        split, image, digest, patient, label, *rest = line.split(",")
        changed.append(",".join([split, image, digest, patient, following[label], *rest]))
    file.write_text("\n".join([head, *changed]) + "\n")


def disagreeing(root: Path) -> None:
    """A second run whose classes are named in another order."""
    copy(root, OTHER)

    def swap(card: dict[str, Any]) -> None:
        card["classes"] = ["NORMAL", "DRUSEN", "DME", "CNV"]

    change_card(root, OTHER, swap)


CASES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "no gate": (
        lambda root: change_card(root, RUN, lambda card: card.pop("gate")),
        ["Caution: DME", "no gate that can be used"],
    ),
    "damaged gate": (
        lambda root: (root / RUN / "gate.npz").write_bytes(b"cut"),
        ["Caution: DME", "no gate that can be used"],
    ),
    "no sets": (without_validation, ["Caution: DME", "no validation scans to calibrate"]),
    "disagree": (
        disagreeing,
        ["Caution", "The models disagree: ", "ResNet50 says DME", "DenseNet121 says DRUSEN"],
    ),
    "several": (
        lambda root: (mislabel(root), set_confidence(root, 0.5)),
        ["Caution: DME, 50.0%", "CNV, DME, DRUSEN, NORMAL are all possible"],
    ),
    "probability": (
        lambda root: set_confidence(root, 0.98),
        ["Caution: DME, 98.0%", "the probability is only 98.0%, below 98.5%"],
    ),
    "familiar": (
        lambda root: set_level(root, 2, 2.5),
        ["No answer: show it to a person", "It is unlike the scans that the models were trained"],
    ),
    "unfamiliar": (
        lambda root: (set_level(root, 2, 1.5), set_confidence(root, 0.99)),
        ["Caution: DME, 99.0%", "less familiar to the models than most scans", "below 99.8%"],
    ),
    "bscan": (
        lambda root: set_level(root, 0, 1.3),
        ["Caution: DME", "It does not look like a retinal B-scan."],
    ),
    "upright": (
        lambda root: set_level(root, 1, 2.2),
        ["Caution: DME", "It "],
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_a_reason_reaches_the_page(page: Page, address: str, root: Path, case: str) -> None:
    change, words = CASES[case]
    change(root)
    upload(page, address, SCAN)
    line = page.get_by_test_id("verdict")
    for part in words:
        expect(line).to_contain_text(part, ignore_case=True, timeout=WAIT_MS)
    expect(line.locator(".oct-mark")).not_to_have_text("✓")


def test_gray_values_of_false_colours_have_words_of_their_own(page: Page, shipped: str) -> None:
    painted = Image.fromarray(paint_falsely(SCAN, "rainbow")).convert("L")
    upload(page, shipped, np.asarray(painted))
    expect(page.get_by_test_id("verdict")).to_contain_text(
        "gray values are unlike those of a scan as it was recorded", timeout=WAIT_MS
    )


def upload(page: Page, address: str, pixels: np.ndarray) -> None:
    page.goto(f"{address}/Viewer")
    file = {"name": "scan.png", "mimeType": "image/png", "buffer": png(pixels)}
    page.locator('[data-testid="stFileUploader"] input[type="file"]').first.set_input_files([file])  # type: ignore[list-item]
    expect(page.get_by_test_id("verdict")).to_be_visible(timeout=WAIT_MS)
