"""Figures from the confusion matrix: accuracy, sensitivity, specificity, predictive values, F1,
kappa, Matthews correlation.

The predicted class is the one with the highest probability (the first of equals).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from oct_core.errors import MetricError
from oct_core.metrics.base import Weigh, metric, ratio, sum_cells
from oct_core.metrics.checks import check_labels, check_weights
from oct_core.types import FloatArray, IntArray
from oct_core.words import message


def _count(labels: IntArray, predicted: IntArray, n_classes: int, units: IntArray) -> Weigh:
    """Weights (..., U) of units to the weighted confusion (..., K, K)."""
    count = sum_cells(units, labels * n_classes + predicted, n_classes * n_classes)
    return lambda weights: count(weights).reshape(*weights.shape[:-1], n_classes, n_classes)


def confusion_matrix(
    labels: ArrayLike, predicted: ArrayLike, n_classes: int = 4, weights: ArrayLike | None = None
) -> FloatArray:
    """How often class i (row, truth) was called class j (column).

    labels, predicted : class indices (N,). weights : None, (N,) or (R, N). Returns float64 (K, K)
    or (R, K, K); whole numbers if the weights are. Agrees with sklearn.metrics.confusion_matrix.
    Raises MetricError for indices outside 0 .. n_classes - 1 or arrays that do not fit.
    """
    truth, called = check_labels(labels, n_classes), check_labels(predicted, n_classes)
    check_weights(np.ones(len(called)), len(truth))
    each = np.arange(len(truth))
    return _count(truth, called, n_classes, each)(check_weights(weights, len(truth)))


def confusion_counts(labels: IntArray, probabilities: FloatArray, units: IntArray) -> Weigh:
    """The basis of these metrics: weighted confusion (..., K, K), rows the truth."""
    return _count(labels, probabilities.argmax(axis=1), probabilities.shape[1], units)


def _right(confusion: FloatArray) -> FloatArray:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


@metric(message("Accuracy"), "scalar", confusion_counts)
def accuracy(confusion: FloatArray) -> FloatArray:
    """The share of scans whose predicted class is the true one, 0 to 1
    (sklearn.metrics.accuracy_score).
    """
    return ratio(_right(confusion).sum(axis=-1), confusion.sum(axis=(-2, -1)))


@metric(message("Sensitivity"), "class", confusion_counts, needs="class")
def sensitivity(confusion: FloatArray) -> FloatArray:
    """For each class, the share of its scans that were called it (recall), 0 to 1; NaN if the class
    has no scan.
    """
    return ratio(_right(confusion), confusion.sum(axis=-1))


@metric(message("Specificity"), "class", confusion_counts, needs="others")
def specificity(confusion: FloatArray) -> FloatArray:
    """For each class, the share of the other classes' scans that were not called it, 0 to 1; NaN if
    there are no others.
    """
    others = confusion.sum(axis=(-2, -1))[..., None] - confusion.sum(axis=-1)
    called = confusion.sum(axis=-2) - _right(confusion)
    return ratio(others - called, others)


@metric(message("Precision"), "class", confusion_counts, needs="called")
def precision(confusion: FloatArray) -> FloatArray:
    """For each class, the share of scans called it that are it (positive predictive value at the
    sample's own prevalence), 0 to 1; NaN if none was called it.
    """
    return ratio(_right(confusion), confusion.sum(axis=-2))


@metric(
    message("Negative predictive value"),
    "class",
    confusion_counts,
    needs="not called",
)
def negative_predictive_value(confusion: FloatArray) -> FloatArray:
    """For each class, the share of scans not called it that are not it (at the sample's own
    prevalence), 0 to 1; NaN if every scan was called it.
    """
    rejected = confusion.sum(axis=(-2, -1))[..., None] - confusion.sum(axis=-2)
    misses = confusion.sum(axis=-1) - _right(confusion)
    return ratio(rejected - misses, rejected)


@metric(message("F1"), "class", confusion_counts, needs="class or called")
def f1_score(confusion: FloatArray) -> FloatArray:
    """For each class 2 TP / (2 TP + FP + FN), 0 to 1; NaN if the class neither occurs nor is
    called.
    """
    return ratio(2 * _right(confusion), confusion.sum(axis=-1) + confusion.sum(axis=-2))


@metric(message("Balanced accuracy"), "scalar", confusion_counts, needs="every class")
def balanced_accuracy(confusion: FloatArray) -> FloatArray:
    """The mean sensitivity over the classes, 0 to 1; NaN if a class has no scan.

    Agrees with sklearn.metrics.balanced_accuracy_score where every class occurs; that one drops
    missing classes.
    """
    return np.asarray(sensitivity.function(confusion).mean(axis=-1))


@metric(message("Macro F1"), "scalar", confusion_counts, needs="every class or called")
def macro_f1(confusion: FloatArray) -> FloatArray:
    """The mean F1 over the classes, 0 to 1; NaN if a class neither occurs nor is called."""
    return np.asarray(f1_score.function(confusion).mean(axis=-1))


def _margins(confusion: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """All scans (...), those of each class (..., K) and those called it (..., K)."""
    return confusion.sum(axis=(-2, -1)), confusion.sum(axis=-1), confusion.sum(axis=-2)


def _nothing_below(rest: FloatArray, whole: FloatArray) -> FloatArray:
    """``rest`` with 0 where it is nothing but rounding beside ``whole``."""
    return np.where(rest > 1e-12 * whole, rest, 0.0)


@metric(message("Cohen's kappa"), "scalar", confusion_counts, lowest=-1.0, needs="two classes")
def cohen_kappa(confusion: FloatArray) -> FloatArray:
    """Agreement beyond chance, (p_o - p_e) / (1 - p_e), -1 to 1 (Cohen 1960, unweighted); NaN if
    all scans are of one class and were called it.

    Agrees with sklearn.metrics.cohen_kappa_score.
    """
    total, truth, called = _margins(confusion)
    chance = (truth * called).sum(axis=-1)
    part = total * _right(confusion).sum(axis=-1) - chance
    return ratio(part, _nothing_below(total**2 - chance, total**2))


@metric(
    message("Matthews correlation"),
    "scalar",
    confusion_counts,
    lowest=-1.0,
    needs="two classes and calls",
)
def matthews_correlation(confusion: FloatArray) -> FloatArray:
    """The correlation of truth and call over all classes, R_K, -1 to 1 (Gorodkin 2004); NaN if all
    scans are of one class, or all were called one.

    Agrees with sklearn.metrics.matthews_corrcoef, which says 0 where it is not defined.
    """
    total, truth, called = _margins(confusion)
    part = total * _right(confusion).sum(axis=-1) - (truth * called).sum(axis=-1)
    spread = [
        _nothing_below(total**2 - (side**2).sum(axis=-1), total**2) for side in (truth, called)
    ]
    return ratio(part, np.sqrt(spread[0] * spread[1]))


def predictive_values(
    sensitivity: ArrayLike, specificity: ArrayLike, prevalence: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Positive and negative predictive value where a class has this prevalence (Bayes' theorem).

    sensitivity, specificity : 0 to 1, of any shape that fits. prevalence : 0 to 1. A value is NaN
    if nothing would be called positive (or negative), or what it follows from is NaN. Raises
    MetricError for numbers outside 0 .. 1.
    """
    numbers = [np.asarray(n, dtype=np.float64) for n in (sensitivity, specificity, prevalence)]
    if any((number < 0).any() or (number > 1).any() for number in numbers):
        raise MetricError(
            "expected sensitivity, specificity and prevalence from 0 to 1, got a number outside; "
            "0.05 means 5%"
        )
    hit, passed, share = np.broadcast_arrays(*numbers)
    positive = ratio(hit * share, hit * share + (1 - passed) * (1 - share))
    negative = ratio(passed * (1 - share), passed * (1 - share) + (1 - hit) * share)
    return positive, negative
