"""The share of some scans among others, with its interval by patient."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm, t

from oct_core.errors import MetricError
from oct_core.metrics import bootstrap_metrics
from oct_core.metrics.classification import accuracy
from oct_core.metrics.intervals import patient_weights, share_interval


def test_a_share_and_its_interval_are_those_of_resampling_for_real() -> None:
    generator = np.random.default_rng(1)
    patients = np.repeat(np.arange(30), 4)
    among, hits = generator.random(120) < 0.6, generator.random(120) < 0.3
    found = share_interval(hits, among, patients, resamples=150, seed=5)
    shares = []
    for weights in np.concatenate(list(patient_weights(patients, 150, seed=5))):
        drawn = np.repeat(np.arange(120), weights.astype(int))
        inside = [row for row in drawn if among[row]]
        shares.append(sum(bool(hits[row]) for row in inside) / len(inside))
    assert found.value == pytest.approx((hits & among).sum() / among.sum())
    sizes = [int(among[patients == patient].sum()) for patient in range(30)]
    crowd = sum(sizes) ** 2 / sum(size**2 for size in sizes)
    student = t.ppf(0.975, crowd - 1) / norm.ppf(0.975)
    variance = np.var(shares) * crowd / (crowd - 1) * student**2
    trials = min(found.value * (1 - found.value) / variance, among.sum())
    for end in (found.low, found.high):  # Wilson's ends: 1.96 of their own standard errors away
        assert abs(end - found.value) == pytest.approx(
            norm.ppf(0.975) * math.sqrt(end * (1 - end) / trials)
        )


def test_the_share_of_right_answers_is_the_accuracy() -> None:
    generator = np.random.default_rng(2)
    labels, patients = generator.integers(0, 4, 80), np.arange(80) // 2
    scores = generator.dirichlet(np.ones(4), 80)
    [metric] = bootstrap_metrics([accuracy], labels, scores, patients, 300)["accuracy"]
    share = share_interval(
        scores.argmax(1) == labels, np.ones(80, dtype=bool), patients, resamples=300
    )
    np.testing.assert_allclose(list(vars(share).values()), list(vars(metric).values()), rtol=1e-12)


def test_none_and_all_have_the_exact_interval_by_patient() -> None:
    patients, everyone = np.repeat(np.arange(20), 3), np.ones(60, dtype=bool)
    for hits in (~everyone, everyone):
        found = share_interval(hits, everyone, patients)
        exact = binomtest(20 * int(hits.all()), 20).proportion_ci(method="exact")
        assert (found.low, found.high) == (pytest.approx(exact.low), pytest.approx(exact.high))


def test_a_share_of_nothing_is_not_defined_and_one_patient_gives_no_interval() -> None:
    nobody = np.zeros(4, dtype=bool)
    assert math.isnan(share_interval(nobody, nobody, np.arange(4)).value)
    one = share_interval([True, False], [True, True], ["a", "a"])
    assert one.value == 0.5 and math.isnan(one.low) and math.isnan(one.high)
    with pytest.raises(MetricError, match="one patient a scan"):
        share_interval([True], [True], ["a", "b"])
