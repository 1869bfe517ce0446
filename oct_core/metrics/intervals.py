"""Intervals from a bootstrap by patient.

Scans of one patient are alike, so resampling scans would promise more than the data can hold: whole
patients are drawn.

- A resample draws as many patients as there are, with replacement and equal chance, and takes all
  scans of each. It is NOT stratified by class: in OCT2017 a patient can carry several labels, and
  the class mix of a test part is chance too.
- Drawing a patient twice is the same as giving its scans weight 2, so a resample is a row of
  weights and every metric is computed for all resamples at once.
- The interval is the percentile interval (Efron & Tibshirani 1993, chapter 13) over the resamples
  in which the figure is defined; a resample without a class leaves the figures of that class and
  the macro averages out.
- With fewer than two patients behind a figure there is no interval: NaN.
- A proportion of exactly 0 or 1 has no spread in any resample. It gets the exact binomial interval
  (Clopper & Pearson 1934) with each patient as one trial, instead of the claim that the model never
  errs.
- Areas and macro averages of exactly 0 or 1 have no such interval: theirs is of no width, and says
  only that no resample erred.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oct_core.errors import MetricError
from oct_core.metrics.base import Metric
from oct_core.metrics.checks import check_fraction, check_groups, check_labels, check_probabilities
from oct_core.types import FloatArray, IntArray

LEVEL = 0.95
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A figure and its interval; NaN where not defined. low <= high, and both in the figure's
    range.
    """

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """For JSON, with None for NaN."""
        return {name: None if math.isnan(number) else number for name, number in vars(self).items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Interval:
        """The reverse of to_dict."""
        return cls(
            *(
                math.nan if data[name] is None else float(data[name])
                for name in ("value", "low", "high")
            )
        )

    def __str__(self) -> str:
        return (
            f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"
            if not math.isnan(self.low)
            else f"{self.value:.3f} (no interval)"
        )


def patient_weights(patients: ArrayLike, resamples: int, seed: int) -> Iterator[FloatArray]:
    """How often each scan is taken in each resample, in chunks (r, N) that add up to ``resamples``
    rows.

    patients : (N,). The rows depend on the seed only, not on the size of the chunks. Raises
    MetricError for resamples < 1.
    """
    if resamples < 1:
        raise MetricError(
            "expected at least 1 resample, got {resamples}; 2000 is usual", resamples=resamples
        )
    groups = check_groups(patients, len(np.asarray(patients)))
    names, member = np.unique(groups, return_inverse=True)
    generator = np.random.default_rng(seed)
    chunk = max(1, _CELLS_AT_ONCE // max(1, len(member)))
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        counts = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=rows)
        yield counts[:, member].astype(np.float64)


def percentile_interval(samples: FloatArray, level: float = LEVEL) -> tuple[FloatArray, FloatArray]:
    """The middle ``level`` of samples (R, ...) along the first axis, NaN left out: two arrays
    (...), NaN if none is defined.
    """
    check_fraction(level, "the level")
    flat = samples.reshape(len(samples), -1)
    ends = np.full((2, flat.shape[1]), np.nan)
    for column in range(flat.shape[1]):
        defined = flat[~np.isnan(flat[:, column]), column]
        if defined.size:
            ends[:, column] = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    shaped = ends.reshape(2, *samples.shape[1:])
    return shaped[0], shaped[1]


def exact_interval(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Clopper-Pearson interval of a proportion, for 0 or all successes: closed forms. Raises
    MetricError in between.
    """
    if trials < 1 or successes not in (0, trials):
        raise MetricError(
            "expected none or all of at least one trial to succeed, got {successes} of {trials}; "
            "bootstrap the others",
            successes=successes,
            trials=trials,
        )
    bound = ((1 - check_fraction(level, "the level")) / 2) ** (1 / trials)
    return (bound, 1.0) if successes else (0.0, 1 - bound)


def _patients_with(member: NDArray[np.bool_], patients: NDArray[Any]) -> int:
    return len(np.unique(patients[member]))


def patients_behind(
    metric: Metric, labels: IntArray, patients: NDArray[Any], n_classes: int
) -> IntArray:
    """How many patients a figure rests on, in the metric's own shape: of the class, of the rarer
    class of a pair, or of all.

    For specificity, of the other classes.
    """
    of_class = [_patients_with(labels == k, patients) for k in range(n_classes)]
    if metric.kind == "scalar":
        return np.asarray(_patients_with(labels >= 0, patients))
    if metric.kind == "pair":
        return np.asarray(
            [
                min(of_class[i], of_class[j])
                for i in range(n_classes)
                for j in range(i + 1, n_classes)
            ]
        )
    if metric.name == "specificity":
        return np.asarray([_patients_with(labels != k, patients) for k in range(n_classes)])
    return np.asarray(of_class)


def _interval(
    value: float, low: float, high: float, patients: int, proportion: bool, level: float
) -> Interval:
    if math.isnan(value) or patients < 2:
        return Interval(value, math.nan, math.nan)
    if proportion and value in (0.0, 1.0):
        return Interval(value, *exact_interval(patients if value else 0, patients, level))
    return Interval(value, low, high)


def bootstrap_metrics(
    metrics: list[Metric],
    labels: ArrayLike,
    probabilities: ArrayLike,
    patients: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, list[Interval]]:
    """Several metrics with intervals from the same resamples, by name: one Interval for a scalar,
    else one a class or pair.

    labels, patients : (N,). probabilities : (N, K). The module says how patients are drawn and what
    degenerate cases give. Raises MetricError for bad arrays, resamples < 1 or a level outside (0,
    1).
    """
    scores = check_probabilities(probabilities)
    truth = check_labels(labels, scores.shape[1])
    check_probabilities(scores, len(truth))
    groups = check_groups(patients, len(truth))
    drawn: dict[str, list[FloatArray]] = {metric.name: [] for metric in metrics}
    for weights in patient_weights(groups, resamples, seed):
        for metric in metrics:
            drawn[metric.name].append(metric.compute(truth, scores, weights))
    result = {}
    for metric in metrics:
        value = np.atleast_1d(metric.compute(truth, scores, np.ones(len(truth))))
        low, high = (
            np.atleast_1d(end)
            for end in percentile_interval(np.concatenate(drawn[metric.name]), level)
        )
        behind = np.atleast_1d(patients_behind(metric, truth, groups, scores.shape[1]))
        rows = zip(value.tolist(), low.tolist(), high.tolist(), behind.tolist(), strict=True)
        result[metric.name] = [
            _interval(*row, proportion=metric.proportion, level=level) for row in rows
        ]
    return result
