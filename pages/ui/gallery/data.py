"""What the gallery shows: examples for each predicted class, and their pictures with Grad-CAM on
top.

Examples are phantoms or the operator's own data folder, never uploads, so the pictures may be
shared between sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oct_core.errors import OctError
from oct_core.figures.pictures import Picture, draw_map, shrink
from oct_core.trust.conformal import LEVEL
from oct_core.trust.judge import scored_table
from oct_core.trust.verdict import give_verdicts
from oct_core.types import Prediction, RunCard, Scan, Verdict
from oct_core.words import message, say
from pages.ui.app import services
from pages.ui.app.cache import cache_data
from pages.ui.shared.data_folder import names_held, open_picture
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
    """One candidate for the gallery. source : what it shows. true : its class. verdict : what may
    be made of the answer to it.
    """

    source: Sample | FolderScan
    true: str
    verdict: Verdict

    @property
    def predicted(self) -> str:
        """The class predicted."""
        return self.verdict.label

    @property
    def confidence(self) -> float:
        """The calibrated probability of the class predicted, 0 to 1."""
        return self.verdict.probability

    @property
    def name(self) -> str:
        """What it is called on the page."""
        return self.source.title if isinstance(self.source, Sample) else self.source.image

    @property
    def scan(self) -> Scan | None:
        """Its picture; None if the data folder does not hold it."""
        return scan_of(self.source)


def scan_of(source: Sample | FolderScan) -> Scan | None:
    """The picture of an example; None if the data folder does not hold it."""
    if isinstance(source, Sample):
        return source.phantom().scan
    return open_picture(source.image, source.sha256)


@dataclass(frozen=True, eq=False)
class Strip:
    """An example as pictures, uint8. scan : (h, w). maps : (layer, or model and layer, (h, w, 3),
    whether the map holds any evidence).
    """

    scan: Picture
    maps: tuple[tuple[str, Picture, bool], ...]


def synthetic_examples(members: Sequence[RunCard]) -> list[Example]:
    """The app's samples as one run reads them, or as the ensemble of several does."""
    answers = [_read_samples(card.name, services.answer_stamp(card)) for card in members]
    judge = services.judge_of(members, LEVEL)
    return [
        Example(sample, sample.label, judge.of(sample.phantom().scan, predictions).verdict)
        for sample, *predictions in zip(all_samples(), *answers, strict=True)
    ]


@cache_data(max_entries=8)
def _read_samples(run: str, stamp: str) -> list[Prediction]:
    from oct_core.runs.predict import predict

    return predict([sample.phantom().scan for sample in all_samples()], services.get_run(run))


def test_images(card: RunCard) -> list[str]:
    """The names of the test scans of a run; empty if its predictions cannot be read."""
    try:
        return [str(image) for image in services.prediction_table(card).of_split("test").image]
    except OctError:
        return []


def test_examples(members: Sequence[RunCard]) -> list[Example]:
    """The test scans of predictions.csv that the data folder seems to hold; they are read only when
    shown. members : one run, or those of the ensemble. Raises CheckpointError if those did not
    answer the same scans.
    """
    tables = {card.name: services.prediction_table(card).of_split("test") for card in members}
    if not all(map(len, tables.values())):
        return []
    table = scored_table(members, tables)
    held = names_held()
    table = table.take(
        np.array([Path(str(image)).name in held for image in table.image], dtype=bool)
    )
    judge = services.judge_of(members, LEVEL)
    return [
        Example(FolderScan(str(image), str(sha256)), table.classes[label], verdict)
        for image, sha256, label, verdict in zip(
            table.image,
            table.sha256,
            table.label,
            give_verdicts(table, judge.rule, judge.sets),
            strict=True,
        )
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


def strip(members: Sequence[RunCard], example: Example) -> Strip | None:
    """The scan and its Grad-CAM for the predicted class: at every named layer of one run, or at the
    last of each member of the ensemble; None if there is no picture.
    """
    if len(members) == 1:
        return _strip_of(members[0], example)
    strips = [strip for card in members if (strip := _strip_of(card, example, last=True))]
    if not strips:
        return None
    maps = [
        (say("{model}, {layer}", model=services.title_of(card), layer=layer), picture, evidence)
        for card, strip in zip(members, strips, strict=True)
        for layer, picture, evidence in strip.maps
    ]
    return Strip(strips[0].scan, tuple(maps))


def _strip_of(card: RunCard, example: Example, last: bool = False) -> Strip | None:
    return _strip(card.name, card.weights_sha256, example.source, example.predicted, last)


@cache_data(max_entries=72)
def _strip(
    run: str, weights_sha256: str, source: Sample | FolderScan, target: str, last: bool
) -> Strip | None:
    from oct_core.explanations import explain

    scan = scan_of(source)
    if scan is None:
        return None
    loaded = services.get_run(run)
    layers = [*loaded.layers][-1:] if last else None
    maps = explain(scan, loaded, target=target, methods=("gradcam",), layers=layers)[0]
    overlays = (
        (
            explanation.layer,
            draw_map(scan.pixels, explanation, 0.5, "viridis", longest=PICTURE_SIDE),
            explanation.evidence,
        )
        for explanation in maps
    )
    return Strip(shrink(scan.pixels, PICTURE_SIDE), tuple(overlays))
