"""DeLong's test: a published example, all pairs one by one, and the bootstrap by patient."""

from __future__ import annotations

import math

import numpy as np
import pytest

from oct_core.errors import MetricError
from oct_core.metrics import METRICS
from oct_core.metrics.calibration import softmax
from oct_core.metrics.delong import DeLong, delong_macro, delong_test
from oct_core.metrics.intervals import bootstrap_samples

# Albumin, total protein, K-G score and outcome of the patients of DeLong, DeLong & Clarke-Pearson
# (1988) of whom all three are known, as SAS/STAT prints them ("Comparing Receiver Operating
# Characteristic Curves", PROC LOGISTIC, example 8), with the results it prints for them.
OVARIAN = """
3.0 5.8 10 0  3.2 6.3  5 1  3.9 6.8  3 1  2.8 4.8  6 0  3.2 5.8  3 1  0.9 4.0  5 0  2.5 5.7  8 0
1.6 5.6  5 1  3.8 5.7  5 1  3.7 6.7  6 1  3.2 5.4  4 1  3.8 6.6  6 1  4.1 6.6  5 1  3.6 5.7  5 1
4.3 7.0  4 1  3.6 6.7  4 0  2.3 4.4  6 1  4.2 7.6  4 0  4.0 6.6  6 0  3.5 5.8  6 1  3.8 6.8  7 1
3.0 4.7  8 0  4.5 7.4  5 1  3.7 7.4  5 1  3.1 6.6  6 1  4.1 8.2  6 1  4.3 7.0  5 1  4.3 6.5  4 1
3.2 5.1  5 1  2.6 4.7  6 1  3.3 6.8  6 0  1.7 4.0  7 0  3.7 6.1  5 1  3.3 6.3  7 1  4.2 7.7  6 1
3.5 6.2  5 1  2.9 5.7  9 0  2.1 4.8  7 1  2.8 6.2  8 0  4.0 7.0  7 1  3.3 5.7  6 1  3.7 6.9  5 1
3.6 6.6  5 1
"""


def ovarian() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rows = np.array(OVARIAN.split(), dtype=float).reshape(-1, 4)
    tests = {"albumin": rows[:, 0], "protein": rows[:, 1], "K-G": 10 - rows[:, 2]}
    return rows[:, 3] == 1, tests


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        # Area, area of the K-G score, difference, standard error, 95 % limits, chi square, p.
        ("albumin", (0.7366, 0.7258, 0.0108, 0.0953, -0.1761, 0.1976, 0.0127, 0.9102)),
        ("protein", (0.6478, 0.7258, -0.0780, 0.1046, -0.2830, 0.1271, 0.5554, 0.4561)),
    ],
)
def test_the_example_of_the_paper(name: str, printed: tuple[float, ...]) -> None:
    truth, tests = ovarian()
    found = delong_test(truth, tests[name], tests["K-G"])
    ours = (found.auc_a, found.auc_b, found.difference, found.standard_error, *found.interval)
    np.testing.assert_allclose((*ours, found.z**2, found.p_value), printed, atol=5.1e-5)


