"""The scans of the report: fresh phantoms, and validation scans of a prepared folder. Never the
test part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from oct_core.data.manifest import Record
from oct_core.data.pack import open_pack
from oct_core.data.reading import find_again
from oct_core.errors import DataError, OctError
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import VERSIONS
from oct_core.types import CLASSES, Mask, Scan

PHANTOM_SEED = 3_000_000
"""The report's phantoms count up from here; no training, sample or evaluation uses these seeds."""
PHANTOMS, VALIDATION = "phantoms", "validation"


@dataclass(frozen=True, eq=False)
class Item:
    """One scan of the report. key : stable name. source : "phantoms" or "validation". lesion : None
    for real scans.

    packed : only the prepared picture was at hand, stretched to a square and without wedges.
    """

    key: str
    source: str
    scan: Scan
    label: str
    patient: str
    lesion: Mask | None = None
    packed: bool = False


def phantom_items(count: int, height: int = 496, width: int = 512) -> list[Item]:
    """``count`` phantoms, the classes in turn; each its own patient."""
    items = []
    for index in range(count):
        phantom = make_phantom(CLASSES[index % 4], PHANTOM_SEED + index // 4, height, width)
        key = f"phantom-{phantom.label}-{phantom.seed}"
        items.append(Item(key, PHANTOMS, phantom.scan, phantom.label, key, phantom.lesion))
    return items


def validation_items(folder: Path, count: int, seed: int = 0) -> list[Item]:
    """``count`` scans of the validation part, the classes in turn, of as many patients as can be.

    The picture itself is read where the manifest's file is still there, unchanged; else the packed
    one (Item.packed). Raises DataError if the folder is not prepared or has no validation scan,
    and if packed pictures would be needed that show a part of the scan only.
    """
    pack = open_pack(folder)
    rows = np.random.default_rng(seed).permutation(pack.rows("val"))
    if not len(rows):
        raise DataError(
            "{folder} has no validation scan; prepare it with a --val-fraction above 0",
            folder=folder,
        )
    by_class = [
        _new_patients_first(
            [int(row) for row in rows if pack.records[row].label == label], pack.records
        )
        for label in CLASSES
    ]
    picks = [row for row in chain.from_iterable(zip_longest(*by_class)) if row is not None][:count]
    # A compressed array is read from its start again for each row that lies before the last one.
    in_file_order = sorted(picks, key=lambda row: pack.records[row].path)
    read = {
        row: _validation_item(pack.records[row], np.array(pack.pixels[row]))
        for row in in_file_order
    }
    items = [read[row] for row in picks]
    if VERSIONS[pack.preprocessing_version].margins and any(item.packed for item in items):
        raise DataError(
            "{folder} holds the rows of the retina only, and the scans themselves are not where "
            "its manifest says; put them back, prepare the scans anew, or leave --data out",
            folder=folder,
        )
    return items


def _new_patients_first(rows: list[int], records: tuple[Record, ...]) -> list[int]:
    """The first scan of each patient, then the rest."""
    seen: set[str] = set()
    first: list[int] = []
    rest: list[int] = []
    for row in rows:
        (rest if records[row].patient in seen else first).append(row)
        seen.add(records[row].patient)
    return first + rest


def _validation_item(
    record: Record, packed: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> Item:
    key = f"val-{record.sha256[:16]}"
    try:
        found = find_again(record.path)
        same = found.record.sha256 == record.sha256
    except OctError:
        same = False
    if (
        not same
    ):  # another key: its scores are of another picture, and lines of both kinds must not mix
        return Item(
            f"{key}-packed",
            VALIDATION,
            Scan(packed, name="validation scan"),
            record.label,
            record.patient,
            packed=True,
        )
    return Item(
        key, VALIDATION, replace(found.scan, name="validation scan"), record.label, record.patient
    )
