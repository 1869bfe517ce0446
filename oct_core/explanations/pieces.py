"""A model whose batches run in pieces, so that quick work of others gets in between."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oct_core.runs.turns import ModelLock, pause

PIECE_ON_CPU, PIECE = 2, 16
"""Scans a piece. A pass of VGG16 at 224 px takes a third of a second on two cores, and whoever
waits for an answer waits for one piece."""


def piece_size(device: torch.device) -> int:
    """Scans that slow work passes at once before it gives way."""
    return PIECE_ON_CPU if device.type == "cpu" else PIECE


class InPieces(nn.Module):
    """The model, with a pause after every piece of a batch. The caller holds ``lock.slow()``.

    Holds no parameters of its own; the model is not changed. split : False for a model whose
    batches must stay whole: it pauses after each.
    """

    def __init__(self, model: nn.Module, lock: ModelLock, split: bool = True) -> None:
        super().__init__()
        self.model, self.lock, self.split = model, lock, split
        self.training = model.training

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, S, S) -> logits (N, classes)."""
        parts = []
        for part in torch.split(x, piece_size(x.device) if self.split else len(x)):
            parts.append(self.model(part))
            pause(self.lock, len(part))
        return torch.cat(parts)
