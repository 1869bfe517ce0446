"""What the weights of a run went through: where they started, and every training since. No torch
here, so pages open at once.

card.json, ``earlier_stages``: the trainings before the run's own, oldest first, each a
``stage_record``. A card without it goes by the hash of its initial weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oct_core.errors import CheckpointError
from oct_core.runs.files import CARD, WEIGHTS, read_card, read_history
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


def earlier_stages(initialisation: str, digest: str) -> list[dict[str, Any]]:
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
    return [*card.raw.get("earlier_stages", []), stage_record(card)]


def stages_of(card: RunCard, cards: Sequence[RunCard]) -> list[Stage]:
    """Every training that the weights of a run went through, oldest first, its own last.

    cards : the runs of the folder. A card without ``earlier_stages`` is followed to the run whose
    weights it started from, if that is among them.
    """
    stages = [_own(card)]
    seen = {card.name}
    while "earlier_stages" not in card.raw:
        start = str(card.raw.get("initial_weights_sha256") or "")
        before = [
            other
            for other in cards
            if start and other.weights_sha256 == start and other.name not in seen
        ]
        if not before:
            return stages
        card = before[0]
        seen.add(card.name)
        stages.insert(0, _own(card))
    return [*map(_recorded, card.raw["earlier_stages"]), *stages]


def _own(card: RunCard) -> Stage:
    return Stage({**card.raw, "name": card.name}, _history(card))


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
    """The histories of all stages one after the other. columns : those that every stage has, and
    ``hours`` of training since the first; a row of NaN parts two stages. starts : the epoch at
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
    names = [name for name in filled[-1] if all(name in columns for columns in filled)]
    for columns in filled:
        if epochs:
            starts.append(int(epochs))
        for name in names:
            values = columns[name] + (epochs if name == "epoch" else 0.0)
            parts.setdefault(name, []).extend([np.array([np.nan])] if epochs else [])
            parts[name].append(values)
        if "seconds" in names:
            passed = hours + np.nancumsum(columns["seconds"]) / 3600
            parts.setdefault("hours", []).extend([np.array([np.nan])] if epochs else [])
            parts["hours"].append(passed)
            hours = float(passed[-1])
        epochs += float(columns["epoch"][-1])
    return Joined({name: np.concatenate(values) for name, values in parts.items()}, tuple(starts))
