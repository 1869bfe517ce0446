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


class _SwitchedReLU(torch.autograd.Function):
    """max(x, 0). Backward: g * (y > 0); guided (Springenberg 2014, arXiv:1412.6806): max(g, 0) * (y
    > 0).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, switch: GuidedSwitch, overwrite: bool) -> Tensor:
        if overwrite:
            ctx.mark_dirty(x)
            y = x.clamp_min_(0)
        else:
            y = torch.relu(x)
        ctx.save_for_backward(y)
        ctx.switch = switch
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (y,) = ctx.saved_tensors
        passed: Tensor = torch.ops.aten.threshold_backward(gradients[0], y, 0)
        return (passed.clamp_min_(0) if ctx.switch.guided else passed), None, None


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
            return _SwitchedReLU.apply(
                args[0] if args else kwargs["input"], self._switch, overwrite
            )
        if func in _OTHERS:
            self._switch.others.add(_OTHERS[func])
        return func(*args, **kwargs)
