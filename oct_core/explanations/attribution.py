"""Integrated gradients and occlusion: maps of the input that need no layer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from oct_core.explanations.methods import Method, Request
from oct_core.explanations.pieces import piece_size
from oct_core.words import message

STEPS = 32
CHUNK = 8
PASSES_PER_STEP = 3
"""A step of integrated gradients takes about as long as three forward passes."""
WINDOWS_PER_SIDE = 7


def _target_logits(model: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    logits: Tensor = model(x)
    return logits.gather(1, targets[:, None])[:, 0]


def integrated_gradients(
    model: nn.Module,
    x: Tensor,
    targets: Tensor,
    steps: int = STEPS,
    pause: Callable[[int], None] = lambda passes: None,
) -> Tensor:
    """x * mean over alpha of d logit / d x at alpha x, from black: (N, 1, S, S) -> (N, S, S),
    signed, in logits.

    Sundararajan et al. 2017, arXiv:1703.01365, equation 3 with the midpoint rule: the sum over a
    map nears logit(x) - logit(black). Agrees with Captum's
    IntegratedGradients(method="riemann_middle"). pause : called after each piece with its forward
    passes.
    """
    alphas = (torch.arange(steps, device=x.device, dtype=x.dtype) + 0.5) / steps
    total = torch.zeros_like(x)
    with torch.inference_mode(False), torch.enable_grad():
        for scan in range(len(x)):
            for part in torch.split(alphas, min(CHUNK, piece_size(x.device))):
                path = (part[:, None, None, None] * x[scan]).requires_grad_(True)
                score = _target_logits(model, path, targets[scan].expand(len(part))).sum()
                total[scan] += torch.autograd.grad(score, path)[0].sum(0)
                pause(PASSES_PER_STEP * len(part))
    return (x * total / steps)[:, 0]


def _starts(size: int, window: int, stride: int) -> list[int]:
    """Where windows begin so that they reach both ends."""
    starts = list(range(0, size - window + 1, stride))
    return starts if starts[-1] == size - window else [*starts, size - window]


def _window(size: int) -> int:
    return max(size // WINDOWS_PER_SIDE, 1)


def _stride(window: int) -> int:
    return max(window // 2, 1)


def _places(size: int, window: int, stride: int) -> list[tuple[int, int]]:
    starts = _starts(size, window, stride)
    return [(top, left) for top in starts for left in starts]


def occlusion(
    model: nn.Module,
    x: Tensor,
    targets: Tensor,
    window: int | None = None,
    stride: int | None = None,
) -> Tensor:
    """How far the logit falls when a square is covered, averaged over the squares that cover a
    pixel: (N, S, S), signed.

    Zeiler and Fergus 2014, arXiv:1311.2901. The cover is the scan's mean gray; windows are S / 7
    wide, at half steps.
    """
    window = window or _window(x.shape[-1])
    places = _places(x.shape[-1], window, stride or _stride(window))
    total, covers = torch.zeros_like(x[:, 0]), torch.zeros_like(x[0, 0])
    with torch.no_grad():
        whole = _target_logits(model, x, targets)
        for top, left in places:
            covers[top : top + window, left : left + window] += 1
        for scan in range(len(x)):
            for start in range(0, len(places), CHUNK):
                part = places[start : start + CHUNK]
                covered = x[scan].repeat(len(part), 1, 1, 1)
                for row, (top, left) in enumerate(part):
                    covered[row, :, top : top + window, left : left + window] = x[scan].mean()
                drops = whole[scan] - _target_logits(
                    model, covered, targets[scan].expand(len(part))
                )
                for drop, (top, left) in zip(drops, part, strict=True):
                    total[scan, top : top + window, left : left + window] += drop
    return total / covers


def _integrated_gradients(request: Request) -> dict[str, Tensor]:
    shared = request.shared
    return {
        "input": integrated_gradients(request.model, shared.x, shared.targets, pause=request.pause)
    }


def _occlusion(request: Request) -> dict[str, Tensor]:
    return {"input": occlusion(request.in_pieces(), request.shared.x, request.shared.targets)}


def _occlusion_runs(_channels: int, side: int) -> int:
    window = _window(side)
    return 1 + len(_places(side, window, _stride(window)))


FAMILY = (
    Method(
        "integrated_gradients",
        message("Integrated gradients"),
        "input",
        True,
        "Sundararajan et al. 2017, arXiv:1703.01365",
        _integrated_gradients,
        runs=lambda channels, side: PASSES_PER_STEP * STEPS,
    ),
    Method(
        "occlusion",
        message("Occlusion"),
        "input",
        True,
        "Zeiler and Fergus 2014, arXiv:1311.2901",
        _occlusion,
        runs=_occlusion_runs,
    ),
)
