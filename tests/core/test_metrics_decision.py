"""Precision-recall and decision curves, predictive values, triage, and reasons in words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from oct_core.errors import MetricError
from oct_core.metrics import METRICS, bootstrap_metrics, reason_undefined
from oct_core.metrics.calibration import reliability, reliability_before_after, softmax
from oct_core.metrics.classification import (
    confusion_matrix,
    predictive_values,
)
from oct_core.metrics.decision import decision_curve
from oct_core.metrics.intervals import Interval, patient_weights
from oct_core.metrics.operating_points import predictive_intervals
from oct_core.metrics.precision_recall import (
    precision_recall_curve,
    precision_recall_one_vs_rest,
)
from oct_core.metrics.triage import KERMANY_COSTS, triage_confusion, urgent_probability
from oct_core.types import CLASSES


def binary(seed: int, n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.random(n) < 0.3
    return truth, np.round(np.clip(random.normal(0.3 + 0.3 * truth, 0.2), 0, 1), 2)


def study(seed: int = 0, n: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(n) // 2 % 4
    return labels, random.normal(size=(n, 4)) + 1.5 * np.eye(4)[labels], np.arange(n) // 2


@pytest.mark.parametrize("seed", range(4))
def test_the_precision_recall_curve_is_scikit_learns(seed: int) -> None:
    truth, scores = binary(seed)
    found = precision_recall_curve(truth, scores)
    precision, recall, thresholds = reference.precision_recall_curve(truth, scores)
    np.testing.assert_allclose(found.recall, recall[::-1])
    np.testing.assert_allclose(found.precision, precision[::-1])
    np.testing.assert_array_equal(found.thresholds[1:], thresholds[::-1])
    assert found.thresholds[0] == np.inf and found.prevalence == truth.mean()
    expected = reference.average_precision_score(truth, scores)
    assert found.average_precision == pytest.approx(expected)


def test_curves_by_class_have_the_registrys_areas_and_skip_what_is_missing() -> None:
    labels, logits, _ = study()
    labels[labels == 2] = 0
    curves = precision_recall_one_vs_rest(labels, softmax(logits))
    assert list(curves) == ["CNV", "DME", "NORMAL"]
    areas = METRICS.get("average_precision")(labels, softmax(logits))
    for name, curve in curves.items():
        assert curve.average_precision == pytest.approx(areas[CLASSES.index(name)])


def test_no_curve_without_a_positive() -> None:
    with pytest.raises(MetricError, match="expected at least one positive scan, got none of 3"):
        precision_recall_curve(np.zeros(3, dtype=bool), [0.1, 0.2, 0.3])


@pytest.mark.parametrize("seed", range(3))
def test_net_benefit_is_counted_scan_by_scan(seed: int) -> None:
    truth, scores = binary(seed)
    found = decision_curve(truth, scores, [0.05, 0.2, 0.37, 0.9])
    for number, threshold in enumerate(found.thresholds):
        odds = threshold / (1 - threshold)
        hits = sum(s >= threshold and y for s, y in zip(scores, truth, strict=True))
        alarms = sum(s >= threshold and not y for s, y in zip(scores, truth, strict=True))
        assert found.model[number] == pytest.approx(hits / 80 - alarms / 80 * odds)
        share = truth.mean()
        assert found.all_positive[number] == pytest.approx(share - (1 - share) * odds)
    assert np.isnan(found.low).all() and np.isnan(found.high).all()


def test_a_perfect_model_is_worth_the_prevalence_and_calling_all_breaks_even_there() -> None:
    truth, _ = binary(1)
    share = float(truth.mean())
    found = decision_curve(truth, truth.astype(float), [0.1, share, 0.8])
    np.testing.assert_allclose(found.model, share)
    assert found.all_positive[1] == pytest.approx(0, abs=1e-12)
    assert found.all_positive[0] > 0 > found.all_positive[2]


def test_the_band_of_net_benefit_is_a_bootstrap_by_patient() -> None:
    truth, scores = binary(2)
    patients = np.arange(80) // 3
    found = decision_curve(truth, scores, [0.2, 0.5], patients, resamples=60, seed=4)
    values = []
    for row in np.concatenate(list(patient_weights(patients, 60, 4))).astype(int):
        values.append(
            decision_curve(np.repeat(truth, row), np.repeat(scores, row), [0.2, 0.5]).model
        )
    np.testing.assert_allclose([found.low, found.high], np.quantile(values, [0.025, 0.975], axis=0))
    assert np.isnan(decision_curve(truth, scores, [0.2], np.zeros(80)).low).all()


@pytest.mark.parametrize(
    ("scores", "thresholds", "message"),
    [
        ([0.1, 0.2], [0.0, 0.5], "expected thresholds strictly between 0 and 1"),
        ([0.1, 0.2], [0.5, 1.0], "expected thresholds strictly between 0 and 1"),
        ([0.1, 1.2], [0.5], r"expected probabilities from 0 to 1, got 0\.1 to 1\.2"),
    ],
)
def test_a_decision_curve_refuses(scores: Any, thresholds: Any, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        decision_curve(np.array([True, False]), scores, thresholds)


def test_predictive_values_at_the_samples_own_prevalence_are_precision_and_npv() -> None:
    labels, logits, _ = study()
    scores = softmax(logits)
    share = np.bincount(labels, minlength=4) / len(labels)
    positive, negative = predictive_values(
        METRICS.get("sensitivity")(labels, scores),
        METRICS.get("specificity")(labels, scores),
        share,
    )
    np.testing.assert_allclose(positive, METRICS.get("precision")(labels, scores))
    np.testing.assert_allclose(negative, METRICS.get("negative_predictive_value")(labels, scores))


def test_predictive_values_count_a_thousand_people() -> None:
    """Of 1,000 with a prevalence of 1 %, 10 are ill: 9 are found, 1 is missed, 198 of 990 are
    alarmed.
    """
    positive, negative = predictive_values(0.9, 0.8, 0.01)
    assert (positive, negative) == pytest.approx((9 / (9 + 198), 792 / 793))


@pytest.mark.parametrize("prevalence", [0.02, 0.4])
def test_predictive_values_follow_from_scikit_learns_likelihood_ratios(prevalence: float) -> None:
    truth, scores = binary(1)
    called = scores >= 0.5
    ratios = reference.class_likelihood_ratios(truth, called)
    odds = prevalence / (1 - prevalence)
    expected = odds * ratios[0] / (1 + odds * ratios[0]), 1 / (1 + odds * ratios[1])
    rates = [reference.recall_score(truth, called, pos_label=side) for side in (True, False)]
    assert predictive_values(*rates, prevalence) == pytest.approx(expected)


def test_predictive_values_have_edges() -> None:
    assert np.isnan(predictive_values(0.0, 1.0, 0.5)[0])
    assert predictive_values([1.0, math.nan], 1.0, 0.5)[1].tolist() == pytest.approx(
        [1.0, math.nan], nan_ok=True
    )
    with pytest.raises(MetricError, match="expected sensitivity, specificity and prevalence from"):
        predictive_values(0.9, 0.8, 5)


@pytest.mark.parametrize("prevalence", [0.01, 0.3])
def test_the_ends_of_predictive_values_are_those_of_the_rates(prevalence: float) -> None:
    hit, passed = Interval(0.9, 0.8, 0.97), Interval(1.0, 0.95, 1.0)
    positive, negative = predictive_intervals(hit, passed, prevalence)
    healthy = 1 - prevalence
    assert positive == Interval(
        1.0, pytest.approx(0.8 * prevalence / (0.8 * prevalence + 0.05 * healthy)), 1.0
    )
    ends = [p * healthy / (p * healthy + (1 - h) * prevalence) for h, p in ((0.8, 0.95), (0.97, 1))]
    assert (negative.low, negative.high) == pytest.approx(ends)
    assert negative.low <= negative.value <= negative.high


def test_without_a_rate_there_is_no_predictive_value() -> None:
    nothing, unsure = Interval(*[math.nan] * 3), Interval(0.9, math.nan, math.nan)
    for hit, passed in ((nothing, Interval(1, 0.9, 1)), (Interval(0, 0, 0.2), Interval(1, 0.9, 1))):
        positive, _ = predictive_intervals(hit, passed, 0.1)
        assert np.isnan(list(vars(positive).values())).all()
    positive, _ = predictive_intervals(unsure, Interval(0.9, 0.8, 0.95), 0.1)
    assert positive.value == pytest.approx(0.5) and math.isnan(positive.low)


def test_referrals_add_up_the_classes() -> None:
    found = triage_confusion(np.arange(16).reshape(4, 4))
    assert found.tolist() == [[0 + 1 + 4 + 5, 2 + 6, 3 + 7], [8 + 9, 10, 11], [12 + 13, 14, 15]]
    with pytest.raises(
        MetricError, match=r"expected a confusion matrix of the classes .* \(3, 3\)"
    ):
        triage_confusion(np.eye(3))


def test_urgent_is_cnv_or_dme() -> None:
    found = urgent_probability([[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.0, 0.0]])
    np.testing.assert_allclose(found, [0.3, 1.0])
    with pytest.raises(MetricError, match="got 3 columns; other classes have no referral"):
        urgent_probability(np.full((2, 3), 1 / 3))


def test_the_costs_are_kermanys() -> None:
    assert KERMANY_COSTS.tolist() == [[0, 1, 2, 4], [1, 0, 2, 4], [1, 1, 0, 1], [1, 1, 1, 0]]


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS.get(name).by_name])
def test_metrics_of_named_classes_take_no_others(name: str) -> None:
    message = f"expected the classes CNV, DME, DRUSEN, NORMAL for {name}, got 3 classes"
    with pytest.raises(MetricError, match=message):
        METRICS.get(name)([0, 1], np.full((2, 3), 1 / 3))
    with pytest.raises(MetricError, match=message):
        bootstrap_metrics([METRICS.get(name)], [0, 1], np.full((2, 3), 1 / 3), [0, 1], 5)


# What the scans are, what they were called, a metric, which cell, and why it is not defined.
REASONS = [
    ([0, 1, 2], [0, 1, 2], "sensitivity", 3, "not defined: no NORMAL"),
    ([0, 1, 2], [0, 1, 2], "sensitivity", 0, ""),
    ([3, 3], [3, 3], "specificity", 3, "not defined: only NORMAL"),
    ([3, 3], [3, 3], "auc_one_vs_rest", 3, "not defined: only NORMAL"),
    ([3, 3], [3, 3], "auc_one_vs_rest", 0, "not defined: no CNV"),
    ([0, 1, 2], [0, 1, 2], "macro_auc", 0, "not defined: no NORMAL"),
    ([0, 1], [0, 1], "hand_till_m", 0, "not defined: no DRUSEN, no NORMAL"),
    ([0, 1], [0, 1], "macro_average_precision", 0, "not defined: no DRUSEN, no NORMAL"),
    ([0, 1], [0, 1], "auc_one_vs_one", 1, "not defined: no DRUSEN"),
    ([0, 1], [0, 1], "auc_one_vs_one", 5, "not defined: no DRUSEN, no NORMAL"),
    ([0, 1, 2], [0, 0, 0], "precision", 1, "not defined: no scan was called DME"),
    ([0, 1], [0, 0], "negative_predictive_value", 0, "not defined: every scan was called CNV"),
    ([0, 1], [0, 0], "f1_score", 3, "not defined: no NORMAL, and no scan was called NORMAL"),
    ([0, 1], [0, 2], "f1_score", 2, ""),
    ([0, 1, 3], [0, 1, 3], "macro_f1", 0, "not defined: no DRUSEN, and no scan was called DRUSEN"),
    ([3, 3], [3, 3], "cohen_kappa", 0, "not defined: only NORMAL, and every scan was called it"),
    ([3, 3], [3, 2], "cohen_kappa", 0, ""),
    ([3, 3], [3, 2], "matthews_correlation", 0, "not defined: only NORMAL"),
    ([3, 2], [3, 3], "matthews_correlation", 0, "not defined: every scan was called NORMAL"),
    ([2, 3], [2, 3], "urgent_missed", 0, "not defined: no CNV, no DME"),
    ([1, 3], [2, 3], "urgent_missed", 0, ""),
    ([3], [3], "accuracy", 0, ""),
]


@pytest.mark.parametrize(("labels", "called", "name", "cell", "reason"), REASONS)
def test_a_reason_stands_for_each_nan(
    labels: list[int], called: list[int], name: str, cell: int, reason: str
) -> None:
    metric = METRICS.get(name)
    value = np.atleast_1d(metric(labels, np.eye(4)[called]))[cell]
    assert np.isnan(value) == bool(reason)
    assert reason_undefined(metric, confusion_matrix(labels, called), CLASSES, cell) == reason


SCANS = {
    "a class missing": [0, 1, 2, 0, 1, 2],
    "one class": [3, 3, 3, 3],
    "one scan": [1],
    "every class": [0, 1, 2, 3],
}
CALLS = {"all right": lambda y: y, "all wrong": lambda y: (y + 1) % 4, "one call": lambda y: 0 * y}


@pytest.mark.parametrize("scans", SCANS)
@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("name", list(METRICS))
def test_every_nan_has_a_reason_and_only_a_nan_has(name: str, scans: str, calls: str) -> None:
    labels = np.array(SCANS[scans])
    called, metric = CALLS[calls](labels), METRICS.get(name)
    values = np.atleast_1d(metric(labels, np.eye(4)[called]))
    confusion = confusion_matrix(labels, called)
    for cell, value in enumerate(values):
        reason = reason_undefined(metric, confusion, CLASSES, cell)
        assert bool(reason) == np.isnan(value) and "nan" not in reason.lower().split()


def test_a_reason_needs_the_matrix_of_its_classes() -> None:
    metric = METRICS.get("sensitivity")
    with pytest.raises(MetricError, match="expected a confusion matrix of the classes CNV"):
        reason_undefined(metric, np.eye(3))
    assert reason_undefined(metric, np.zeros((4, 4))) == "not defined: no scan"


def test_reliability_is_scikit_learns_curve() -> None:
    labels, logits, _ = study(2, 300)
    scores = softmax(logits)
    found = reliability(labels, scores, 8)
    accuracy, confidence = calibration_curve(
        scores.argmax(1) == labels, scores.max(1), n_bins=8, strategy="uniform"
    )
    drawn = found.count > 0
    np.testing.assert_allclose(found.accuracy[drawn], accuracy)
    np.testing.assert_allclose(found.confidence[drawn], confidence)


def test_a_bin_without_errors_has_an_interval_with_a_width() -> None:
    labels = np.arange(80) // 2 % 4
    found = reliability(labels, np.eye(4)[labels], 5, np.arange(80) // 2)
    assert (found.accuracy[-1], found.high[-1]) == (1, 1)
    assert found.low[-1] == pytest.approx(0.025 ** (1 / 40))


def test_reliability_before_and_after_a_temperature_with_intervals() -> None:
    labels, logits, patients = study(3, 200)
    before, after = reliability_before_after(logits * 3, labels, 3.0, 6, patients)
    np.testing.assert_allclose(
        before.accuracy, reliability(labels, softmax(logits * 3), 6).accuracy
    )
    np.testing.assert_allclose(after.confidence, reliability(labels, softmax(logits), 6).confidence)
    assert before.count[-1] > after.count[-1] > 0
    for points in (before, after):
        shown = ~np.isnan(points.low)
        assert shown.sum() >= 3
        assert (points.low[shown] <= points.accuracy[shown]).all()
        assert (points.high[shown] >= points.accuracy[shown]).all()
    assert np.isnan(reliability(labels, softmax(logits), 6).low).all()
    assert np.isnan(reliability(labels, softmax(logits), 6, np.zeros(200)).high).all()
