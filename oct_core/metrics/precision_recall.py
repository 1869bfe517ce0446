"""Precision-recall curves: one class against the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from oct_core.errors import MetricError
from oct_core.metrics.checks import check_binary, check_probability_columns
from oct_core.types import CLASSES, FloatArray


@dataclass(frozen=True, eq=False)
class PrecisionRecallCurve:
    """A precision-recall curve from recall 0, by convention with precision 1, to recall 1.

    recall, precision : float64 (M,), recall rising; between two points the precision is that of
    the later one (a step, no line). thresholds : float64 (M,), falling, the score from which on a
    scan is called positive (+inf at the first point). average_precision : the area under the
    steps, 0 to 1. prevalence : the share of positives, and the precision of calls at random.
    """

    recall: FloatArray
    precision: FloatArray
    thresholds: FloatArray
    average_precision: float
    prevalence: float


def precision_recall_curve(positive: ArrayLike, scores: ArrayLike) -> PrecisionRecallCurve:
    """The curve over every distinct score. Agrees with sklearn.metrics.precision_recall_curve, in
    the order of rising recall.

    positive : bool (N,). scores : finite (N,). Raises MetricError if there is no positive.
    """
    truth, values = check_binary(positive, scores)
    if not truth.any():
        raise MetricError(
            "expected at least one positive scan, got none of {scans}; no precision-recall "
            "curve without",
            scans=len(truth),
        )
    order = np.argsort(-values, kind="stable")
    ranked, sorted_truth = values[order], truth[order]
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    hits = np.cumsum(sorted_truth)[ends]
    recall, precision = np.r_[0.0, hits / truth.sum()], np.r_[1.0, hits / (ends + 1)]
    return PrecisionRecallCurve(
        recall,
        precision,
        np.r_[np.inf, ranked[ends]],
        float((np.diff(recall) * precision[1:]).sum()),
        float(truth.mean()),
    )


def precision_recall_one_vs_rest(
    labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[str] = CLASSES
) -> dict[str, PrecisionRecallCurve]:
    """The curve of each class against all others by its own probability.

    labels : (N,). probabilities : (N, K). A class that never occurs has no curve. Raises
    MetricError for bad arrays.
    """
    truth, scores = check_probability_columns(labels, probabilities, classes)
    return {
        name: precision_recall_curve(truth == k, scores[:, k])
        for k, name in enumerate(classes)
        if (truth == k).any()
    }
