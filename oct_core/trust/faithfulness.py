"""Does a map rank pixels as the network uses them? Perturbation scores of maps at the network's
size.

- Deletion: pixels are removed from the most to the least relevant; a good map makes the class
  probability fall early (small area). Insertion: the same pixels return into a filled scan; it
  rises early (large area). Petsiuk et al. 2018, RISE, arXiv:1806.07421.
- ROAD: the removed pixels are imputed from their surroundings, so that the cut itself says nothing.
  Rong et al. 2022, arXiv:2202.00449; the score is that of pytorch-grad-cam's ROADCombined.
- Average drop and increase: the scan seen through the map. Chattopadhay et al. 2018,
  arXiv:1710.11063, section 4.1.

Relevance is the magnitude |value|: the derivative methods are signed, and both signs matter to the
class. Pixels of equal relevance (Grad-CAM has many zeros) are ordered by a seeded shuffle: in
raster order, a map of zeros would be "top first". The caller holds the run's lock; the model is
left as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from oct_core.errors import ExplanationError
from oct_core.explanations.engine import check_inputs, check_model
from oct_core.models.precision import check_precision, multiplied_in
from oct_core.registry import Registry
from oct_core.trust.imputation import NOISE, impute
from oct_core.types import FloatArray
from oct_core.words import message

STEPS = 16
"""Equal steps of a deletion or insertion curve by default: each removes 1/16 of the pixels."""
ROAD_FRACTIONS = (0.2, 0.4, 0.6, 0.8)
"""Shares of the pixels that ROAD removes."""
BATCH = 16
_BLUR_SIGMA = 10 / 224

Fill = Callable[[Tensor], Tensor]
FILLS: Registry[Fill] = Registry(message("fill"))
"""What stands where a pixel was removed: scans (N, 1, S, S) -> the same shape."""


def mean_fill(x: Tensor) -> Tensor:
    """Each scan's own mean gray value everywhere."""
    return x.mean((1, 2, 3), keepdim=True).expand_as(x)


def blur_fill(x: Tensor) -> Tensor:
    """The scan blurred by a Gaussian of 10 pixels at 224 (in proportion at other sizes), edges
    reflected.

    Fong and Vedaldi 2017, arXiv:1704.03296, section 4.1. What is left is brightness by region, no
    layer and no lesion border.
    """
    sigma = max(_BLUR_SIGMA * x.shape[-1], 0.5)
    radius = min(math.ceil(3 * sigma), x.shape[-1] - 1)
    steps = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = functional.pad(x, (radius,) * 4, mode="reflect")
    return functional.conv2d(
        functional.conv2d(padded, kernel[None, None, None, :]), kernel[None, None, :, None]
    )


FILLS.add("mean", mean_fill)
FILLS.add("blur", blur_fill)


