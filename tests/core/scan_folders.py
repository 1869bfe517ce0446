"""Small folders of scans and rows of a manifest, for the tests of prepare."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from oct_core.data.manifest import Record, write_manifest
from oct_core.data.pack import MANIFEST, PACK, REPORT, Pack
from oct_core.types import CLASSES


def save(path: Path, value: int) -> Path:
    """A picture whose bytes no other value gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 200, (72, 80), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def class_folders(root: Path, patients: Sequence[int], start: int = 0) -> Path:
    """One scan a class and patient."""
    for index, label in enumerate(CLASSES):
        for patient in patients:
            save(root / label / f"{label}-{patient}-1.png", start + 1000 * index + patient)
    return root


def oct2017(root: Path) -> Path:
    """A small OCT2017: patient 1 is in train and in test, each patient has every label, val holds
    patients of its own.
    """
    class_folders(root / "train", [1, 2, 3, 4, 5], 10_000)
    class_folders(root / "test", [1, 9], 20_000)
    class_folders(root / "val", [6], 30_000)
    return root


def records(patients: Sequence[str], labels: Sequence[str]) -> list[Record]:
    return [
        Record(f"{i}.png", label, patient, f"{i:064x}", 9, 9)
        for i, (patient, label) in enumerate(zip(patients, labels, strict=True))
    ]


def write_pack(folder: Path, pack: Pack) -> Path:
    """The pack as prepare would have left it in ``folder``."""
    np.save(folder / PACK, pack.pixels)
    write_manifest(folder / MANIFEST, pack.records)
    report = {"preprocessing_version": pack.preprocessing_version}
    (folder / REPORT).write_text(json.dumps(report), encoding="utf-8")
    return folder
