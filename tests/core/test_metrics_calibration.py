"""Softmax, temperature, reliability, and the edges of the calibration bins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from oct_core.errors import MetricError
from oct_core.metrics.calibration import (
    ECE_BINS,
    confidence_bins,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability,
    softmax,
)


def logits_and_labels(n: int = 300, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    logits = random.normal(size=(n, 4)) * 2
    chances = softmax(logits)
    labels = np.array([random.choice(4, p=row) for row in chances])
    return logits * scale, labels


def test_softmax_is_exponentials_over_their_sum() -> None:
    logits = [0.3, -1.2, 2.0, 0.0]
    powers = [math.exp(value / 1.7) for value in logits]
    np.testing.assert_allclose(
        softmax(logits, 1.7), [power / sum(powers) for power in powers], rtol=1e-12
    )


def test_softmax_of_huge_logits_is_finite_and_sums_to_one() -> None:
    found = softmax(np.array([[1e5, 0, -1e5, 1e5], [0, 0, 0, 0]], dtype=np.float32))
    np.testing.assert_allclose(found, [[0.5, 0, 0, 0.5], [0.25] * 4])
    assert found.dtype == np.float64


@pytest.mark.parametrize(
    ("logits", "temperature", "message"),
    [
        ([1.0, math.nan], 1.0, "expected finite logits"),
        (3.0, 1.0, "expected finite logits"),
        ([1.0, 2.0], 0.0, "expected a finite temperature above 0, got 0"),
        ([1.0, 2.0], math.inf, "expected a finite temperature above 0, got inf"),
    ],
)
def test_softmax_refuses(logits: Any, temperature: float, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        softmax(logits, temperature)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_temperature_undoes_a_wrong_scale(scale: float) -> None:
    logits, labels = logits_and_labels(3000, scale)
    assert fit_temperature(logits, labels) == pytest.approx(scale, rel=0.12)


def test_temperature_is_the_minimum_of_a_literal_search() -> None:
    logits, labels = logits_and_labels(120, 2.0)
    grid = np.linspace(0.5, 4.0, 1401)
    losses = [float(log_loss(labels, softmax(logits, value))) for value in grid]
    assert fit_temperature(logits, labels) == pytest.approx(grid[int(np.argmin(losses))], abs=0.003)


class Logits(ClassifierMixin, BaseEstimator):
    """An estimator for scikit-learn that answers the logits it is given."""

    def fit(self, logits: np.ndarray, labels: np.ndarray) -> Logits:
        self.classes_ = np.unique(labels)
        return self

    def decision_function(self, logits: np.ndarray) -> np.ndarray:
        return logits

    def predict(self, logits: np.ndarray) -> np.ndarray:
        return logits.argmax(axis=1)


@pytest.mark.parametrize("scale", [0.4, 3.0])
def test_temperature_is_scikit_learns(scale: float) -> None:
    logits, labels = logits_and_labels(400, scale)
    frozen = FrozenEstimator(Logits().fit(logits, labels))
    theirs = CalibratedClassifierCV(frozen, method="temperature").fit(logits, labels)
    np.testing.assert_allclose(
        softmax(logits, fit_temperature(logits, labels)), theirs.predict_proba(logits), atol=1e-4
    )


def test_temperature_stays_in_its_bounds_when_nothing_stops_it() -> None:
    labels = np.array([0, 1, 2, 3])
    assert fit_temperature(np.eye(4) * 5, labels) == 0.2
    assert fit_temperature(-np.eye(4) * 5, labels) == 10.0


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((3, 4)), [0, 1], r"as many rows of scores as labels \(2\), got 3"),
        (np.full((2, 4), np.inf), [0, 1], "expected finite scores"),
        (np.zeros((2, 4)), [0, 4], "expected labels from 0 to 3"),
    ],
)
def test_temperature_refuses(logits: Any, labels: Any, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        fit_temperature(logits, labels)


def test_a_confidence_of_one_is_in_the_last_bin_and_edges_are_in_the_lower() -> None:
    edges = np.linspace(0, 1, ECE_BINS + 1)
    np.testing.assert_array_equal(confidence_bins(edges), [0, *range(ECE_BINS)])
    np.testing.assert_array_equal(
        confidence_bins(np.array([0.0, 0.1, 0.1000001, 1.0]), bins=10), [0, 0, 1, 9]
    )


def test_certain_and_wrong_costs_everything() -> None:
    labels, certain = np.array([0, 1, 2, 3]), np.eye(4)[[0, 1, 3, 2]]
    assert expected_calibration_error(labels, certain) == pytest.approx(0.5)
    assert expected_calibration_error(labels, np.eye(4)[[1, 2, 3, 0]]) == pytest.approx(1.0)


def test_reliability_is_the_mean_of_each_bin() -> None:
    logits, labels = logits_and_labels()
    scores = softmax(logits)
    found = reliability(labels, scores, bins=8)
    assert found.count.sum() == len(labels)
    for b in range(8):
        inside = (scores.max(axis=1) > b / 8) & (scores.max(axis=1) <= (b + 1) / 8)
        assert found.count[b] == inside.sum()
        if inside.any():
            assert found.confidence[b] == pytest.approx(scores.max(axis=1)[inside].mean())
            assert found.accuracy[b] == pytest.approx(
                (scores.argmax(axis=1) == labels)[inside].mean()
            )
        else:
            assert math.isnan(found.confidence[b]) and math.isnan(found.accuracy[b])


def test_reliability_needs_a_bin() -> None:
    with pytest.raises(MetricError, match="expected at least one bin, got 0"):
        reliability([0], np.full((1, 4), 0.25), bins=0)
