"""One forward pass, and the one or two backward passes over its graph that make the maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from oct_core.errors import ExplanationError
from oct_core.explanations.capture import Captured, capture
from oct_core.explanations.relu import GuidedSwitch, SwitchableReLUs
from oct_core.models.precision import multiplied_in
from oct_core.models.state import check_evaluation_mode


@dataclass(frozen=True, eq=False)
class Pass:
    """What the passes gave, on the device; N scans, all float32 but for a model kept in another
    type.

    x : (N, 1, S, S), gray in [0, 1]. logits : (N, classes). targets : int64 (N,), the class
    explained.
    activations, gradients : layer -> (N, channels, h, w), the layer's output and d logit / d
    output.
    guided : (N, S, S), the guided derivative of the class logit by the gray value; None if not
    asked for.
    blank : bool (N,), scans of one gray value, which hold no evidence.
    """

    x: Tensor
    logits: Tensor
    targets: Tensor
    blank: Tensor
    activations: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    guided: Tensor | None = None


def check_model(model: nn.Module) -> None:
    """Raises ExplanationError if any part of the model is in training mode (dropout and batch
    statistics would change maps).
    """
    check_evaluation_mode(model, ExplanationError)


def check_inputs(x: Tensor) -> None:
    """Raises ExplanationError unless x is (N, 1, S, S), floating and finite."""
    if x.dim() != 4 or x.shape[1] != 1 or not x.is_floating_point():
        raise ExplanationError(
            "expected floating gray scans (N, 1, S, S) in [0, 1], got {dtype} {shape}; use "
            "run.inputs(scans)",
            dtype=x.dtype,
            shape=list(x.shape),
        )
    if not bool(torch.isfinite(x).all()):
        raise ExplanationError(
            "expected finite gray values in [0, 1], got NaN or infinity; read the scan again or "
            "mask those pixels"
        )


def check_targets(targets: Sequence[int | None], count: int, classes: int) -> None:
    """Raises ExplanationError for a wrong number of targets or a class that is out of range."""
    if len(targets) != count:
        raise ExplanationError(
            "expected one target class a scan, {scans} in all, got {targets}; give one for "
            "all or a list",
            scans=count,
            targets=len(targets),
        )
    for target in targets:
        if target is not None and not 0 <= target < classes:
            raise ExplanationError(
                "expected a class from 0 to {classes}, got {target}; None explains the prediction",
                classes=classes - 1,
                target=target,
            )


@contextmanager
def _recording(device: torch.device, precision: str, grad: bool = True) -> Iterator[None]:
    """Gradients on, whatever the caller's context; matrix products in bfloat16 if asked for."""
    with (
        torch.inference_mode(False),
        torch.set_grad_enabled(grad),
        multiplied_in(precision, device),
    ):
        yield


def _forward(
    model: nn.Module, layers: Mapping[str, nn.Module], x: Tensor, switch: GuidedSwitch
) -> tuple[Tensor, Captured]:
    """Logits and captured layers; a second, shielded pass if something wrote over a captured
    output.
    """
    for shield in (False, True):
        with capture(layers, shield) as captured, SwitchableReLUs(switch):
            logits = model(x)
        if not captured.overwritten:
            break
    missing = [name for name in layers if name not in captured.outputs]
    if missing:
        raise ExplanationError(
            "expected layers that the forward pass reaches, got {missing}; choose another layer",
            missing=", ".join(missing),
        )
    return logits, captured


def _check_activations(switch: GuidedSwitch) -> None:
    """Also those called as functions, which no look at the modules shows."""
    if switch.others:
        raise ExplanationError(
            "guided maps hold only for networks whose activations are all ReLU; this one calls "
            "{others}: use Grad-CAM instead",
            others=" and ".join(sorted(switch.others)),
        )


def _resolve(logits: Tensor, targets: Sequence[int | None]) -> Tensor:
    if not bool(torch.isfinite(logits).all()):
        raise ExplanationError(
            "expected finite logits, got NaN or infinity; the weights are damaged: load or train "
            "the run again"
        )
    own = logits.detach().argmax(1)
    asked = torch.tensor(
        [-1 if target is None else target for target in targets], device=own.device
    )
    return torch.where(asked >= 0, asked, own)


def _blank(x: Tensor) -> Tensor:
    flat = x.flatten(1)
    return flat.amin(1) == flat.amax(1)


def passes(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    x: Tensor,
    targets: Sequence[int | None],
    *,
    guided: bool = True,
    precision: str = "float32",
) -> Pass:
    """One forward pass from x; one backward pass to all ``layers``, and with ``guided`` a guided
    one to x.

    Parameters are treated as constants: nothing is written to any .grad. The caller holds the run's
    lock.

    Parameters
    ----------
    x : (N, 1, S, S), gray in [0, 1]. targets : N classes, None for the scan's own prediction.
    precision : "float32", or "bfloat16" for autocast: guided maps within a cosine of 0.98 of
        float32, Grad-CAM within 2% of the largest sum of the magnitudes of its terms (they cancel,
        so the map itself may differ more).

    Raises
    ------
    ExplanationError : a model in training mode, a wrong x, NaN, a class out of range, a layer
    without a map; with ``guided``, an activation that is no ReLU, as module or function.
    """
    check_model(model)
    check_inputs(x)
    switch, wants_graph = GuidedSwitch(), bool(layers) or guided
    with _recording(x.device, precision, wants_graph):
        gray = x.detach().clone().to(next(model.parameters()).dtype).requires_grad_(wants_graph)
        logits, captured = _forward(model, layers, gray, switch)
        if guided:
            _check_activations(switch)
        check_targets(targets, len(x), logits.shape[1])
        classes = _resolve(logits, targets)
        # Scans of a batch do not meet in evaluation mode, so the sum has each scan's own gradient.
        score = logits.gather(1, classes[:, None]).sum()
        outputs = list(captured.outputs.values())
        gradients = torch.autograd.grad(score, outputs, retain_graph=guided) if outputs else ()
        switch.guided = True
        by_gray = torch.autograd.grad(score, gray)[0][:, 0].float() if guided else None
    return Pass(
        x=gray.detach(),
        logits=logits.detach().float(),
        targets=classes,
        blank=_blank(x),
        activations={name: output.detach() for name, output in captured.outputs.items()},
        gradients=dict(zip(captured.outputs, gradients, strict=True)),
        guided=by_gray,
    )
