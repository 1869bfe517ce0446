"""The bootstrap by patient: literal resampling, coverage, speed, and the degenerate cases."""

from __future__ import annotations

import math
import time
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from oct_core.errors import MetricError
from oct_core.metrics import METRICS, Interval, bootstrap_metrics, intervals
from oct_core.metrics.calibration import softmax
from oct_core.metrics.classification import accuracy, sensitivity, specificity
from oct_core.metrics.curves import auc_one_vs_one, macro_auc
from oct_core.metrics.intervals import (
    bounds_text,
    exact_interval,
    interval_text,
    patient_weights,
    patients_behind,
    percentile_interval,
)


def data(
    n: int = 60, per_patient: int = 3, seed: int = 0, signal: float = 1.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(n) // per_patient % 4
    return (
        labels,
        softmax(random.normal(size=(n, 4)) + signal * np.eye(4)[labels]),
        np.arange(n) // per_patient,
    )


def all_weights(patients: Any, resamples: int, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(patient_weights(patients, resamples, seed)))


def test_a_resample_takes_whole_patients_and_as_many_as_there_are() -> None:
    patients = np.array(["b", "a", "b", "c", "c", "c"])
    weights = all_weights(patients, 400)
    assert weights.shape == (400, 6)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 3], weights[:, 5])
    np.testing.assert_array_equal(weights[:, 0] + weights[:, 1] + weights[:, 3], 3)
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.15)


def test_the_seed_alone_decides_not_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    patients = np.arange(10)
    whole = all_weights(patients, 50, seed=4)
    monkeypatch.setattr(intervals, "_CELLS_AT_ONCE", 70)
    assert len(list(patient_weights(patients, 50, seed=4))) == 8
    np.testing.assert_array_equal(all_weights(patients, 50, seed=4), whole)
    assert (all_weights(patients, 50, seed=5) != whole).any()


def test_intervals_equal_those_of_resampling_for_real() -> None:
    labels, scores, patients = data(40)
    found = bootstrap_metrics([accuracy, macro_auc], labels, scores, patients, resamples=80, seed=3)
    for metric in (accuracy, macro_auc):
        values = []
        for row in all_weights(patients, 80, seed=3).astype(int):
            taken = np.repeat(np.arange(len(labels)), row)
            values.append(float(metric(labels[taken], scores[taken])))
        low, high = np.nanquantile(values, [0.025, 0.975])
        assert found[metric.name] == [
            Interval(
                pytest.approx(float(metric(labels, scores))),
                pytest.approx(low),
                pytest.approx(high),
            )
        ]


def test_patients_of_many_like_scans_widen_the_interval() -> None:
    labels, scores, _ = data(200, per_patient=1)
    labels, scores = np.repeat(labels, 5), np.repeat(scores, 5, axis=0)
    by_scan = bootstrap_metrics([accuracy], labels, scores, np.arange(1000), 500)["accuracy"][0]
    by_patient = bootstrap_metrics([accuracy], labels, scores, np.arange(1000) // 5, 500)[
        "accuracy"
    ][0]
    ratio = (by_patient.high - by_patient.low) / (by_scan.high - by_scan.low)
    assert ratio == pytest.approx(math.sqrt(5), rel=0.2)


