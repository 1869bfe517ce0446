"""Where scans come from: an OCT2017 folder, a plain folder of class folders, or a CSV manifest."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from oct_core.data.manifest import SPLITS, patient_of
from oct_core.errors import DataError
from oct_core.types import CLASSES

SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".tif", ".tiff", ".bmp"})


@dataclass(frozen=True)
class Candidate:
    """A file to read. given : the folder or column split it came with, or "". patient : "" if the name has none."""

    path: Path
    label: str
    patient: str
    given: str


def find_candidates(source: Path) -> list[Candidate]:
    """Every labelled file of a folder or CSV, in a stable order; raises DataError with what was expected."""
    if source.is_file() and source.suffix.lower() == ".csv":
        return _from_csv(source)
    if not source.is_dir():
        raise DataError(f"{source} is neither a folder nor a .csv manifest; give the folder that holds {', '.join(CLASSES)}")
    found = _from_folder(source)
    if not found:
        raise DataError(f"{source} holds no folder named {', '.join(CLASSES)} with pictures in it, at any depth")
    return found


def _from_folder(source: Path) -> list[Candidate]:
    found = []
    for folder, subfolders, names in os.walk(source):
        subfolders.sort()
        _refuse_other_labels(Path(folder), subfolders)
        parts = [part.strip() for part in Path(folder).relative_to(source).parts] or [source.name.strip()]
        label = parts[-1].upper()
        if label not in CLASSES:
            continue
        given = next((part.lower() for part in reversed(parts[:-1]) if part.lower() in SPLITS), "")
        found += [
            Candidate(Path(folder) / name, label, patient_of(name) or "", given)
            for name in sorted(names)
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
    return found


def _refuse_other_labels(folder: Path, subfolders: list[str]) -> None:
    """A folder of pictures beside class folders is a class that this project does not have."""
    labels = {name for name in subfolders if name.strip().upper() in CLASSES}
    for name in sorted(set(subfolders) - labels) if labels else ():
        if any(path.suffix.lower() in SUFFIXES and not path.name.startswith(".") for path in (folder / name).iterdir()):
            raise DataError(f"{folder / name}: the label {name!r} is none of {', '.join(CLASSES)}; move that folder away")


def _from_csv(source: Path) -> list[Candidate]:
    found = []
    with source.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = {"path", "label"} - set(reader.fieldnames or ())
        if missing:
            raise DataError(f"{source} has no column {', '.join(sorted(missing))}; needed: path, label; optional: patient, split")
        for number, row in enumerate(reader, start=2):
            found.append(_csv_row(source, number, row))
    _refuse_shared_patients(source, found)
    return found


def _csv_row(source: Path, number: int, row: dict[str, str | None]) -> Candidate:
    path = Path(row["path"] or "")
    path = path if path.is_absolute() else source.parent / path
    label, split = (row["label"] or "").strip(), (row.get("split") or "").strip().lower()
    if label not in CLASSES:
        raise DataError(f"{source} line {number}: label {label!r} is none of {', '.join(CLASSES)}; correct or remove the line")
    if split and split not in SPLITS:
        raise DataError(f"{source} line {number}: split {split!r} is none of {', '.join(SPLITS)}; correct it or leave it empty")
    if not path.is_file():
        raise DataError(f"{source} line {number}: there is no file {path}; correct or remove the line")
    return Candidate(path, label, (row.get("patient") or "").strip() or patient_of(path.name) or "", split)


def _refuse_shared_patients(source: Path, found: list[Candidate]) -> None:
    homes: dict[str, str] = {}
    for candidate in found:
        if not candidate.patient or not candidate.given:
            continue
        home = homes.setdefault(candidate.patient, candidate.given)
        if home != candidate.given:
            raise DataError(f"{source}: patient {candidate.patient} is in {home} and in {candidate.given}; give each patient one split")
