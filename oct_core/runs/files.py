"""The files of a run folder but the weights: card, history, steps, predictions. No torch here, so
pages open at once.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oct_core.errors import CheckpointError
from oct_core.models.catalog import ARCHITECTURES
from oct_core.types import QUESTIONS, FloatArray, PredictionTable, RunCard

SCHEMA = 1
WEIGHTS, CARD, HISTORY, STEPS, PREDICTIONS = (
    "weights.safetensors",
    "card.json",
    "history.csv",
    "steps.csv",
    "predictions.csv",
)
GATE_COLUMNS = tuple(f"gate_{question}" for question in QUESTIONS)
STATUSES = ("training", "done", "failed")
_TABLES = ("data", "training", "versions", "metrics")
"""What each is a table of in a card that has it."""


_HOME = Path(__file__).resolve().parents[2]


def checkpoints_root() -> Path:
    """Where runs live: the environment variable OCT_CHECKPOINTS, else checkpoints/ beside the
    library; of a library that pip installed elsewhere, checkpoints/ in the current folder.
    """
    given = os.environ.get("OCT_CHECKPOINTS")
    return Path(given) if given else beside_the_library("checkpoints", f"*/{CARD}")


def beside_the_library(folder: str, contents: str) -> Path:
    """A folder of the checkout that the library lies in, or, where it does not lie in one and no
    such folder with ``contents`` (a glob) is beside it, of the current folder: nothing is written
    among installed packages.
    """
    beside = _HOME / folder
    if (_HOME / "pyproject.toml").is_file() or any(beside.glob(contents)):
        return beside
    return Path.cwd() / folder


def no_finished_run(
    root: Path | None = None, reasons: Mapping[str, str] | None = None
) -> CheckpointError:
    """The error of finding none, saying where it was looked. reasons : why runs there cannot be
    used, by name.
    """
    if reasons:
        return CheckpointError(
            "no run in {root} can be used: {reasons}",
            root=root or checkpoints_root(),
            reasons="; ".join(f"{name}: {reason}" for name, reason in reasons.items()),
        )
    return CheckpointError(
        "there is no finished run in {root}; train one, or point OCT_CHECKPOINTS at a folder of "
        "runs",
        root=root or checkpoints_root(),
    )


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` as a whole: after a kill or a full disk there is the old file or the new
    one, never a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def write_card(folder: Path, raw: Mapping[str, Any]) -> None:
    """Write card.json atomically."""
    write_atomically(folder / CARD, (json.dumps(raw, indent=1) + "\n").encode())


def read_card(folder: Path) -> RunCard:
    """Read a run's card; raises CheckpointError saying what is missing or of which schema it is."""
    path = folder / CARD
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        schema = raw["schema"]
        if schema != SCHEMA:
            raise CheckpointError(
                "{path} has schema {schema}, this version reads {expected}; train the run again "
                "or update oct_core",
                path=path,
                schema=schema,
                expected=SCHEMA,
            )
        for part in _TABLES:
            dict(raw.get(part) or {})  # raises for what is no table
        _check_stages(raw.get("earlier_stages", []))
        return RunCard(
            name=folder.name,
            folder=folder,
            status=str(raw["status"]),
            architecture=str(raw["architecture"]),
            classes=tuple(raw["classes"]),
            preprocessing=dict(raw["preprocessing"]),
            weights_sha256=str(raw.get("weights_sha256") or ""),
            temperature=float(raw.get("temperature") or 1.0),
            best_epoch=raw.get("best_epoch"),
            raw=raw,
        )
    except FileNotFoundError as error:
        raise CheckpointError(
            "{folder} is no run: it has no {card}; list the runs with: python -m oct_core runs",
            folder=folder,
            card=CARD,
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            "{path} cannot be read ({error!r}); restore it or train the run again",
            path=path,
            error=error,
        ) from error


def _check_stages(stages: Any) -> None:
    """Raise TypeError or ValueError for what are no records of ``lineage.stage_record``."""
    if not isinstance(stages, list) or not all(isinstance(each, dict) for each in stages):
        raise TypeError("earlier_stages is no list of tables")
    for stage in stages:
        parts = {part: stage.get(part) or {} for part in (*_TABLES, "history")}
        if not all(isinstance(each, dict) for each in parts.values()):
            raise TypeError("a part of earlier_stages is no table")
        np.array(list(parts["history"].values()), np.float64)  # raises for what is no number


def list_runs(root: Path | None = None) -> list[RunCard]:
    """The cards of every readable run, the shipped architectures first, then by name. Damaged
    folders: see damaged_runs.
    """
    cards = []
    for folder in _run_folders(root):
        try:
            cards.append(read_card(folder))
        except CheckpointError:
            continue
    return sorted(cards, key=lambda card: run_rank(card.name))


def run_rank(name: str) -> tuple[int, str]:
    """What runs are sorted by: those called as a network, in the order of the catalog, then by
    name.
    """
    networks = list(ARCHITECTURES)
    return (networks.index(name) if name in networks else len(networks), name)


