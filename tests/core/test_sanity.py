"""Likeness of maps against literal twins, and a cascade that leaves the run alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from oct_core.checkpoints import LoadedRun
from oct_core.errors import ExplanationError
from oct_core.explanations.sanity import cascade, compare, rank_correlation, ssim, verdict, verdicts
from oct_core.phantom import make_phantom


def maps(seed: int = 0, shape: tuple[int, int] = (20, 24)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    first = random.normal(size=shape).astype(np.float32)
    return first, (0.6 * first + random.normal(size=shape)).astype(np.float32)


def test_rank_correlation_equals_scipys_spearman_of_magnitudes() -> None:
    first, second = maps()
    first[:5] = 0  # ties
    expected = stats.spearmanr(np.abs(first).ravel(), np.abs(second).ravel()).statistic
    assert rank_correlation(first, second) == pytest.approx(expected, abs=1e-12)


def literal_ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Wang et al. 2004, window by window."""
    one, two = (np.abs(values.astype(np.float64)) / np.abs(values).max() for values in (first, second))
    offsets = np.arange(-5, 6)
    window = np.exp(-0.5 * (offsets[:, None] ** 2 + offsets[None, :] ** 2) / 1.5**2)
    window /= window.sum()
    scores = []
    for row in range(5, one.shape[0] - 5):
        for column in range(5, one.shape[1] - 5):
            a, b = (values[row - 5 : row + 6, column - 5 : column + 6] for values in (one, two))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            cov = (window * (a - mean_a) * (b - mean_b)).sum()
            like = (2 * mean_a * mean_b + 1e-4) * (2 * cov + 9e-4)
            scores.append(like / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)))
    return float(np.mean(scores))


def test_ssim_equals_a_literal_loop() -> None:
    first, second = maps(1)
    assert ssim(first, second) == pytest.approx(literal_ssim(first, second), abs=1e-9)
    assert ssim(first, first) == pytest.approx(1) and ssim(first, -3 * first) == pytest.approx(1, abs=1e-6)


def test_maps_without_variation_have_defined_answers() -> None:
    first, zero = maps()[0], np.zeros((20, 24), dtype=np.float32)
    assert rank_correlation(zero, zero) == 1 and rank_correlation(first, zero) == 0
    assert ssim(zero, zero) == 1 and np.isfinite(ssim(first, zero))
    with pytest.raises(ExplanationError, match="one shape"):
        ssim(first, first[:5])
    with pytest.raises(ExplanationError, match="finite"):
        rank_correlation(first * np.float32("nan"), first)


@pytest.mark.parametrize(("left", "words"), [(0.1, "Follows the weights:"), (-0.3, "in part"), (0.8, "Fails")])
def test_the_verdict_in_words(left: float, words: str) -> None:
    assert words in verdict(left) and f"{left:.2f}" in verdict(left)


def test_the_cascade_randomises_block_after_block_and_leaves_the_run(demo_run: Callable[[str], LoadedRun]) -> None:
    run = demo_run("resnet50")
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    seen: list[tuple[int, int]] = []
    scans = [make_phantom("DME", 5, 64, 64).scan]
    layer = run.architecture.last_layer
    stages = cascade(run, "resnet50", scans, ("gradcam",), (layer,), progress=lambda done, total: seen.append((done, total)))
    assert [stage.depth for stage in stages] == list(range(len(run.architecture.layers) + 2))
    assert (stages[0].name, stages[1].name) == ("trained", "head") and seen[-1] == (len(stages), len(stages))
    assert all((before[name] == value).all() for name, value in run.model.state_dict().items())
    again = cascade(run, "resnet50", scans, ("gradcam",), (layer,))
    np.testing.assert_array_equal(again[-1].maps[0][0].values, stages[-1].maps[0][0].values)
    found = compare(stages)
    assert len(found) == len(stages) - 1
    expected = rank_correlation(stages[0].maps[0][0].values, stages[-1].maps[0][0].values)
    assert found[-1].rank_correlation[0] == expected and verdicts(found) == {("gradcam", layer): verdict(expected)}


def test_what_cannot_be_compared_is_refused(demo_run: Callable[[str], LoadedRun]) -> None:
    with pytest.raises(ExplanationError, match="at least one scan"):
        cascade(demo_run("resnet50"), "resnet50", [])
    with pytest.raises(ExplanationError, match="the trained one first"):
        compare([])