@dataclass(frozen=True, eq=False)
class Curves:
    """Probability of the class against the share of pixels removed or inserted.

    fractions : float64 (K + 1,), 0 to 1. deletion, insertion : float64 (N, K + 1), probabilities.
    """

    fractions: FloatArray
    deletion: FloatArray
    insertion: FloatArray

    @property
    def deletion_area(self) -> FloatArray:
        """Area under the deletion curve by the trapezoidal rule, (N,), 0 to 1; lower is better."""
        return np.asarray(np.trapezoid(self.deletion, self.fractions, axis=1), dtype=np.float64)

    @property
    def insertion_area(self) -> FloatArray:
        """Area under the insertion curve, trapezoidal rule, (N,), 0 to 1; higher is better."""
        return np.asarray(np.trapezoid(self.insertion, self.fractions, axis=1), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Road:
    """Probability after imputing the most (or least) relevant pixels: float64 (N, K) at fractions
    (K,).
    """

    fractions: FloatArray
    most: FloatArray
    least: FloatArray

    @property
    def score(self) -> FloatArray:
        """(least - most) / 2, averaged over the fractions: (N,), -0.5 to 0.5; 0 is a map that tells
        nothing.
        """
        return np.asarray((self.least - self.most).mean(axis=1) / 2, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Masked:
    """Probability of the whole scan and of the scan seen through its map, float64 (N,) each."""

    whole: FloatArray
    seen: FloatArray

    @property
    def drop(self) -> FloatArray:
        """The share of the probability that is lost, max(0, whole - seen) / whole: (N,), 0 to 1;
        lower is better.
        """
        return np.asarray(
            np.maximum(0.0, self.whole - self.seen) / np.maximum(self.whole, 1e-12),
            dtype=np.float64,
        )

    @property
    def increase(self) -> FloatArray:
        """1 where the map alone makes the class more probable, else 0: (N,); its mean is the
        average increase.
        """
        return np.asarray(self.seen > self.whole, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Trial:
    """Scans with one map each, and the network whose answer is followed.

    model : in evaluation mode. x : (N, 1, S, S), gray in [0, 1]. maps : (N, S, S). targets : int64
    (N,), the class whose probability is followed.
    temperature : of the softmax, the run card's. batch_size : scans a pass. seed : of the order
    among equal values, and of the imputation's noise. precision : of the model's passes, "float32",
    or "bfloat16" (autocast; areas within 0.02).

    Raises ExplanationError for shapes that do not fit, NaN, a model in training mode, another
    precision or a batch of less than 1.
    """

    model: nn.Module
    x: Tensor
    maps: Tensor
    targets: Tensor
    temperature: float = 1.0
    batch_size: int = BATCH
    seed: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        check_model(self.model)
        check_inputs(self.x)
        check_precision(self.precision)
        if self.maps.shape != self.x[:, 0].shape or self.targets.shape != self.x.shape[:1]:
            raise ExplanationError(
                "expected one map at the network's size and one target a scan, got scans {scans}, "
                "maps {maps}, targets {targets}; use at_network_size(values, side)",
                scans=list(self.x.shape),
                maps=list(self.maps.shape),
                targets=list(self.targets.shape),
            )
        if not bool(torch.isfinite(self.maps).all()):
            raise ExplanationError(
                "expected finite map values, got NaN or infinity; explain the scan again"
            )
        if self.batch_size < 1:
            raise ExplanationError(
                "expected a batch of at least 1, got {batch_size}; raise it",
                batch_size=self.batch_size,
            )

    def ranks(self) -> Tensor:
        """int64 (N, S, S): the place of each pixel by relevance, 0 for the most relevant."""
        return pixel_ranks(self.maps, self.seed).reshape(self.maps.shape)

    def probabilities(self, frames: Tensor, scans: Tensor) -> Tensor:
        """The followed probability of each frame, (M,); scans : int64 (M,), which scan a frame is
        made of.
        """
        # The model only: fills and imputation stay exact.
        with multiplied_in(self.precision, frames.device):
            logits = self.model(frames).float()
        if not bool(torch.isfinite(logits).all()):
            raise ExplanationError(
                "expected finite logits, got NaN or infinity; the weights are damaged: load or "
                "train the run again"
            )
        shares = torch.softmax(logits / self.temperature, 1)
        return shares.gather(1, self.targets[scans, None])[:, 0]

    def batches(self, jobs: Sequence[tuple[int, int, bool]]) -> Iterator[tuple[Tensor, ...]]:
        """The columns of the jobs on the device, batch by batch."""
        for start in range(0, len(jobs), self.batch_size):
            yield tuple(
                torch.tensor(column, device=self.x.device)
                for column in zip(*jobs[start : start + self.batch_size], strict=True)
            )


def _on_host(parts: Sequence[Tensor]) -> FloatArray:
    """float64 (M,), made there: not every device has it."""
    return torch.cat(list(parts)).cpu().double().numpy()


def at_network_size(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], side: int) -> Tensor:
    """Maps float32 (..., H, W) in a scan's pixels -> Tensor (..., side, side), antialiased."""
    flat = torch.from_numpy(np.ascontiguousarray(values)).reshape(-1, 1, *values.shape[-2:])
    sized = functional.interpolate(
        flat, size=(side, side), mode="bilinear", align_corners=False, antialias=True
    )
    return sized.reshape(*values.shape[:-2], side, side)


def pixel_ranks(maps: Tensor, seed: int = 0) -> Tensor:
    """(N, h, w) -> int64 (N, h * w): 0 for the pixel of largest magnitude, ties by a seeded
    shuffle.
    """
    magnitude = maps.flatten(1).abs().float()
    shuffle = torch.randperm(magnitude.shape[1], generator=torch.Generator().manual_seed(seed)).to(
        maps.device
    )
    order = shuffle[torch.argsort(magnitude[:, shuffle], dim=1, descending=True, stable=True)]
    places = torch.arange(order.shape[1], device=maps.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)


@torch.inference_mode()
def curves(trial: Trial, fill: str = "mean", steps: int = STEPS) -> Curves:
    """Deletion and insertion curves of N scans with one map each, from 2 * steps forward passes a
    scan.

    fill : a name in FILLS. steps : equal steps, at least 1. Raises ExplanationError for steps < 1
    and logits that are not finite, UnknownNameError for another fill.
    """
    if steps < 1:
        raise ExplanationError("expected at least 1 step, got {steps}; raise it", steps=steps)
    x, ranks, filled = trial.x, trial.ranks()[:, None], FILLS.get(fill)(trial.x)
    # A frame is (scan, how many pixels changed, whether they are removed). Both curves share their
    # ends.
    limits = [round(step / steps * trial.maps[0].numel()) for step in range(steps + 1)]
    jobs = [(scan, limit, True) for scan in range(len(x)) for limit in limits]
    jobs += [(scan, limit, False) for scan in range(len(x)) for limit in limits[1:-1]]
    parts = []
    for scan, limit, removing in trial.batches(jobs):
        changed = ranks[scan] < limit[:, None, None, None]
        frames = torch.where(changed == removing[:, None, None, None], filled[scan], x[scan])
        parts.append(trial.probabilities(frames, scan))
    values = _on_host(parts)
    deletion = values[: len(x) * (steps + 1)].reshape(len(x), steps + 1)
    inner = values[len(x) * (steps + 1) :].reshape(len(x), steps - 1)
    insertion = np.concatenate([deletion[:, -1:], inner, deletion[:, :1]], axis=1)
    return Curves(np.linspace(0, 1, steps + 1), deletion, insertion)


@torch.inference_mode()
def road(trial: Trial, fractions: Sequence[float] = ROAD_FRACTIONS, noise: float = NOISE) -> Road:
    """Remove and debias: impute the most and the least relevant pixels, 2 * len(fractions) forward
    passes a scan.

    fractions : shares removed, each between 0 and 1. noise : see imputation.NOISE. Raises
    ExplanationError for a fraction outside (0, 1) and logits that are not finite.
    """
    if not fractions or not all(0 < fraction < 1 for fraction in fractions):
        raise ExplanationError(
            "expected shares between 0 and 1, got {fractions}; {usual} is usual",
            fractions=list(fractions),
            usual=list(ROAD_FRACTIONS),
        )
    x, ranks = trial.x, trial.ranks()
    pixels = trial.maps[0].numel()
    jobs = [
        (scan, round(share * pixels), most)
        for most in (True, False)
        for scan in range(len(x))
        for share in fractions
    ]
    parts = []
    for scan, limit, most in trial.batches(jobs):
        limit, most = limit[:, None, None], most[:, None, None]
        keep = torch.where(most, ranks[scan] >= limit, ranks[scan] < pixels - limit)
        parts.append(trial.probabilities(impute(x[scan], keep, noise, trial.seed), scan))
    values = _on_host(parts).reshape(2, len(x), len(fractions))
    return Road(np.asarray(fractions, dtype=np.float64), values[0], values[1])


@torch.inference_mode()
def masked(trial: Trial) -> Masked:
    """The class probability of each scan, and of the scan times its map scaled to [0, 1] (a zero
    map shows black). Raises ExplanationError for logits that are not finite.
    """
    magnitude = trial.maps.abs()
    top = magnitude.amax((1, 2), keepdim=True)
    scaled = torch.where(
        top > 0,
        magnitude / torch.where(top > 0, top, torch.ones_like(top)),
        torch.zeros_like(magnitude),
    )
    whole, seen = [], []
    for scans in torch.split(torch.arange(len(trial.x), device=trial.x.device), trial.batch_size):
        x = trial.x[scans]
        whole.append(trial.probabilities(x, scans))
        seen.append(trial.probabilities(x * scaled[scans, None].to(x.dtype), scans))
    return Masked(_on_host(whole), _on_host(seen))
