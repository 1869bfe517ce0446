"""Patient-level splits: no patient is ever in two parts."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oct_core.data.manifest import Record
from oct_core.errors import DataError
from oct_core.types import CLASSES


@dataclass(frozen=True)
class SplitOptions:
    """repool : pool every scan and split anew. Fractions are of the scans that are split. seed : of
    the shuffle.
    """

    repool: bool = False
    test_fraction: float = 0.2
    val_fraction: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("test_fraction", "val_fraction"):
            if not 0 < getattr(self, name) <= 0.5:
                raise DataError(
                    "{name} must be over 0 and at most 0.5, not {value}",
                    name=name,
                    value=getattr(self, name),
                )


@dataclass(frozen=True)
class SplitResult:
    """records : all kept, with their split. left_out : scans per class whose patient is in the
    given test part.
    """

    records: tuple[Record, ...]
    left_out: dict[str, int]


def split_records(
    records: Sequence[Record], given: Sequence[str], options: SplitOptions
) -> SplitResult:
    """Give every record a split.

    A given test part stays the test part, and its patients leave the training pool; a given val
    part stays too (sources.py has put OCT2017's 32-image val folder into the pool). With ``repool``
    nothing given counts.
    """
    parts = ["" if options.repool else part for part in given]
    test_patients = {
        record.patient for record, part in zip(records, parts, strict=True) if part == "test"
    }
    keeps_val = "val" in parts
    fixed, pool, left_out = [], [], Counter[str]()
    for record, part in zip(records, parts, strict=True):
        if part == "test":
            fixed.append(replace(record, split="test"))
        elif record.patient in test_patients:
            left_out[record.label] += 1
        else:
            pool.append((record, part))
    free = [record for record, _ in pool]
    if not test_patients:
        to_test = held_out(free, options.test_fraction, options.seed)
        fixed += [
            replace(record, split="test") for record, out in zip(free, to_test, strict=True) if out
        ]
        pool = [pair for pair, out in zip(pool, to_test, strict=True) if not out]
    fixed += _train_and_val(pool, keeps_val, options)
    return SplitResult(
        tuple(sorted(fixed, key=lambda record: record.path)),
        {label: left_out[label] for label in CLASSES},
    )


def _train_and_val(
    pool: list[tuple[Record, str]], keeps_val: bool, options: SplitOptions
) -> list[Record]:
    if keeps_val:
        val_patients = {record.patient for record, part in pool if part == "val"}
        return [
            replace(record, split="val" if record.patient in val_patients else "train")
            for record, _ in pool
        ]
    free = [record for record, _ in pool]
    to_val = held_out(free, options.val_fraction, options.seed + 1)
    return [
        replace(record, split="val" if out else "train")
        for record, out in zip(free, to_val, strict=True)
    ]


def held_out(records: Sequence[Record], fraction: float, seed: int) -> NDArray[np.bool_]:
    """bool (N,): about ``fraction`` of the scans, stratified by label, whole patients (folds of
    StratifiedGroupKFold).

    Raises DataError if there are fewer patients, or fewer scans of every class, than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # 1.5 s: only where scans are split

    held_folds, folds = _folds(fraction)
    labels = np.array([record.label for record in records])
    patients = np.array([record.patient for record in records])
    if len(set(patients)) < folds:
        raise DataError(
            "{patients} patients are too few to hold out {fraction:.0%}; add scans or "
            "raise the fraction",
            patients=len(set(patients)),
            fraction=fraction,
        )
    if folds > max(np.unique(labels, return_counts=True)[1]):
        raise DataError(
            "no class has the {folds} scans that holding out {fraction:.0%} takes; add scans or "
            "raise the fraction",
            folds=folds,
            fraction=fraction,
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    out = np.zeros(len(records), dtype=bool)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "The least populated class", UserWarning
        )  # an empty part is refused by prepare
        for _, rows in list(splitter.split(labels, labels, patients))[:held_folds]:
            out[rows] = True
    return out


def _folds(fraction: float) -> tuple[int, int]:
    """(how many folds to hold out, of how many): one fold if that is near enough, else the nearest
    of up to ten.
    """
    folds = round(1 / fraction)
    if abs(1 / folds - fraction) <= 0.01:
        return 1, folds
    shares = ((part, total) for total in range(2, 11) for part in range(1, total))
    return min(shares, key=lambda share: (round(abs(share[0] / share[1] - fraction), 6), share[1]))
