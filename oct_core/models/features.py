"""What a gate reads of a network: averages of its deepest named layers, taken while it answers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

DEPTH = 2
"""So many of the named layers, from the deepest on, are averaged."""


def answer_with_features(
    model: nn.Module, layers: Mapping[str, nn.Module], gray: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits float32 (N, classes) and features float32 (N, D) of gray scans (N, 1, S, S) in [0, 1],
    from one pass, on its device: a GPU goes on while the caller asks the next.

    layers : name -> module, shallow to deep. The features are the spatial averages of the outputs
    (N, channels, h, w) of the ``DEPTH`` deepest, side by side. The model's own output stays as it
    is; the caller holds the model's lock.
    """
    averages: dict[str, Tensor] = {}
    thread = threading.get_ident()

    def hook(layer: str) -> Any:
        def average(module: nn.Module, inputs: Any, output: Tensor) -> None:
            # A pass of another thread on the same model is not ours to look at.
            if threading.get_ident() == thread:
                averages[layer] = output.detach().float().mean((2, 3))

        return average

    deepest = list(layers)[-DEPTH:]
    handles = [layers[name].register_forward_hook(hook(name)) for name in deepest]
    try:
        logits = model(gray)
    finally:
        for handle in handles:
            handle.remove()
    return logits.float(), torch.cat([averages[name] for name in deepest], 1)