def literal_variance(truth: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """DeLong et al. (1988), the variance of the difference from every pair of scans."""
    components = []
    for scores in (a, b):
        wins = [
            [1.0 if up > down else 0.5 if up == down else 0.0 for down in scores[~truth]]
            for up in scores[truth]
        ]
        components.append((np.mean(wins, axis=1), np.mean(wins, axis=0)))
    (a10, a01), (b10, b01) = components
    return float(
        np.var(a10 - b10, ddof=1) / truth.sum() + np.var(a01 - b01, ddof=1) / (~truth).sum()
    )


@pytest.mark.parametrize("seed", range(4))
def test_ranks_give_what_all_pairs_give(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.random(50) < 0.3
    a, b = (np.round(random.normal(size=50) + truth * signal, 1) for signal in (1.0, 0.5))
    found = delong_test(truth, a, b)
    error = math.sqrt(literal_variance(truth, a, b))
    assert found.standard_error == pytest.approx(error)
    assert found.z == pytest.approx(found.difference / error)


def clustered(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    patients = np.arange(n) // 4
    labels = random.integers(0, 4, n // 4)[patients]
    common = random.normal(size=(n // 4, 4))[patients]
    both = common + 1.2 * np.eye(4)[labels]
    first, second = (
        softmax(both + random.normal(size=(n // 4, 4))[patients] + random.normal(size=(n, 4)) / 2)
        for _ in range(2)
    )
    return labels, first, second, patients


@pytest.mark.parametrize("seed", range(2))
def test_the_error_by_patient_is_that_of_the_bootstrap_by_patient(seed: int) -> None:
    labels, first, second, patients = clustered(seed)
    metrics = [METRICS.get(name) for name in ("auc_one_vs_rest", "macro_auc")]
    one, other = bootstrap_samples(metrics, labels, (first, second), patients, 3000)
    cases = [
        (metrics[0], 0, delong_test(labels == 0, first[:, 0], second[:, 0], patients)),
        (metrics[1], 0, delong_macro(labels, (first, second), patients)),
    ]
    for metric, cell, test in cases:
        value = np.atleast_1d(metric(labels, first) - metric(labels, second))[cell]
        samples = (one[metric.name] - other[metric.name]).reshape(3000, -1)[:, cell]
        assert test.difference == pytest.approx(value)
        assert test.standard_error == pytest.approx(samples.std(), rel=0.1)
    alone = delong_test(labels == 0, first[:, 0], second[:, 0])
    assert cases[0][2].standard_error > 1.3 * alone.standard_error


@pytest.mark.parametrize("seed", range(3))
def test_by_patient_is_obuchowskis_variance_from_every_pair(seed: int) -> None:
    """Obuchowski (1997): the components of a patient's scans added up, each side's squares times
    I / (I - 1) for its I patients, and twice their product where a patient is on both sides.
    """
    random = np.random.default_rng(seed)
    patients = random.integers(0, 14, 50)
    truth = random.random(50) < 0.4
    a, b = (np.round(random.normal(size=50) + truth * signal, 1) for signal in (1.0, 0.5))

    def wins(scores: np.ndarray, i: int, j: int) -> float:
        return float(scores[i] > scores[j]) + float(scores[i] == scores[j]) / 2

    up, down = np.flatnonzero(truth), np.flatnonzero(~truth)
    gap = {(i, j): wins(a, i, j) - wins(b, i, j) for i in up for j in down}
    mean = sum(gap.values()) / len(gap)
    rows: dict[int, list[float]] = {}
    for patient in set(patients.tolist()):
        mine_up = [i for i in up if patients[i] == patient]
        mine_down = [j for j in down if patients[j] == patient]
        of_up = sum(np.mean([gap[i, j] for j in down]) - mean for i in mine_up) / len(up)
        of_down = sum(np.mean([gap[i, j] for i in up]) - mean for j in mine_down) / len(down)
        rows[patient] = [of_up, of_down]
    sides = [len({*patients[side].tolist()}) for side in (up, down)]
    factors = [crowd / (crowd - 1) for crowd in sides]
    variance = sum(
        factors[0] * x**2 + factors[1] * y**2 + 2 * math.sqrt(factors[0] * factors[1]) * x * y
        for x, y in rows.values()
    )
    found = delong_test(truth, a, b, patients)
    assert found.difference == pytest.approx(mean)
    assert found.standard_error == pytest.approx(math.sqrt(variance))


def test_one_scan_a_patient_is_delong_without_patients() -> None:
    labels, first, second, _ = clustered(5, 80)
    names = np.array([f"patient{number}" for number in np.random.default_rng(0).permutation(80)])
    plain = delong_test(labels == 1, first[:, 1], second[:, 1])
    by_patient = delong_test(labels == 1, first[:, 1], second[:, 1], names)
    np.testing.assert_allclose(list(vars(by_patient).values()), list(vars(plain).values()))


def test_the_macro_of_two_classes_is_the_test_of_one() -> None:
    truth, tests = ovarian()
    scores = [softmax(np.stack([-values, values], axis=1)) for values in tests.values()]
    single = delong_test(truth, tests["albumin"], tests["K-G"])
    macro = delong_macro(truth.astype(int), (scores[0], scores[2]))
    np.testing.assert_allclose(list(vars(macro).values()), list(vars(single).values()))


def test_p_values_are_uniform_where_there_is_no_difference() -> None:
    """400 studies of equal models: at 5 % between 2 % and 8 % are called different."""
    called = 0
    for seed in range(400):
        labels, first, second, patients = clustered(seed + 100, 160)
        called += delong_macro(labels, (first, second), patients).p_value < 0.05
    assert 8 <= called <= 32, called


@pytest.mark.parametrize(
    ("truth", "defined"),
    [
        ([True, True, True, True], False),
        ([True, False, False, False], False),
        ([True, True, False, False], True),
    ],
)
def test_where_it_is_not_defined_it_is_nan(truth: list[bool], defined: bool) -> None:
    found = delong_test(np.array(truth), [0.9, 0.2, 0.3, 0.1], [0.4, 0.3, 0.35, 0.8])
    assert math.isnan(found.p_value) is not defined
    macro = delong_macro(np.zeros(4, dtype=int), (np.full((4, 4), 0.25), np.full((4, 4), 0.25)))
    assert math.isnan(macro.auc_a) and math.isnan(macro.p_value)


def test_without_spread_only_equality_is_tested() -> None:
    truth = np.array([True, True, False, False])
    right, wrong = np.array([0.9, 0.8, 0.2, 0.1]), np.array([0.1, 0.2, 0.8, 0.9])
    assert delong_test(truth, right, right * 2) == DeLong(1.0, 1.0, 0.0, 0.0, 1.0)
    found = delong_test(truth, right, wrong)
    assert found.difference == 1.0 and math.isnan(found.z) and math.isnan(found.p_value)


def test_both_runs_must_score_the_same_scans() -> None:
    labels, first, second, _ = clustered(0, 40)
    with pytest.raises(MetricError, match="expected both runs to score the same scans and classes"):
        delong_macro(labels, (first, second[:-1]))
