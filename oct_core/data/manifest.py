"""The manifest: one row a scan. CSV on disk, a tuple of records in memory."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from oct_core.data.parts import SPLITS
from oct_core.errors import DataError
from oct_core.types import CLASSES

_COPY = r"(?: ?\(\d+\)|[ _-]+[^\W\d].*)?"
"""What programs add to the name of a copy: " (1)", " - Copy", "-checkpoint"."""


@dataclass(frozen=True)
class Record:
    """One scan. path : absolute, as it was when prepared. split : "train", "val", "test", or ""
    before the split. width, height in pixels.
    """

    path: str
    label: str
    patient: str
    sha256: str
    width: int
    height: int
    split: str = ""


def patient_of(file_name: str, labels: Iterable[str] = CLASSES) -> str | None:
    """The bare patient number of a name CLASS-PATIENT-NUMBER, as OCT2017 has them, whatever the
    class in front: CNV-1016042-3.jpeg -> 1016042. None for any other name: in scan-2008-01-10.png
    and CNV-2008-01-10.png stand dates.
    """
    names = "|".join(re.escape(label) for label in labels)
    match = re.fullmatch(rf"(?:{names})-(\d+)-\d+{_COPY}", Path(file_name).stem, re.IGNORECASE)
    return match.group(1) if match else None


def write_manifest(path: Path, records: Iterable[Record]) -> None:
    """Write the records as CSV. Names stay as they are, without a guard against formulas: it is
    read back. Bytes of a name that are not UTF-8 are kept.
    """
    names = [field.name for field in fields(Record)]
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        # csv quotes the end of a line of its own, but not the other sign that is one
        quoting = csv.DictWriter(file, names, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        for record in records:
            row = asdict(record)
            (quoting if "\r" in "".join(map(str, row.values())) else writer).writerow(row)


def read_manifest(path: Path) -> tuple[Record, ...]:
    """Read what write_manifest wrote; raises DataError naming the row that does not fit."""
    records = []
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                record = Record(
                    row["path"],
                    row["label"],
                    row["patient"],
                    row["sha256"],
                    int(row["width"]),
                    int(row["height"]),
                    row["split"],
                )
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    "{path} line {number} is not a manifest row ({error}); run prepare again",
                    path=path,
                    number=number,
                    error=error,
                ) from error
            if record.label not in CLASSES or record.split not in SPLITS:
                raise DataError(
                    "{path} line {number}: label {label!r}, split {split!r} are not of "
                    "this project",
                    path=path,
                    number=number,
                    label=record.label,
                    split=record.split,
                )
            records.append(record)
    return tuple(records)


def manifest_sha256(records: Iterable[Record]) -> str:
    """A hash of what was trained on: sha256, label, patient and split of every scan, in order; no
    paths.
    """
    digest = hashlib.sha256()
    for record in records:
        row = f"{record.sha256},{record.label},{record.patient},{record.split}\n"
        digest.update(row.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def count(records: Iterable[Record]) -> dict[str, dict[str, dict[str, int]]]:
    """split -> class -> {"images", "patients"}."""
    table: dict[str, dict[str, dict[str, int]]] = {}
    rows = list(records)
    for split in SPLITS:
        table[split] = {}
        for label in CLASSES:
            members = [record for record in rows if record.split == split and record.label == label]
            table[split][label] = {
                "images": len(members),
                "patients": len({record.patient for record in members}),
            }
    return table
