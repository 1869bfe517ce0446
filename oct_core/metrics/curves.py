"""ROC curves and the areas under them: one class against the rest, and each pair of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oct_core.errors import MetricError
from oct_core.metrics.base import metric, ratio
from oct_core.metrics.checks import check_binary, check_labels, check_probabilities
from oct_core.types import CLASSES, FloatArray, IntArray

MACRO = "macro average"


@dataclass(frozen=True, eq=False)
class RocCurve:
    """An ROC curve from (0, 0) to (1, 1).

    false_positive_rate, true_positive_rate : float64 (M,), both rising; straight lines between
    points, so ties are
    shared out evenly. thresholds : float64 (M,), falling, the score from which on a scan is called
    positive (+inf at the first point), NaN for an average of curves. auc : the area, 0 to 1.
    """

    false_positive_rate: FloatArray
    true_positive_rate: FloatArray
    thresholds: FloatArray
    auc: float


def weighted_auc(
    positive: NDArray[np.bool_], scores: FloatArray, weights: FloatArray
) -> FloatArray:
    """P(positive scores above negative) + P(equal) / 2 under weights (..., N): (...), NaN if either
    side weighs nothing.

    The Mann-Whitney form of the area (Hanley & McNeil 1982), exact with ties; one sort serves all
    weightings.
    """
    order = np.argsort(scores, kind="stable")
    ranked, truth, taken = scores[order], positive[order], weights[..., order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    up = np.add.reduceat(taken * truth, starts, axis=-1)
    down = np.add.reduceat(taken * ~truth, starts, axis=-1)
    wins = (up * (np.cumsum(down, axis=-1) - down / 2)).sum(axis=-1)
    return ratio(wins, up.sum(axis=-1) * down.sum(axis=-1))


def auc(positive: ArrayLike, scores: ArrayLike) -> float:
    """The area under the ROC curve of bool truth (N,) and scores (N,); NaN if there are only
    positives or only negatives.
    """
    truth, values = check_binary(positive, scores)
    return float(weighted_auc(truth, values, np.ones(len(truth))))


def roc_curve(positive: ArrayLike, scores: ArrayLike) -> RocCurve:
    """The curve over every distinct score. Agrees with
    sklearn.metrics.roc_curve(drop_intermediate=False).

    positive : bool (N,). scores : finite (N,). Raises MetricError if there are only positives or
    only negatives.
    """
    truth, values = check_binary(positive, scores)
    if truth.all() or not truth.any():
        raise MetricError(
            "expected positive and negative scans, got {sum} positive of {truth_count}; no ROC "
            "curve without both",
            sum=int(truth.sum()),
            truth_count=len(truth),
        )
    order = np.argsort(-values, kind="stable")
    ranked, sorted_truth = values[order], truth[order]
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    hits, alarms = np.cumsum(sorted_truth)[ends], np.cumsum(~sorted_truth)[ends]
    return RocCurve(
        np.r_[0.0, alarms / (~truth).sum()],
        np.r_[0.0, hits / truth.sum()],
        np.r_[np.inf, ranked[ends]],
        auc(truth, values),
    )


def _limits(curve: RocCurve, grid: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The true positive rate just left and just right of each false positive rate in grid: two
    (G,).
    """
    x, first = np.unique(curve.false_positive_rate, return_index=True)
    last = np.r_[first[1:] - 1, len(curve.false_positive_rate) - 1]
    low, high = curve.true_positive_rate[first], curve.true_positive_rate[last]
    at = np.searchsorted(x, grid)
    before = np.maximum(at - 1, 0)
    width = np.where(at > 0, x[at] - x[before], 1.0)
    sloped = high[before] + (low[at] - high[before]) * (grid - x[before]) / width
    knot = x[at] == grid
    return np.where(knot, low[at], sloped), np.where(knot, high[at], sloped)


def mean_curve(curves: Sequence[RocCurve]) -> RocCurve:
    """The vertical average: mean true positive rate at each false positive rate.

    Both sides of every step are kept, so its area is exactly the mean of the areas. Raises
    MetricError for no curves.
    """
    if not curves:
        raise MetricError(
            "expected at least one curve to average, got none; pass the curves of the classes that "
            "occur"
        )
    grid = np.unique(np.concatenate([curve.false_positive_rate for curve in curves]))
    sides = np.mean([np.stack(_limits(curve, grid), axis=1) for curve in curves], axis=0)
    rate = np.repeat(grid, 2)
    return RocCurve(
        rate,
        sides.reshape(-1),
        np.full(len(rate), np.nan),
        float(np.mean([curve.auc for curve in curves])),
    )


