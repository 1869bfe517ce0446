"""What the weights of a run went through: where they started, and every training since. No torch
here, so pages open at once.

card.json, ``earlier_stages``: the trainings before the run's own, oldest first, each a
``stage_record``. Where that ends, or a card has none, the hash of the initial weights leads on to
the run that has them, if it is there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oct_core.errors import CheckpointError
from oct_core.runs.files import CARD, WEIGHTS, list_runs, read_card, read_history
from oct_core.types import FloatArray, RunCard
from oct_core.words import message, say

_KEPT = (
    "name",
    "architecture",
    "classes",
    "initialisation",
    "initial_weights_sha256",
    "fresh_tensors",
    "data",
    "device",
    "training",
    "wall_seconds",
    "best_epoch",
    "weights_sha256",
    "licence",
)
"""Of a card, what later trainings keep of it."""


@dataclass(frozen=True)
class Origin:
    """Weights that a training started from. title : a message, or a file name or run that is none.
    source : who made them, "" where that is not known. licence : theirs, "" if unknown.
    """

    title: str
    source: str = ""
    licence: str = ""


RANDOM, IMAGENET = "random", "imagenet"
_NAMED = {
    RANDOM: Origin(message("random weights")),
    IMAGENET: Origin(
        message("ImageNet weights of torchvision"), "PyTorch, torchvision", "BSD-3-Clause"
    ),
}
_FILES = {
    "f40f1f3ee5ed72e45fc1caf35354c14c433e17e06fccd7f7b31c531bba74e3e4": Origin(
        message("the 13 convolutional layers of VGG16, trained on ImageNet"),
        "Simonyan and Zisserman 2014",
        "CC BY 4.0",
    ),
    "bafa6172b54bad22ac0beb70f561bc0a7afc3cdcbcce05350a0430f491550b93": Origin(
        message("ResNet50 up to its third stage, trained on ImageNet"), "He et al. 2015", "MIT"
    ),
    "6d294300f694073cd66dcfaff9d349deb0d74c52c9281b797660a556157e1a8e": Origin(
        message("DenseNet121 without its classifier, trained on ImageNet"),
        "Keras applications",
        "MIT",
    ),
}
"""SHA-256 of a file of initial weights -> what it is. Another file is called by its name."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One training. raw : the keys of its card that ``stage_record`` keeps. history : the columns
    of its history.csv, {} if it is not known.
    """

    raw: Mapping[str, Any]
    history: Mapping[str, FloatArray]

    @property
    def name(self) -> str:
        """Of the run that it was."""
        return str(self.raw.get("name") or "")

    @property
    def training(self) -> Mapping[str, Any]:
        """Its settings."""
        return self.raw.get("training") or {}

    @property
    def teachers(self) -> tuple[str, ...]:
        """The runs whose answers it learned beside the labels, "RUN:HASH"."""
        return tuple(map(str, self.training.get("teachers") or ()))

    @property
    def origin(self) -> Origin:
        """Where it started; of a file that is not known only the name."""
        started = str(self.raw.get("initialisation") or "")
        known = _FILES.get(str(self.raw.get("initial_weights_sha256") or ""))
        return known or _NAMED.get(started) or Origin(started or say("not recorded"))

    def count(self, part: str, unit: str = "images") -> int:
        """Scans, or "patients", of a part by the card, all classes together; 0 if it says none."""
        counts = ((self.raw.get("data") or {}).get("counts") or {}).get(part) or {}
        return sum(int(of_class.get(unit, 0)) for of_class in counts.values())

    @property
    def phantoms(self) -> int:
        """Synthetic scans among those that were learned."""
        per_class = int(self.training.get("phantoms_per_class") or 0)
        return per_class * len(self.raw.get("classes") or ())


def stage_record(card: RunCard) -> dict[str, Any]:
    """What later trainings keep of a run: the main keys of its card, and its history as lists."""
    record = {name: card.raw[name] for name in _KEPT if name in card.raw}
    history = {
        name: [None if math.isnan(value) else value for value in column.tolist()]
        for name, column in _history(card).items()
    }
    return {**record, "name": card.name, "history": history}


def earlier_stages(initialisation: str, digest: str) -> list[Mapping[str, Any]]:
    """The record of every training that a file of initial weights went through, oldest first: [] if
    it is no run's.

    initialisation : as a training was told. digest : SHA-256 of that file.
    """
    path = Path(initialisation)
    if path.name != WEIGHTS or not (path.parent / CARD).is_file():
        return []
    card = read_card(path.parent)
    if card.weights_sha256 != digest:
        return []
    return [*_records_before(card, list_runs(path.parent.parent)), stage_record(card)]


def stages_of(card: RunCard, cards: Sequence[RunCard]) -> list[Stage]:
    """Every training that the weights of a run went through, oldest first, its own last.

    cards : the runs of the folder. The oldest training on record is followed to the run whose
    weights it started from, if that is among them.
    """
    own = Stage({**card.raw, "name": card.name}, _history(card))
    return [*map(_recorded, _records_before(card, cards)), own]


def _records_before(card: RunCard, cards: Sequence[RunCard]) -> list[Mapping[str, Any]]:
    """The record of every training before a run's own, oldest first."""
    records: list[Mapping[str, Any]] = list(card.raw.get("earlier_stages", []))
    seen = {card.weights_sha256, *(str(each.get("weights_sha256")) for each in records)}
    by_hash = {each.weights_sha256: each for each in reversed(cards)}
    while True:
        first = records[0] if records else card.raw
        start = str(first.get("initial_weights_sha256") or "")
        before = by_hash.get(start)
        if not start or start in seen or before is None:
            return records
        seen.add(start)
        records = [*before.raw.get("earlier_stages", []), stage_record(before), *records]


def _recorded(record: Mapping[str, Any]) -> Stage:
    columns = record.get("history") or {}
    return Stage(record, {name: np.array(values, float) for name, values in columns.items()})


def _history(card: RunCard) -> dict[str, FloatArray]:
    try:
        return read_history(card.folder)
    except CheckpointError:
        return {}


@dataclass(frozen=True, eq=False)
class Joined:
    """The histories of all stages one after the other. columns : those of the last stage, NaN
    in a stage without one, and ``hours`` of training since the first if every stage has times; a
    row of NaN parts two stages. starts : the epoch at
    which each stage but the first begins, counted from the first stage's start.
    """

    columns: dict[str, FloatArray]
    starts: tuple[int, ...]


def join_histories(histories: Sequence[Mapping[str, FloatArray]]) -> Joined:
    """The histories of a run's stages as one; an empty one is passed over."""
    filled = [columns for columns in histories if len(columns.get("epoch", ()))]
    if not filled:
        return Joined({}, ())
    parts: dict[str, list[FloatArray]] = {}
    starts: list[int] = []
    epochs, hours = 0.0, 0.0
    names = list(filled[-1])
    timed = all("seconds" in columns for columns in filled)
    for columns in filled:
        if epochs:
            starts.append(int(epochs))
        for name in names:
            lacking = np.full(len(columns["epoch"]), np.nan)
            values = columns.get(name, lacking) + (epochs if name == "epoch" else 0.0)
            parts.setdefault(name, []).extend([np.array([np.nan])] if epochs else [])
            parts[name].append(values)
        if timed:
            passed = hours + np.nancumsum(columns["seconds"]) / 3600
            parts.setdefault("hours", []).extend([np.array([np.nan])] if epochs else [])
            parts["hours"].append(passed)
            hours = float(passed[-1])
        epochs += float(columns["epoch"][-1])
    return Joined({name: np.concatenate(values) for name, values in parts.items()}, tuple(starts))
