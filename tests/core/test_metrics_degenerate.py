"""Studies at the edge of sense, over every metric: a figure is a number or a reason in words, and
so is its interval; nan stands nowhere.
"""

from __future__ import annotations

import json
import math
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from oct_core.metrics import METRICS, bootstrap_metrics, evaluate_table, reason_undefined
from oct_core.metrics.bands import macro_roc_band, precision_recall_band, roc_band
from oct_core.metrics.calibration import reliability
from oct_core.metrics.classification import confusion_matrix
from oct_core.metrics.comparison import compare_predictors, paired_differences
from oct_core.metrics.comparison_words import describe_comparison
from oct_core.metrics.decision import decision_curve
from oct_core.metrics.intervals import Interval, interval_text
from oct_core.metrics.operating_points import detectable, detection, figures_at_threshold
from oct_core.types import CLASSES, FloatArray, IntArray, PredictionTable

Study = tuple[IntArray, FloatArray, np.ndarray]

LABELS = {
    "all classes": [0, 1, 2, 3] * 3,
    "no NORMAL": [0, 1, 2] * 4,
    "only DRUSEN": [2] * 12,
    "CNV once": [0] + [1, 2, 3] * 4,
    "no urgent scan": [2, 3] * 6,
    "one scan": [1],
    "two scans": [0, 3],
}
CALLS = {
    "all right": lambda labels: labels,
    "all wrong": lambda labels: (labels + 1) % 4,
    "one wrong": lambda labels: np.where(np.arange(len(labels)) == 0, (labels + 2) % 4, labels),
    "all called CNV": np.zeros_like,
}
SURE = {"certain": 1.0, "sure": 0.97, "tied": 0.25}
PATIENTS = {
    "a scan each": lambda n: np.arange(n),
    "one patient": lambda n: np.zeros(n, dtype=int),
    "two patients": lambda n: np.arange(n) % 2,
    "one and many": lambda n: np.maximum(np.arange(n) - n // 2, 0),
}
EVERY = [METRICS.get(name) for name in METRICS]


def make(labels: str, calls: str, sure: str, patients: str) -> Study:
    truth = np.array(LABELS[labels])
    top = SURE[sure]
    scores = np.full((len(truth), 4), (1 - top) / 3)
    scores[np.arange(len(truth)), CALLS[calls](truth)] = top
    return truth, scores, PATIENTS[patients](len(truth))


def check(cell: Interval, lowest: float, highest: float) -> str:
    """The cell's text; of a cell that is whole, a number in its interval or without both ends."""
    assert math.isnan(cell.low) == math.isnan(cell.high)
    if math.isnan(cell.value):
        assert math.isnan(cell.low)
    elif not math.isnan(cell.low):
        assert lowest <= cell.low <= cell.value <= cell.high <= highest, cell
    text = interval_text(cell)
    assert "nan" not in text and "inf" not in text
    return text


@pytest.mark.parametrize("labels", list(LABELS))
def test_a_figure_is_a_number_in_its_interval_or_a_reason(labels: str) -> None:
    for study in product([labels], CALLS, SURE, PATIENTS):
        truth, scores, patients = make(*study)
        confusion = confusion_matrix(truth, scores.argmax(axis=1))
        found = bootstrap_metrics(EVERY, truth, scores, patients, 20)
        for metric in EVERY:
            for number, cell in enumerate(found[metric.name]):
                place = (metric.name, number, study)
                text = check(cell, metric.lowest, metric.highest)
                reason = reason_undefined(metric, confusion, CLASSES, number)
                assert bool(reason) == math.isnan(cell.value), place
                if reason:
                    assert reason.startswith("not defined: "), place
                elif study[3] == "one patient":
                    assert "no interval: " in text, place
                elif cell.low == cell.high:
                    assert text.endswith("(no interval: every resample gives the same)"), place
                    assert math.isinf(metric.highest), "an end of a range is not certain"


@pytest.mark.parametrize("labels", list(LABELS))
def test_a_difference_is_a_number_in_its_interval_or_none(labels: str) -> None:
    for calls, patients in product(("all wrong", "one wrong"), PATIENTS):
        truth, scores, groups = make(labels, calls, "sure", patients)
        other = make(labels, "all right", "certain", patients)[1]
        for pair in ((scores, other), (scores, scores)):
            found = paired_differences(truth, pair, groups, EVERY, 20)
            for metric, cell in ((one, cell) for one in EVERY for cell in found[one.name]):
                if metric.biased or math.isinf(metric.highest):
                    assert math.isnan(cell.low) or cell.low <= cell.high
                else:
                    check(cell, metric.lowest - metric.highest, metric.highest - metric.lowest)


@pytest.mark.parametrize("labels", list(LABELS))
def test_a_table_and_a_card_have_no_nan(labels: str) -> None:
    for calls, patients in product(CALLS, PATIENTS):
        truth, scores, groups = make(labels, calls, "certain", patients)
        names = np.array([f"scan{k}" for k in range(len(truth))])
        table = PredictionTable(
            np.full(len(truth), "test"),
            names,
            names,
            groups.astype(str),
            truth,
            (scores * 2000).astype(np.float32),  # probabilities of exactly 0 and 1
        )
        found = evaluate_table(table, "test", resamples=20)
        json.dumps(found.to_dict(), allow_nan=False)
        for name in METRICS:
            for cell in found.intervals(name):
                text = found.describe(name, cell)
                assert text and "nan" not in text, (name, cell)
                assert text[0].isdigit() or text[0] == "-" or text.startswith("not defined: ")


@pytest.mark.parametrize("labels", list(LABELS))
def test_comparisons_speak_of_edges_in_words(labels: str) -> None:
    for (first, second), patients in product(combinations(CALLS, 2), PATIENTS):
        truth, one, groups = make(labels, first, "sure", patients)
        scores = {"a": one, "b": make(labels, second, "tied", patients)[1], "c": one}
        for pair in compare_predictors(truth, scores, groups, resamples=20):
            text = describe_comparison(pair)
            assert "nan" not in text and "-0.0 " not in text and "inf" not in text


@pytest.mark.parametrize("labels", list(LABELS))
def test_thresholds_and_curves_are_whole_at_the_edges(labels: str) -> None:
    for calls, sure, patients in product(CALLS, ("certain", "tied"), PATIENTS):
        truth, scores, groups = make(labels, calls, sure, patients)
        for target, prevalence in product((detectable()[0], detectable()[-1]), (None, 0.01)):
            positive, score = detection(target, truth, scores)
            figures = figures_at_threshold(positive, score, 0.5, groups, prevalence, 9)
            for name in ("sensitivity", "specificity", "ppv", "npv"):
                check(getattr(figures, name), 0, 1)
        points = reliability(truth, scores, 5, groups, 20)
        curves: list[Any] = [
            roc_band(truth == 0, scores[:, 0], groups, [0, 0.5, 1], 20),
            precision_recall_band(truth == 0, scores[:, 0], groups, [0, 0.5, 1], 20),
            macro_roc_band(truth, scores, groups, [0, 0.5, 1], 20),
            decision_curve(truth < 2, np.clip(scores[:, :2].sum(axis=1), 0, 1), [0.1], groups, 20),
            points,
        ]
        for curve in curves:
            np.testing.assert_array_equal(np.isnan(curve.low), np.isnan(curve.high))
            drawn = ~np.isnan(curve.low)
            assert (curve.low[drawn] <= curve.high[drawn]).all()
        drawn = ~np.isnan(points.low)
        assert (points.low[drawn] < points.high[drawn]).all()
