"""Bands around ROC and precision-recall curves, from the bootstrap by patient: at each place of a
grid the interval of the curve's height, a share of scans (``oct_core.metrics.intervals``).

Where every resampled curve has one height, as at the top of a curve without errors, the band still
has a width: that of as many positive patients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oct_core.errors import MetricError
from oct_core.metrics.base import ratio, sum_cells
from oct_core.metrics.checks import (
    check_binary,
    check_groups,
    check_labels,
    check_probabilities,
)
from oct_core.metrics.intervals import (
    effective_patients,
    number_patients,
    patient_draws,
    resample_variance,
    score_interval,
)
from oct_core.types import FloatArray, IntArray

GRID = np.r_[np.linspace(0, 0.1, 51), np.linspace(0.12, 1, 45)]
"""False positive rates, or recalls; finer at the corner where curves of good models differ."""

Heights = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
Trials = Callable[[FloatArray, FloatArray, int], FloatArray]
"""Of heights (G,) over a grid (G,) with so many positives: of how many each is a share, (G,)."""


@dataclass(frozen=True, eq=False)
class Band:
    """grid : (G,), rising. low, high : (G,), the 95% interval by patient of the curve's height
    there; NaN with fewer than two patients on either side.
    """

    grid: FloatArray
    low: FloatArray
    high: FloatArray


def _steps(
    truth: NDArray[np.bool_], scores: FloatArray, units: IntArray
) -> Callable[[FloatArray], tuple[FloatArray, FloatArray]]:
    """Weights (R, U) to the weighted hits and alarms (R, M + 1) of calling scans from each of M
    distinct scores on, the highest first, after calling none.
    """
    steps, rank = np.unique(-scores, return_inverse=True)
    count = sum_cells(units, rank + len(steps) * truth, 2 * len(steps))

    def weigh(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        sums = np.zeros((len(weights), 2, len(steps) + 1))
        added = count(weights).reshape(len(weights), 2, len(steps))
        np.cumsum(added, axis=-1, out=sums[..., 1:])
        return sums[:, 1], sums[:, 0]

    return weigh


def _roc_heights(hits: FloatArray, alarms: FloatArray, grid: FloatArray) -> FloatArray:
    """The true positive rate at the false positive rates in grid, the upper end of a step."""
    rates = ratio(hits, hits[:, -1:]), ratio(alarms, alarms[:, -1:])
    return np.stack([np.interp(grid, row, up) for up, row in zip(*rates, strict=True)])


def _precision_heights(hits: FloatArray, alarms: FloatArray, grid: FloatArray) -> FloatArray:
    """The precision of the first calls whose recall reaches the recalls in grid."""
    called = hits + alarms
    recall, precision = ratio(hits, hits[:, -1:]), ratio(hits, called)
    rows = []
    for reached, count, height in zip(recall, called, precision, strict=True):
        # Rounding must not push a recall of exactly r below r, and who is not drawn is no call.
        at = np.maximum(
            np.searchsorted(reached, grid - 1e-12), np.searchsorted(count, 0.0, side="right")
        )
        rows.append(height[np.minimum(at, len(height) - 1)])
    return np.where(np.isnan(recall[:, -1:]), math.nan, np.stack(rows))


def _positives(heights: FloatArray, grid: FloatArray, positives: int) -> FloatArray:
    """All of them; where all scans are called the height is 1 for certain."""
    return np.where(grid < 1, float(positives), math.inf)


def _calls(heights: FloatArray, grid: FloatArray, positives: int) -> FloatArray:
    """Those called when so much of the positives is reached, of whom the height is the share."""
    return np.asarray(np.maximum(grid * positives / np.maximum(heights, 1e-12), 1.0))


def _check_grid(grid: ArrayLike) -> FloatArray:
    places = np.asarray(grid, dtype=np.float64)
    if places.ndim != 1 or not ((places >= 0) & (places <= 1)).all():
        raise MetricError(
            "expected rates from 0 to 1 in an array of shape (G,), got shape {shape} or a value "
            "outside",
            shape=places.shape,
        )
    return places


def _band(
    sides: list[tuple[NDArray[np.bool_], FloatArray]],
    patients: ArrayLike,
    grid: ArrayLike,
    shape: tuple[Heights, Trials],
    draws: tuple[int, int],
) -> Band:
    """The band of the mean curve of several (truth, scores)."""
    places, groups = _check_grid(grid), check_groups(patients, len(sides[0][0]))
    crowd = min(len(np.unique(groups[side])) for truth, _ in sides for side in (truth, ~truth))
    if crowd < 2:
        return Band(places, *np.full((2, len(places)), math.nan))
    heights, trials = shape

    units = number_patients(groups)
    curves = [_steps(truth, scores, units) for truth, scores in sides]

    def mean_heights(weights: FloatArray) -> FloatArray:
        return np.asarray(np.mean([heights(*curve(weights), places) for curve in curves], axis=0))

    value = mean_heights(np.ones((1, int(units.max()) + 1)))[0]
    samples = np.concatenate([mean_heights(rows) for rows in patient_draws(units, *draws)])
    positive = np.any([truth for truth, _ in sides], axis=0)
    scans, people = (
        trials(value, places, sum(len(np.unique(names[truth])) for truth, _ in sides))
        for names in (np.arange(len(groups)), groups)
    )
    variance = resample_variance(samples, effective_patients(positive, groups))
    return Band(places, *score_interval(value, variance, scans, people))


def roc_band(
    positive: ArrayLike,
    scores: ArrayLike,
    patients: ArrayLike,
    grid: ArrayLike = GRID,
    resamples: int = 2000,
    seed: int = 0,
) -> Band:
    """The band of the ROC curve: true positive rates over false positive rates.

    positive : bool (N,). scores : finite (N,). patients : (N,). grid : 0 to 1. Raises MetricError
    for bad arrays.
    """
    return _band(
        [check_binary(positive, scores)],
        patients,
        grid,
        (_roc_heights, _positives),
        (resamples, seed),
    )


def macro_roc_band(
    labels: ArrayLike,
    probabilities: ArrayLike,
    patients: ArrayLike,
    grid: ArrayLike = GRID,
    resamples: int = 2000,
    seed: int = 0,
) -> Band:
    """The band of the vertical average of the classes' ROC curves, each class against the rest.

    labels, patients : (N,). probabilities : (N, K). NaN if a class does not occur: resamples
    average over every class. Raises MetricError for bad arrays.
    """
    chances = check_probabilities(probabilities)
    truth = check_labels(labels, chances.shape[1])
    check_probabilities(chances, len(truth))
    sides = [(truth == k, chances[:, k]) for k in range(chances.shape[1])]
    return _band(sides, patients, grid, (_roc_heights, _positives), (resamples, seed))


def precision_recall_band(
    positive: ArrayLike,
    scores: ArrayLike,
    patients: ArrayLike,
    grid: ArrayLike = GRID,
    resamples: int = 2000,
    seed: int = 0,
) -> Band:
    """The band of the precision-recall curve: precisions over recalls, as ``roc_band``."""
    return _band(
        [check_binary(positive, scores)],
        patients,
        grid,
        (_precision_heights, _calls),
        (resamples, seed),
    )
