"""The ensemble: several runs asked together, and the mean of their calibrated probabilities.

It is a Predictor as each of its members is. What a member says is divided by its temperature and
sent through the softmax first, so a run that is too sure of itself does not outvote the others
(Lakshminarayanan et al. 2017). No torch here.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from oct_core.errors import CheckpointError
from oct_core.metrics.calibration import softmax
from oct_core.models.catalog import ENSEMBLE, ENSEMBLE_COLOUR, run_title
from oct_core.runs.predictor import Predictor, check_loaded
from oct_core.system import run_side_by_side
from oct_core.types import (
    FloatArray,
    IntArray,
    Mask,
    Prediction,
    PredictionTable,
    RunCard,
    Scan,
)

__all__ = [
    "ENSEMBLE",
    "Ensemble",
    "calibrated_table",
    "ensemble_card",
    "ensemble_table",
    "mean_prediction",
]

CombineGates = Callable[[Sequence[PredictionTable]], FloatArray | None]
"""The members' tables of the same scans to the gate's scores of the ensemble, float64 (N, 3)."""


def mean_prediction(predictions: Sequence[Prediction]) -> Prediction:
    """What an ensemble makes of a scan: the mean of its members' probabilities.

    predictions : of the same scan, one a member; classes may be in another order. The logits are
    the logarithms of the mean, so their softmax gives it back. Raises CheckpointError for no
    member or for members that tell other classes apart.
    """
    if not predictions:
        raise CheckpointError("an ensemble needs at least one run, got none")
    classes = predictions[0].classes
    rows = [each.probabilities[_order(each.run, each.classes, classes)] for each in predictions]
    mean = np.mean(rows, axis=0)
    return Prediction(ENSEMBLE, _log(mean), mean, classes, members=tuple(predictions))


def _order(run: str, own: Sequence[str], wanted: Sequence[str]) -> list[int]:
    if sorted(own) != sorted(wanted):
        raise CheckpointError(
            "run {run} tells {own} apart, the others {wanted}: runs of other classes are no "
            "ensemble",
            run=run,
            own=", ".join(own),
            wanted=", ".join(wanted),
        )
    return [own.index(name) for name in wanted]


def _log(probabilities: FloatArray) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).astype(np.float32)


def check_names(names: Sequence[str]) -> None:
    """Raise CheckpointError for two runs of one name: answers are told apart by it."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise CheckpointError(
            "two runs are called {name}; give each once, or rename the folder of one",
            name=twice[0],
        )


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Several runs as one Predictor; raises CheckpointError for none, for two of one name, or for
    what is no loaded run.
    """

    members: tuple[Predictor, ...]

    def __post_init__(self) -> None:
        for member in self.members:
            check_loaded(member)
            _order(member.name, member.classes, self.classes)
        if not self.members:
            raise CheckpointError("an ensemble needs at least one run, got none")
        check_names([member.name for member in self.members])

    @property
    def name(self) -> str:
        """The same for every ensemble: ``ENSEMBLE``."""
        return ENSEMBLE

    @property
    def title(self) -> str:
        """How a person knows it."""
        return run_title(ENSEMBLE)

    @property
    def colour(self) -> str:
        """The same for every ensemble, "#RRGGBB"."""
        return ENSEMBLE_COLOUR

    @property
    def classes(self) -> tuple[str, ...]:
        """Those of its first member."""
        return self.members[0].classes

    def predict(self, scans: Sequence[Scan]) -> list[Prediction]:
        """One Prediction a scan, in order, with those of the members in it; the members are asked
        side by side.
        """
        work = [partial(member.predict, scans) for member in self.members]
        with run_side_by_side(work) as answers:
            by_member = [answer() for answer in answers]
        return [mean_prediction(of_scan) for of_scan in zip(*by_member, strict=True)]


def ensemble_card(cards: Sequence[RunCard]) -> RunCard:
    """The card of an ensemble, for what is drawn or kept by card: no folder has it.

    cards : of its members; raises CheckpointError for none. ``weights_sha256`` is the hash of
    theirs, ``raw["members"]`` names them. Its answers are calibrated already: temperature 1.
    """
    if not cards:
        raise CheckpointError("an ensemble needs at least one run, got none")
    members = {card.name: card.weights_sha256 for card in cards}
    digest = hashlib.sha256("\n".join(members.values()).encode()).hexdigest()
    first = cards[0]
    return RunCard(
        name=ENSEMBLE,
        folder=first.folder.parent,
        status="done",
        architecture=ENSEMBLE,
        classes=first.classes,
        preprocessing=first.preprocessing,
        weights_sha256=digest,
        temperature=1.0,
        best_epoch=None,
        raw={"members": members},
    )


def calibrated_table(table: PredictionTable, temperature: float) -> PredictionTable:
    """The same answers with their logits divided by the temperature: their softmax is
    calibrated.
    """
    return replace(table, logits=(table.logits / np.float32(temperature)).astype(np.float32))


def ensemble_table(
    tables: Mapping[str, PredictionTable],
    temperatures: Mapping[str, float],
    combine_gates: CombineGates | None = None,
) -> PredictionTable:
    """What the ensemble of those runs answered, from what each did: its temperature is 1.

    tables : by run name, of any parts; rows are matched by split and sha256, those that not every
    run has are left out, the order is the first run's. temperatures : by run name. combine_gates :
    makes the gate's scores of the members' tables. Of one run: its own answers, calibrated, without
    members. Raises CheckpointError for no table, no common row, other classes, or two labels of one
    scan.
    """
    if not tables:
        raise CheckpointError("an ensemble needs at least one run, got none")
    names = list(tables)
    keep = _common_rows(tables)
    members = {
        name: calibrated_table(tables[name].take(keep[name]), temperatures[name]) for name in names
    }
    first = members[names[0]]
    if len(names) == 1:
        return first
    rows = []
    for name, member in members.items():
        order = _order(name, member.classes, first.classes)
        if (_right_answers(member)[:, order] != _right_answers(first)).any():
            raise CheckpointError(
                "run {run} has other labels for the same scans; evaluate the runs on the same data",
                run=name,
            )
        rows.append(softmax(member.logits)[:, order])
    gate = combine_gates(list(members.values())) if combine_gates else None
    return replace(first, logits=_log(np.mean(rows, axis=0)), gate=gate, members=members)


def _right_answers(table: PredictionTable) -> Mask:
    """bool (N, K): which classes are a right answer."""
    if table.truth is not None:
        return table.truth
    one_hot: Mask = table.label[:, None] == np.arange(len(table.classes))
    return one_hot


def _common_rows(tables: Mapping[str, PredictionTable]) -> dict[str, IntArray]:
    """Row numbers by run, so that the n-th of each run are of one scan."""
    places = {name: _places(table) for name, table in tables.items()}
    first, *others = places.values()
    common = [key for key in first if all(key in other for other in others)]
    if not common:
        raise CheckpointError(
            "the runs {runs} have no scan in common; evaluate them on the same data",
            runs=", ".join(tables),
        )
    return {
        name: np.array([place[key] for key in common], dtype=np.int64)
        for name, place in places.items()
    }


def _places(table: PredictionTable) -> dict[tuple[str, str, int], int]:
    """(split, sha256, how often it came before) -> row: a folder may hold one scan twice."""
    seen: Counter[tuple[str, str]] = Counter()
    places = {}
    for row, key in enumerate(zip(table.split.tolist(), table.sha256.tolist(), strict=True)):
        places[(*key, seen[key])] = row
        seen[key] += 1
    return places
