"""Likeness of maps against literal twins, and a cascade that leaves the run alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from skimage.metrics import structural_similarity

from oct_core.errors import ExplanationError
from oct_core.models.catalog import ARCHITECTURES
from oct_core.models.networks import build_model
from oct_core.runs.weights import LoadedRun
from oct_core.scans.phantom import make_phantom
from oct_core.trust.sanity import (
    _measure_statistics,
    blocks,
    cascade,
    chance_correlation,
    compare,
    half_depth,
    layer_grid,
    randomise,
    rank_correlation,
    ssim,
    verdict,
    verdicts,
)
from oct_core.types import CLASSES


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
    one, two = (
        np.abs(values.astype(np.float64)) / np.abs(values).max() for values in (first, second)
    )
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


def test_ssim_equals_scikit_images() -> None:
    first, second = (np.abs(values) / np.abs(values).max() for values in maps(2, (40, 50)))
    expected = structural_similarity(
        first.astype(np.float64),
        second.astype(np.float64),
        gaussian_weights=True,
        use_sample_covariance=False,
        data_range=1,
    )
    assert ssim(first, second) == pytest.approx(expected, abs=1e-7)


def test_ssim_equals_a_literal_loop() -> None:
    first, second = maps(1)
    assert ssim(first, second) == pytest.approx(literal_ssim(first, second), abs=1e-9)
    assert ssim(first, first) == pytest.approx(1) and ssim(first, -3 * first) == pytest.approx(
        1, abs=1e-6
    )


def test_maps_without_variation_have_defined_answers() -> None:
    first, zero = maps()[0], np.zeros((20, 24), dtype=np.float32)
    assert rank_correlation(zero, zero) == 1 and rank_correlation(first, zero) == 0
    assert ssim(zero, zero) == 1 and np.isfinite(ssim(first, zero))
    with pytest.raises(ExplanationError, match="one shape"):
        ssim(first, first[:5])
    with pytest.raises(ExplanationError, match="finite"):
        rank_correlation(first * np.float32("nan"), first)


@pytest.mark.parametrize(
    ("half", "whole", "words"),
    [
        (0.1, 0.2, "Follows the weights:"),
        (0.1, 0.3, "in part"),
        (0.86, 0.26, "Fails"),
        (-0.6, 0.1, "Follows the weights:"),
    ],
)
def test_the_verdict_in_words(half: float, whole: float, words: str) -> None:
    said = verdict(half, whole)
    assert (
        words in said
        and f"{half:.2f} with the upper half" in said
        and f"{whole:.2f} with all" in said
    )


def test_chance_is_as_wide_as_it_is_said_to_be() -> None:
    random = np.random.default_rng(0)
    pairs = [rank_correlation(*random.random((2, 4, 4)).astype(np.float32)) for _ in range(3000)]
    assert np.mean(np.abs(pairs) > chance_correlation(16)) == pytest.approx(0.05, abs=0.02)
    assert chance_correlation(2) == 1


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_block_after_block_gets_fresh_weights_and_no_other(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, 4, (0.2,) * 3, (0.2,) * 3)
    parts, generator = blocks(model, name), torch.Generator().manual_seed(1)
    assert [part for part, _ in parts] == ["head", *reversed(ARCHITECTURES.get(name).layers)]
    for norm in (module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 0.9)
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    untouched = set(names.values())
    for part, modules in parts:
        before = {key: parameter.clone() for key, parameter in model.named_parameters()}
        randomise(modules, generator)
        weights = {names[id(module.weight)] for module in modules}
        changed = {
            key
            for key, parameter in model.named_parameters()
            if not torch.equal(before[key], parameter)
        }
        assert weights <= changed, f"{part}: a weight stayed"
        assert changed <= {
            names[id(parameter)] for module in modules for parameter in module.parameters()
        }, f"{part}: another block changed"
        untouched -= {
            names[id(parameter)] for module in modules for parameter in module.parameters()
        }
    assert not untouched, "every parameter is random in the end"


def test_fresh_batch_norms_take_the_statistics_of_these_scans() -> None:
    torch.manual_seed(0)
    model = build_model("resnet50", 4, (0.2,) * 3, (0.2,) * 3).eval()
    norm = model.backbone.bn1
    x, seen = torch.rand(3, 1, 64, 64), []
    handle = norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    _measure_statistics(model, [norm], x)
    handle.remove()
    torch.testing.assert_close(norm.running_mean, seen[0].mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        norm.running_var, seen[0].transpose(0, 1).flatten(1).var(1), atol=1e-4, rtol=1e-3
    )
    assert not any(module.training for module in model.modules())


def test_the_cascade_randomises_block_after_block_and_leaves_the_run(
    demo_run: Callable[[str], LoadedRun],
) -> None:
    run = demo_run("resnet50")
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    seen: list[tuple[int, int]] = []
    scans = [make_phantom(label, 5, 64, 64).scan for label in CLASSES]
    layer = run.architecture.last_layer
    stages = cascade(
        run,
        scans,
        ("gradcam",),
        (layer,),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [stage.depth for stage in stages] == list(range(len(run.architecture.layers) + 2))
    assert (stages[0].name, stages[1].name) == ("trained", "head") and seen[-1] == (
        len(stages),
        len(stages),
    )
    assert all((before[name] == value).all() for name, value in run.model.state_dict().items())
    again = cascade(run, scans, ("gradcam",), (layer,))
    np.testing.assert_array_equal(again[-1].maps[0][0].values, stages[-1].maps[0][0].values)
    found = compare(stages)
    assert len(found) == len(stages) - 1
    drawn = [np.stack([maps[0].values for maps in stage.maps]) for stage in stages]
    seen_maps = [maps.tobytes() for maps in drawn if maps.any()]  # of random weights some are zero
    assert len(set(seen_maps)) == len(seen_maps) >= 4, "each stage has other maps"
    half, whole = (
        [
            rank_correlation(first[0].values, other[0].values)
            for first, other in zip(stages[0].maps, stages[depth].maps, strict=True)
        ]
        for depth in (half_depth(6), 6)
    )
    np.testing.assert_array_equal(found[-1].rank_correlation, whole)
    assert verdicts(found) == {
        ("gradcam", layer): verdict(float(np.nanmean(half)), float(np.nanmean(whole)))
    }
    assert layer_grid(run, layer, scans[0]) == (2, 2)


def test_what_cannot_be_compared_is_refused(demo_run: Callable[[str], LoadedRun]) -> None:
    with pytest.raises(ExplanationError, match="at least one scan"):
        cascade(demo_run("resnet50"), [])
    with pytest.raises(ExplanationError, match="the trained one first"):
        compare([])
