"""Labelled scans from elsewhere: found, answered by runs, and kept beside them.

Labels may be some of the classes, or coarser ones that a label map says the classes of. Nothing of
a picture is kept but its file name, its hash, the answers and the gate's scores.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from oct_core.data.manifest import patient_of
from oct_core.errors import CheckpointError, DataError, ScanError
from oct_core.runs.evaluations import ExternalSet, external_key, write_external
from oct_core.runs.files import read_predictions
from oct_core.runs.weights import LoadedRun
from oct_core.scans import is_scan_name, read_scan
from oct_core.trust.gate import Gate, read_gate
from oct_core.types import CLASSES, Prediction, PredictionTable, Scan, join_tables
from oct_core.words import say

LEFT_OUT = "-"
"""What a label is mapped to whose scans are to be left out."""
_BATCH = 16
_PATH, _LABEL, _PATIENT = ("path", "image", "file"), ("label", "class"), ("patient", "patient_id")

LabelMap = Mapping[str, tuple[str, ...]]
"""Label in capitals -> the classes that it stands for; none to leave its scans out."""


def parse_label_map(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """``AMD=CNV,DRUSEN`` and ``OTHER=-``, one a text, on top of the classes themselves. Raises
    DataError for what is written otherwise or names no class.
    """
    labels: dict[str, tuple[str, ...]] = {name: (name,) for name in CLASSES}
    for text in texts:
        label, sign, given = text.partition("=")
        names = tuple(dict.fromkeys(part.strip().upper() for part in given.split(",")))
        known = names == (LEFT_OUT,) or all(name in CLASSES for name in names)
        if not (sign and label.strip() and known):
            raise DataError(
                "--label-map {text!r} is not understood; write LABEL=CLASS,CLASS with classes of "
                "{classes}, such as AMD=CNV,DRUSEN, or LABEL=- to leave its scans out",
                text=text,
                classes=", ".join(CLASSES),
            )
        labels[label.strip().upper()] = () if names == (LEFT_OUT,) else names
    return labels


@dataclass(frozen=True)
class Labelled:
    """One scan to be scored. label : in capitals. patient : "" if nothing says whose it is. told_by
    : "file names", "folders" or "manifest", what gave the patient; "files" for none.
    """

    path: Path
    label: str
    patient: str
    told_by: str


@dataclass(frozen=True)
class LabelledSet:
    """What was found. scans : in a stable order. left_out : scans by label that is to be left out.
    labels : the labels that occur, and the classes they stand for.
    """

    scans: tuple[Labelled, ...]
    left_out: dict[str, int]
    labels: dict[str, tuple[str, ...]]


def find_labelled(source: Path, labels: LabelMap) -> LabelledSet:
    """The scans of a folder whose folders are named as labels, in any case and at any depth, or of
    a CSV with the columns path, label and, if it is known, patient.

    The nearest folder above a scan that is named as a label gives it. A folder between that one
    and the scan is its patient. Raises DataError if nothing is found, or for a label that
    ``labels`` does not have.
    """
    if source.is_file() and source.suffix.lower() == ".csv":
        found = _from_csv(source)
    elif source.is_dir():
        found = _from_folder(source, labels)
    else:
        raise DataError(
            "{source} is neither a folder nor a .csv; give a folder whose folders are named as "
            "labels, or a CSV with the columns path and label",
            source=source,
        )
    _refuse_unknown({each.label for each in found}, labels, source)
    scans = tuple(each for each in found if labels[each.label])
    left_out = Counter(each.label for each in found if not labels[each.label])
    if not scans:
        raise DataError("{source} holds no labelled scan to be scored", source=source)
    used = {each.label for each in scans}
    occurring = {label: classes for label, classes in labels.items() if label in used}
    return LabelledSet(scans, dict(left_out), occurring)


def _refuse_unknown(given: set[str], labels: LabelMap, source: Path) -> None:
    unknown = sorted(given - set(labels))
    if unknown:
        raise DataError(
            "{source}: {unknown} is none of {known}; say what it stands for, such as --label-map "
            "{first}=CNV,DRUSEN, or leave its scans out with --label-map {first}=-",
            source=source,
            unknown=", ".join(map(repr, unknown)),
            known=", ".join(labels),
            first=unknown[0] or "LABEL",
        )


def _from_folder(source: Path, labels: LabelMap) -> list[Labelled]:
    """The source folder itself may be named as a label; hidden folders are passed over."""
    found = []
    for folder, subfolders, names in os.walk(source):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith((".", "@")))
        parts = [source.resolve().name, *Path(folder).relative_to(source).parts]
        upper = [part.strip().upper() for part in parts]
        pictures = [Path(folder) / name for name in sorted(names) if is_scan_name(name)]
        places = [k for k, part in enumerate(upper) if part in labels]
        if not places and pictures:
            # Pictures that no label explains: the first folder below the source is an unknown one.
            _refuse_unknown({upper[min(1, len(upper) - 1)]}, labels, source)
        for path in pictures:
            below = parts[places[-1] + 1 :]
            patient, told_by = _patient(path, below)
            found.append(Labelled(path, upper[places[-1]], patient, told_by))
    return found


def _patient(path: Path, below: Sequence[str]) -> tuple[str, str]:
    if below:
        return "/".join(below), "folders"
    patient = patient_of(path.name)
    return (patient, "file names") if patient else ("", "files")


def _from_csv(source: Path) -> list[Labelled]:
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            "{source} is not UTF-8 ({reason}); save it as CSV UTF-8",
            source=source,
            reason=error.reason,
        ) from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = [name.strip().lower() for name in next(reader, [])]
    columns = [
        next((header.index(name) for name in names if name in header), None)
        for names in (_PATH, _LABEL, _PATIENT)
    ]
    if columns[0] is None or columns[1] is None:
        raise DataError(
            "{source} has the columns {found}; needed: path, label; optional: patient",
            source=source,
            found=", ".join(header) or say("none"),
        )
    return [
        _csv_row(source, number, row, columns)
        for number, row in enumerate(reader, start=2)
        if any(cell.strip() for cell in row)
    ]


def _csv_row(source: Path, number: int, row: list[str], columns: list[int | None]) -> Labelled:
    path, label, patient = (
        "" if column is None or column >= len(row) else row[column].strip() for column in columns
    )
    file = source.parent / path.replace("\\", "/")
    if not path or not file.is_file():
        raise DataError(
            "{source} line {number}: there is no file {path}; correct or remove the line",
            source=source,
            number=number,
            path=path or say("none"),
        )
    if patient:
        return Labelled(file, label.upper(), patient, "manifest")
    return Labelled(file, label.upper(), *_patient(file, ()))


@dataclass(frozen=True, eq=False)
class ScoredSet:
    """A set as runs answered it.

    tables, about : by run name. unreadable : (path, why), of files that were left out.
    """

    tables: dict[str, PredictionTable]
    about: dict[str, ExternalSet]
    unreadable: tuple[tuple[str, str], ...]


def score_labelled(
    labelled: LabelledSet,
    runs: Sequence[LoadedRun],
    name: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ScoredSet:
    """Answer every scan of a set with every run, and keep the answers beside the runs under
    ``name``, in the place of older ones.

    A file that cannot be read is left out and named, a picture that comes twice is scored once.
    Raises DataError for a name that is none of a file, or if no scan can be read.
    """
    reader = _Reader(external_key(name), labelled.labels)
    gates = {run.name: read_gate(run.card) for run in runs}
    parts: dict[str, list[PredictionTable]] = {run.name: [] for run in runs}
    total = len(labelled.scans)
    for start in range(0, total, _BATCH):
        batch = reader.read(labelled.scans[start : start + _BATCH])
        for run in runs if batch else ():
            predictions = run.predict([each.scan for each in batch])
            parts[run.name].append(reader.table(batch, predictions, gates[run.name]))
        progress(min(start + _BATCH, total), total)
    if not reader.digests:
        path, reason = reader.unreadable[0]
        raise DataError("no scan can be read; {path}: {reason}", path=path, reason=reason)
    tables = {run: join_tables(rows) for run, rows in parts.items()}
    about = {run.name: _describe(run, name, labelled, reader, tables[run.name]) for run in runs}
    for run in runs:
        write_external(run.card.folder, about[run.name], tables[run.name])
    return ScoredSet(tables, about, tuple(reader.unreadable))


@dataclass(frozen=True, eq=False)
class _Read:
    labelled: Labelled
    digest: str
    scan: Scan


class _Reader:
    """Reads scans, and remembers which it has had and which it could not read."""

    def __init__(self, key: str, labels: LabelMap) -> None:
        self.key, self.labels = key, labels
        self.digests: set[str] = set()
        self.sources: set[str] = set()
        self.unreadable: list[tuple[str, str]] = []
        self.repeated = 0

    def read(self, scans: Sequence[Labelled]) -> list[_Read]:
        """Those that can be read and were not had before."""
        batch = []
        for each in scans:
            try:
                data = each.path.read_bytes()
                scan = read_scan(data, each.path.name)
            except (OSError, ScanError) as error:
                self.unreadable.append((str(each.path), str(error)))
                continue
            digest = hashlib.sha256(data).hexdigest()
            if digest in self.digests:
                self.repeated += 1
                continue
            self.digests.add(digest)
            self.sources.add(each.told_by)
            batch.append(_Read(each, digest, scan))
        return batch

    def table(
        self, batch: Sequence[_Read], predictions: Sequence[Prediction], gate: Gate | None
    ) -> PredictionTable:
        """The answers of one run to a batch, with its gate's scores."""
        given = [each.labelled.label for each in batch]
        classes = predictions[0].classes
        truth = np.array([[name in self.labels[label] for name in classes] for label in given])
        alone = truth.sum(axis=1) == 1
        features = [prediction.features for prediction in predictions]
        return PredictionTable(
            split=np.array([self.key] * len(batch), dtype=np.str_),
            image=np.array([each.labelled.path.name for each in batch], dtype=np.str_),
            sha256=np.array([each.digest for each in batch], dtype=np.str_),
            patient=np.array(
                [each.labelled.patient or f"file-{each.digest[:16]}" for each in batch],
                dtype=np.str_,
            ),
            label=np.where(alone, truth.argmax(axis=1), -1).astype(np.int64),
            logits=np.stack([prediction.logits for prediction in predictions]),
            classes=classes,
            gate=None if gate is None else gate.scores(np.array(features, dtype=np.float32)),
            given=np.array(given, dtype=np.str_),
            truth=truth,
        )


def _describe(
    run: LoadedRun,
    name: str,
    labelled: LabelledSet,
    reader: _Reader,
    table: PredictionTable,
) -> ExternalSet:
    try:
        own = set(read_predictions(run.card.folder).sha256.tolist())
    except CheckpointError:
        own = set()
    return ExternalSet(
        name=name,
        date=date.today().isoformat(),
        labels=labelled.labels,
        left_out=labelled.left_out,
        unreadable=len(reader.unreadable),
        repeated=reader.repeated,
        seen=len(own & reader.digests),
        n_scans=len(table),
        n_patients=len(np.unique(table.patient)),
        patients_from=", ".join(sorted(reader.sources)),
        weights_sha256=run.card.weights_sha256,
        temperature=run.card.temperature,
    )
