"""Every metric against a slow, literal twin, scikit-learn, and the invariances all
must have.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from oct_core.errors import MetricError
from oct_core.metrics import METRICS, Metric
from oct_core.metrics.base import metric

K = 4


def share(flags: list[bool]) -> float:
    return sum(flags) / len(flags) if flags else math.nan


def calls(scores: np.ndarray) -> list[int]:
    return [max(range(K), key=lambda k: row[k]) for row in scores]


def twin_sensitivity(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    return [
        share([call == k for label, call in zip(labels, calls(scores), strict=True) if label == k])
        for k in range(K)
    ]


def twin_specificity(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    return [
        share([call != k for label, call in zip(labels, calls(scores), strict=True) if label != k])
        for k in range(K)
    ]


def twin_precision(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    return [
        share([label == k for label, call in zip(labels, calls(scores), strict=True) if call == k])
        for k in range(K)
    ]


def twin_f1(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    answer = []
    for k in range(K):
        pairs = [(label == k, call == k) for label, call in zip(labels, calls(scores), strict=True)]
        hits, either = sum(a and b for a, b in pairs), sum(a or b for a, b in pairs)
        answer.append(2 * hits / (hits + either) if either else math.nan)
    return answer


def twin_area(positive: list[float], negative: list[float]) -> float:
    wins = [
        1.0 if up > down else 0.5 if up == down else 0.0 for up in positive for down in negative
    ]
    return sum(wins) / len(wins) if wins else math.nan


def twin_ovr(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    return [
        twin_area(
            [s[k] for s, y in zip(scores, labels, strict=True) if y == k],
            [s[k] for s, y in zip(scores, labels, strict=True) if y != k],
        )
        for k in range(K)
    ]


def twin_ovo(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    def directed(i: int, j: int) -> float:
        return twin_area(
            [s[i] for s, y in zip(scores, labels, strict=True) if y == i],
            [s[i] for s, y in zip(scores, labels, strict=True) if y == j],
        )

    return [(directed(i, j) + directed(j, i)) / 2 for i, j in combinations(range(K), 2)]


def twin_brier(labels: np.ndarray, scores: np.ndarray) -> float:
    return sum(
        sum((row[k] - (k == y)) ** 2 for k in range(K))
        for row, y in zip(scores, labels, strict=True)
    ) / len(labels)


def twin_log_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    return -sum(
        math.log(max(row[y], np.finfo(float).eps)) for row, y in zip(scores, labels, strict=True)
    ) / len(labels)


def twin_ece(labels: np.ndarray, scores: np.ndarray) -> float:
    total = 0.0
    for b in range(15):
        rows = [
            (max(row), call == y)
            for row, call, y in zip(scores, calls(scores), labels, strict=True)
            if b / 15 < max(row) <= (b + 1) / 15
        ]
        if rows:
            total += len(rows) * abs(
                sum(right for _, right in rows) / len(rows)
                - sum(top for top, _ in rows) / len(rows)
            )
    return total / len(labels)


def twin_ece_by_class(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    answer = []
    for k in range(K):
        total = 0.0
        for b in range(15):
            rows = [
                (row[k], y == k)
                for row, y in zip(scores, labels, strict=True)
                if b / 15 < row[k] <= (b + 1) / 15 or (b == 0 and row[k] == 0)
            ]
            if rows:
                says, holds = (sum(column) / len(rows) for column in zip(*rows, strict=True))
                total += len(rows) * abs(says - holds)
        answer.append(total / len(labels))
    return answer


def twin_negative_predictive_value(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    return [
        share([label != k for label, call in zip(labels, calls(scores), strict=True) if call != k])
        for k in range(K)
    ]


def twin_average_precision(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    answer = []
    for k in range(K):
        area = recall = 0.0
        for threshold in sorted(set(scores[:, k]), reverse=True):
            called = [y == k for y, s in zip(labels, scores, strict=True) if s[k] >= threshold]
            reached = sum(called) / sum(y == k for y in labels) if k in labels else math.nan
            area += (reached - recall) * sum(called) / len(called)
            recall = reached
        answer.append(area)
    return answer


def twin_kappa(labels: np.ndarray, scores: np.ndarray) -> float:
    n, called = len(labels), calls(scores)
    agreed = sum(a == b for a, b in zip(labels, called, strict=True)) / n
    chance = sum(list(labels).count(k) / n * called.count(k) / n for k in range(K))
    return (agreed - chance) / (1 - chance)


def twin_matthews(labels: np.ndarray, scores: np.ndarray) -> float:
    """Gorodkin (2004, eq. 8): the covariance of the indicator matrices over their spreads."""
    truth, called = np.eye(K)[labels], np.eye(K)[calls(scores)]

    def covariance(a: np.ndarray, b: np.ndarray) -> float:
        return sum(float(np.cov(a[:, k], b[:, k])[0, 1]) for k in range(K))

    return covariance(truth, called) / math.sqrt(
        covariance(truth, truth) * covariance(called, called)
    )


def twin_cost(labels: np.ndarray, scores: np.ndarray) -> float:
    total = 0
    for truth, call in zip(labels, calls(scores), strict=True):
        if truth in (0, 1) and call == 3:
            total += 4
        elif truth in (0, 1) and call == 2:
            total += 2
        elif truth != call:
            total += 1
    return total / len(labels)


def library_ece(truth: np.ndarray, chance: np.ndarray) -> float:
    """Of a yes or no, from scikit-learn's points of the reliability diagram and their counts."""
    holds, says = calibration_curve(truth, chance, n_bins=15)
    edges = np.linspace(0, 1, 16)[1:-1]
    counts = np.bincount(np.digitize(chance, edges, right=True), minlength=15)
    return float((np.abs(holds - says) * counts[counts > 0]).sum() / len(truth))


