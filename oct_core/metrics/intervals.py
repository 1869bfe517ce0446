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
- Areas, macro averages and costs have no such interval: where no scan is wrong, theirs is of no
  width, and says only that no resample erred.
- A distance from calibration (ECE) is larger in resamples than in the sample, because chance alone
  moves a bin away from its confidence: its interval is the percentiles moved by as much as the
  median of the resamples lies off the figure, inside the figure's range.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oct_core.errors import MetricError
from oct_core.metrics.base import Compute, Metric
from oct_core.metrics.checks import check_fraction, check_groups, check_labels, check_probabilities
from oct_core.metrics.triage import URGENT
from oct_core.types import FloatArray, IntArray
from oct_core.words import say

LEVEL = 0.95
_CELLS_AT_ONCE = 200_000
"""Weights at once: they and what is made of them stay in the processor's cache."""


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
    def from_dict(cls, data: Mapping[str, Any]) -> Interval:
        """The reverse of to_dict."""
        return cls(
            *(
                math.nan if data[name] is None else float(data[name])
                for name in ("value", "low", "high")
            )
        )


def bounds_text(interval: Interval, digits: int = 3, patients: int | None = None) -> str:
    """``0.951 to 0.988``, or why there is no interval or no figure at all.

    patients : how many the figure rests on, where that is known.
    """
    if math.isnan(interval.value):
        return say("not defined: a class has no scans")
    if math.isnan(interval.low) or math.isnan(interval.high):
        return (
            say("no interval: one patient")
            if patients == 1
            else say("no interval: too few patients")
        )
    low, high = (f"{end:.{digits}f}" for end in (interval.low, interval.high))
    return say("{low} to {high}", low=low, high=high)


def interval_text(interval: Interval, digits: int = 3, patients: int | None = None) -> str:
    """``0.972 (0.951 to 0.988)``; ``0.912 (no interval: one patient)``; ``not defined: ...``. Never
    a bare NaN. patients : see bounds_text.
    """
    bounds = bounds_text(interval, digits, patients)
    return bounds if math.isnan(interval.value) else f"{interval.value:.{digits}f} ({bounds})"


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
    check_fraction(level, say("the level"))
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
    bound = ((1 - check_fraction(level, say("the level"))) / 2) ** (1 / trials)
    return (bound, 1.0) if successes else (0.0, 1 - bound)


def _patients_with(member: NDArray[np.bool_], patients: NDArray[Any]) -> int:
    return len(np.unique(patients[member]))


def patients_behind(
    metric: Metric, labels: IntArray, probabilities: FloatArray, patients: NDArray[Any]
) -> IntArray:
    """How many patients a figure rests on, in the metric's own shape: of the class, of the rarer
    class of a pair, of the urgent classes, of the scans called a class, or of all, as the metric's
    ``needs`` say.
    """
    classes, called = range(probabilities.shape[1]), probabilities.argmax(axis=1)
    everyone = _patients_with(labels >= 0, patients)
    if metric.needs == "urgent":
        return np.asarray(_patients_with(np.isin(labels, URGENT), patients))
    if metric.kind == "scalar":
        return np.asarray(everyone)
    if metric.needs == "scans":
        return np.full(len(classes), everyone)
    if metric.needs in ("called", "not called"):
        side = metric.needs == "called"
        return np.asarray([_patients_with((called == k) == side, patients) for k in classes])
    of_class = [_patients_with(labels == k, patients) for k in classes]
    others = [_patients_with(labels != k, patients) for k in classes]
    if metric.kind == "pair":
        return np.asarray([min(of_class[i], of_class[j]) for i, j in combinations(classes, 2)])
    if metric.needs == "others":
        return np.asarray(others)
    return (
        np.minimum(of_class, others) if metric.needs == "class and others" else np.asarray(of_class)
    )


def _interval(metric: Metric, value: float, ends: tuple[float, float], patients: int) -> Interval:
    if math.isnan(value) or patients < 2:
        return Interval(value, math.nan, math.nan)
    if metric.proportion and value in (0.0, 1.0):
        return Interval(value, *exact_interval(patients if value else 0, patients))
    return Interval(value, *ends)


def _ends(
    metric: Metric, value: FloatArray, samples: FloatArray
) -> tuple[list[float], list[float]]:
    """The interval's two ends for each figure of a metric, value (...) of samples (R, ...)."""
    low, high = percentile_interval(samples)
    if metric.biased:
        offset = value - np.median(samples, axis=0)
        low, high = (np.clip(end + offset, metric.lowest, metric.highest) for end in (low, high))
    return np.atleast_1d(low).tolist(), np.atleast_1d(high).tolist()


def check_study(
    metrics: Sequence[Metric], labels: ArrayLike, probabilities: ArrayLike, patients: ArrayLike
) -> tuple[IntArray, FloatArray, NDArray[Any]]:
    """Labels (N,), probabilities (N, K) and patients (N,) that fit each other and the metrics;
    raises MetricError otherwise.
    """
    scores = check_probabilities(probabilities)
    truth = check_labels(labels, scores.shape[1])
    check_probabilities(scores, len(truth))
    for metric in metrics:
        metric.check_classes(scores.shape[1])
    return truth, scores, check_groups(patients, len(truth))


def bootstrap_samples(
    metrics: Sequence[Metric],
    labels: ArrayLike,
    predictors: Sequence[ArrayLike],
    patients: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
) -> list[dict[str, FloatArray]]:
    """Each metric of each predictor in each resample by patient, the same resamples for all: for
    each predictor by name, (resamples,) + the metric's own shape.

    labels, patients : (N,). predictors : probabilities (N, K) each. What metrics have in common
    (the confusion matrix, the areas) is computed once. Raises MetricError for bad arrays or
    resamples < 1.
    """
    studies = [check_study(metrics, labels, scores, patients) for scores in predictors]
    users: dict[Compute, list[Metric]] = {}
    for metric in metrics:
        users.setdefault(metric.shared, []).append(metric)
    samples: list[dict[str, list[FloatArray]]] = [
        {metric.name: [] for metric in metrics} for _ in studies
    ]
    for weights in patient_weights(patients, resamples, seed):
        for (truth, scores, _), parts in zip(studies, samples, strict=True):
            for shared, sharers in users.items():
                basis = shared(truth, scores, weights)
                for metric in sharers:
                    parts[metric.name].append(metric.figure(basis))
    return [{name: np.concatenate(part) for name, part in parts.items()} for parts in samples]


def bootstrap_metrics(
    metrics: Sequence[Metric],
    labels: ArrayLike,
    probabilities: ArrayLike,
    patients: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, list[Interval]]:
    """Several metrics with 95% intervals from the same resamples, by name: one Interval for a
    scalar, else one a class or pair.

    labels, patients : (N,). probabilities : (N, K). The module says how patients are drawn and what
    degenerate cases give. Raises MetricError for bad arrays or resamples < 1.
    """
    truth, scores, groups = check_study(metrics, labels, probabilities, patients)
    [samples] = bootstrap_samples(metrics, truth, [scores], groups, resamples, seed)
    once = np.ones(len(truth))
    result = {}
    for metric in metrics:
        value = metric.compute(truth, scores, once)
        low, high = _ends(metric, value, samples[metric.name])
        behind = np.atleast_1d(patients_behind(metric, truth, scores, groups))
        rows = zip(np.atleast_1d(value).tolist(), low, high, behind.tolist(), strict=True)
        result[metric.name] = [_interval(metric, v, (a, b), n) for v, a, b, n in rows]
    return result
