"""Labelled scans from elsewhere: found, answered by runs, and kept beside them.

Labels may be some of the classes, or coarser ones that a label map says the classes of. Nothing of
a picture is kept but its file name, its hash, a number for its patient, the answers and the gate's
scores.
"""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations
from pathlib import Path

import numpy as np

from oct_core.data.manifest import patient_of
from oct_core.data.parts import part_named
from oct_core.data.reading import page_digest
from oct_core.data.table import is_table, read_table
from oct_core.errors import CheckpointError, DataError, ScanError
from oct_core.runs.ensemble import check_names
from oct_core.runs.evaluations import ExternalSet, external_key, write_external
from oct_core.runs.files import read_predictions
from oct_core.runs.weights import LoadedRun
from oct_core.scans import PassedOver, is_page_note, is_scan_name, read_file, read_scan, walk
from oct_core.trust.gate import Gate, read_gate
from oct_core.types import CLASSES, Prediction, PredictionTable, Scan, join_tables
from oct_core.words import say

LEFT_OUT = "-"
"""What a label is mapped to whose scans are to be left out."""
_BATCH = 16

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
        known = names == (LEFT_OUT,) or (
            all(name in CLASSES for name in names) and len(names) < len(CLASSES)
        )
        if not (sign and label.strip() and known):
            raise DataError(
                "--label-map {text!r} is not understood; write LABEL=CLASS,CLASS with some of "
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
    labels : the labels that occur, and the classes they stand for. passed_over : files below a
    label's folder that are not named as a picture is. folders : what was not looked into.
    """

    scans: tuple[Labelled, ...]
    left_out: dict[str, int]
    labels: dict[str, tuple[str, ...]]
    passed_over: tuple[Path, ...] = ()
    folders: PassedOver = field(default_factory=PassedOver)


def find_labelled(source: Path, labels: LabelMap) -> LabelledSet:
    """The scans of a folder whose folders are named as labels, in any case and at any depth, or of
    a CSV with the columns path, label and, if it is known, patient.

    The nearest folder above a scan that is named as a label gives it. Its patient is the number in
    a name of OCT2017, else the folder between the label's and the scan. Raises DataError if nothing
    is found, for labels that ``labels`` does not have, and for labels that stand for some of the
    same classes and for others.
    """
    passed_over: tuple[Path, ...] = ()
    folders = PassedOver()
    if is_table(source):
        found = _from_table(source)
    elif source.is_dir():
        found, passed_over = _from_folder(source, labels, folders)
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
    _refuse_overlap(occurring)
    return LabelledSet(scans, dict(left_out), occurring, passed_over, folders)


def _refuse_unknown(given: set[str], labels: LabelMap, source: Path) -> None:
    unknown = sorted(given - set(labels))
    if unknown:
        first = unknown[0] or "LABEL"
        raise DataError(
            "{source}: {unknown} is none of {known}; say what it stands for, such as --label-map "
            "{stands}, or leave its scans out with --label-map {out}",
            source=source,
            unknown=", ".join(map(repr, unknown)),
            known=", ".join(labels),
            stands=shlex.quote(f"{first}=CNV,DRUSEN"),
            out=shlex.quote(f"{first}={LEFT_OUT}"),
        )


def _refuse_overlap(labels: LabelMap) -> None:
    """Between CNV and "CNV or DRUSEN" nothing can be measured: the two are not apart."""
    for (first, one), (second, other) in combinations(labels.items(), 2):
        if set(one) & set(other) and set(one) != set(other):
            wide, both = (first, one) if len(one) > len(other) else (second, other)
            narrow = second if wide == first else first
            raise DataError(
                "the label {narrow} stands for a part of what {wide} may be; score them as one "
                "with --label-map {together}, or leave one out with --label-map {out}",
                narrow=narrow,
                wide=wide,
                together=shlex.quote(f"{narrow}={','.join(both)}"),
                out=shlex.quote(f"{narrow}={LEFT_OUT}"),
            )


def _from_folder(
    source: Path, labels: LabelMap, folders: PassedOver
) -> tuple[list[Labelled], tuple[Path, ...]]:
    """The source folder itself may be named as a label; hidden folders and files are passed over,
    links are followed.
    """
    found: list[Labelled] = []
    unexplained: list[list[str]] = []
    depths: Counter[int] = Counter()
    passed_over: list[Path] = []
    for folder, names in walk(source, folders):
        parts = [source.resolve().name, *folder.relative_to(source).parts]
        upper = [part.strip().upper() for part in parts]
        place = max((k for k, part in enumerate(upper) if part in labels), default=None)
        files = [folder / name for name in names if not name.startswith(".")]
        pictures = [path for path in files if is_scan_name(path)]
        if place is None:
            unexplained += [upper] if pictures else []
            continue
        depths[place] += len(pictures)
        passed_over += [path for path in files if not is_scan_name(path)]
        for path in pictures:
            found.append(Labelled(path, upper[place], *_patient(path, parts[place + 1 :])))
    _refuse_unknown({_likely_label(upper, depths) for upper in unexplained}, labels, source)
    return found, tuple(passed_over)


def _likely_label(upper: Sequence[str], depths: Counter[int]) -> str:
    """Which of a picture's folders is meant as its label, of those that no label explains: the one
    beside the others' labels, else the first below the source that is no part of a split.
    """
    beside = depths.most_common(1)[0][0] if depths else 0
    if 0 < beside < len(upper):
        return upper[beside]
    return next((part for part in upper[1:] if not part_named(part)), upper[-1])


def _patient(path: Path, below: Sequence[str]) -> tuple[str, str]:
    patient = patient_of(path.name)
    if patient:
        return patient, "file names"
    return ("/".join(below), "folders") if below else ("", "files")


def _from_table(source: Path) -> list[Labelled]:
    found = []
    for row in read_table(source):
        if not row.label:
            raise DataError(
                "{source} line {number} has no label; give one, or take the line out",
                source=source,
                number=row.number,
            )
        told = (row.patient, "manifest") if row.patient else _patient(row.path, ())
        found.append(Labelled(row.path, row.label.upper(), *told))
    return found


@dataclass(frozen=True, eq=False)
class ScoredSet:
    """A set as runs answered it.

    tables, about : by run name. unreadable : (path, why), of files that were left out. first_pages
    : files of several pages, of which the first alone was scored.
    """

    tables: dict[str, PredictionTable]
    about: dict[str, ExternalSet]
    unreadable: tuple[tuple[str, str], ...]
    first_pages: int = 0


def score_labelled(
    labelled: LabelledSet,
    runs: Sequence[LoadedRun],
    name: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ScoredSet:
    """Answer every scan of a set with every run, and keep the answers beside the runs under
    ``name``, in the place of older ones.

    A file that cannot be read is left out and named, a picture that comes twice is scored once, or
    not at all, and named, if its two labels stand for other classes. Raises DataError for a name
    that is none of a file, or if no scan can be read.
    """
    check_names([run.name for run in runs])
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
    if not reader.digests.keys() - reader.conflicts:
        path, reason = reader.unreadable[0]
        raise DataError("no scan can be read; {path}: {reason}", path=path, reason=reason)
    tables = {run: reader.without_conflicts(join_tables(rows)) for run, rows in parts.items()}
    about = {run.name: _describe(run, name, labelled, reader, tables[run.name]) for run in runs}
    for run in runs:
        write_external(run.card.folder, about[run.name], tables[run.name])
    return ScoredSet(tables, about, tuple(reader.unreadable), reader.first_pages)


@dataclass(frozen=True, eq=False)
class _Read:
    labelled: Labelled
    digest: str
    scan: Scan


class _Reader:
    """Reads scans, and remembers which it has had and which it could not read."""

    def __init__(self, key: str, labels: LabelMap) -> None:
        self.key, self.labels = key, labels
        self.digests: dict[str, Labelled] = {}
        self.conflicts: set[str] = set()
        self.sources: set[str] = set()
        self.unreadable: list[tuple[str, str]] = []
        self.patients: dict[str, str] = {}
        self.repeated = self.first_pages = 0

    def read(self, scans: Sequence[Labelled]) -> list[_Read]:
        """Those that can be read and were not had before."""
        batch = []
        for each in scans:
            try:
                data = read_file(each.path)
                scan = read_scan(data, each.path.name)
            except ScanError as error:
                self.unreadable.append((str(each.path), str(error)))
                continue
            digest = hashlib.sha256(data).hexdigest()
            has_pages = any(is_page_note(text) for text in scan.notes)
            if has_pages:  # as prepare has it in a run's own parts
                digest = page_digest(digest, 1)
            if digest in self.digests:
                self._repeat(each, digest)
                continue
            self.digests[digest] = each
            self.first_pages += has_pages
            self.sources.add(each.told_by)
            batch.append(_Read(each, digest, scan))
        return batch

    def _repeat(self, again: Labelled, digest: str) -> None:
        first = self.digests[digest]
        if self.labels[again.label] == self.labels[first.label]:
            self.repeated += 1
            return
        self.conflicts.add(digest)
        for one, other in ((first, again), (again, first)):
            reason = say(
                "the same picture as {path}, which has the label {label}",
                path=other.path,
                label=other.label,
            )
            self.unreadable.append((str(one.path), reason))

    def without_conflicts(self, table: PredictionTable) -> PredictionTable:
        """Without the pictures that two labels were given for."""
        return table.take(~np.isin(table.sha256, sorted(self.conflicts)))

    def _patient(self, read: _Read) -> str:
        """A number for each patient, in the order of the scans: whose scans they are is not kept,
        only which belong together.
        """
        own = read.labelled.patient
        if not own:
            return f"file-{read.digest[:16]}"
        return self.patients.setdefault(own, f"patient-{len(self.patients) + 1}")

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
            patient=np.array([self._patient(each) for each in batch], dtype=np.str_),
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
        seen=len(own & set(table.sha256.tolist())),
        n_scans=len(table),
        n_patients=len(np.unique(table.patient)),
        patients_from=", ".join(sorted(reader.sources)),
        weights_sha256=run.card.weights_sha256,
        temperature=run.card.temperature,
    )
