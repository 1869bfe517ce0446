"""What the gallery shows: scans, what every model answers to them, and their maps by Grad-CAM.

Examples are phantoms or the operator's own data folder, never uploads, so the pictures may be
shared between sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from oct_core.errors import OctError
from oct_core.figures.pictures import Picture, caption_of, draw_map, shrink
from oct_core.metrics.calibration import softmax
from oct_core.models.catalog import ARCHITECTURES
from oct_core.trust.conformal import LEVEL
from oct_core.trust.judge import scored_table
from oct_core.trust.verdict import give_verdicts
from oct_core.types import CLASSES, Prediction, PredictionTable, RunCard, Scan, Verdict
from oct_core.words import Note, message
from pages.ui.app import services
from pages.ui.app.cache import cache_data
from pages.ui.shared.data_folder import names_held, open_picture
from pages.ui.shared.samples import Sample, all_samples

# Pictures are stored with at most this longer side (pixels): what a row of four shows, and a tenth
# of the memory of full maps.
PICTURE_SIDE = 320
CHOICES = {
    "typical": message("Typical: confident and correct"),
    "doubtful": message("Uncertain: lowest confidence"),
    "mistakes": message("Errors: confident but wrong"),
    "split": message("Disagreement between the models"),
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
    be made of the answer of all models to it. answers : (class, probability) of each model.
    """

    source: Sample | FolderScan
    true: str
    verdict: Verdict
    answers: tuple[tuple[str, float], ...]

    @property
    def predicted(self) -> str:
        """The class predicted."""
        return self.verdict.label

    @property
    def confidence(self) -> float:
        """The calibrated probability of the class predicted, 0 to 1."""
        return self.verdict.probability

    @property
    def split(self) -> bool:
        """Whether the models give different answers."""
        return len({label for label, _ in self.answers}) > 1

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
    """An example as pictures, uint8. scan : (h, w). maps : of each model (layer, (h, w, 3), what
    it means that the map is zero everywhere, None if it is not).
    """

    scan: Picture
    maps: tuple[tuple[str, Picture, Note | None], ...]


def synthetic_examples(members: Sequence[RunCard]) -> list[Example]:
    """The app's samples as these models read them."""
    answers = [_read_samples(card.name, services.answer_stamp(card)) for card in members]
    judge = services.judge_of(members, LEVEL)
    return [
        Example(
            sample,
            sample.label,
            judge.of(sample.phantom().scan, predictions).verdict,
            tuple((each.predicted, float(each.probabilities.max())) for each in predictions),
        )
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
    shown. Raises CheckpointError if the models did not answer the same scans.
    """
    tables = {card.name: services.prediction_table(card).of_split("test") for card in members}
    if not all(map(len, tables.values())):
        return []
    table = scored_table(members, tables)
    held = names_held()
    table = table.take(np.array([Path(str(image)).name in held for image in table.image], bool))
    judge = services.judge_of(members, LEVEL)
    by_model = [table.members.get(card.name, table) for card in members]
    answers = zip(*map(_answers, by_model), strict=True)
    return [
        Example(FolderScan(str(image), str(sha256)), table.classes[label], verdict, each)
        for image, sha256, label, verdict, each in zip(
            table.image,
            table.sha256,
            table.label,
            give_verdicts(table, judge.rule, judge.sets),
            answers,
            strict=True,
        )
    ]


def _answers(table: PredictionTable) -> list[tuple[str, float]]:
    """(class, probability) of each row of calibrated answers."""
    chances = softmax(table.logits)
    return [(table.classes[row.argmax()], float(row.max())) for row in chances]


def arrange(examples: Sequence[Example], choice: str, label: str) -> list[Example]:
    """The examples that are asked for, the best first; of all classes in turn.

    choice : a key of CHOICES. label : the class predicted, "" for any.
    """
    keep = {
        "typical": lambda example: example.true == example.predicted,
        "mistakes": lambda example: example.true != example.predicted,
        "split": lambda example: example.split,
    }.get(choice, lambda example: True)
    rows = sorted(
        filter(keep, examples),
        key=lambda example: example.confidence,
        reverse=choice in ("typical", "mistakes"),
    )
    classes = [[row for row in rows if row.predicted == name] for name in CLASSES]
    if label:
        return classes[CLASSES.index(label)]
    return [row for turn in zip_longest(*classes) for row in turn if row is not None]


def layer_at(card: RunCard, depth: int) -> str:
    """The layer ``depth`` places above the last, or the first if there are fewer."""
    layers = list(ARCHITECTURES.get(card.architecture).layers)
    return layers[max(0, len(layers) - 1 - depth)]


def strip(members: Sequence[RunCard], example: Example, depth: int) -> Strip | None:
    """The scan and its Grad-CAM by each model at one layer, for the class that all of them together
    predict; None if there is no picture. depth : as in ``layer_at``.
    """
    strips = [
        one
        for card in members
        if (
            one := _strip(
                card.name,
                card.weights_sha256,
                example.source,
                example.predicted,
                layer_at(card, depth),
            )
        )
    ]
    if not strips:
        return None
    return Strip(strips[0].scan, tuple(one for each in strips for one in each.maps))


@cache_data(max_entries=96)
def _strip(
    run: str, weights_sha256: str, source: Sample | FolderScan, target: str, layer: str
) -> Strip | None:
    from oct_core.explanations import explain

    scan = scan_of(source)
    if scan is None:
        return None
    maps = explain(
        scan, services.get_run(run), target=target, methods=("gradcam",), layers=(layer,)
    )[0]
    overlays = (
        (
            explanation.layer,
            draw_map(scan.pixels, explanation, 0.5, "viridis", longest=PICTURE_SIDE),
            None if explanation.evidence else caption_of(explanation),
        )
        for explanation in maps
    )
    return Strip(shrink(scan.pixels, PICTURE_SIDE), tuple(overlays))
