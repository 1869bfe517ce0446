"""Every ReLU of a forward pass, however it is called, with a backward pass that can be switched to
guided.

The switch is read when a gradient arrives, so ONE forward graph serves a plain and a guided
backward pass. Swapping modules, the usual way, misses functional ReLUs (DenseNet's last) and
changes a model others may be using.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# F.relu(x, inplace=True) and nn.ReLU(inplace=True) are used for what they return, so they need not
# overwrite anything.
_RETURNING: frozenset[Callable[..., Any]] = frozenset({functional.relu, torch.relu, Tensor.relu})
# These may be called as a statement (``x.relu_()``): the tensor itself must change.
_OVERWRITING: frozenset[Callable[..., Any]] = frozenset({torch.relu_, Tensor.relu_})


# Every other activation in torch's public functions, for which there is no guided rule.
_OTHER_NAMES = (
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
)
_OTHERS: dict[Callable[..., Any], str] = {
    function: name
    for name in _OTHER_NAMES
    for home in (functional, torch, Tensor)
    for form in (name, name + "_")
    if (function := getattr(home, form, None)) is not None
}


@dataclass
class GuidedSwitch:
    """Whether gradients that pass the ReLUs of a graph follow the guided rule. One a graph: other
    threads have their own.

    others : names of the activations in the graph that are no ReLU, for which there is no such
    rule.
    """

    guided: bool = False
    others: set[str] = field(default_factory=set)


def _switched_relu(x: Tensor, switch: GuidedSwitch, overwrite: bool) -> Tensor:
    """max(x, 0). Backward: g * (y > 0); guided (Springenberg 2014, arXiv:1412.6806): max(g, 0) * (y
    > 0).

    torch's own ReLU with a hook for what arrives at it: an autograd function in Python would take
    so long between two operations that torch's other threads go to sleep, to be woken each time.
    """
    y = x.relu_() if overwrite else torch.relu(x)
    if y.requires_grad:
        y.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: gradient.clamp_min(0) if switch.guided else None
        )
    return y


class SwitchableReLUs(TorchFunctionMode):
    """Within this context, in this thread, every ReLU obeys ``switch``; no module is touched.

    Caught: nn.ReLU, F.relu, torch.relu, Tensor.relu and the in-place forms. Not caught:
    clamp(min=0) and torch.ops.aten.relu.
    """

    def __init__(self, switch: GuidedSwitch) -> None:
        super().__init__()
        self._switch = switch

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        overwrite = func in _OVERWRITING
        if overwrite or func in _RETURNING:
            return _switched_relu(args[0] if args else kwargs["input"], self._switch, overwrite)
        if func in _OTHERS:
            self._switch.others.add(_OTHERS[func])
        return func(*args, **kwargs)
