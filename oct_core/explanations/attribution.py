"""Integrated gradients and occlusion: maps of the input that need no layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oct_core.explanations.methods import Method, Request

STEPS = 32
CHUNK = 8
WINDOWS_PER_SIDE = 7


def _target_logits(model: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    logits: Tensor = model(x)
    return logits.gather(1, targets[:, None])[:, 0]


def integrated_gradients(
    model: nn.Module, x: Tensor, targets: Tensor, steps: int = STEPS
) -> Tensor:
    """x * mean over alpha of d logit / d x at alpha x, from black: (N, 1, S, S) -> (N, S, S),
    signed, in logits.

    Sundararajan et al. 2017, arXiv:1703.01365, equation 3 with the midpoint rule: the sum over a
    map nears logit(x) - logit(black). Agrees with Captum's
    IntegratedGradients(method="riemann_middle").
    """
    alphas = (torch.arange(steps, device=x.device, dtype=x.dtype) + 0.5) / steps
    total = torch.zeros_like(x)
    with torch.inference_mode(False), torch.enable_grad():
        for scan in range(len(x)):
            for part in torch.split(alphas, CHUNK):
                path = (part[:, None, None, None] * x[scan]).requires_grad_(True)
                score = _target_logits(model, path, targets[scan].expand(len(part))).sum()
                total[scan] += torch.autograd.grad(score, path)[0].sum(0)
    return (x * total / steps)[:, 0]


def _starts(size: int, window: int, stride: int) -> list[int]:
    """Where windows begin so that they reach both ends."""
    starts = list(range(0, size - window + 1, stride))
    return starts if starts[-1] == size - window else [*starts, size - window]


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
    size = x.shape[-1]
    window = window or max(size // WINDOWS_PER_SIDE, 1)
    stride = stride or max(window // 2, 1)
    places = [
        (top, left)
        for top in _starts(size, window, stride)
        for left in _starts(size, window, stride)
    ]
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
    return {"input": integrated_gradients(request.model, request.shared.x, request.shared.targets)}


def _occlusion(request: Request) -> dict[str, Tensor]:
    return {"input": occlusion(request.model, request.shared.x, request.shared.targets)}


FAMILY = (
    Method(
        "integrated_gradients",
        "Integrated gradients",
        "input",
        True,
        "Sundararajan et al. 2017, arXiv:1703.01365",
        _integrated_gradients,
        slow=True,
    ),
    Method(
        "occlusion",
        "Occlusion",
        "input",
        True,
        "Zeiler and Fergus 2014, arXiv:1311.2901",
        _occlusion,
        slow=True,
    ),
)
