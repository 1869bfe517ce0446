"""Which classes are possible: class-conditional conformal sets from the validation part.

A set holds each class k whose probability is at least 1 - q_k. q_k is, of the n validation scans of
class k, the ceil((n + 1)(1 - level))-th smallest 1 - p_k (Sadinle, Lei & Wasserman 2019, LAC; by
class: Vovk 2012, Mondrian). So of scans of each class the set holds the true one in a share of at
least 1 - level, on average over calibrations, if scans are exchangeable. With too few scans of a
class (fewer than 19 at 0.05) no q_k is large enough: the set always holds that class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oct_core.metrics.calibration import softmax
from oct_core.metrics.checks import check_fraction, check_groups, check_probability_columns
from oct_core.types import FloatArray, PredictionTable
from oct_core.words import say

LEVEL = 0.05


@dataclass(frozen=True)
class Worth:
    """What the guarantee of one class is worth.

    n, patients : validation scans of the class, and whose they are. always : too few, the set
    always holds the class. average : the least coverage on average over calibrations, 0 to 1.
    low, high : the middle 90 % of the coverage of one calibration (the Beta distribution of Vovk
    2012) if scans were independent. by_patient : the least average coverage if the scans of one
    patient are all alike, so that each patient counts once.
    """

    label: str
    n: int
    patients: int
    always: bool
    average: float
    low: float
    high: float
    by_patient: float


@dataclass(frozen=True, eq=False)
class ConformalSets:
    """Fitted sets. level : the share of misses allowed. least : float64 (K,), the probability from
    which on a class is in the set; 0 where it always is. worth : one a class, in order.
    """

    level: float
    classes: tuple[str, ...]
    least: FloatArray
    worth: tuple[Worth, ...]

    def holds(self, probabilities: ArrayLike) -> NDArray[np.bool_]:
        """Which classes are in the set, bool (..., K), of calibrated probabilities (..., K)."""
        inside: NDArray[np.bool_] = np.asarray(probabilities) >= self.least
        return inside

    def of(self, probabilities: FloatArray) -> tuple[str, ...]:
        """The set of one scan, from probabilities (K,), in the order of the classes. One that would
        be empty holds the most likely class: that can only raise the coverage.
        """
        inside = self.holds(probabilities)
        inside[int(np.argmax(probabilities))] |= not inside.any()
        return tuple(name for name, held in zip(self.classes, inside, strict=True) if held)

    def describe(self) -> list[str]:
        """What the guarantee is worth, a sentence a class."""
        return [describe_worth(worth, self.level) for worth in self.worth]


def fit_sets(
    labels: ArrayLike,
    probabilities: ArrayLike,
    patients: ArrayLike,
    classes: Sequence[str],
    level: float = LEVEL,
) -> ConformalSets:
    """Fit on scans that the models were not trained on.

    labels, patients : (N,). probabilities : calibrated, (N, K). level : between 0 and 1. Raises
    MetricError for bad arrays.
    """
    alpha = check_fraction(level, say("the level"))
    truth, chances = check_probability_columns(labels, probabilities, classes)
    groups = check_groups(patients, len(truth))
    fits = [
        _fit_class(name, chances[truth == k, k], groups[truth == k], alpha)
        for k, name in enumerate(classes)
    ]
    return ConformalSets(
        alpha,
        tuple(classes),
        np.array([least for least, _ in fits]),
        tuple(worth for _, worth in fits),
    )


def fit_table(table: PredictionTable, level: float = LEVEL) -> ConformalSets:
    """The same from a table of calibrated answers (temperature 1), such as the validation part of
    ``ensemble_table``.
    """
    return fit_sets(table.label, softmax(table.logits), table.patient, table.classes, level)


def _fit_class(
    name: str, chances: FloatArray, patients: NDArray[Any], alpha: float
) -> tuple[float, Worth]:
    """The least probability of one class and what it is worth, from the probabilities of the class
    over its own scans, (n,).
    """
    n, crowd = len(chances), len(np.unique(patients))
    # 1e-9: (n + 1)(1 - alpha) may be a whole number that floating point lifts.
    rank = math.ceil((n + 1) * (1 - alpha) - 1e-9)
    if rank > n:
        return 0.0, Worth(name, n, crowd, True, 1.0, 1.0, 1.0, 1.0)
    least = float(np.sort(chances)[n - rank])
    low, high = _beta_middle(rank, n + 1 - rank)
    whole = sum(bool((chances[patients == one] >= least).all()) for one in np.unique(patients))
    return least, Worth(name, n, crowd, False, rank / (n + 1), low, high, whole / (crowd + 1))


def _beta_middle(a: int, b: int) -> tuple[float, float]:
    """The middle 90 % of Beta(a, b)."""
    from scipy.stats import beta  # costs 0.5 s: only where it is needed

    low, high = beta.ppf([0.05, 0.95], a, b)
    return float(low), float(high)


def describe_worth(worth: Worth, level: float) -> str:
    """One class's guarantee in words."""
    if worth.always:
        return say(
            "{label}: with {n} validation scans no level of {level:.0%} can be kept, so the set "
            "always holds it.",
            label=worth.label,
            n=worth.n,
            level=level,
        )
    return say(
        "{label}: with {n} validation scans of {patients} patients the set holds it in at least "
        "{average:.0%} of its scans on average over calibrations, between {low:.0%} and {high:.0%} "
        "for this one with 90 % chance, if scans were independent; scans of one patient are alike, "
        "and counted by patient it is at least {by_patient:.0%}.",
        label=worth.label,
        n=worth.n,
        patients=worth.patients,
        average=worth.average,
        low=worth.low,
        high=worth.high,
        by_patient=worth.by_patient,
    )
