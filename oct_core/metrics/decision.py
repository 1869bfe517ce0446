"""Decision curves: what calling scans positive is worth at each threshold, against calling all or
none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oct_core.errors import MetricError
from oct_core.metrics.base import ratio
from oct_core.metrics.checks import check_binary, check_groups
from oct_core.metrics.curves import cumulate
from oct_core.metrics.intervals import patient_weights, percentile_interval
from oct_core.types import FloatArray

THRESHOLDS = np.linspace(0.01, 0.99, 99)


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit over thresholds; treating none has 0 everywhere.

    thresholds : (T,), 0 to 1. model, all_positive : net benefit (T,) of calling a scan positive
    from the threshold on, and of calling all positive; the unit is true positives a scan. low,
    high : (T,), the 95% interval of the model's by patient, NaN without patients.
    """

    thresholds: FloatArray
    model: FloatArray
    all_positive: FloatArray
    low: FloatArray
    high: FloatArray


def _net_benefit(
    truth: NDArray[np.bool_], values: FloatArray, thresholds: FloatArray, weights: FloatArray
) -> FloatArray:
    """(..., T) of calling values (N,) from the thresholds (T,) on, under weights (..., N)."""

    def called(side: NDArray[np.bool_]) -> FloatArray:
        ranked = np.flatnonzero(side)[np.argsort(values[side], kind="stable")]
        sums = cumulate(np.take(weights, ranked, axis=-1))
        below = np.take(sums, np.searchsorted(values[ranked], thresholds), axis=-1)
        return sums[..., -1:] - below

    odds = thresholds / (1 - thresholds)
    total = np.asarray(weights.sum(axis=-1))[..., None]
    return ratio(called(truth), total) - ratio(called(~truth), total) * odds


def decision_curve(
    positive: ArrayLike,
    probabilities: ArrayLike,
    thresholds: ArrayLike = THRESHOLDS,
    patients: ArrayLike | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> DecisionCurve:
    """Net benefit, TP / N - FP / N * p / (1 - p) at the threshold p (Vickers & Elkin 2006).

    positive : bool (N,). probabilities : of being positive (N,), 0 to 1; for urgent referral
    ``triage.urgent_probability``. thresholds : strictly between 0 and 1. patients : (N,), for the
    interval. Raises MetricError for bad arrays.
    """
    truth, values = check_binary(positive, probabilities)
    steps = np.asarray(thresholds, dtype=np.float64)
    if steps.ndim != 1 or not ((steps > 0) & (steps < 1)).all():
        raise MetricError(
            "expected thresholds strictly between 0 and 1 in an array of shape (T,), got shape "
            "{shape} or a value outside; 0.1 accepts nine false alarms for a hit",
            shape=steps.shape,
        )
    if values.min() < 0 or values.max() > 1:
        raise MetricError(
            "expected probabilities from 0 to 1, got {min:.4g} to {max:.4g}; a threshold of a "
            "decision curve is a probability",
            min=values.min(),
            max=values.max(),
        )
    once = np.ones(len(truth))
    low = high = np.full(len(steps), math.nan)
    if patients is not None and len(np.unique(groups := check_groups(patients, len(truth)))) > 1:
        samples = [
            _net_benefit(truth, values, steps, weights)
            for weights in patient_weights(groups, resamples, seed)
        ]
        low, high = percentile_interval(np.concatenate(samples))
    return DecisionCurve(
        steps,
        _net_benefit(truth, values, steps, once),
        _net_benefit(truth, np.ones_like(values), steps, once),
        low,
        high,
    )