def study(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """60 patients of two classes with 1 to 4 scans each, whose scores have half their variance in
    common: labels, probabilities (N, 2), patients. P(right) is Phi(0.6), the AUC Phi(0.6 * sqrt 2).
    """
    patients = np.repeat(np.arange(60), random.integers(1, 5, 60))
    labels = random.integers(0, 2, 60)[patients]
    noise = random.normal(size=60)[patients] + random.normal(size=len(patients))
    score = 0.6 * (2 * labels - 1) + noise / math.sqrt(2)
    return labels, softmax(np.stack([-score, score], axis=1)), patients


def test_about_95_of_100_intervals_hold_the_truth() -> None:
    """Of 1,000 studies at least 92.5 % and at most 96.5 % of the intervals of accuracy and of an
    AUC: the percentile interval is known to be somewhat short for 60 patients, and two standard
    errors of the simulation are 1.4 %. Intervals that took scans as independent would hold it
    in clearly fewer.
    """
    random, truth = (
        np.random.default_rng(11),
        {
            "accuracy": NormalDist().cdf(0.6),
            "auc_one_vs_rest": NormalDist().cdf(0.6 * math.sqrt(2)),
        },
    )
    metrics = [METRICS.get(name) for name in truth]
    held = dict.fromkeys([*truth, "scans taken as independent"], 0)
    for trial in range(1000):
        labels, scores, patients = study(random)
        found = bootstrap_metrics(metrics, labels, scores, patients, 300, seed=trial)
        for name, value in truth.items():
            held[name] += found[name][-1].low <= value <= found[name][-1].high
        if trial < 250:
            [cell] = bootstrap_metrics([accuracy], labels, scores, range(len(labels)), 200)[
                "accuracy"
            ]
            held["scans taken as independent"] += cell.low <= truth["accuracy"] <= cell.high
    assert all(925 <= held[name] <= 965 for name in truth), held
    assert held["scans taken as independent"] < 0.9 * 250, held


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_has_an_interval_around_it(name: str) -> None:
    labels, scores, patients = data(80)
    for cell in bootstrap_metrics([METRICS.get(name)], labels, scores, patients, 300)[name]:
        assert cell.low <= cell.value <= cell.high


def test_the_interval_of_a_calibration_error_is_moved_onto_it() -> None:
    random = np.random.default_rng(0)
    scores = softmax(random.normal(size=(300, 4)))
    labels = np.array(
        [random.choice(4, p=row) for row in scores]
    )  # calibrated: all error is chance
    metric = METRICS.get("expected_calibration_error")
    patients = np.arange(300)
    value = float(metric(labels, scores))
    samples = metric(labels, scores, all_weights(patients, 200))
    assert np.quantile(samples, 0.25) > value
    [cell] = bootstrap_metrics([metric], labels, scores, patients, 200)[metric.name]
    expected = np.quantile(samples, [0.025, 0.975]) + value - np.median(samples)
    assert (cell.low, cell.high) == pytest.approx(np.maximum(expected, 0).tolist())
    assert cell.low < value < cell.high


def test_one_patient_has_figures_but_no_interval() -> None:
    labels, scores, patients = data(12)
    for cell in bootstrap_metrics([accuracy], labels, scores, np.zeros_like(patients), 20)[
        "accuracy"
    ]:
        assert not math.isnan(cell.value) and math.isnan(cell.low) and math.isnan(cell.high)


def test_a_class_of_one_patient_has_no_interval_and_the_others_do() -> None:
    labels, scores, patients = data(60)
    patients = np.where(labels == 2, 999, patients)
    found = bootstrap_metrics([sensitivity, auc_one_vs_one], labels, scores, patients, 200)
    assert [math.isnan(cell.low) for cell in found["sensitivity"]] == [False, False, True, False]
    assert [math.isnan(cell.low) for cell in found["auc_one_vs_one"]] == [
        False,
        True,
        False,
        True,
        False,
        True,
    ]


def test_resamples_without_a_class_leave_its_figures_out() -> None:
    labels, scores, _ = data(24, per_patient=1, signal=0.5)
    labels = np.where(
        np.arange(24) < 2, 3, labels % 3
    )  # class 3 has two patients: missing in one resample of seven
    scores[0], scores[1] = np.eye(4)[3], np.eye(4)[0]
    weights = all_weights(np.arange(24), 300)
    assert 10 < (weights[:, :2].sum(axis=1) == 0).sum() < 90
    cell = bootstrap_metrics([sensitivity], labels, scores, np.arange(24), 300)["sensitivity"][3]
    assert (cell.value, cell.low, cell.high) == (0.5, 0.0, 1.0)


def test_a_missing_class_gives_no_figure() -> None:
    labels, scores, patients = data(30)
    cells = bootstrap_metrics([sensitivity], labels % 3, scores, patients, 50)["sensitivity"]
    assert [math.isnan(cell.value) for cell in cells] == [False, False, False, True]


def test_never_wrong_is_not_certain() -> None:
    labels, _, patients = data(60)
    found = bootstrap_metrics(
        [accuracy, sensitivity, specificity, macro_auc], labels, np.eye(4)[labels], patients, 50
    )
    assert found["accuracy"][0] == Interval(1.0, pytest.approx(0.025 ** (1 / 20)), 1.0)
    assert found["sensitivity"][0].low == pytest.approx(0.025 ** (1 / 5))
    assert found["specificity"][0].low == pytest.approx(0.025 ** (1 / 15))
    assert found["macro_auc"][0] == Interval(1.0, 1.0, 1.0)


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 20), (20, 20), (300, 300)])
def test_the_exact_interval_is_scipys(successes: int, trials: int) -> None:
    expected = binomtest(successes, trials).proportion_ci(0.95, "exact")
    assert exact_interval(successes, trials) == pytest.approx((expected.low, expected.high))


