"""Decision curves: what calling scans positive is worth at each threshold, against calling all or
none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oct_core.errors import MetricError
from oct_core.metrics.base import Weigh, ratio, sum_cells
from oct_core.metrics.checks import check_binary, check_groups
from oct_core.metrics.intervals import number_patients, patient_draws, percentile_interval
from oct_core.types import FloatArray, IntArray

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
    truth: NDArray[np.bool_], values: FloatArray, thresholds: FloatArray, units: IntArray
) -> Weigh:
    """Weights (..., U) to the net benefit (..., T) of calling values (N,) from the thresholds (T,)
    on.
    """
    order = np.argsort(thresholds)
    # Cell t holds what is called at t thresholds, the lowest first; so many as are not above it.
    cells = np.searchsorted(thresholds[order], values, side="right")
    count = len(thresholds) + 1
    sums = sum_cells(units, cells + count * truth, 2 * count)
    place = np.argsort(order)
    odds = thresholds / (1 - thresholds)

    def weigh(weights: FloatArray) -> FloatArray:
        by_cell = sums(weights).reshape(*weights.shape[:-1], 2, count)
        called = np.cumsum(by_cell[..., ::-1], axis=-1)[..., ::-1]
        total = called[..., :1].sum(axis=-2)
        alarms, hits = np.moveaxis(called[..., 1:][..., place], -2, 0)
        return ratio(hits, total) - ratio(alarms, total) * odds

    return weigh


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
    once, each = np.ones(len(truth)), np.arange(len(truth))
    low = high = np.full(len(steps), math.nan)
    if patients is not None and len(np.unique(groups := check_groups(patients, len(truth)))) > 1:
        units = number_patients(groups)
        benefit = _net_benefit(truth, values, steps, units)
        samples = [benefit(draws) for draws in patient_draws(units, resamples, seed)]
        low, high = percentile_interval(np.concatenate(samples))
    return DecisionCurve(
        steps,
        _net_benefit(truth, values, steps, each)(once),
        _net_benefit(truth, np.ones_like(values), steps, each)(once),
        low,
        high,
    )
