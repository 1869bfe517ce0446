"""Figures from the confusion matrix: accuracy, sensitivity, specificity, precision, F1.

The predicted class is the one with the highest probability (the first of equals).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from oct_core.metrics.base import metric, ratio
from oct_core.metrics.checks import check_labels, check_weights
from oct_core.types import FloatArray, IntArray


def _count(
    labels: IntArray, predicted: IntArray, n_classes: int, weights: FloatArray
) -> FloatArray:
    """Weighted confusion (..., K, K) of weights (..., N)."""
    cell = np.eye(n_classes * n_classes)[labels * n_classes + predicted]
    flat: FloatArray = weights @ cell
    return flat.reshape(*weights.shape[:-1], n_classes, n_classes)


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
    return _count(truth, called, n_classes, check_weights(weights, len(truth)))


def _confusion(labels: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    return _count(labels, probabilities.argmax(axis=1), probabilities.shape[1], weights)


def _right(confusion: FloatArray) -> FloatArray:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


@metric("Accuracy", "scalar", proportion=True)
def accuracy(labels: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    """The share of scans whose predicted class is the true one, 0 to 1
    (sklearn.metrics.accuracy_score).
    """
    confusion = _confusion(labels, probabilities, weights)
    return ratio(_right(confusion).sum(axis=-1), confusion.sum(axis=(-2, -1)))


@metric("Sensitivity", "class", proportion=True)
def sensitivity(labels: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    """For each class, the share of its scans that were called it (recall), 0 to 1; NaN if the class
    has no scan.
    """
    confusion = _confusion(labels, probabilities, weights)
    return ratio(_right(confusion), confusion.sum(axis=-1))


@metric("Specificity", "class", proportion=True)
def specificity(labels: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    """For each class, the share of the other classes' scans that were not called it, 0 to 1; NaN if
    there are no others.
    """
    confusion = _confusion(labels, probabilities, weights)
    others = confusion.sum(axis=(-2, -1))[..., None] - confusion.sum(axis=-1)
    called = confusion.sum(axis=-2) - _right(confusion)
    return ratio(others - called, others)


@metric("Precision", "class")
def precision(labels: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    """For each class, the share of scans called it that are it (positive predictive value), 0 to 1;
    NaN if none was called it.
    """
    confusion = _confusion(labels, probabilities, weights)
    return ratio(_right(confusion), confusion.sum(axis=-2))


@metric("F1", "class")
def f1_score(labels: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    """For each class 2 TP / (2 TP + FP + FN), 0 to 1; NaN if the class neither occurs nor is
    called.
    """
    confusion = _confusion(labels, probabilities, weights)
    return ratio(2 * _right(confusion), confusion.sum(axis=-1) + confusion.sum(axis=-2))


@metric("Balanced accuracy", "scalar")
def balanced_accuracy(
    labels: IntArray, probabilities: FloatArray, weights: FloatArray
) -> FloatArray:
    """The mean sensitivity over the classes, 0 to 1; NaN if a class has no scan.

    Agrees with sklearn.metrics.balanced_accuracy_score where every class occurs; that one drops
    missing classes.
    """
    return np.asarray(sensitivity.compute(labels, probabilities, weights).mean(axis=-1))


@metric("Macro F1", "scalar")
def macro_f1(labels: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    """The mean F1 over the classes, 0 to 1; NaN if a class neither occurs nor is called."""
    return np.asarray(f1_score.compute(labels, probabilities, weights).mean(axis=-1))
