"""Whether a network is in the state in which it answers."""

from __future__ import annotations

from torch import nn

from oct_core.errors import OctError
from oct_core.words import message, say


def check_evaluation_mode(model: nn.Module, error: type[OctError]) -> None:
    """Raise ``error`` if any part of the model is in training mode: dropout and batch statistics
    would change what it says, and asking would change the statistics.
    """
    training = [
        name or say("the whole model") for name, module in model.named_modules() if module.training
    ]
    if training:
        raise error(
            message(
                "expected a model in evaluation mode, got {training} in training mode; call "
                "model.eval()"
            ),
            training=training[0],
        )
