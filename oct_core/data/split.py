"""Patient-level splits: no patient is ever in two parts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oct_core.data.manifest import Record
from oct_core.data.official import official_test_hashes
from oct_core.data.parts import SPLITS
from oct_core.errors import DataError
from oct_core.words import message

COPY_OF_TEST, OFFICIAL_TEST, TEST_PATIENT, VAL_PATIENT, TWO_LABELS = (
    "copy of a test scan",
    "official test image",
    "patient in test",
    "patient in val",
    "two labels",
)
LEFT_OUT = {
    COPY_OF_TEST: message("their bytes are those of a scan of the test part"),
    OFFICIAL_TEST: message("they are images of OCT2017's official test set"),
    TEST_PATIENT: message("their patients are in the test part"),
    VAL_PATIENT: message("their patients are in the validation part that was given"),
    TWO_LABELS: message("they stand under two labels"),
}
"""Why a scan that can be read is in no part -> the words for a person."""


@dataclass(frozen=True)
class SplitOptions:
    """repool : pool every scan and split anew. Fractions are of the scans that are split. seed : of
    the shuffle. keep_copies : copies of test scans and official test images stay where they are.
    drop_conflicts : a scan under two labels is left out instead of refused.
    """

    repool: bool = False
    test_fraction: float = 0.2
    val_fraction: float = 0.15
    seed: int = 0
    keep_copies: bool = False
    drop_conflicts: bool = False

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
    """records : all that have a part, in the order of their paths. left_out : the others, each with
    a key of LEFT_OUT.
    """

    records: tuple[Record, ...]
    left_out: tuple[tuple[Record, str], ...]


def split_records(
    records: Sequence[Record], given: Sequence[str], options: SplitOptions
) -> SplitResult:
    """Give every record a part.

    A given test or val part stays as it is. What could leak from it leaves the other parts: copies
    of test scans, official test images beside a given test part, the test part's patients, and from
    train the val part's patients. A part that is not given is drawn from the rest, whole patients.
    With ``repool`` nothing given counts.
    """
    parts = ["" if options.repool else part for part in given]
    rows = list(zip(records, parts, strict=True))
    test = [record for record, part in rows if part == "test"]
    left_out: list[tuple[Record, str]] = []
    official = frozenset[str]() if options.keep_copies or not test else official_test_hashes()

    def without_leaks(pool: list[Record]) -> list[Record]:
        sound, leaks = _without_leaks(pool, test, official, options)
        left_out.extend(leaks)
        return sound

    val = without_leaks([record for record, part in rows if part == "val"])
    keeps_val = "val" in parts
    pool = without_leaks([record for record, part in rows if part not in ("test", "val")])
    val_patients = {record.patient for record in val}
    left_out += [(record, VAL_PATIENT) for record in pool if record.patient in val_patients]
    pool = [record for record in pool if record.patient not in val_patients]
    if not test:
        test, pool = _draw(pool, options.test_fraction, options.seed)
        val, pool = without_leaks(val), without_leaks(pool)
    if not keeps_val:
        val, pool = _draw(pool, options.val_fraction, options.seed + 1)
    placed = [
        replace(record, split=part)
        for part, members in zip(SPLITS, (pool, val, test), strict=True)
        for record in members
    ]
    return SplitResult(tuple(sorted(placed, key=lambda record: record.path)), tuple(left_out))


def _without_leaks(
    pool: Sequence[Record], test: Sequence[Record], official: frozenset[str], options: SplitOptions
) -> tuple[list[Record], list[tuple[Record, str]]]:
    """(scans that may stay beside that test part, the others with the reason)."""
    copies = frozenset[str]() if options.keep_copies else {record.sha256 for record in test}
    patients = {record.patient for record in test}
    sound: list[Record] = []
    leaks: list[tuple[Record, str]] = []
    for record in pool:
        if record.sha256 in copies:
            leaks.append((record, COPY_OF_TEST))
        elif record.sha256 in official:
            leaks.append((record, OFFICIAL_TEST))
        elif record.patient in patients:
            leaks.append((record, TEST_PATIENT))
        else:
            sound.append(record)
    return sound, leaks


def _draw(pool: list[Record], fraction: float, seed: int) -> tuple[list[Record], list[Record]]:
    """(held out, the rest)."""
    drawn = held_out(pool, fraction, seed)
    pairs = list(zip(pool, drawn, strict=True))
    return [record for record, out in pairs if out], [record for record, out in pairs if not out]


def held_out(records: Sequence[Record], fraction: float, seed: int) -> NDArray[np.bool_]:
    """bool (N,): about ``fraction`` of the scans, stratified by label, whole patients (folds of
    StratifiedGroupKFold).

    Raises DataError if there are fewer patients, or fewer scans of every class, than folds.
    """
    with warnings.catch_warnings():
        # joblib complains where no process can be started; nothing here needs one
        warnings.simplefilter("ignore", UserWarning)
        # 1.5 s: only where scans are split
        from sklearn.model_selection import StratifiedGroupKFold

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