def library_ovo(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    answer = []
    for i, j in combinations(range(K), 2):
        inside = (labels == i) | (labels == j)
        answer.append(
            mean([reference.roc_auc_score(labels[inside] == k, scores[inside, k]) for k in (i, j)])
        )
    return answer


def library_cost(labels: np.ndarray, scores: np.ndarray) -> float:
    """scikit-learn's weighted count of errors, a scan's weight what its error costs."""
    called = scores.argmax(1)
    price = np.where(labels < 2, np.select([called == 3, called == 2], [4, 2], 1), 1)
    return float(
        reference.zero_one_loss(labels, called, normalize=False, sample_weight=price) / len(labels)
    )


REFERRAL = np.array([0, 0, 1, 2])  # CNV and DME urgent, DRUSEN routine, NORMAL observation


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


Twin = Callable[[np.ndarray, np.ndarray], Any]
# name -> (the literal twin, scikit-learn's answer)
CONTRACT: dict[str, tuple[Twin, Twin]] = {
    "accuracy": (
        lambda y, p: share([a == b for a, b in zip(y, calls(p), strict=True)]),
        lambda y, p: reference.accuracy_score(y, p.argmax(1)),
    ),
    "balanced_accuracy": (
        lambda y, p: mean(twin_sensitivity(y, p)),
        lambda y, p: reference.balanced_accuracy_score(y, p.argmax(1)),
    ),
    "sensitivity": (
        twin_sensitivity,
        lambda y, p: reference.recall_score(y, p.argmax(1), average=None),
    ),
    "specificity": (
        twin_specificity,
        lambda y, p: [
            reference.recall_score(y == k, p.argmax(1) == k, pos_label=False) for k in range(K)
        ],
    ),
    "precision": (
        twin_precision,
        lambda y, p: reference.precision_score(y, p.argmax(1), average=None),
    ),
    "f1_score": (twin_f1, lambda y, p: reference.f1_score(y, p.argmax(1), average=None)),
    "macro_f1": (
        lambda y, p: mean(twin_f1(y, p)),
        lambda y, p: reference.f1_score(y, p.argmax(1), average="macro"),
    ),
    "auc_one_vs_rest": (
        twin_ovr,
        lambda y, p: reference.roc_auc_score(y, p, multi_class="ovr", average=None),
    ),
    "macro_auc": (
        lambda y, p: mean(twin_ovr(y, p)),
        lambda y, p: reference.roc_auc_score(y, p, multi_class="ovr"),
    ),
    "auc_one_vs_one": (twin_ovo, library_ovo),
    "hand_till_m": (
        lambda y, p: mean(twin_ovo(y, p)),
        lambda y, p: reference.roc_auc_score(y, p, multi_class="ovo"),
    ),
    "average_precision": (
        twin_average_precision,
        lambda y, p: reference.average_precision_score(np.eye(K)[y], p, average=None),
    ),
    "macro_average_precision": (
        lambda y, p: mean(twin_average_precision(y, p)),
        lambda y, p: reference.average_precision_score(np.eye(K)[y], p, average="macro"),
    ),
    "negative_predictive_value": (
        twin_negative_predictive_value,
        lambda y, p: [
            reference.precision_score(y == k, p.argmax(1) == k, pos_label=False) for k in range(K)
        ],
    ),
    "cohen_kappa": (
        twin_kappa,
        lambda y, p: reference.cohen_kappa_score(y, p.argmax(1)),
    ),
    "matthews_correlation": (
        twin_matthews,
        lambda y, p: reference.matthews_corrcoef(y, p.argmax(1)),
    ),
    "kermany_cost": (twin_cost, library_cost),
    "triage_accuracy": (
        lambda y, p: share([REFERRAL[a] == REFERRAL[b] for a, b in zip(y, calls(p), strict=True)]),
        lambda y, p: reference.accuracy_score(REFERRAL[y], REFERRAL[p.argmax(1)]),
    ),
    "urgent_missed": (
        lambda y, p: share([b > 1 for a, b in zip(y, calls(p), strict=True) if a < 2]),
        lambda y, p: 1 - reference.recall_score(y < 2, p.argmax(1) < 2),
    ),
    "calibration_error_by_class": (
        twin_ece_by_class,
        lambda y, p: [library_ece(y == k, p[:, k]) for k in range(K)],
    ),
    "classwise_calibration_error": (
        lambda y, p: mean(twin_ece_by_class(y, p)),
        lambda y, p: mean([library_ece(y == k, p[:, k]) for k in range(K)]),
    ),
    "brier_score": (twin_brier, lambda y, p: reference.brier_score_loss(y, p, scale_by_half=False)),
    "log_loss": (twin_log_loss, lambda y, p: reference.log_loss(y, p, labels=range(K))),
    "expected_calibration_error": (
        twin_ece,
        lambda y, p: library_ece(y == p.argmax(1), p.max(1)),
    ),
}
# What a metric says where class 3 never occurs: True where it is not defined.
MISSING: dict[str, list[bool] | bool] = {
    "balanced_accuracy": True,
    "macro_auc": True,
    "sensitivity": [False, False, False, True],
    "auc_one_vs_rest": [False, False, False, True],
    "auc_one_vs_one": [False, False, True, False, True, True],
    "hand_till_m": True,
    "average_precision": [False, False, False, True],
    "macro_average_precision": True,
}
every_metric = pytest.mark.parametrize("name", list(METRICS))


def data(seed: int, n: int = 60, ties: bool = True) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, K, n)
    labels[:K] = range(K)
    logits = random.normal(size=(n, K)) + 1.2 * np.eye(K)[labels]
    powers = np.exp(np.round(logits, 1) if ties else logits)  # rounded logits: equal scores happen
    scores = powers / powers.sum(axis=1, keepdims=True)
    if ties:
        scores[5] = scores[6]
    return labels, scores


