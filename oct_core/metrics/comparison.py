"""Whether one run is better than another on the same scans."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oct_core.errors import MetricError
from oct_core.metrics.base import Metric
from oct_core.metrics.calibration import softmax
from oct_core.metrics.checks import check_groups, check_labels, check_probabilities
from oct_core.metrics.classification import accuracy
from oct_core.metrics.curves import macro_auc
from oct_core.metrics.delong import DeLong, delong_macro
from oct_core.metrics.intervals import Interval, bootstrap_samples, percentile_interval
from oct_core.types import FloatArray, IntArray, PredictionTable


@dataclass(frozen=True)
class McNemar:
    """only_a, only_b : scans that one run alone has right. p_value : exact, two-sided, 0 to 1."""

    only_a: int
    only_b: int
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same n_scans of n_patients.

    difference, auc_difference : accuracy and macro AUC of a minus b, with intervals by patient.
    mcnemar : of equal accuracy. delong : of equal macro AUC, by patient. adjusted_mcnemar,
    adjusted_delong : the p values after Holm over the family of ``family`` comparisons.
    """

    name_a: str
    name_b: str
    difference: Interval
    auc_difference: Interval
    mcnemar: McNemar
    delong: DeLong
    n_scans: int
    n_patients: int
    family: int
    adjusted_mcnemar: float
    adjusted_delong: float


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
            "expected three arrays of one length, got {truth}, {first} and "
            "{second}; use the same scans",
            truth=len(truth),
            first=len(first),
            second=len(second),
        )
    right_a, right_b = first == truth, second == truth
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    trials = only_a + only_b
    tail = sum(math.comb(trials, k) for k in range(min(only_a, only_b) + 1))
    return McNemar(only_a, only_b, min(1.0, 2 * tail / 2**trials))


def _check_pair(
    labels: ArrayLike, probabilities: tuple[ArrayLike, ArrayLike]
) -> tuple[IntArray, FloatArray, FloatArray]:
    first, second = map(check_probabilities, probabilities)
    truth = check_labels(labels, first.shape[1])
    check_probabilities(first, len(truth))
    if second.shape != first.shape:
        raise MetricError(
            "expected both runs to score the same scans and classes, got {first} and {second}; "
            "align them first",
            first=first.shape,
            second=second.shape,
        )
    return truth, first, second


@dataclass(frozen=True, eq=False)
class _Study:
    """One predictor's figures and resamples, by metric; several of them share the resamples."""

    values: dict[str, FloatArray]
    samples: dict[str, FloatArray]
    n_patients: int

    @classmethod
    def of_each(
        cls,
        metrics: Sequence[Metric],
        truth: IntArray,
        predictors: Sequence[FloatArray],
        groups: NDArray[Any],
        draws: tuple[int, int],
    ) -> list[_Study]:
        """One for each predictor; draws : the number of resamples and their seed."""
        once, n_patients = np.ones(len(truth)), len(np.unique(groups))
        samples = bootstrap_samples(metrics, truth, predictors, groups, *draws)
        return [
            cls(
                {metric.name: metric.compute(truth, scores, once) for metric in metrics},
                parts,
                n_patients,
            )
            for scores, parts in zip(predictors, samples, strict=True)
        ]


def _differences(metric: Metric, first: _Study, second: _Study) -> list[Interval]:
    """The first's figures less the second's, with percentile intervals."""
    value = np.atleast_1d(first.values[metric.name] - second.values[metric.name])
    ends = percentile_interval(first.samples[metric.name] - second.samples[metric.name])
    low, high = (
        np.where(np.isnan(value) | (first.n_patients < 2), np.nan, np.atleast_1d(end))
        for end in ends
    )
    rows = zip(value.tolist(), low.tolist(), high.tolist(), strict=True)
    return [Interval(*row) for row in rows]


def paired_differences(
    labels: ArrayLike,
    probabilities: tuple[ArrayLike, ArrayLike],
    patients: ArrayLike,
    metrics: Sequence[Metric],
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, list[Interval]]:
    """The first run's figures less the second's, by name and then one a class or pair, with 95%
    percentile intervals over resamples of patients, the same for both.

    labels, patients : (N,). probabilities : of the two runs, (N, K) each. NaN ends with fewer than
    two patients. Raises MetricError.
    """
    truth, first, second = _check_pair(labels, probabilities)
    groups = check_groups(patients, len(truth))
    studies = _Study.of_each(metrics, truth, (first, second), groups, (resamples, seed))
    return {metric.name: _differences(metric, *studies) for metric in metrics}