def _checked(
    labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[str]
) -> tuple[IntArray, FloatArray]:
    scores = check_probabilities(probabilities)
    if scores.shape[1] != len(classes):
        raise MetricError(
            "expected one column for each of the classes {classes}, got {shape}; pass the run's "
            "own classes",
            classes=", ".join(classes),
            shape=scores.shape[1],
        )
    truth = check_labels(labels, scores.shape[1])
    return truth, check_probabilities(scores, len(truth))


def roc_one_vs_rest(
    labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[str] = CLASSES
) -> dict[str, RocCurve]:
    """The curve of each class against all others by its own probability, and their vertical mean as
    "macro average".

    labels : (N,). probabilities : (N, K). A class that never (or always) occurs has no curve and is
    left out of the mean. Raises MetricError for bad arrays or if no class has a curve.
    """
    truth, scores = _checked(labels, probabilities, classes)
    curves = {
        name: roc_curve(truth == k, scores[:, k])
        for k, name in enumerate(classes)
        if 0 < np.count_nonzero(truth == k) < len(truth)
    }
    return {**curves, MACRO: mean_curve(list(curves.values()))}


def pair_names(classes: Sequence[str] = CLASSES) -> list[str]:
    """What the pairs are called, in order: "CNV vs DME", "CNV vs DRUSEN" ..."""
    return [f"{first} vs {second}" for first, second in combinations(classes, 2)]


def roc_one_vs_one(
    labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[str] = CLASSES
) -> dict[str, RocCurve]:
    """The curve of each pair of classes, over the scans of these two classes only (six pairs for
    four classes).

    Score: as Hand & Till (2001, eq. 3 and 7) have it, first i against j by p(i), then j against i
    by p(j), the probabilities as they are (not renormalised to the pair); the curve is the vertical
    mean of the two, so its area is their A(i, j). Pairs of which a class does not occur are left
    out. Raises MetricError for bad arrays.
    """
    truth, scores = _checked(labels, probabilities, classes)
    curves: dict[str, RocCurve] = {}
    for name, (i, j) in zip(pair_names(classes), combinations(range(len(classes)), 2), strict=True):
        inside = (truth == i) | (truth == j)
        if 0 < np.count_nonzero(truth[inside] == i) < np.count_nonzero(inside):
            curves[name] = mean_curve(
                [roc_curve(truth[inside] == k, scores[inside, k]) for k in (i, j)]
            )
    return curves


@metric("AUC, one against the rest", "class")
def auc_one_vs_rest(labels: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    """For each class the area of its ROC curve against all others, 0 to 1; NaN if it never or
    always occurs.
    """
    areas = [
        weighted_auc(labels == k, probabilities[:, k], weights)
        for k in range(probabilities.shape[1])
    ]
    return np.stack(areas, axis=-1)


@metric("Macro AUC", "scalar")
def macro_auc(labels: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    """The mean one-against-the-rest area over the classes, 0 to 1; NaN if a class does not occur.

    Agrees with sklearn.metrics.roc_auc_score(multi_class="ovr", average="macro").
    """
    return np.asarray(auc_one_vs_rest.compute(labels, probabilities, weights).mean(axis=-1))


@metric("AUC, one against one", "pair")
def auc_one_vs_one(labels: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    """For each pair of classes A(i, j) of Hand & Till (2001), 0 to 1; NaN if either does not occur.

    The mean over the pairs agrees with sklearn.metrics.roc_auc_score(multi_class="ovo",
    average="macro").
    """
    areas = []
    for i, j in combinations(range(probabilities.shape[1]), 2):
        inside = weights * ((labels == i) | (labels == j))
        areas.append(
            (
                weighted_auc(labels == i, probabilities[:, i], inside)
                + weighted_auc(labels == j, probabilities[:, j], inside)
            )
            / 2
        )
    return np.stack(areas, axis=-1)