def test_every_metric_has_a_contract() -> None:
    assert set(METRICS) == set(CONTRACT), "a metric without a literal twin: add it to CONTRACT"
    assert set(MISSING) <= set(METRICS)


@every_metric
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_literal_twin_and_scikit_learn(name: str, seed: int) -> None:
    labels, scores = data(seed)
    twin, library = CONTRACT[name]
    np.testing.assert_allclose(METRICS.get(name)(labels, scores), twin(labels, scores), rtol=1e-10)
    np.testing.assert_allclose(
        METRICS.get(name)(labels, scores), library(labels, scores), rtol=1e-10
    )


def test_one_against_one_averages_to_scikit_learns_hand_and_till() -> None:
    labels, scores = data(4)
    expected = reference.roc_auc_score(labels, scores, multi_class="ovo", average="macro")
    assert METRICS.get("auc_one_vs_one")(labels, scores).mean() == pytest.approx(
        expected, abs=1e-12
    )


@every_metric
def test_order_of_scans_and_size_of_weights_do_not_matter(name: str) -> None:
    labels, scores = data(5)
    compute, order = METRICS.get(name), np.random.default_rng(0).permutation(len(labels))
    expected = compute(labels, scores)
    np.testing.assert_allclose(compute(labels[order], scores[order]), expected, rtol=1e-10)
    np.testing.assert_allclose(
        compute(labels, scores, np.full(len(labels), 3.5)), expected, rtol=1e-10
    )


@every_metric
def test_a_weight_counts_how_often_a_scan_is_taken(name: str) -> None:
    labels, scores = data(6)
    weights = np.random.default_rng(1).integers(0, 4, (5, len(labels)))
    together = METRICS.get(name)(labels, scores, weights)
    for row, found in zip(weights, together, strict=True):
        np.testing.assert_allclose(
            found,
            METRICS.get(name)(np.repeat(labels, row), np.repeat(scores, row, axis=0)),
            rtol=1e-10,
        )


@every_metric
def test_a_patients_weight_is_that_of_each_of_its_scans(name: str) -> None:
    """Patients of none, one and several scans, of one class and of several, ties included."""
    labels, scores = data(11)
    found, random = METRICS.get(name), np.random.default_rng(2)
    patients = random.integers(1, 25, len(labels))
    weights = random.integers(0, 4, (30, 25)).astype(np.float64)
    weights[0] = patients.max() == np.arange(25)  # one patient alone leaves classes out
    by_patient = found.function(
        found.basis(labels, scores, patients)(weights[:, : max(patients) + 1])
    )
    np.testing.assert_allclose(by_patient, found(labels, scores, weights[:, patients]), rtol=1e-10)


