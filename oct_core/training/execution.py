"""How a training is carried out: what changes its speed, and no more of its result than rounding
does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oct_core.training.distributed import ALONE, Crew
from oct_core.words import say


def _say_nothing(text: str) -> None:
    """For who does not listen."""


@dataclass(frozen=True)
class Execution:
    """crew : the processes that train together. precision : "float32" or "bfloat16" instead of what
    is best for the device. compiled : by way of torch.compile. tell : told in words what did not
    go as asked.
    """

    crew: Crew = ALONE
    precision: str | None = None
    compiled: bool = False
    tell: Callable[[str], None] = _say_nothing

    def network(self, model: nn.Module, device: torch.device) -> nn.Module:
        """What a step asks in place of the model, whose parameters it shares."""
        return self.crew.share(Compiled(model, self.tell) if self.compiled else model, device)


class Compiled(nn.Module):
    """Answers as the model does, by way of torch.compile, until that fails; then the model itself
    answers, and ``tell`` is told why.
    """

    def __init__(self, model: nn.Module, tell: Callable[[str], None]) -> None:
        super().__init__()
        self.model = model
        self._tell = tell
        self._quick: Callable[[Tensor], Tensor] | None = torch.compile(model.forward)

    def forward(self, x: Tensor) -> Tensor:
        """What the model gives."""
        if self._quick is not None:
            try:
                return self._quick(x)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # what torch.compile raises, before anything is computed
                self._quick = None
                reason = next(iter(str(error).splitlines()), type(error).__name__)
                self._tell(
                    say("torch.compile fails here ({reason}); going on without", reason=reason)
                )
        return self.model(x)  # type: ignore[no-any-return]
