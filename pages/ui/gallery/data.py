"""What the gallery shows: examples for each predicted class, and their pictures with Grad-CAM on
top.

Examples are phantoms or the operator's own data folder, never uploads, so the pictures may be
shared between sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar, cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from oct_core.errors import OctError
from oct_core.figures.overlay import overlay
from oct_core.types import GrayImage, RunCard, Scan
from oct_core.words import message
from pages.ui.app import services
from pages.ui.shared.data_folder import holds_name, open_picture
from pages.ui.shared.run_data import probabilities
from pages.ui.shared.samples import Sample, all_samples

P = ParamSpec("P")
R = TypeVar("R")
Picture = NDArray[np.uint8]

# Pictures are kept this wide (pixels): what a row of six shows, and a tenth of the memory of full
# maps.
PICTURE_WIDTH = 256
CHOICES = {
    "typical": message("Typical: sure and right"),
    "doubtful": message("Doubtful: least sure"),
    "mistakes": message("Mistakes: surest and wrong"),
}


@dataclass(frozen=True)
class FolderScan:
    """A scan of predictions.csv that the data folder seems to hold. image : its file name. sha256 :
    of the file.
    """

    image: str
    sha256: str


@dataclass(frozen=True)
class Example:
    """One candidate for the gallery. source : what it shows. true, predicted : classes. confidence
    : of the prediction, 0 to 1.
    """

    source: Sample | FolderScan
    true: str
    predicted: str
    confidence: float

    @property
    def name(self) -> str:
        """What it is called on the page."""
        return self.source.title if isinstance(self.source, Sample) else self.source.image

    @property
    def scan(self) -> Scan | None:
        """Its picture; None if the data folder does not hold it."""
        return (
            self.source.phantom().scan
            if isinstance(self.source, Sample)
            else open_picture(self.source.image, self.source.sha256)
        )


@dataclass(frozen=True, eq=False)
class Strip:
    """An example as pictures: (title, uint8 (h, w) or (h, w, 3), whether it holds any evidence)."""

    pictures: tuple[tuple[str, Picture, bool], ...]


def _cached(max_entries: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """st.cache_data with the signature kept, for mypy --strict."""
    return cast(
        Callable[[Callable[P, R]], Callable[P, R]],
        st.cache_data(show_spinner=False, max_entries=max_entries),
    )


def synthetic_examples(card: RunCard) -> list[Example]:
    """The app's samples as this run reads them."""
    return list(_read_samples(card.name, card.weights_sha256))


@_cached(8)
def _read_samples(run: str, weights_sha256: str) -> tuple[Example, ...]:
    from oct_core.runs.predict import predict

    samples = all_samples()
    predictions = predict([sample.phantom().scan for sample in samples], services.get_run(run))
    return tuple(
        Example(sample, sample.label, one.predicted, one.confidence)
        for sample, one in zip(samples, predictions, strict=True)
    )


def test_images(card: RunCard) -> list[str]:
    """The names of the test scans of a run; empty if its predictions cannot be read."""
    try:
        return [str(image) for image in services.prediction_table(card).of_split("test").image]
    except OctError:
        return []


def test_examples(card: RunCard) -> list[Example]:
    """The test scans of predictions.csv that the data folder seems to hold; they are read only when
    shown.
    """
    table = services.prediction_table(card).of_split("test")
    if not len(table):
        return []
    shares = probabilities(table, card.temperature)
    return [
        Example(
            FolderScan(str(image), str(sha256)),
            table.classes[label],
            table.classes[int(row.argmax())],
            float(row.max()),
        )
        for image, sha256, label, row in zip(
            table.image, table.sha256, table.label, shares, strict=True
        )
        if holds_name(str(image))
    ]


def pick(examples: Sequence[Example], predicted: str, choice: str, count: int) -> list[Example]:
    """The ``count`` examples that best show one predicted class. choice : a key of CHOICES."""
    wanted = [one for one in examples if one.predicted == predicted]
    if choice == "typical":
        wanted = [one for one in wanted if one.true == predicted]
    elif choice == "mistakes":
        wanted = [one for one in wanted if one.true != predicted]
    return sorted(wanted, key=lambda one: one.confidence, reverse=choice != "doubtful")[:count]


def strip(card: RunCard, example: Example) -> Strip | None:
    """The scan and its Grad-CAM at every named layer, for the predicted class; None if there is no
    picture.
    """
    return _strip(card.name, card.weights_sha256, example)


@_cached(48)
def _strip(run: str, weights_sha256: str, example: Example) -> Strip | None:
    from oct_core.explanations import explain

    scan = example.scan
    if scan is None:
        return None
    maps = explain(scan, services.get_run(run), target=example.predicted, methods=("gradcam",))[0]
    overlays = ((one.layer, small(overlay(scan.pixels, one.values)), one.evidence) for one in maps)
    return Strip((("scan", small(scan.pixels), True), *overlays))


def small(picture: Picture | GrayImage) -> Picture:
    """The picture at PICTURE_WIDTH, its shape kept; never enlarged."""
    from PIL import Image

    height, width = picture.shape[:2]
    if width <= PICTURE_WIDTH:
        return picture
    resized = Image.fromarray(picture).resize(
        (PICTURE_WIDTH, max(1, round(height * PICTURE_WIDTH / width))), Image.Resampling.LANCZOS
    )
    return np.asarray(resized, dtype=np.uint8)
