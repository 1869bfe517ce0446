"""Perturbation scores against slow, literal twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer, neighbors_weights
from random_runs import random_run
from scipy.sparse.linalg import spsolve
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from oct_core.errors import ExplanationError
from oct_core.explanations import METHODS, explain
from oct_core.runs.weights import LoadedRun
from oct_core.scans.phantom import make_phantom
from oct_core.trust.faithfulness import (
    Trial,
    at_network_size,
    blur_fill,
    curves,
    masked,
    mean_fill,
    pixel_ranks,
    road,
)
from oct_core.trust.imputation import impute
from oct_core.trust.measure import ScoreOptions, faithfulness_scores

SIDE = 8


class Weighted(nn.Module):
    """Two logits: a weighted sum of the pixels, and zero; what each pixel is worth is known."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(
            torch.linspace(-1, 2, SIDE * SIDE).reshape(SIDE, SIDE), requires_grad=False
        )

    def forward(self, x: Tensor) -> Tensor:
        worth = (x[:, 0] * self.weights).sum((1, 2)) / 4
        return torch.stack([worth, torch.zeros_like(worth)], 1)


MODEL = Weighted().eval()
X = torch.rand(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
MAPS = torch.randn(2, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
TARGETS = torch.tensor([0, 1])


def probability(frame: np.ndarray, target: int, temperature: float) -> float:
    logits = MODEL(torch.from_numpy(frame).float()[None, None])[0].double().numpy() / temperature
    return float(np.exp(logits[target]) / np.exp(logits).sum())


@pytest.mark.parametrize("fill", ["mean", "blur"])
def test_deletion_and_insertion_equal_a_literal_loop(fill: str) -> None:
    steps, temperature = 5, 1.7
    found = curves(Trial(MODEL, X, MAPS, TARGETS, temperature, batch_size=3), fill, steps)
    filled = {"mean": mean_fill, "blur": blur_fill}[fill](X)
    for scan in range(2):
        order = np.argsort(-np.abs(MAPS[scan].numpy().ravel()))
        deleted, inserted = [], []
        for step in range(steps + 1):
            chosen = order[: round(step / steps * SIDE * SIDE)]
            whole, empty = (one[scan, 0].numpy().ravel().copy() for one in (X, filled))
            kept = whole.copy()
            kept[chosen], empty[chosen] = empty[chosen], whole[chosen]
            deleted.append(probability(kept.reshape(SIDE, SIDE), int(TARGETS[scan]), temperature))
            inserted.append(probability(empty.reshape(SIDE, SIDE), int(TARGETS[scan]), temperature))
        np.testing.assert_allclose(found.deletion[scan], deleted, atol=1e-6)
        np.testing.assert_allclose(found.insertion[scan], inserted, atol=1e-6)
        assert found.deletion_area[scan] == pytest.approx(
            np.trapezoid(deleted, np.linspace(0, 1, steps + 1)), abs=1e-6
        )
        assert found.insertion_area[scan] == pytest.approx(
            np.trapezoid(inserted, np.linspace(0, 1, steps + 1)), abs=1e-6
        )


def test_the_true_ranking_beats_its_reverse_and_noise() -> None:
    worth = (MODEL.weights.clamp_min(0) * X[0, 0])[None]
    maps = torch.cat(
        [
            worth,
            worth.amax() - worth,
            torch.rand(1, SIDE, SIDE, generator=torch.Generator().manual_seed(2)),
        ]
    )
    many, targets = X[:1].expand(3, -1, -1, -1), torch.zeros(3, dtype=torch.int64)
    found = curves(Trial(MODEL, many, maps, targets), steps=8)
    assert found.deletion_area.argmin() == 0 and found.deletion_area.argmax() == 1
    assert found.insertion_area.argmax() == 0 and found.insertion_area.argmin() == 1
    scores = road(Trial(MODEL, many, maps, targets), noise=0.0).score
    assert scores.argmax() == 0 and scores.argmin() == 1 and scores[0] > 0 > scores[1]


def test_road_equals_imputing_by_hand() -> None:
    found = road(Trial(MODEL, X, MAPS, TARGETS, 2.0), fractions=(0.25, 0.5))
    for scan in range(2):
        order = np.argsort(-np.abs(MAPS[scan].numpy().ravel()))
        for place, share in enumerate((0.25, 0.5)):
            for values, gone in (
                (found.most, order[: int(share * 64)]),
                (found.least, order[64 - int(share * 64) :]),
            ):
                keep = np.ones(64, dtype=bool)
                keep[gone] = False
                frame = impute(X[scan : scan + 1], torch.from_numpy(keep.reshape(1, SIDE, SIDE)))[
                    0, 0
                ].numpy()
                assert values[scan, place] == pytest.approx(
                    probability(frame, int(TARGETS[scan]), 2.0), abs=1e-3
                )
    np.testing.assert_allclose(found.score, ((found.least - found.most) / 2).mean(1))


def test_imputation_continues_what_is_smooth_and_leaves_the_rest() -> None:
    ramp = torch.linspace(0, 1, 16).expand(1, 1, 16, 16).clone()
    keep = torch.ones(1, 16, 16, dtype=torch.bool)
    keep[:, 5:11, 5:11] = False
    filled = impute(ramp, keep, noise=0.0)
    assert (
        torch.equal(filled[0, 0][keep[0]], ramp[0, 0][keep[0]])
        and (filled - ramp).abs().max() < 0.01
    )


def test_drop_and_increase_equal_a_literal_loop() -> None:
    found = masked(Trial(MODEL, X, MAPS, TARGETS, 1.3))
    for scan in range(2):
        size = np.abs(MAPS[scan].numpy())
        whole = probability(X[scan, 0].numpy(), int(TARGETS[scan]), 1.3)
        seen = probability(X[scan, 0].numpy() * size / size.max(), int(TARGETS[scan]), 1.3)
        assert found.drop[scan] == pytest.approx(max(0.0, whole - seen) / whole, abs=1e-6)
        assert found.increase[scan] == float(seen > whole)


def test_a_zero_map_and_a_constant_scan_have_defined_answers() -> None:
    zero = torch.zeros_like(MAPS)
    assert np.isfinite(road(Trial(MODEL, X, zero, TARGETS)).score).all()
    assert np.isfinite(masked(Trial(MODEL, X, zero, TARGETS)).drop).all()
    flat = torch.full_like(X, 0.5)
    found = curves(Trial(MODEL, flat, MAPS, TARGETS), steps=4)
    np.testing.assert_allclose(found.deletion_area, found.deletion[:, 0], atol=1e-6)


def test_equal_values_are_not_ranked_in_raster_order() -> None:
    ranks = pixel_ranks(torch.zeros(1, 16, 16))[0]
    assert (
        sorted(ranks.tolist()) == list(range(256))
        and abs(np.corrcoef(ranks.numpy(), np.arange(256))[0, 1]) < 0.3
    )


def test_a_map_is_averaged_down_to_the_networks_size() -> None:
    assert at_network_size(np.ones((20, 30), dtype=np.float32), 8).shape == (8, 8)
    np.testing.assert_allclose(
        at_network_size(np.ones((20, 30), dtype=np.float32), 8), 1, atol=1e-6
    )


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ExplanationError, match="one map at the network's size"):
        Trial(MODEL, X, MAPS[:1], TARGETS)
    with pytest.raises(ExplanationError, match="at least 1 step"):
        curves(Trial(MODEL, X, MAPS, TARGETS), steps=0)
    with pytest.raises(ExplanationError, match="shares between 0 and 1"):
        road(Trial(MODEL, X, MAPS, TARGETS), fractions=(1.0,))
    with pytest.raises(ExplanationError, match="finite map values"):
        Trial(MODEL, X, MAPS * float("nan"), TARGETS)


def test_bfloat16_scores_are_near_those_of_float32(demo_run: Callable[[str], LoadedRun]) -> None:
    run, scan = demo_run("resnet50"), make_phantom("DME", 4, 96, 128).scan
    maps = [
        explanation.values
        for explanation in explain(scan, run, None, ["gradcam", "guided_backprop"], ["layer4"])[0]
    ]
    assert len(maps) == 2  # a pass in bfloat16 takes 20 times as long on most CPUs
    exact, quick = (
        faithfulness_scores(
            run,
            scan,
            maps,
            "DME",
            ScoreOptions(steps=2, extended=True, precision=precision),
        )
        for precision in ("float32", "bfloat16")
    )
    assert exact != quick  # else nothing ran in bfloat16
    areas = [name for name in exact[0] if name != "average_increase"]  # a count, which may tip over
    for first, second in zip(exact, quick, strict=True):
        np.testing.assert_allclose(
            [first[name] for name in areas], [second[name] for name in areas], atol=0.02
        )
    with pytest.raises(ExplanationError, match="precision of float32 or bfloat16"):
        faithfulness_scores(run, scan, maps, "DME", ScoreOptions(precision="float16"))


class NoFloat64OnTheDevice(TorchFunctionMode):
    """Every tensor is on a device without float64, as Apple's is, until ``cpu()`` brings it to the
    host.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [each for each in args if isinstance(each, Tensor)]
        result = func(*args, **(kwargs or {}))
        if func is Tensor.cpu:
            result = result.view(result.shape)  # not the tensor that stays on the device
            result.on_host = True
        elif isinstance(result, Tensor) and result.dtype == torch.float64:
            known = any(each.dtype == torch.float64 for each in tensors)
            if not known and not any(getattr(each, "on_host", False) for each in tensors):
                raise TypeError(f"{func.__name__}: this device has no float64")
        return result


def test_no_score_or_map_needs_float64_on_the_device() -> None:
    run, scan = random_run("resnet50"), make_phantom("DME", 4, 96, 128).scan
    quick = (name for name in METHODS if not METHODS.get(name).slow)
    names = [name for name in quick if not METHODS.get(name).needs]
    layers = [run.architecture.last_layer]
    with NoFloat64OnTheDevice():
        with pytest.raises(TypeError, match="no float64"):
            torch.ones(2).double()
        maps = [each.values for each in explain(scan, run, "DME", names, layers)[0]]
        (scores, *_) = faithfulness_scores(
            run, scan, maps[:1], "DME", ScoreOptions(steps=2, extended=True)
        )
    assert len(maps) == len(names) and {"road", "average_drop", "deletion_mean"} <= scores.keys()


def test_imputation_agrees_with_pytorch_grad_cams() -> None:
    gray = make_phantom("CNV", 6, 96, 96).pixels[::2, ::2] / np.float32(255)
    keep = pixel_ranks(torch.from_numpy(gray)[None]).reshape(48, 48) >= round(0.6 * 48 * 48)
    system, right = NoisyLinearImputer.setup_sparse_system(
        keep.numpy().astype(int), gray[None], neighbors_weights
    )
    theirs = gray.copy()
    theirs[~keep.numpy()] = spsolve(system.tocsr(), right[:, 0])
    ours = impute(torch.from_numpy(gray)[None, None], keep[None], noise=0)[0, 0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=0.01)
