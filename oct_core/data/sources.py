"""Where scans come from: an OCT2017 folder, a plain folder of class folders, or a CSV manifest."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from oct_core.data.manifest import SPLITS, patient_of
from oct_core.errors import DataError
from oct_core.scans import is_scan_name
from oct_core.types import CLASSES

OCT2017_VAL = 32
"""A val folder of so few scans is too small to choose a model on: it joins the pool. What a CSV
calls val stays val.
"""


@dataclass(frozen=True)
class Candidate:
    """A file to read. given : the folder or column split it came with, or "". patient : "" if the
    name has none.
    """

    path: Path
    label: str
    patient: str
    given: str


def find_candidates(source: Path) -> list[Candidate]:
    """Every labelled file of a folder or CSV, in a stable order; raises DataError with what was
    expected.
    """
    if source.is_file() and source.suffix.lower() == ".csv":
        return _from_csv(source)
    if not source.is_dir():
        raise DataError(
            "{source} is neither a folder nor a .csv manifest; give the folder that holds "
            "{classes}",
            source=source,
            classes=", ".join(CLASSES),
        )
    candidates = _from_folder(source)
    if not candidates:
        raise DataError(
            "{source} holds no folder named {classes} with pictures in it, at any depth",
            source=source,
            classes=", ".join(CLASSES),
        )
    return candidates


def _from_folder(source: Path) -> list[Candidate]:
    candidates = []
    for folder, names in _folders(source):
        parts = [part.strip() for part in folder.relative_to(source).parts] or [source.name.strip()]
        label = parts[-1].upper()
        pictures = [folder / name for name in sorted(names) if is_scan_name(name)]
        if label not in CLASSES:
            _refuse_hidden_scans(pictures, parts)
            continue
        given = next((part.lower() for part in reversed(parts[:-1]) if part.lower() in SPLITS), "")
        candidates += [
            Candidate(path, label, patient_of(path.name) or "", given) for path in pictures
        ]
    if sum(candidate.given == "val" for candidate in candidates) <= OCT2017_VAL:
        candidates = [
            replace(candidate, given="") if candidate.given == "val" else candidate
            for candidate in candidates
        ]
    return candidates


def _folders(source: Path) -> Iterator[tuple[Path, list[str]]]:
    """Every folder and the names of its files, links followed, each real folder once."""
    seen: set[str] = set()
    for folder, subfolders, names in os.walk(source, followlinks=True):
        real = os.path.realpath(folder)
        subfolders.sort()
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        _refuse_other_labels(Path(folder), subfolders)
        yield Path(folder), names


def _refuse_hidden_scans(pictures: list[Path], parts: list[str]) -> None:
    """A folder of pictures inside a class folder would be left out without a word."""
    label = next((part for part in parts[:-1] if part.upper() in CLASSES), None)
    if pictures and label:
        raise DataError(
            "{parent} lies inside the class folder {label}; move its pictures up into {label}, "
            "or out of the way",
            parent=pictures[0].parent,
            label=label,
        )


def _refuse_other_labels(folder: Path, subfolders: list[str]) -> None:
    """A folder of pictures beside class folders is a class that this project does not have."""
    labels = {name for name in subfolders if name.strip().upper() in CLASSES}
    for name in sorted(set(subfolders) - labels) if labels else ():
        if any(is_scan_name(path) for path in (folder / name).iterdir()):
            raise DataError(
                "{folder}: the label {name!r} is none of {classes}; move that folder away",
                folder=folder / name,
                name=name,
                classes=", ".join(CLASSES),
            )


def _from_csv(source: Path) -> list[Candidate]:
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            "{source} is not UTF-8 ({reason}); save it as CSV UTF-8",
            source=source,
            reason=error.reason,
        ) from error
    candidates = []
    with io.StringIO(text, newline="") as file:
        reader = csv.DictReader(file)
        missing = {"path", "label"} - set(reader.fieldnames or ())
        if missing:
            raise DataError(
                "{source} has no column {missing}; needed: path, label; optional: patient, split",
                source=source,
                missing=", ".join(sorted(missing)),
            )
        for number, row in enumerate(reader, start=2):
            candidates.append(_csv_row(source, number, row))
    if not candidates:
        raise DataError("{source} has no row below its header; give one row a scan", source=source)
    _refuse_shared_patients(source, candidates)
    return candidates


def _csv_row(source: Path, number: int, row: dict[str, str | None]) -> Candidate:
    path = Path(row["path"] or "")
    path = path if path.is_absolute() else source.parent / path
    label, split = (row["label"] or "").strip().upper(), (row.get("split") or "").strip().lower()
    if label not in CLASSES:
        raise DataError(
            "{source} line {number}: label {label!r} is none of {classes}; correct or remove the "
            "line",
            source=source,
            number=number,
            label=label,
            classes=", ".join(CLASSES),
        )
    if split and split not in SPLITS:
        raise DataError(
            "{source} line {number}: split {split!r} is none of {splits}; correct it or leave it "
            "empty",
            source=source,
            number=number,
            split=split,
            splits=", ".join(SPLITS),
        )
    if not path.is_file():
        raise DataError(
            "{source} line {number}: there is no file {path}; correct or remove the line",
            source=source,
            number=number,
            path=path,
        )
    return Candidate(
        path, label, (row.get("patient") or "").strip() or patient_of(path.name) or "", split
    )


def _refuse_shared_patients(source: Path, candidates: list[Candidate]) -> None:
    homes: dict[str, str] = {}
    for candidate in candidates:
        if not candidate.patient or not candidate.given:
            continue
        home = homes.setdefault(candidate.patient, candidate.given)
        if home != candidate.given:
            raise DataError(
                "{source}: patient {patient} is in {home} and in {given}; give each patient one "
                "split",
                source=source,
                patient=candidate.patient,
                home=home,
                given=candidate.given,
            )