def damaged_runs(root: Path | None = None) -> dict[str, str]:
    """Run name -> why its card cannot be read."""
    reasons: dict[str, str] = {}
    for folder in _run_folders(root):
        try:
            read_card(folder)
        except CheckpointError as error:
            reasons[folder.name] = error.as_note()
    return reasons


def _run_folders(root: Path | None) -> list[Path]:
    root = root or checkpoints_root()
    return sorted(path.parent for path in root.glob(f"*/{CARD}")) if root.is_dir() else []


def read_history(folder: Path) -> dict[str, FloatArray]:
    """history.csv as column -> float64 (epochs,); empty if there is none yet."""
    return _read_numbers(folder / HISTORY)


def read_steps(folder: Path) -> dict[str, FloatArray]:
    """steps.csv as column -> float64 (rows,); empty if there is none yet."""
    return _read_numbers(folder / STEPS)


def _read_numbers(path: Path) -> dict[str, FloatArray]:
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            rows = [row for row in reader if len(row) == len(header)]  # one may be half written
        table = np.array(rows, dtype=np.float64).reshape(len(rows), len(header))
    except (OSError, ValueError, csv.Error) as error:
        raise CheckpointError(
            "{path} holds something that is no number ({error}); restore it or train the run again",
            path=path,
            error=error,
        ) from error
    return {name: table[:, column] for column, name in enumerate(header)}


def append_rows(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Append to a CSV of numbers, with a header if it is new; else in the columns that it has."""
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    header = _header(path)
    names = header or list(rows[0])
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, "nan", "ignore", lineterminator="\n")
        if not header:
            writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)


def _header(path: Path) -> list[str]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file), [])


def write_predictions(folder: Path, table: PredictionTable) -> None:
    """Write predictions.csv atomically."""
    write_table(folder / PREDICTIONS, table)


def write_table(path: Path, table: PredictionTable) -> None:
    """Write a table of answers as CSV, atomically. Names stay as they are, without a guard against
    formulas: it is read back.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "split",
            "image",
            "sha256",
            "patient",
            "label",
            *(f"logit_{name}" for name in table.classes),
            *(() if table.gate is None else GATE_COLUMNS),
        ]
    )
    for row in range(len(table)):
        cells = [
            str(column[row]) for column in (table.split, table.image, table.sha256, table.patient)
        ]
        writer.writerow(
            [
                *cells,
                table.classes[int(table.label[row])] if table.given is None else table.given[row],
                *(f"{value:.5f}" for value in table.logits[row]),
                *(() if table.gate is None else (f"{value:.5f}" for value in table.gate[row])),
            ]
        )
    # Bytes of a file name that are not UTF-8 are spelled out.
    write_atomically(path, text.getvalue().encode("utf-8", "backslashreplace"))


def read_predictions(folder: Path) -> PredictionTable:
    """Read predictions.csv; raises CheckpointError if it is missing or does not fit the card's
    classes.
    """
    return read_table(folder, folder / PREDICTIONS)


def read_table(
    folder: Path, path: Path, labels: Mapping[str, Sequence[str]] | None = None
) -> PredictionTable:
    """A table of answers of the run in ``folder``; raises CheckpointError if it is missing or does
    not fit the card's classes.

    labels : the classes that each label of the file stands for; None where they are the classes.
    """
    classes = read_card(folder).classes
    stands_for = {name: (name,) for name in classes} if labels is None else labels
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        truth = np.array(
            [[name in stands_for[row["label"]] for name in classes] for row in rows], dtype=np.bool_
        ).reshape(len(rows), len(classes))
        logits = np.array(
            [[float(row[f"logit_{name}"]) for name in classes] for row in rows], dtype=np.float32
        )
        split, image, sha256, patient = (
            _strings(rows, name) for name in ("split", "image", "sha256", "patient")
        )
        gate = (
            np.array([[float(row[name]) for name in GATE_COLUMNS] for row in rows])
            if rows and GATE_COLUMNS[0] in rows[0]
            else None
        )
        if not all(np.isfinite(values).all() for values in (logits, gate) if values is not None):
            raise ValueError("an answer or a score is no number")
    except FileNotFoundError as error:
        raise CheckpointError(
            "run {run} has no {predictions} yet; it is written when the training is done",
            run=folder.name,
            predictions=path.name,
        ) from error
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise CheckpointError(
            "{path} cannot be read ({error!r}); run: python -m oct_core evaluate {run} --data DATA",
            path=path,
            error=error,
            run=folder.name,
        ) from error
    one = truth.sum(axis=1) == 1
    return PredictionTable(
        split,
        image,
        sha256,
        patient,
        np.where(one, truth.argmax(axis=1), -1).astype(np.int64),
        logits.reshape(len(rows), len(classes)),
        classes,
        gate,
        None if labels is None else _strings(rows, "label"),
        None if one.all() else truth,
    )


def _strings(rows: Sequence[Mapping[str, str]], name: str) -> NDArray[np.str_]:
    return np.array([row[name] for row in rows], dtype=np.str_)
