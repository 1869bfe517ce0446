"""Conformal sets: a literal twin, an independent library, and their coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from crepes import ConformalClassifier

from oct_core.errors import MetricError
from oct_core.metrics.calibration import softmax
from oct_core.trust.conformal import ConformalSets, fit_sets, fit_table
from oct_core.types import CLASSES, FloatArray, IntArray, PredictionTable


def study(n: int, seed: int, signal: float = 3.0) -> tuple[IntArray, FloatArray, IntArray]:
    """Labels, probabilities and patients of n scans, each of its own patient."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, n)
    logits = generator.normal(size=(n, 4)) + signal * np.eye(4)[labels]
    return labels, softmax(logits), np.arange(n)


def literal_set(
    labels: IntArray, chances: FloatArray, level: float, new: FloatArray
) -> tuple[str, ...]:
    """Class by class: sort the scores, take the one of rank ceil((n + 1)(1 - level)), compare."""
    held = []
    for k, name in enumerate(CLASSES):
        scores = sorted(
            1 - float(p[k]) for p, label in zip(chances, labels, strict=True) if label == k
        )
        rank = math.ceil(round((len(scores) + 1) * (1 - level), 9))
        if rank > len(scores) or 1 - float(new[k]) <= scores[rank - 1] + 1e-12:
            held.append(name)
    return tuple(held)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1, 0.3])
def test_sets_agree_with_the_literal_twin_and_with_crepes(level: float) -> None:
    labels, chances, patients = study(150, 1)
    _, new, _ = study(200, 2, signal=1.0)
    sets = fit_sets(labels, chances, patients, CLASSES, level)
    mine = sets.holds(new)
    for row, held in zip(new, mine, strict=True):
        literal = literal_set(labels, chances, level, row)
        assert tuple(name for name, inside in zip(CLASSES, held, strict=True) if inside) == literal
    # crepes: a p-value a class, from the scans of that class. It counts a p-value of exactly the
    # level in or out as floating point has it; a class is in the set above the level only.
    for k in range(4):
        own = ConformalClassifier().fit(1 - chances[labels == k, k])
        theirs = own.predict_set(1 - new[:, [k]], confidence=1 - level - 1e-9, smoothing=False)
        np.testing.assert_array_equal(theirs[:, 0].astype(bool), mine[:, k])


@pytest.mark.parametrize(("n", "level", "rank"), [(19, 0.05, 19), (49, 0.42, 29)])
def test_the_rank_is_not_lifted_by_floating_point(n: int, level: float, rank: int) -> None:
    """(19 + 1)(1 - 0.05) is 19; (49 + 1)(1 - 0.42) is 29, and 29.000000000000004 to a computer."""
    labels = np.repeat(np.arange(4), n)
    chances = np.full((4 * n, 4), 0.1)
    chances[np.arange(4 * n), labels] = 0.7
    worth = fit_sets(labels, chances, np.arange(4 * n), CLASSES, level).worth
    assert not any(one.always for one in worth)
    assert worth[0].average == pytest.approx(rank / (n + 1))


def test_too_few_scans_of_a_class_are_always_held_and_said() -> None:
    labels, chances, patients = study(400, 3)
    few = (labels != 1) | (np.cumsum(labels == 1) <= 18)
    sets = fit_sets(labels[few], chances[few], patients[few], CLASSES)
    assert sets.least[1] == 0 and (sets.least[[0, 2, 3]] > 0).all()
    assert "DME" in sets.of(np.array([1.0, 0, 0, 0]))
    words = sets.describe()
    assert words[1] == (
        "DME: with 18 validation scans no level of 5% can be kept, so the set always holds it."
    )
    none = fit_sets(labels[labels != 1], chances[labels != 1], patients[labels != 1], CLASSES)
    assert none.least[1] == 0 and none.worth[1].n == 0


