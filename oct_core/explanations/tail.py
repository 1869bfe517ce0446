"""A copy of a model for methods that change it, without what runs before a layer where that can be
left out.
"""

from __future__ import annotations

import copy
from itertools import chain

import torch
from torch import Tensor, nn


class _Fixed(nn.Module):
    """Gives the same output whatever comes in."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: Tensor) -> Tensor:
        return self.output


def shared_copy(model: nn.Module) -> nn.Module:
    """Modules of its own, the same parameters and buffers: takes no memory, and may be changed
    freely.
    """
    return copy.deepcopy(
        model, {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    )


def _path_of(model: nn.Module, layer: nn.Module) -> str:
    path: str = next(path for path, module in model.named_modules() if module is layer)
    return path


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, child = path.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _finished_before(model: nn.Module, path: str, x: Tensor) -> list[str]:
    """Paths of the modules that ran and ended before the layer began, in a pass over x."""
    finished: list[str] = []
    reached: list[str] = []

    def ended(name: str) -> None:
        if not reached:
            finished.append(name)

    handles = [model.get_submodule(path).register_forward_pre_hook(lambda *_: reached.append(path))]
    try:
        for name, module in model.named_modules():
            handles.append(module.register_forward_hook(lambda *_, name=name: ended(name)))
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return finished


def tail_of(
    model: nn.Module, layer: nn.Module, x: Tensor, activations: Tensor
) -> tuple[nn.Module, nn.Module]:
    """A copy of the model, and in it the layer or what stands in for it; modules that end before
    the layer are left out if nothing after needs them.

    Whether something does (a skip connection) is not guessed: the shortened copy is run with the
    layer's known output and taken only if its logits are the model's. At the last layer this saves
    nearly all of every forward pass.

    Parameters
    ----------
    x : (N, 1, S, S), what ``activations`` (N, C, h, w), the layer's output, came from.
    """
    path = _path_of(model, layer)
    whole, short = shared_copy(model), shared_copy(model)
    with torch.no_grad():
        expected = whole(x)
        for name in _finished_before(whole, path, x):
            _replace(short, name, nn.Identity())
        _replace(short, path, _Fixed(activations))
        try:
            same = torch.allclose(short(x), expected, rtol=1e-4, atol=1e-5)
        except RuntimeError:  # shapes no longer meet: something that was left out is needed
            same = False
    chosen = short if same else whole
    return chosen, chosen.get_submodule(path)
