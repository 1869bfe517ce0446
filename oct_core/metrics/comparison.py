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
from oct_core.metrics.checks import check_groups, check_labels, check_probabilities
from oct_core.metrics.classification import accuracy
from oct_core.metrics.curves import macro_auc
from oct_core.metrics.delong import DeLong, delong_macro
from oct_core.metrics.intervals import (
    Interval,
    are_enough,
    bootstrap_samples,
    difference_interval,
    effective_patients,
    most_and_fewest_trials,
    patients_behind,
    percentile_interval,
    resample_variance,
)
from oct_core.metrics.merging import called_groups, measurable
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
    mcnemar, delong : of equal accuracy and of equal macro AUC, by patient. adjusted_mcnemar,
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
    labels: ArrayLike,
    predicted_a: ArrayLike,
    predicted_b: ArrayLike,
    n_classes: int = 4,
    patients: ArrayLike | None = None,
) -> McNemar:
    """McNemar's exact test of equal accuracy (McNemar 1947; binomial(n, 1/2) on the scans that one
    run alone has right).

    labels, predicted_a, predicted_b : class indices (N,). Without such a scan p is 1. patients :
    (N,), or None where each scan is a patient's only one. Scans of one patient are no independent
    trials: what a patient's scans say in sum, so many for one run, falls to either run with chance
    1/2, and p is the share of all ways it can fall that are as far from a draw (the sign-flip
    test; Obuchowski 1998 has its large-sample form). Raises MetricError for bad arrays.
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
    only_a, only_b = right_a & ~right_b, right_b & ~right_a
    groups = np.arange(len(truth)) if patients is None else check_groups(patients, len(truth))
    member = np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(member, only_a.astype(np.int64) - only_b).astype(np.int64)
    return McNemar(int(only_a.sum()), int(only_b.sum()), _sign_flip_p(sums))


def _sign_flip_p(sums: IntArray) -> float:
    """The share of all choices of signs of the integers in sums (M,) whose total is as far from 0
    as theirs, 0 to 1.
    """
    reach = int(np.abs(sums).sum())
    chances = np.zeros(2 * reach + 1)
    chances[reach] = 1.0
    for step in np.abs(sums[sums != 0]).tolist():
        # What is rolled over an end is 0: no total lies beyond the sum of all steps.
        chances = (np.roll(chances, step) + np.roll(chances, -step)) / 2
    far = np.abs(np.arange(-reach, reach + 1)) >= abs(int(sums.sum()))
    return min(1.0, float(chances[far].sum()))


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
    """One predictor's figures and resamples, by metric; several of them share the resamples.

    enough : whether there are two patients behind a figure. effective : what they are worth if all
    had equally many scans. scans, patients : what its scans and its patients are worth, see
    ``oct_core.metrics.intervals``.
    """

    values: dict[str, FloatArray]
    samples: dict[str, FloatArray]
    enough: dict[str, NDArray[np.bool_]]
    effective: dict[str, NDArray[Any]]
    scans: dict[str, FloatArray]
    patients: dict[str, FloatArray]

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
        once = np.ones(len(truth))
        samples = bootstrap_samples(metrics, truth, predictors, groups, *draws)
        studies = []
        for scores, parts in zip(predictors, samples, strict=True):
            study = (truth, scores, groups)
            trials = {metric.name: most_and_fewest_trials(metric, study) for metric in metrics}
            studies.append(
                cls(
                    values={metric.name: metric.compute(truth, scores, once) for metric in metrics},
                    samples=parts,
                    enough={metric.name: are_enough(metric, study) for metric in metrics},
                    effective={
                        metric.name: patients_behind(metric, *study, effective_patients)
                        for metric in metrics
                    },
                    scans={name: most for name, (most, _) in trials.items()},
                    patients={name: fewest for name, (_, fewest) in trials.items()},
                )
            )
        return studies


def _differences(metric: Metric, first: _Study, second: _Study) -> list[Interval]:
    """The first's figures less the second's, with their intervals."""
    value = first.values[metric.name] - second.values[metric.name]
    samples = first.samples[metric.name] - second.samples[metric.name]
    effective = np.minimum(first.effective[metric.name], second.effective[metric.name])
    enough = first.enough[metric.name] & second.enough[metric.name]
    if metric.biased or math.isinf(metric.highest):
        ends = percentile_interval(samples)
    else:
        ends = difference_interval(
            value,
            resample_variance(samples, effective),
            np.minimum(first.scans[metric.name], second.scans[metric.name]),
            np.minimum(first.patients[metric.name], second.patients[metric.name]),
            metric.highest - metric.lowest,
        )
    undefined = np.isnan(value) | ~enough
    low, high = (np.where(undefined, np.nan, end) for end in ends)
    columns = [np.atleast_1d(column).tolist() for column in (value, low, high)]
    return [Interval(*row) for row in zip(*columns, strict=True)]


def paired_differences(
    labels: ArrayLike,
    probabilities: tuple[ArrayLike, ArrayLike],
    patients: ArrayLike,
    metrics: Sequence[Metric],
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, list[Interval]]:
    """The first run's figures less the second's, by name and then one a class or pair, with 95%
    intervals from resamples of patients, the same for both.

    labels, patients : (N,). probabilities : of the two runs, (N, K) each. NaN ends with fewer than
    two patients behind a figure. The normal interval of ``difference_interval``; percentiles for
    distances from calibration and for log-loss. Raises MetricError.
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
    answers: Mapping[str, IntArray] | None = None,
) -> list[Comparison]:
    """Every pair of two or more predictors of the same scans, p values after Holm over the pairs.

    labels, patients : (N,). predictors : probabilities (N, K) by name, the ensemble's too. answers
    : the classes called (N,) by name, where they are not those with the highest probability.
    Raises MetricError for fewer than two or for arrays that do not fit.
    """
    if len(predictors) < 2:
        raise MetricError(
            "expected two or more predictors to compare, got {count}; choose another run",
            count=len(predictors),
        )
    names = list(predictors)
    truth, first, _ = _check_pair(labels, (predictors[names[0]], predictors[names[0]]))
    scores = {name: _check_pair(truth, (first, predictors[name]))[2] for name in names}
    calls = answers or {name: scores[name].argmax(axis=1) for name in names}
    groups, draws = check_groups(patients, len(truth)), (resamples, seed)
    called = [np.eye(first.shape[1])[calls[name]] for name in names]
    right = _Study.of_each((accuracy,), truth, called, groups, draws)
    areas = _Study.of_each((macro_auc,), truth, list(scores.values()), groups, draws)
    of_calls, of_scores = (dict(zip(names, each, strict=True)) for each in (right, areas))
    pairs = list(combinations(names, 2))
    mcnemar = [mcnemar_exact(truth, calls[a], calls[b], first.shape[1], groups) for a, b in pairs]
    delong = [delong_macro(truth, (scores[a], scores[b]), groups) for a, b in pairs]
    adjusted = [holm([test.p_value for test in tests]) for tests in (mcnemar, delong)]
    return [
        Comparison(
            name_a=a,
            name_b=b,
            difference=_differences(accuracy, of_calls[a], of_calls[b])[0],
            auc_difference=_differences(macro_auc, of_scores[a], of_scores[b])[0],
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
    little. Labels coarser than the classes merge these, as in ``evaluate_table``. Raises
    MetricError if the runs did not score the same scans with the same labels.
    """
    aligned = {}
    for name, table in tables.items():
        rows = table.of_split(split)
        rows = rows.take(np.argsort(rows.sha256, kind="stable"))
        called, scores = called_groups(rows, (temperatures or {}).get(name, 1.0))
        merged, _ = measurable(rows, 1.0)
        columns = [merged.sha256, merged.label, merged.patient]
        aligned[name] = (columns, scores, called, merged.classes)
    (columns, _, _, classes), *others = aligned.values()
    for other, _, _, other_classes in others:
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
        {name: scores for name, (_, scores, _, _) in aligned.items()},
        columns[2],
        resamples,
        seed,
        {name: called for name, (_, _, called, _) in aligned.items()},
    )