@every_metric
def test_renaming_the_classes_moves_the_answers_with_them(name: str) -> None:
    labels, scores = data(7, ties=False)
    # Class k becomes class new[k]; where classes have names, only the two urgent ones are alike.
    new = np.array([1, 0, 2, 3] if METRICS.get(name).by_name else [2, 0, 3, 1])
    moved = np.empty_like(scores)
    moved[:, new] = scores
    before, after = METRICS.get(name)(labels, scores), METRICS.get(name)(new[labels], moved)
    if METRICS.get(name).kind == "class":
        after = after[new]
    if METRICS.get(name).kind == "pair":
        pairs = list(combinations(range(K), 2))
        after = after[[pairs.index((min(new[i], new[j]), max(new[i], new[j]))) for i, j in pairs]]
    np.testing.assert_allclose(after, before, rtol=1e-10)


@every_metric
def test_shape_range_and_best_value(name: str) -> None:
    found, (labels, scores) = METRICS.get(name), data(8)
    shape = {"scalar": (), "class": (K,), "pair": (6,)}[found.kind]
    assert np.shape(found(labels, scores)) == shape
    assert np.shape(found(labels, scores, np.ones((7, len(labels))))) == (7, *shape)
    assert np.all(
        (found(labels, scores) >= found.lowest) & (found(labels, scores) <= found.highest)
    )
    best = found.highest if found.higher_is_better else found.lowest
    np.testing.assert_allclose(found(labels, np.eye(K)[labels]), np.full(shape, best), atol=1e-9)


@every_metric
def test_a_class_that_never_occurs_leaves_only_its_own_figures_undefined(name: str) -> None:
    labels, scores = data(9)
    labels[labels == 3] = 0
    found = METRICS.get(name)(labels, scores)
    expected = np.broadcast_to(MISSING.get(name, False), np.shape(found))
    np.testing.assert_array_equal(np.isnan(found), expected)


@every_metric
def test_weights_of_zero_give_nan_without_a_warning(name: str) -> None:
    labels, scores = data(10)
    assert np.isnan(METRICS.get(name)(labels, scores, np.zeros(len(labels)))).all()


GOOD = np.full((3, K), 0.25)
BAD_INPUT: list[tuple[Any, Any, Any, str]] = [
    ([0, 1], GOOD, None, r"as many rows of scores as labels \(2\), got 3"),
    ([[0], [1], [2]], GOOD, None, r"expected at least one label in an array of shape \(N,\)"),
    ([0.0, 1.0, 2.0], GOOD, None, "whole-number class indices, got float64"),
    ([0, 1, 4], GOOD, None, "expected labels from 0 to 3, got 0 to 4"),
    ([0, -1, 2], GOOD, None, "expected labels from 0 to 3, got -1 to 2"),
    ([0, 1, 2], GOOD[0], None, r"expected scores of shape \(N, K\)"),
    ([], np.empty((0, K)), None, r"expected scores of shape \(N, K\) with N >= 1"),
    ([0, 1, 2], GOOD.astype(str), None, "expected numbers as scores, got <U"),
    (
        [0, 1, 2],
        np.where(np.eye(3, K) > 0, np.nan, GOOD),
        None,
        r"got NaN or infinity in row 0 \(3 rows\)",
    ),
    (
        [0, 1, 2],
        GOOD * 8,
        None,
        "expected probabilities from 0 to 1, got 2 to 2; apply softmax to logits",
    ),
    ([0, 1, 2], GOOD / 2, None, "rows of probabilities that sum to 1, got 0.5 in row 0"),
    ([0, 1, 2], GOOD, [1, 1], r"expected weights of shape \(3,\) or \(R, 3\), got \(2,\)"),
    ([0, 1, 2], GOOD, [1, -1, 1], "expected finite weights >= 0"),
]


@pytest.mark.parametrize(("labels", "scores", "weights", "message"), BAD_INPUT)
@every_metric
def test_bad_input_says_what_was_expected(
    name: str, labels: Any, scores: Any, weights: Any, message: str
) -> None:
    with pytest.raises(MetricError, match=message):
        METRICS.get(name)(labels, scores, weights)


def test_a_metric_is_registered_once() -> None:
    def accuracy(confusion: np.ndarray) -> np.ndarray:
        return confusion

    with pytest.raises(ValueError, match="metric 'accuracy' is registered twice"):
        metric("Again", "scalar", METRICS.get("accuracy").basis)(accuracy)


def test_a_metric_keeps_its_name_and_words() -> None:
    found = METRICS.get("macro_auc")
    assert isinstance(found, Metric)
    assert (found.name, found.title) == ("macro_auc", "Macro AUC")
    assert "roc_auc_score" in (found.__doc__ or "")