def test_the_worth_of_the_guarantee_is_said_by_scan_and_by_patient() -> None:
    labels = np.repeat(np.arange(4), 21)
    generator = np.random.default_rng(0)
    chances = np.full((84, 4), 0.02)
    chances[np.arange(84), labels] = generator.uniform(0.5, 0.94, 84)
    chances /= chances.sum(1, keepdims=True)
    patients = np.repeat(np.arange(28), 3)
    sets = fit_sets(labels, chances, patients, CLASSES)
    worth = sets.worth[1]
    assert (worth.n, worth.patients, worth.always) == (21, 7, False)
    assert worth.average == pytest.approx(21 / 22) and worth.by_patient == pytest.approx(7 / 8)
    # Beta(21, 1) has the closed form x ** 21.
    assert worth.low == pytest.approx(0.05 ** (1 / 21), abs=1e-9)
    assert worth.high == pytest.approx(0.95 ** (1 / 21), abs=1e-9)
    assert sets.describe()[1] == (
        "DME: with 21 validation scans of 7 patients the set holds it in at least 95% of its scans "
        "on average over calibrations, between 87% and 100% for this one with 90 % chance, if "
        "scans were independent; scans of one patient are alike, and counted by patient it is at "
        "least 88%."
    )


def clustered(
    generator: np.random.Generator, patients: int, scans: int, alike: float
) -> tuple[IntArray, FloatArray, IntArray]:
    """Scans of patients: each patient has one class and a difficulty that its scans share in part
    (``alike``, 0 none, 1 all).
    """
    labels = np.repeat(np.arange(patients) % 4, scans)
    members = np.repeat(np.arange(patients), scans)
    common = np.repeat(generator.normal(size=(patients, 4)), scans, axis=0)
    own = generator.normal(size=(patients * scans, 4))
    noise = np.sqrt(alike) * common + np.sqrt(1 - alike) * own
    return labels, softmax(noise + 2.5 * np.eye(4)[labels]), members


def coverage(sets: ConformalSets, labels: IntArray, chances: FloatArray) -> FloatArray:
    inside = sets.holds(chances)[np.arange(len(labels)), labels]
    return np.array([inside[labels == k].mean() for k in range(4)])


@pytest.mark.parametrize("level", [0.05, 0.1])
def test_of_independent_scans_the_coverage_is_that_of_the_beta_distribution(level: float) -> None:
    """1,000 studies of 40 scans a class: the mean coverage of each class within 0.005 of rank /
    (n + 1), and 90 % (within 3 %) of single studies in the interval that is said.
    """
    generator = np.random.default_rng(4)
    labels, chances, _ = clustered(generator, 40_000, 1, 0.0)
    shares = []
    for _ in range(1000):
        truth, scores, members = clustered(generator, 160, 1, 0.0)
        sets = fit_sets(truth, scores, members, CLASSES, level)
        shares.append(coverage(sets, labels[:8000], chances[:8000]))
    worth = sets.worth[0]
    assert np.abs(np.mean(shares, axis=0) - worth.average).max() < 0.005
    assert worth.average >= 1 - level
    within = np.mean((np.array(shares) >= worth.low) & (np.array(shares) <= worth.high))
    assert abs(within - 0.9) < 0.03


def test_of_clustered_scans_it_lies_between_what_is_said_by_scan_and_by_patient() -> None:
    """1,000 studies of 12 patients with 3 scans a class, half of the noise shared: the mean
    coverage lies below the promise for independent scans and above the one by patient (0.005).
    """
    generator = np.random.default_rng(5)
    labels, chances, _ = clustered(generator, 8000, 1, 0.5)
    shares, promised = [], []
    for _ in range(1000):
        truth, scores, members = clustered(generator, 48, 3, 0.5)
        sets = fit_sets(truth, scores, members, CLASSES)
        shares.append(coverage(sets, labels, chances).mean())
        promised.append(np.mean([one.by_patient for one in sets.worth]))
    by_scan = sets.worth[0].average
    assert np.mean(promised) - 0.005 < np.mean(shares) < by_scan
    assert np.mean(promised) == pytest.approx(12 / 13, abs=0.01)


def test_a_table_is_fitted_by_its_calibrated_answers() -> None:
    labels, chances, patients = study(120, 6)
    names = np.array([str(one) for one in patients])
    table = PredictionTable(
        np.full(120, "val"), names, names, names, labels, np.log(chances).astype(np.float32)
    )
    np.testing.assert_allclose(
        fit_table(table).least, fit_sets(labels, chances, patients, CLASSES).least, rtol=1e-5
    )


def test_a_level_that_is_none_is_refused() -> None:
    labels, chances, patients = study(20, 7)
    with pytest.raises(MetricError, match="expected the level between 0 and 1, got 1"):
        fit_sets(labels, chances, patients, CLASSES, 1)