def test_patients_behind_counts_patients_not_scans() -> None:
    labels, patients = np.array([0, 0, 0, 1, 1, 2]), np.array(["a", "a", "b", "a", "c", "d"])
    scores = np.eye(3)[[0, 1, 0, 1, 1, 1]]
    expected = {
        "accuracy": 4,
        "sensitivity": [2, 2, 1],
        "specificity": [3, 3, 3],
        "auc_one_vs_rest": [2, 2, 1],
        "auc_one_vs_one": [2, 1, 1],
        "precision": [2, 3, 0],
        "negative_predictive_value": [3, 2, 4],
        "calibration_error_by_class": [4, 4, 4],
        "urgent_missed": 3,
    }
    for name, counts in expected.items():
        behind = patients_behind(METRICS.get(name), labels, scores, patients)
        assert behind.tolist() == counts, name


def test_percentiles_leave_nan_out() -> None:
    low, high = percentile_interval(np.array([[0.0, np.nan], [1.0, np.nan], [np.nan, np.nan]]), 0.5)
    np.testing.assert_array_equal(low, [0.25, np.nan])
    np.testing.assert_array_equal(high, [0.75, np.nan])


def test_2000_resamples_of_200_scans_take_under_2_seconds() -> None:
    labels, scores, patients = data(200)
    metrics = [
        METRICS.get(name)
        for name in ("accuracy", "macro_auc", "sensitivity", "specificity", "auc_one_vs_one")
    ]
    seconds = []
    for _ in range(2):  # the better of two, of this thread: other work on the machine is not ours
        start = time.thread_time()
        bootstrap_metrics(metrics, labels, scores, patients, 2000)
        seconds.append(time.thread_time() - start)
    assert min(seconds) < 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resamples": 0}, "expected at least 1 resample, got 0"),
        ({"patients": ["a"]}, r"expected one patient a scan, shape \(12,\), got \(1,\)"),
    ],
)
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    labels, scores, patients = data(12)
    arguments: dict[str, Any] = {
        "labels": labels,
        "probabilities": scores,
        "patients": patients,
        "resamples": 5,
        **change,
    }
    with pytest.raises(MetricError, match=message):
        bootstrap_metrics([accuracy], **arguments)


def test_a_level_lies_between_0_and_1() -> None:
    with pytest.raises(MetricError, match=r"expected the level between 0 and 1, got 1\.0"):
        percentile_interval(np.zeros((3, 1)), 1.0)
    with pytest.raises(MetricError, match=r"expected the level between 0 and 1, got 0\.0"):
        exact_interval(2, 2, 0.0)


def test_the_exact_interval_refuses_what_lies_between() -> None:
    with pytest.raises(
        MetricError, match="expected none or all of at least one trial to succeed, got 1 of 2"
    ):
        exact_interval(1, 2)


@pytest.mark.parametrize(
    ("cell", "digits", "patients", "text"),
    [
        (Interval(0.5, 0.25, 0.75), 3, 9, "0.500 (0.250 to 0.750)"),
        (Interval(0.5, 0.25, 0.75), 2, None, "0.50 (0.25 to 0.75)"),
        (Interval(0.912, math.nan, math.nan), 3, 1, "0.912 (no interval: one patient)"),
        (Interval(0.912, math.nan, math.nan), 3, None, "0.912 (no interval: too few patients)"),
        (Interval(0.912, math.nan, math.nan), 3, 7, "0.912 (no interval: too few patients)"),
        (Interval(math.nan, math.nan, math.nan), 3, 9, "not defined: a class has no scans"),
    ],
)
def test_an_interval_or_the_reason_why_there_is_none(
    cell: Interval, digits: int, patients: int | None, text: str
) -> None:
    assert interval_text(cell, digits, patients) == text
    assert bounds_text(cell, digits, patients) in text


def test_an_interval_survives_json_and_reads_well() -> None:
    for cell in (Interval(0.5, 0.25, 0.75), Interval(1.0, math.nan, math.nan)):
        assert interval_text(Interval.from_dict(cell.to_dict())) == interval_text(cell)
    assert Interval(1.0, math.nan, math.nan).to_dict() == {"value": 1.0, "low": None, "high": None}
