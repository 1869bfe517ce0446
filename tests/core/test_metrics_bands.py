"""Bands of curves against curves drawn anew from each resample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from oct_core.errors import MetricError
from oct_core.metrics.bands import Band, macro_roc_band, precision_recall_band, roc_band
from oct_core.metrics.calibration import softmax
from oct_core.metrics.curves import mean_curve, roc_curve
from oct_core.metrics.intervals import patient_weights, score_interval
from oct_core.metrics.precision_recall import precision_recall_curve

GRID = np.array([0.0, 0.013, 0.1, 0.37, 0.5, 0.81, 1.0])


def study(n: int = 90, ties: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    labels = np.arange(n) // 3 % 4
    logits = random.normal(size=(n, 4)) + 1.2 * np.eye(4)[labels]
    return labels, softmax(np.round(logits, 1) if ties else logits), np.arange(n) // 3


def resampled(n: int, patients: np.ndarray, seed: int) -> list[np.ndarray]:
    rows = np.concatenate(list(patient_weights(patients, 40, seed))).astype(int)
    return [np.repeat(np.arange(n), row) for row in rows]


def compare(found: Band, heights: list[np.ndarray], expected: np.ndarray, worth: Any) -> None:
    """heights : of the resampled curves, three scans a patient; expected : of the curve; worth :
    the most trials at each place, and those of patients where no resample differs.
    """
    crowd = worth[2]
    student = stats.t.ppf(0.975, crowd - 1) / stats.norm.ppf(0.975)
    variance = np.nanvar(heights, axis=0) * crowd / (crowd - 1) * student**2
    ends = [
        score_interval(value, spread, scans, patients)
        for value, spread, scans, patients in zip(expected, variance, *worth[:2], strict=True)
    ]
    np.testing.assert_allclose([found.low, found.high], np.transpose(ends), atol=1e-12)
    assert ((found.low <= expected) & (expected <= found.high)).all()
    assert (found.low < found.high)[:-1].all()


def height(curve: Any, place: float) -> float:
    """The curve's height at a false positive rate: on its line, at a step the upper end."""
    x, y = curve.false_positive_rate, curve.true_positive_rate
    last = int(np.flatnonzero(x <= place)[-1])
    if x[last] == place or last == len(x) - 1:
        return float(y[last])
    return float(y[last] + (y[last + 1] - y[last]) * (place - x[last]) / (x[last + 1] - x[last]))


@pytest.mark.parametrize("ties", [True, False])
def test_the_roc_band_is_drawn_from_resampled_curves(ties: bool) -> None:
    labels, scores, patients = study(ties=ties)
    score = np.round(scores[:, 1], 1) if ties else scores[:, 1]
    heights = []
    for taken in resampled(90, patients, 5):
        curve = roc_curve(labels[taken] == 1, score[taken])
        heights.append(np.array([height(curve, place) for place in GRID]))
    whole = roc_curve(labels == 1, score)
    expected = np.array([height(whole, place) for place in GRID])
    positives = (
        np.where(GRID < 1, (labels == 1).sum(), np.inf),
        np.where(GRID < 1, 8, np.inf),  # where all are called there is no doubt
    )
    compare(roc_band(labels == 1, score, patients, GRID, 40, 5), heights, expected, (*positives, 8))


def test_the_macro_band_is_that_of_the_mean_curve() -> None:
    labels, scores, patients = study()
    heights = []
    for taken in resampled(90, patients, 6):
        curves = [roc_curve(labels[taken] == k, scores[taken, k]) for k in range(4)]
        curve = mean_curve(curves)
        heights.append(np.array([height(curve, place) for place in GRID]))
    whole = mean_curve([roc_curve(labels == k, scores[:, k]) for k in range(4)])
    expected = np.array([height(whole, place) for place in GRID])
    everyone = (np.where(GRID < 1, 90, np.inf), np.where(GRID < 1, 30, np.inf), 30)
    compare(macro_roc_band(labels, scores, patients, GRID, 40, 6), heights, expected, everyone)


@pytest.mark.parametrize("ties", [True, False])
def test_the_precision_recall_band_is_drawn_from_resampled_curves(ties: bool) -> None:
    labels, scores, patients = study(ties=ties)
    score = np.round(scores[:, 1], 1) if ties else scores[:, 1]

    def precisions(taken: np.ndarray) -> np.ndarray:
        curve = precision_recall_curve(labels[taken] == 1, score[taken])
        return np.array(
            [curve.precision[1:][curve.recall[1:] >= place - 1e-12][0] for place in GRID]
        )

    heights = [precisions(taken) for taken in resampled(90, patients, 7)]
    expected = precisions(np.arange(90))
    called = [
        np.maximum(GRID * count / np.maximum(expected, 1e-12), 1)
        for count in ((labels == 1).sum(), 8)
    ]
    compare(
        precision_recall_band(labels == 1, score, patients, GRID, 40, 7),
        heights,
        expected,
        (*called, 8),
    )


def test_a_curve_without_errors_has_a_band_with_a_width() -> None:
    labels, _, patients = study()
    for found in (
        roc_band(labels == 1, labels == 1, patients, GRID, 40),
        macro_roc_band(labels, np.eye(4)[labels], patients, GRID, 40),
        precision_recall_band(labels == 1, labels == 1, patients, GRID, 40),
    ):
        assert (found.low[:-1] < 0.92).all() and (found.high == 1).all()


def test_without_two_patients_on_a_side_there_is_no_band() -> None:
    labels, scores, patients = study()
    for found in (
        roc_band(labels == 1, scores[:, 1], np.zeros(90), GRID),
        roc_band(labels < 9, scores[:, 1], patients, GRID),
        precision_recall_band(labels == 1, scores[:, 1], np.zeros(90), GRID),
        macro_roc_band(labels % 3, scores, patients, GRID),
    ):
        assert np.isnan(found.low).all() and np.isnan(found.high).all()


def test_a_grid_is_made_of_rates() -> None:
    labels, scores, patients = study()
    with pytest.raises(MetricError, match="expected rates from 0 to 1"):
        roc_band(labels == 1, scores[:, 1], patients, [0.5, 1.5])
