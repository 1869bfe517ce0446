"""ROC curves and the areas under them: one class against the rest, and each pair of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import ArrayLike

from oct_core.errors import MetricError
from oct_core.metrics.base import Weigh, metric, ratio, sum_cells
from oct_core.metrics.checks import check_binary, check_probability_columns
from oct_core.types import CLASSES, FloatArray, IntArray
from oct_core.words import message

MACRO = message("macro average")


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


def _rank_class(labels: IntArray, scores: FloatArray, k: int, units: IntArray) -> Weigh:
    """What ``ranking_areas`` says of class k, not yet divided by the weight of either side: weights
    (R, U) to (R, K + 1), the wins of its scans over those of each class and what the average
    precision gains.

    All scans lie in slots around the class's own distinct scores, the highest first: slot 2 m is
    above score m, slot 2 m + 1 at it. What they weigh together is a sum over units.
    """
    mine = labels == k
    steps, n_classes = np.unique(-scores[mine, k]), scores.shape[1]
    below, up_to = (np.searchsorted(steps, -scores[:, k], side) for side in ("left", "right"))
    slots = below + up_to
    rank_own = sum_cells(units, np.where(mine, slots // 2, -1), len(steps))
    rank_all = sum_cells(units, slots // 2, len(steps) + 1)
    names, cells = np.unique(labels * (2 * len(steps) + 1) + slots, return_inverse=True)
    fill = sum_cells(units, np.where(mine, -1, cells), len(names))
    label, slot = np.divmod(names, 2 * len(steps) + 1)
    starts = np.searchsorted(label, np.arange(n_classes + 1))

    def weigh(weights: FloatArray) -> FloatArray:
        own, others = rank_own(weights).T, fill(weights).T
        above = np.concatenate([np.zeros((1, len(weights))), np.cumsum(own, axis=0)])
        beaten_by = above[slot // 2]
        if (slot % 2).any():
            beaten_by = (beaten_by + above[(slot + 1) // 2]) / 2
        wins = [
            np.einsum("cr,cr->r", others[start:end], beaten_by[start:end])
            for start, end in pairwise(starts)
        ]
        reached = np.cumsum(rank_all(weights).T[:-1], axis=0)
        # A scan of weight 0 above all others has reached nothing: it counts nothing either.
        precision = np.divide(above[1:], reached, out=np.zeros(own.shape), where=reached > 0)
        return np.stack([*wins, np.einsum("cr,cr->r", own, precision)], axis=1)

    return weigh


def ranking_areas(labels: IntArray, scores: FloatArray, units: IntArray) -> Weigh:
    """The basis of all areas: how well class k's own score ranks its scans above the others.

    labels (N,), scores (N, K), units (N,). Weights (..., U) give (..., K, K + 2). In row k, column
    j < K is P(p_k of a scan of k > p_k of a scan of j) + P(equal) / 2 (Hand & Till 2001, A(k | j);
    NaN for j = k), column K the same against all other classes, column K + 1 the average precision
    of k against the rest. NaN where a side weighs nothing.

    The Mann-Whitney form of the area (Hanley & McNeil 1982), exact with ties; one sort serves all
    weightings.
    """
    classes = range(scores.shape[1])
    count = sum_cells(units, labels, len(classes))
    ranks = [_rank_class(labels, scores, k, units) for k in classes]

    def weigh(weights: FloatArray) -> FloatArray:
        rows = np.atleast_2d(weights)
        totals = count(rows)
        areas: FloatArray = np.full((len(rows), len(classes), len(classes) + 2), np.nan)
        for k, rank in zip(classes, ranks, strict=True):
            own, others = totals[:, [k]], [j for j in classes if j != k]
            sums = rank(rows)
            wins = sums[:, others]
            areas[:, k, others] = ratio(wins, own * totals[:, others])
            rest = totals[:, others].sum(axis=1)
            areas[:, k, -2] = ratio(wins.sum(axis=1), own[:, 0] * rest)
            areas[:, k, -1] = ratio(sums[:, -1], own[:, 0])
        return areas.reshape(*weights.shape[:-1], *areas.shape[1:])

    return weigh


def auc(positive: ArrayLike, scores: ArrayLike) -> float:
    """The area under the ROC curve of bool truth (N,) and scores (N,); NaN if there are only
    positives or only negatives.
    """
    truth, values = check_binary(positive, scores)
    each, labels = np.arange(len(truth)), truth.astype(np.int64)
    areas = ranking_areas(labels, np.stack([-values, values], axis=1), each)
    return float(areas(np.ones(len(truth)))[1, 2])


def roc_curve(positive: ArrayLike, scores: ArrayLike) -> RocCurve:
    """The curve over every distinct score. Agrees with
    sklearn.metrics.roc_curve(drop_intermediate=False).

    positive : bool (N,). scores : finite (N,). Raises MetricError if there are only positives or
    only negatives.
    """
    truth, values = check_binary(positive, scores)
    if truth.all() or not truth.any():
        raise MetricError(
            "expected positive and negative scans, got {positive} positive of {scans}; no ROC "
            "curve without both",
            positive=int(truth.sum()),
            scans=len(truth),
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


def roc_one_vs_rest(
    labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[str] = CLASSES
) -> dict[str, RocCurve]:
    """The curve of each class against all others by its own probability, and their vertical mean as
    "macro average".

    labels : (N,). probabilities : (N, K). A class that never (or always) occurs has no curve; then
    there is no average either, as there is no macro AUC. Raises MetricError for bad arrays or if no
    class has a curve.
    """
    truth, scores = check_probability_columns(labels, probabilities, classes)
    curves = {
        name: roc_curve(truth == k, scores[:, k])
        for k, name in enumerate(classes)
        if 0 < np.count_nonzero(truth == k) < len(truth)
    }
    mean = mean_curve(list(curves.values()))
    return {**curves, MACRO: mean} if len(curves) == len(classes) else curves


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
    truth, scores = check_probability_columns(labels, probabilities, classes)
    curves: dict[str, RocCurve] = {}
    for name, (i, j) in zip(pair_names(classes), combinations(range(len(classes)), 2), strict=True):
        inside = (truth == i) | (truth == j)
        if 0 < np.count_nonzero(truth[inside] == i) < np.count_nonzero(inside):
            curves[name] = mean_curve(
                [roc_curve(truth[inside] == k, scores[inside, k]) for k in (i, j)]
            )
    return curves


@metric(
    message("AUC, one against the rest"),
    "class",
    ranking_areas,
    needs="class and others",
    pairs=True,
)
def auc_one_vs_rest(areas: FloatArray) -> FloatArray:
    """For each class the area of its ROC curve against all others, 0 to 1; NaN if it never or
    always occurs.
    """
    return areas[..., -2]


@metric(message("Macro AUC"), "scalar", ranking_areas, needs="every class", pairs=True)
def macro_auc(areas: FloatArray) -> FloatArray:
    """The mean one-against-the-rest area over the classes, 0 to 1; NaN if a class does not occur.

    Agrees with sklearn.metrics.roc_auc_score(multi_class="ovr", average="macro").
    """
    return np.asarray(areas[..., -2].mean(axis=-1))


@metric(message("AUC, one against one"), "pair", ranking_areas, needs="pair", pairs=True)
def auc_one_vs_one(areas: FloatArray) -> FloatArray:
    """For each pair of classes A(i, j) of Hand & Till (2001), 0 to 1; NaN if either does not occur.

    The mean over the pairs agrees with sklearn.metrics.roc_auc_score(multi_class="ovo",
    average="macro").
    """
    pairs = list(combinations(range(areas.shape[-2]), 2))
    return np.stack([(areas[..., i, j] + areas[..., j, i]) / 2 for i, j in pairs], axis=-1)


@metric(message("Hand-Till M"), "scalar", ranking_areas, needs="every class", pairs=True)
def hand_till_m(areas: FloatArray) -> FloatArray:
    """The mean of A(i, j) over the pairs of classes, 0 to 1 (Hand & Till 2001, eq. 7); NaN if a
    class does not occur.

    Agrees with sklearn.metrics.roc_auc_score(multi_class="ovo", average="macro"); unlike the
    macro AUC it does not depend on the mix of classes.
    """
    return np.asarray(auc_one_vs_one.function(areas).mean(axis=-1))


@metric(message("Average precision"), "class", ranking_areas, needs="class", pairs=True)
def average_precision(areas: FloatArray) -> FloatArray:
    """For each class against the rest, the sum of (R_n - R_{n-1}) P_n over its thresholds, 0 to 1;
    NaN if it does not occur.

    The step interpolation of sklearn.metrics.average_precision_score; the line between points of a
    precision-recall curve would promise too much (Davis & Goadrich 2006).
    """
    return areas[..., -1]


@metric(
    message("Macro average precision"), "scalar", ranking_areas, needs="every class", pairs=True
)
def macro_average_precision(areas: FloatArray) -> FloatArray:
    """The mean average precision over the classes, 0 to 1; NaN if a class does not occur.

    Agrees with sklearn.metrics.average_precision_score(average="macro").
    """
    return np.asarray(areas[..., -1].mean(axis=-1))
