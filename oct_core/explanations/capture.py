"""The outputs of named layers in one forward pass, through hooks that are always removed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from oct_core.errors import ExplanationError


class Captured:
    """Layer name -> the tensor that layer gave, still part of the graph.

    A later in-place operation (``out += identity``, ``x.relu_()``) would change a captured tensor:
    ``overwritten`` names the layers it happened to.
    """

    def __init__(self, shield: bool) -> None:
        self._shield = shield
        self._thread = threading.get_ident()
        self.outputs: dict[str, Tensor] = {}
        self._versions: dict[str, int] = {}

    def keep(self, name: str, output: object) -> Tensor | None:
        """Remember an output; with the shield up, hand a copy on, which may then be overwritten."""
        # A forward pass of another thread on the same model is not ours to look at.
        if threading.get_ident() != self._thread:
            return None
        if not isinstance(output, Tensor) or output.dim() != 4:
            raise ExplanationError(
                "layer {layer!r}: expected an output (N, channels, height, width), got {output}; "
                "choose a convolutional layer",
                layer=name,
                output=list(output.shape) if isinstance(output, Tensor) else type(output).__name__,
            )
        self.outputs[name] = output
        self._versions[name] = output._version
        return output.clone() if self._shield else None

    @property
    def overwritten(self) -> list[str]:
        """The layers whose output was changed after they gave it."""
        return [
            name for name, output in self.outputs.items() if output._version != self._versions[name]
        ]


@contextmanager
def capture(layers: Mapping[str, nn.Module], shield: bool = False) -> Iterator[Captured]:
    """Hooks on ``layers`` for as long as the context lasts, also when it ends in an exception.

    shield : hand a copy of each output on, so that nothing that follows can overwrite what was
    captured.
    """
    captured = Captured(shield)

    def hook(name: str) -> Any:
        return lambda module, inputs, output: captured.keep(name, output)

    handles = []
    try:
        for name, module in layers.items():
            handles.append(module.register_forward_hook(hook(name)))
        yield captured
    finally:
        for handle in handles:
            handle.remove()
