"""What the gallery shows: examples for each predicted class, and their pictures with Grad-CAM on
top.

Examples are phantoms or the operator's own data folder, never uploads, so the pictures may be
shared between sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oct_core.errors import OctError
from oct_core.figures.pictures import Picture, draw_map, shrink
from oct_core.metrics.calibration import softmax
from oct_core.types import RunCard, Scan
from oct_core.words import message
from pages.ui.app import services
from pages.ui.app.cache import cache_data
from pages.ui.shared.data_folder import holds_name, open_picture
from pages.ui.shared.samples import Sample, all_samples

# Pictures are stored with at most this longer side (pixels): what a row of six shows, and a tenth
# of the memory of full maps.
PICTURE_SIDE = 256
CHOICES = {
    "typical": message("Typical: confident and correct"),
    "doubtful": message("Uncertain: lowest confidence"),
    "mistakes": message("Errors: confident but wrong"),
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
    """An example as pictures, uint8. scan : (h, w). maps : (layer, (h, w, 3), whether the map holds
    any evidence).
    """

    scan: Picture
    maps: tuple[tuple[str, Picture, bool], ...]


def synthetic_examples(card: RunCard) -> list[Example]:
    """The app's samples as this run reads them."""
    return list(_read_samples(card.name, card.weights_sha256))


@cache_data(max_entries=8)
def _read_samples(run: str, weights_sha256: str) -> tuple[Example, ...]:
    from oct_core.runs.predict import predict

    samples = all_samples()
    predictions = predict([sample.phantom().scan for sample in samples], services.get_run(run))
    return tuple(
        Example(sample, sample.label, prediction.predicted, prediction.confidence)
        for sample, prediction in zip(samples, predictions, strict=True)
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
    shares = softmax(table.logits, card.temperature)
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
    candidates = [example for example in examples if example.predicted == predicted]
    if choice == "typical":
        candidates = [example for example in candidates if example.true == predicted]
    elif choice == "mistakes":
        candidates = [example for example in candidates if example.true != predicted]
    candidates.sort(key=lambda example: example.confidence, reverse=choice != "doubtful")
    return candidates[:count]


def strip(card: RunCard, example: Example) -> Strip | None:
    """The scan and its Grad-CAM at every named layer, for the predicted class; None if there is no
    picture.
    """
    return _strip(card.name, card.weights_sha256, example)


@cache_data(max_entries=48)
def _strip(run: str, weights_sha256: str, example: Example) -> Strip | None:
    from oct_core.explanations import explain

    scan = example.scan
    if scan is None:
        return None
    maps = explain(scan, services.get_run(run), target=example.predicted, methods=("gradcam",))[0]
    overlays = (
        (
            explanation.layer,
            draw_map(scan.pixels, explanation, 0.5, "viridis", longest=PICTURE_SIDE),
            explanation.evidence,
        )
        for explanation in maps
    )
    return Strip(shrink(scan.pixels, PICTURE_SIDE), tuple(overlays))
