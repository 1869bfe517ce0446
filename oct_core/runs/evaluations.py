"""The labelled scans that a run has answered: its validation and test part, the validation scans
under corruption, and sets from elsewhere. No torch here, so pages open at once.

Files of a run folder, in the columns of predictions.csv (``oct_core.runs.files``):
``corrupted.csv`` (split "corrupted/blur/2"; the sha256 is that of the scan before the corruption),
``external/NAME.csv`` (split "external/NAME") and ``external/NAME.json``, an ``ExternalSet``. A
label there is the one that the set gives; the JSON says which classes it stands for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oct_core.errors import CheckpointError, DataError
from oct_core.runs.files import (
    PREDICTIONS,
    read_predictions,
    read_table,
    write_atomically,
    write_table,
)
from oct_core.scans.corruptions import CORRUPTIONS, SEVERITIES
from oct_core.types import PredictionTable, RunCard
from oct_core.words import message, say

CORRUPTED, EXTERNAL = "corrupted", "external"
KINDS = ("test", "validation", EXTERNAL, CORRUPTED)
PARTS = {
    "test": message("Test part (held out)"),
    "val": message("Validation part (used to choose the epoch)"),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class DataChoice:
    """Labelled scans that a run can be measured on.

    key : for ``read_scored`` and ``evaluate_table``: "val", "test", "corrupted" (all of them
    pooled), "corrupted/blur/2", "external/NAME". title : in the language of the moment. kind : one
    of KINDS.
    """

    key: str
    title: str
    kind: str


@dataclass(frozen=True)
class ExternalSet:
    """What is known of a labelled set from elsewhere, beside the answers.

    name : letters, digits, dot, dash, underscore. date : "2026-11-28". labels : the classes that
    each label of the set stands for. left_out : how many files had a label that was to be left out,
    by label. unreadable, repeated : how many files could not be read, or are a picture that the set
    has already. seen : how many are scans of the run's own validation or test part. n_scans,
    n_patients : of the table. patients_from : "file names", "folders", "manifest", "files" (each is
    its own patient) or several of them. weights_sha256, temperature : of the run that answered.
    """

    name: str
    date: str
    labels: dict[str, tuple[str, ...]]
    left_out: dict[str, int]
    unreadable: int
    repeated: int
    seen: int
    n_scans: int
    n_patients: int
    patients_from: str
    weights_sha256: str
    temperature: float

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExternalSet:
        """The reverse of ``dataclasses.asdict``; raises KeyError or TypeError for other fields."""
        labels = {name: tuple(classes) for name, classes in data["labels"].items()}
        return cls(**{**data, "labels": labels})


def external_key(name: str) -> str:
    """``external/NAME``; raises DataError for a name that is none of a file."""
    if not _NAME.fullmatch(name):
        raise DataError(
            "{name!r} cannot name a set; give it a --name of letters, digits, dots, dashes and "
            "underscores",
            name=name,
        )
    return f"{EXTERNAL}/{name}"


def corrupted_key(name: str, grade: int) -> str:
    """``corrupted/blur/2``."""
    return f"{CORRUPTED}/{name}/{grade}"


def data_choices(card: RunCard) -> list[DataChoice]:
    """What the run has answers for: test, validation, external sets by name, all corrupted scans,
    each corruption in each grade. Only what is there: a run that is still being trained has none.
    """
    parts, corrupted = _splits(card.folder / PREDICTIONS), _splits(corrupted_file(card.folder))
    choices = [
        DataChoice(key, say(title), "validation" if key == "val" else key)
        for key, title in PARTS.items()
        if key in parts
    ]
    choices += [
        DataChoice(external_key(name), say("External set: {name}", name=name), EXTERNAL)
        for name in external_names(card.folder)
    ]
    if corrupted:
        pooled = say("Validation scans under every corruption")
        choices.append(DataChoice(CORRUPTED, pooled, CORRUPTED))
    for name in CORRUPTIONS:
        choices += [
            DataChoice(
                corrupted_key(name, grade),
                say("Validation scans under {name}, grade {grade}", name=name, grade=grade),
                CORRUPTED,
            )
            for grade in SEVERITIES
            if corrupted_key(name, grade) in corrupted
        ]
    return choices


def read_scored(card: RunCard, key: str) -> PredictionTable:
    """The run's answers to the scans of that DataChoice; ``split`` is its key or below it, so that
    ``evaluate_table(table, key)`` and ``table.of_split(key)`` take all rows.

    Of a set whose labels are coarser than the classes the logits stay those of the classes, and
    ``table.truth`` says which answers are right (``table.is_right``); metrics are given
    ``oct_core.metrics.merging.measurable(table, temperature)``. Raises CheckpointError if there are
    none, or if other weights than the run's gave them.
    """
    if key in PARTS:
        return read_predictions(card.folder).of_split(key)
    family, _, rest = key.partition("/")
    if family == CORRUPTED:
        return read_table(card.folder, corrupted_file(card.folder)).of_split(key)
    about = read_external(card, rest)
    if about.weights_sha256 != card.weights_sha256:
        raise CheckpointError(
            "the answers of {run} to {name} are of other weights than it has now; score it again: "
            "python -m oct_core evaluate {run} --labelled FOLDER --name {name}",
            run=card.name,
            name=rest,
        )
    return read_table(card.folder, _external_file(card.folder, rest, "csv"), about.labels)


def write_corrupted(folder: Path, table: PredictionTable) -> None:
    """Write corrupted.csv, split "corrupted/NAME/GRADE"."""
    write_table(corrupted_file(folder), table)


def write_external(folder: Path, about: ExternalSet, table: PredictionTable) -> None:
    """Write a set's answers and what is known of it, in the place of an older one of that name."""
    write_table(_external_file(folder, about.name, "csv"), table)
    data = json.dumps(asdict(about), indent=1) + "\n"
    write_atomically(_external_file(folder, about.name, "json"), data.encode())


def read_external(card: RunCard, name: str) -> ExternalSet:
    """What is known of a set that the run has answered; raises CheckpointError if it is missing or
    damaged.
    """
    path = _external_file(card.folder, name, "json")
    try:
        return ExternalSet.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        names = external_names(card.folder)
        raise CheckpointError(
            "run {run} has no answers for an external set {name!r}; it has: {names}",
            run=card.name,
            name=name,
            names=", ".join(names) or say("none"),
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            "{path} cannot be read ({error!r}); score the set again: python -m oct_core evaluate "
            "{run} --labelled FOLDER --name {name}",
            path=path,
            error=error,
            run=card.name,
            name=name,
        ) from error


def external_names(folder: Path) -> list[str]:
    """The external sets that the run in ``folder`` has answers for, sorted."""
    names = (path.stem for path in (folder / EXTERNAL).glob("*.json"))
    return sorted(name for name in names if _NAME.fullmatch(name))


def corrupted_file(folder: Path) -> Path:
    """corrupted.csv of the run in ``folder``, be it there or not."""
    return folder / f"{CORRUPTED}.csv"


def _external_file(folder: Path, name: str, suffix: str) -> Path:
    return folder / f"{external_key(name)}.{suffix}"


def _splits(path: Path) -> set[str]:
    """The splits of a table, none of one that is missing: the first column alone."""
    if not path.is_file():
        return set()
    with path.open(encoding="utf-8", errors="replace") as file:
        return {line.partition(",")[0] for line in file}
