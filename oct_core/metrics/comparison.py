"""Whether one run is better than another on the same scans."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from oct_core.errors import MetricError
from oct_core.metrics.base import Metric
from oct_core.metrics.calibration import softmax
from oct_core.metrics.checks import check_groups, check_labels, check_probabilities
from oct_core.metrics.classification import accuracy
from oct_core.metrics.intervals import LEVEL, Interval, patient_weights, percentile_interval
from oct_core.types import FloatArray, PredictionTable


@dataclass(frozen=True)
class McNemar:
    """only_a, only_b : scans that one run alone has right. p_value : exact, two-sided, 0 to 1."""

    only_a: int
    only_b: int
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same n_scans of n_patients: accuracy of a minus b with its interval by
    patient, and McNemar's test.
    """

    difference: Interval
    mcnemar: McNemar
    n_scans: int
    n_patients: int


def mcnemar_exact(
    labels: ArrayLike, predicted_a: ArrayLike, predicted_b: ArrayLike, n_classes: int = 4
) -> McNemar:
    """McNemar's exact test of equal accuracy (McNemar 1947; binomial(n, 1/2) on the scans that one
    run alone has right).

    labels, predicted_a, predicted_b : class indices (N,). Without such a scan p is 1. It takes
    scans as independent, which scans of one patient are not: read it beside the interval by
    patient. Raises MetricError for bad arrays.
    """
    truth, first, second = (
        check_labels(array, n_classes) for array in (labels, predicted_a, predicted_b)
    )
    if not len(truth) == len(first) == len(second):
        raise MetricError(
            "expected three arrays of one length, got {truth_count}, {first_count} and "
            "{second_count}; use the same scans",
            truth_count=len(truth),
            first_count=len(first),
            second_count=len(second),
        )
    right_a, right_b = first == truth, second == truth
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    trials = only_a + only_b
    tail = sum(math.comb(trials, k) for k in range(min(only_a, only_b) + 1))
    return McNemar(only_a, only_b, min(1.0, 2 * tail / 2**trials))


def paired_difference(
    labels: ArrayLike,
    probabilities_a: ArrayLike,
    probabilities_b: ArrayLike,
    patients: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
    metric: Metric = accuracy,
) -> Interval:
    """metric(a) - metric(b) for a scalar metric, with the 95% percentile interval over resamples of
    patients, the same for both.

    labels, patients : (N,). probabilities : (N, K). NaN ends with fewer than two patients. Raises
    MetricError.
    """
    if metric.kind != "scalar":
        raise MetricError(
            "expected a metric with one number, got {metric_name} ({kind}); compare accuracy or "
            "macro_auc",
            metric_name=metric.name,
            kind=metric.kind,
        )
    first, second = check_probabilities(probabilities_a), check_probabilities(probabilities_b)
    truth = check_labels(labels, first.shape[1])
    check_probabilities(first, len(truth))
    if second.shape != first.shape:
        raise MetricError(
            "expected both runs to score the same scans and classes, got {shape} and {shape_2}; "
            "align them first",
            shape=first.shape,
            shape_2=second.shape,
        )
    groups = check_groups(patients, len(truth))

    def difference(weights: FloatArray) -> FloatArray:
        return metric.compute(truth, first, weights) - metric.compute(truth, second, weights)

    value = float(difference(np.ones(len(truth))))
    if len(np.unique(groups)) < 2:
        return Interval(value, math.nan, math.nan)
    low, high = percentile_interval(
        np.concatenate(
            [difference(weights) for weights in patient_weights(groups, resamples, seed)]
        ),
        LEVEL,
    )
    return Interval(value, float(low), float(high))


def compare_tables(
    first: PredictionTable,
    second: PredictionTable,
    split: str = "test",
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Two runs' predictions of one split, matched by the sha256 of the scans.

    Accuracy does not depend on the temperature, so none is asked. Raises MetricError if the runs
    did not score the same scans with the same labels.
    """
    rows_a, rows_b = first.of_split(split), second.of_split(split)
    order_a, order_b = (
        np.argsort(rows_a.sha256, kind="stable"),
        np.argsort(rows_b.sha256, kind="stable"),
    )
    same = len(rows_a) == len(rows_b) > 0 and first.classes == second.classes
    if not (
        same
        and (rows_a.sha256[order_a] == rows_b.sha256[order_b]).all()
        and (rows_a.label[order_a] == rows_b.label[order_b]).all()
    ):
        raise MetricError(
            "expected two runs that scored the same {split!r} scans under the same labels, got "
            "{rows_a_count} and {rows_b_count} scans that do not match; evaluate both on one "
            "prepared folder",
            split=split,
            rows_a_count=len(rows_a),
            rows_b_count=len(rows_b),
        )
    truth, patients = rows_a.label[order_a], rows_a.patient[order_a]
    logits_a, logits_b = rows_a.logits[order_a], rows_b.logits[order_b]
    difference = paired_difference(
        truth, softmax(logits_a), softmax(logits_b), patients, resamples, seed
    )
    test = mcnemar_exact(
        truth, logits_a.argmax(axis=1), logits_b.argmax(axis=1), len(first.classes)
    )
    return Comparison(difference, test, len(truth), len(np.unique(patients)))