def paired_difference(
    labels: ArrayLike,
    probabilities: tuple[ArrayLike, ArrayLike],
    patients: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
    metric: Metric = accuracy,
) -> Interval:
    """paired_differences of one metric with one number; raises MetricError for another metric."""
    if metric.kind != "scalar":
        raise MetricError(
            "expected a metric with one number, got {metric} ({kind}); compare accuracy or "
            "macro_auc, or take paired_differences",
            metric=metric.name,
            kind=metric.kind,
        )
    differences = paired_differences(labels, probabilities, patients, [metric], resamples, seed)
    return differences[metric.name][0]


def holm(p_values: ArrayLike) -> FloatArray:
    """Adjusted p values of a family of tests, (M,) as given (Holm 1979); NaN stays NaN and does not
    count as a test.

    The smallest p is multiplied by M, the next by M - 1 ..., none falls below one before it, none
    exceeds 1. Raises MetricError for values outside 0 .. 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    tests = np.flatnonzero(~np.isnan(values))
    if values.ndim != 1 or (values[tests] < 0).any() or (values[tests] > 1).any():
        raise MetricError(
            "expected p values from 0 to 1 in an array of shape (M,), got shape {shape} or a "
            "value outside",
            shape=values.shape,
        )
    order = tests[np.argsort(values[tests], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted: FloatArray = np.full(len(values), np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted


def compare_predictors(
    labels: ArrayLike,
    predictors: Mapping[str, ArrayLike],
    patients: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Comparison]:
    """Every pair of two or more predictors of the same scans, p values after Holm over the pairs.

    labels, patients : (N,). predictors : probabilities (N, K) by name, the ensemble's too. Raises
    MetricError for fewer than two or for arrays that do not fit.
    """
    if len(predictors) < 2:
        raise MetricError(
            "expected two or more predictors to compare, got {count}; choose another run",
            count=len(predictors),
        )
    names = list(predictors)
    truth, first, _ = _check_pair(labels, (predictors[names[0]], predictors[names[0]]))
    scores = {name: _check_pair(truth, (first, predictors[name]))[2] for name in names}
    groups, metrics = check_groups(patients, len(truth)), (accuracy, macro_auc)
    draws = (resamples, seed)
    each = _Study.of_each(metrics, truth, list(scores.values()), groups, draws)
    studies = dict(zip(names, each, strict=True))
    calls = {name: scores[name].argmax(axis=1) for name in names}
    pairs = list(combinations(names, 2))
    mcnemar = [mcnemar_exact(truth, calls[a], calls[b], first.shape[1]) for a, b in pairs]
    delong = [delong_macro(truth, (scores[a], scores[b]), groups) for a, b in pairs]
    adjusted = [holm([test.p_value for test in tests]) for tests in (mcnemar, delong)]
    return [
        Comparison(
            name_a=a,
            name_b=b,
            difference=_differences(accuracy, studies[a], studies[b])[0],
            auc_difference=_differences(macro_auc, studies[a], studies[b])[0],
            mcnemar=mcnemar[number],
            delong=delong[number],
            n_scans=len(truth),
            n_patients=len(np.unique(groups)),
            family=len(pairs),
            adjusted_mcnemar=float(adjusted[0][number]),
            adjusted_delong=float(adjusted[1][number]),
        )
        for number, (a, b) in enumerate(pairs)
    ]


def compare_tables(
    tables: Mapping[str, PredictionTable],
    split: str = "test",
    temperatures: Mapping[str, float] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Comparison]:
    """Every pair of two or more runs' predictions of one split, matched by the sha256 of the scans.

    temperatures : by run, 1 where there is none; accuracy does not depend on them, areas do a
    little. Raises MetricError if the runs did not score the same scans with the same labels.
    """
    aligned = {}
    for name, table in tables.items():
        rows = table.of_split(split)
        order = np.argsort(rows.sha256, kind="stable")
        columns = [np.asarray(column)[order] for column in (rows.sha256, rows.label, rows.patient)]
        scores = softmax(rows.logits[order], (temperatures or {}).get(name, 1.0))
        aligned[name] = (columns, scores, table.classes)
    (columns, _, classes), *others = aligned.values()
    for other, _, other_classes in others:
        same = len(columns[0]) == len(other[0]) > 0 and classes == other_classes
        if not (same and (columns[0] == other[0]).all() and (columns[1] == other[1]).all()):
            raise MetricError(
                "expected runs that scored the same {split!r} scans under the same labels, got "
                "{count} and {other_count} scans that do not match; evaluate all on one prepared "
                "folder",
                split=split,
                count=len(columns[0]),
                other_count=len(other[0]),
            )
    return compare_predictors(
        columns[1],
        {name: scores for name, (_, scores, _) in aligned.items()},
        columns[2],
        resamples,
        seed,
    )
