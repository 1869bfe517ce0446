"""Operating points and the comparison of two runs, against literal searches and scipy."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from oct_core.errors import MetricError
from oct_core.metrics import METRICS
from oct_core.metrics.calibration import softmax
from oct_core.metrics.comparison import McNemar, compare_tables, mcnemar_exact, paired_difference
from oct_core.metrics.operating_points import (
    OperatingPoint,
    at_threshold,
    choose_operating_points,
    choose_point,
    measure_operating_points,
)
from oct_core.types import CLASSES, PredictionTable


def binary(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.random(n) < 0.4
    return truth, np.round(np.clip(random.normal(0.4 + 0.25 * truth, 0.2), 0, 1), 2)


def table(seed: int, signal: float, n: int = 80) -> PredictionTable:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    logits = (random.normal(size=(n, 4)) + signal * np.eye(4)[labels]).astype(np.float32)
    names = np.array([f"scan{k:03d}" for k in range(n)])
    patients = np.array([f"patient{k // 2}" for k in range(n)])
    return PredictionTable(
        np.array(["test"] * n), names, names, patients, labels.astype(np.int64), logits
    )


@pytest.mark.parametrize("seed", range(5))
def test_youden_is_the_best_of_every_threshold(seed: int) -> None:
    truth, scores = binary(seed)
    point = choose_point(truth, scores)
    best = max(sum(at_threshold(truth, scores, threshold)) for threshold in scores)
    assert point.sensitivity + point.specificity == pytest.approx(best)
    assert at_threshold(truth, scores, point.threshold) == pytest.approx(
        (point.sensitivity, point.specificity)
    )
    assert point.rule == "Youden"


@pytest.mark.parametrize("target", [0.5, 0.9, 0.99])
def test_a_target_gives_the_best_specificity_that_reaches_it(target: float) -> None:
    truth, scores = binary(7)
    point = choose_point(truth, scores, target)
    reached = [
        pair
        for pair in (at_threshold(truth, scores, threshold) for threshold in scores)
        if pair[0] >= target
    ]
    assert point.specificity == pytest.approx(max(pair[1] for pair in reached))
    assert at_threshold(truth, scores, point.threshold) == pytest.approx(
        (point.sensitivity, point.specificity)
    )
    assert point.sensitivity >= target and point.rule == f"sensitivity >= {target:g}"


def test_the_threshold_lies_half_way_between_separate_classes() -> None:
    assert choose_point(np.array([True, True, False]), [0.9, 0.8, 0.4]).threshold == pytest.approx(
        0.6
    )


def test_useless_scores_still_give_a_threshold() -> None:
    point = choose_point(np.array([True, False]), [0.3, 0.3])
    assert (point.threshold, point.sensitivity, point.specificity) == (0.3, 1.0, 0.0)


def test_neighbouring_floats_keep_the_same_calls() -> None:
    upper = float(np.nextafter(0.5, 1))
    point = choose_point(np.array([True, False]), [upper, 0.5])
    assert at_threshold(np.array([True, False]), [upper, 0.5], point.threshold) == (1.0, 1.0)


def test_points_of_each_class_are_measured_on_other_scans() -> None:
    validation, test = table(0, 1.5), table(1, 1.5)
    points = choose_operating_points(validation.label, softmax(validation.logits))
    assert list(points) == list(CLASSES)
    measured = measure_operating_points(points, test.label, softmax(test.logits))
    for k, name in enumerate(CLASSES):
        called = softmax(test.logits)[:, k] >= points[name].threshold
        assert measured[name].threshold == points[name].threshold
        assert measured[name].sensitivity == pytest.approx(called[test.label == k].mean())
        assert measured[name].specificity == pytest.approx((~called[test.label != k]).mean())
    assert set(points["CNV"].to_dict()) == {"threshold", "sensitivity", "specificity", "rule"}


def test_a_class_that_never_occurs_has_no_point_and_no_sensitivity() -> None:
    rows = table(2, 1.5)
    labels = np.where(rows.label == 3, 0, rows.label)
    assert list(choose_operating_points(labels, softmax(rows.logits))) == ["CNV", "DME", "DRUSEN"]
    point = {"NORMAL": OperatingPoint(0.5, 1.0, 1.0, "Youden")}
    assert math.isnan(
        measure_operating_points(point, labels, softmax(rows.logits))["NORMAL"].sensitivity
    )


@pytest.mark.parametrize(
    ("truth", "target", "message"),
    [
        ([True, False], 1.0, "expected the target sensitivity between 0 and 1, got 1.0"),
        ([True, True], None, "expected positive and negative scans"),
    ],
)
def test_choosing_refuses(truth: list[bool], target: float | None, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        choose_point(np.array(truth), [0.1, 0.2], target)


def test_measuring_refuses_an_unknown_class() -> None:
    rows = table(3, 1.0)
    with pytest.raises(
        MetricError, match="expected operating points of CNV, DME, DRUSEN, NORMAL, got one of 'AMD'"
    ):
        measure_operating_points(
            {"AMD": OperatingPoint(0.5, 1, 1, "Youden")}, rows.label, softmax(rows.logits)
        )


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 0), (1, 0), (5, 5), (3, 12), (40, 9), (700, 900)]
)
def test_mcnemar_is_the_binomial_test(only_a: int, only_b: int) -> None:
    labels = np.zeros(only_a + only_b + 3, dtype=int)
    first, second = labels.copy(), labels.copy()
    second[:only_a] = 1
    first[only_a : only_a + only_b] = 2
    expected = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar_exact(labels, first, second) == McNemar(only_a, only_b, pytest.approx(expected))


def test_mcnemar_needs_the_same_scans() -> None:
    with pytest.raises(MetricError, match="expected three arrays of one length, got 2, 2 and 1"):
        mcnemar_exact([0, 1], [0, 1], [0])


@pytest.mark.parametrize("name", ["accuracy", "macro_auc"])
def test_the_difference_is_resampled_in_pairs(name: str) -> None:
    from oct_core.metrics.intervals import patient_weights

    a, b, metric = table(4, 2.0, 40), table(5, 1.0, 40), METRICS.get(name)
    first, second = softmax(a.logits), softmax(b.logits)
    found = paired_difference(a.label, first, second, a.patient, 60, seed=9, metric=metric)
    values = []
    for row in np.concatenate(list(patient_weights(a.patient, 60, 9))).astype(int):
        taken = np.repeat(np.arange(40), row)
        values.append(
            float(metric(a.label[taken], first[taken]))
            - float(metric(a.label[taken], second[taken]))
        )
    assert found.value == pytest.approx(
        float(metric(a.label, first)) - float(metric(a.label, second))
    )
    assert (found.low, found.high) == pytest.approx(tuple(np.nanquantile(values, [0.025, 0.975])))


def test_a_run_does_not_differ_from_itself_and_swapping_changes_the_sign() -> None:
    a, b = table(4, 2.0), table(5, 1.0)
    same, forth, back = compare_tables(a, a), compare_tables(a, b), compare_tables(b, a)
    assert (
        same.difference.value,
        same.difference.low,
        same.difference.high,
        same.mcnemar.p_value,
    ) == (0, 0, 0, 1)
    assert (forth.difference.low, forth.difference.high) == pytest.approx(
        (-back.difference.high, -back.difference.low)
    )
    assert (forth.mcnemar.only_a, forth.mcnemar.only_b) == (
        back.mcnemar.only_b,
        back.mcnemar.only_a,
    )
    assert (forth.n_scans, forth.n_patients) == (80, 40)


def test_runs_are_matched_by_hash_whatever_their_order() -> None:
    a, b = table(4, 2.0), table(5, 1.0)
    order = np.random.default_rng(0).permutation(len(b))
    columns = ("split", "image", "sha256", "patient", "label", "logits")
    shuffled = replace(b, **{name: getattr(b, name)[order] for name in columns})
    assert compare_tables(a, shuffled) == compare_tables(a, b)


def test_one_patient_gives_a_difference_without_interval() -> None:
    a, b = table(4, 2.0), table(5, 1.0)
    found = paired_difference(a.label, softmax(a.logits), softmax(b.logits), np.zeros(80))
    assert found.value > 0 and math.isnan(found.low) and math.isnan(found.high)


def other_table(change: str) -> PredictionTable:
    rows = table(5, 1.0)
    changed: dict[str, Any] = {
        "scan": {"sha256": np.char.add(rows.sha256, "x")},
        "label": {"label": (rows.label + 1) % 4},
        "split": {"split": np.array(["val"] * len(rows))},
    }
    return replace(rows, **changed[change])


@pytest.mark.parametrize("change", ["scan", "label", "split"])
def test_runs_on_other_scans_are_not_compared(change: str) -> None:
    with pytest.raises(
        MetricError,
        match="expected two runs that scored the same 'test' scans under the same labels",
    ):
        compare_tables(table(4, 2.0), other_table(change))


def test_a_difference_needs_one_number_and_the_same_scans() -> None:
    a = table(4, 2.0)
    scores = softmax(a.logits)
    with pytest.raises(
        MetricError, match=r"expected a metric with one number, got sensitivity \(class\)"
    ):
        paired_difference(a.label, scores, scores, a.patient, metric=METRICS.get("sensitivity"))
    with pytest.raises(MetricError, match="expected both runs to score the same scans and classes"):
        paired_difference(a.label, scores, scores[:-1], a.patient)
