"""ROC curves against scikit-learn, literal steps, and each other."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from oct_core.errors import MetricError
from oct_core.metrics import METRICS
from oct_core.metrics.classification import confusion_matrix
from oct_core.metrics.curves import (
    MACRO,
    RocCurve,
    auc,
    mean_curve,
    pair_names,
    roc_curve,
    roc_one_vs_one,
    roc_one_vs_rest,
)
from oct_core.types import CLASSES


def data(seed: int, n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, n)
    powers = np.exp(np.round(random.normal(size=(n, 4)) + np.eye(4)[labels], 1))
    return labels, powers / powers.sum(axis=1, keepdims=True)


def area(curve: RocCurve) -> float:
    return float(np.trapezoid(curve.true_positive_rate, curve.false_positive_rate))


@pytest.mark.parametrize("seed", range(4))
def test_curve_and_area_agree_with_scikit_learn_with_ties(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth, scores = random.random(50) < 0.4, np.round(random.random(50), 1)
    found = roc_curve(truth, scores)
    alarms, hits, thresholds = reference.roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(found.false_positive_rate, alarms)
    np.testing.assert_allclose(found.true_positive_rate, hits)
    np.testing.assert_array_equal(found.thresholds, thresholds)
    assert (
        found.auc
        == pytest.approx(reference.roc_auc_score(truth, scores))
        == pytest.approx(area(found))
        == pytest.approx(auc(truth, scores))
    )


def test_each_point_is_what_its_threshold_gives() -> None:
    truth, scores = np.array([True, False, True, False, True]), np.array([0.9, 0.7, 0.7, 0.2, 0.2])
    found = roc_curve(truth, scores)
    for threshold, hits, alarms in zip(
        found.thresholds, found.true_positive_rate, found.false_positive_rate, strict=True
    ):
        assert hits == (scores[truth] >= threshold).mean()
        assert alarms == (scores[~truth] >= threshold).mean()


@pytest.mark.parametrize(
    ("scores", "expected"), [([0.5, 0.5, 0.5], 0.5), ([0.1, 0.2, 0.9], 1.0), ([0.9, 0.8, 0.1], 0.0)]
)
def test_area_of_chance_of_right_and_of_upside_down(scores: list[float], expected: float) -> None:
    assert auc(np.array([False, False, True]), scores) == expected


def test_area_without_negatives_is_undefined_and_its_curve_an_error() -> None:
    assert np.isnan(auc(np.array([True, True]), [0.1, 0.2]))
    with pytest.raises(
        MetricError, match="expected positive and negative scans, got 2 positive of 2"
    ):
        roc_curve(np.array([True, True]), [0.1, 0.2])


@pytest.mark.parametrize(
    ("truth", "scores", "message"),
    [
        ([0, 1], [0.1, 0.2], "expected a bool truth of shape"),
        (np.array([True, False]), [0.1], "expected one score for each of the 2 truths"),
        (np.array([True, False]), [0.1, np.nan], "expected finite scores, got NaN"),
    ],
)
def test_binary_input_is_checked(truth: Any, scores: Any, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        auc(truth, scores)


def test_mean_curve_keeps_the_steps_and_the_mean_area() -> None:
    curves = [
        roc_curve(np.array([True, False, True, False]), values)
        for values in ([0.9, 0.8, 0.7, 0.1], [0.3, 0.3, 0.9, 0.1])
    ]
    found = mean_curve(curves)
    assert (
        area(found)
        == pytest.approx(found.auc)
        == pytest.approx(np.mean([curve.auc for curve in curves]))
    )
    for x in (0.1, 0.25, 0.6, 0.9):  # between the steps the value at a place is not in doubt
        literal = np.mean(
            [np.interp(x, curve.false_positive_rate, curve.true_positive_rate) for curve in curves]
        )
        assert np.interp(x, found.false_positive_rate, found.true_positive_rate) == pytest.approx(
            literal
        )
    assert (np.diff(found.false_positive_rate) >= 0).all() and (
        np.diff(found.true_positive_rate) >= 0
    ).all()
    assert (found.true_positive_rate[0], found.true_positive_rate[-1]) == (0.0, 1.0)


def test_mean_of_no_curve_is_an_error() -> None:
    with pytest.raises(MetricError, match="expected at least one curve to average"):
        mean_curve([])


def test_one_vs_rest_is_each_class_and_their_mean() -> None:
    labels, scores = data(1)
    found = roc_one_vs_rest(labels, scores)
    assert list(found) == [*CLASSES, MACRO]
    for k, name in enumerate(CLASSES):
        assert found[name].auc == pytest.approx(reference.roc_auc_score(labels == k, scores[:, k]))
    assert area(found[MACRO]) == pytest.approx(
        reference.roc_auc_score(labels, scores, multi_class="ovr")
    )


def test_one_vs_one_is_hand_and_till_on_the_two_classes() -> None:
    labels, scores = data(2)
    found = roc_one_vs_one(labels, scores)
    assert list(found) == pair_names() and len(found) == 6
    for name, (i, j) in zip(pair_names(), combinations(range(4), 2), strict=True):
        inside = (labels == i) | (labels == j)
        both = [reference.roc_auc_score(labels[inside] == k, scores[inside, k]) for k in (i, j)]
        assert found[name].auc == pytest.approx(np.mean(both)) == pytest.approx(area(found[name]))


def test_classes_that_never_occur_have_no_curve() -> None:
    labels, scores = data(3)
    labels[labels == 2] = 1
    assert list(roc_one_vs_rest(labels, scores)) == ["CNV", "DME", "NORMAL"]
    assert np.isnan(METRICS.get("macro_auc")(labels, scores)), "no average, as there is no curve"
    assert list(roc_one_vs_one(labels, scores)) == ["CNV vs DME", "CNV vs NORMAL", "DME vs NORMAL"]
    with pytest.raises(MetricError, match="expected at least one curve"):
        roc_one_vs_rest(np.zeros_like(labels), scores)


def test_columns_must_be_the_classes() -> None:
    labels, scores = data(3)
    with pytest.raises(MetricError, match="one column for each of the classes A, B, got 4"):
        roc_one_vs_rest(labels, scores, classes=("A", "B"))


def test_confusion_agrees_with_scikit_learn_and_takes_weights() -> None:
    labels, scores = data(4)
    predicted = scores.argmax(axis=1)
    np.testing.assert_array_equal(
        confusion_matrix(labels, predicted),
        reference.confusion_matrix(labels, predicted, labels=range(4)),
    )
    weights = np.random.default_rng(0).integers(0, 3, (2, len(labels)))
    expected = [
        reference.confusion_matrix(labels, predicted, labels=range(4), sample_weight=row)
        for row in weights
    ]
    np.testing.assert_array_equal(confusion_matrix(labels, predicted, weights=weights), expected)
    with pytest.raises(MetricError, match="expected weights of shape"):
        confusion_matrix(labels, predicted[:-1])
