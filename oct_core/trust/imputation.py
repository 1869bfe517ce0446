"""Noisy linear imputation: removed pixels are replaced by a blend of what is left around them.

Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods" (ROAD),
arXiv:2202.00449, section 4.2. A black or blurred patch tells a network where something was cut out;
a smooth continuation hardly does.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from oct_core.errors import ExplanationError

NOISE = 0.01
"""Standard deviation of the noise added to imputed pixels, in units of the [0, 1] gray value."""
_TOLERANCE = 1e-4
_MOST_STEPS = 500
# Direct neighbours weigh 1/6, diagonal ones 1/12, as in the paper.
_WEIGHTS = ((1 / 12, 1 / 6, 1 / 12), (1 / 6, 0.0, 1 / 6), (1 / 12, 1 / 6, 1 / 12))


def _neighbours(values: Tensor) -> Tensor:
    """The weighted sum over the eight neighbours, (N, 1, H, W); 0 outside the picture."""
    kernel = values.new_tensor(_WEIGHTS)[None, None]
    return functional.conv2d(values, kernel, padding=1)


def _first_guess(gray: Tensor, keep: Tensor) -> Tensor:
    """Removed pixels from ever coarser averages of the kept ones, so that the solver starts near
    its end.
    """
    if min(gray.shape[-2:]) <= 1:
        return gray / keep.clamp_min(1e-12)
    pooled = [
        functional.avg_pool2d(part, 2, ceil_mode=True, count_include_pad=False)
        for part in (gray, keep)
    ]
    coarse = functional.interpolate(
        _first_guess(*pooled), size=gray.shape[-2:], mode="bilinear", align_corners=False
    )
    return torch.where(keep > 0, gray / keep.clamp_min(1e-12), coarse)


def _dot(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum((1, 2, 3), keepdim=True)


def _solve(start: Tensor, known: Tensor, hole: Tensor) -> Tensor:
    """Conjugate gradients, all scans at once: every pixel of ``hole`` is the weighted mean of its
    neighbours in the picture.
    """
    diagonal = _neighbours(torch.ones_like(known))

    def residual_operator(values: Tensor) -> Tensor:
        return (diagonal * values - _neighbours(values)) * hole

    solution = start * hole
    residual = _neighbours(known) * hole - residual_operator(solution)
    direction, energy = residual, _dot(residual, residual)
    for _ in range(_MOST_STEPS):
        # Per pixel, the worst scan: the residual is in units of gray value.
        if float(residual.abs().amax()) < _TOLERANCE:
            break
        pushed = residual_operator(direction)
        length = energy / _dot(direction, pushed).clamp_min(1e-30)
        solution, residual = solution + length * direction, residual - length * pushed
        fresh = _dot(residual, residual)
        direction, energy = residual + fresh / energy.clamp_min(1e-30) * direction, fresh
    return solution


def impute(x: Tensor, keep: Tensor, noise: float = NOISE, seed: int = 0) -> Tensor:
    """Scans with the pixels that are not kept replaced by noisy linear imputation.

    x : (N, 1, H, W), gray. keep : bool (N, H, W). Returns (N, 1, H, W); kept pixels are untouched.
    A scan of which nothing is kept becomes 0 plus noise. Agrees with pytorch-grad-cam's
    NoisyLinearImputer(noise=0) within 0.01 of the gray range while at most 80% of the pixels are
    replaced. Raises ExplanationError for shapes that do not fit.
    """
    if x.dim() != 4 or keep.shape != x[:, 0].shape or keep.dtype != torch.bool:
        raise ExplanationError(
            "expected scans (N, 1, H, W) and a bool mask (N, H, W), got {scans} and {mask} "
            "{dtype}; convert them",
            scans=list(x.shape),
            mask=list(keep.shape),
            dtype=keep.dtype,
        )
    kept = keep[:, None].to(x.dtype)
    known = x * kept
    filled = _solve(_first_guess(known, kept), known, 1 - kept)
    generator = torch.Generator().manual_seed(seed)
    grain = torch.randn(x.shape[1:], generator=generator).to(x)
    return torch.where(keep[:, None], x, filled + noise * grain)
