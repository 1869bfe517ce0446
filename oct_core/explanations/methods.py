"""What an explanation method is, and the registry of them all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from oct_core.errors import ExplanationError
from oct_core.explanations.engine import Pass
from oct_core.explanations.pieces import InPieces
from oct_core.models.catalog import ARCHITECTURES
from oct_core.registry import Registry
from oct_core.runs.turns import ModelLock, pause
from oct_core.scans.preprocess import Rows
from oct_core.types import RunCard, Scan
from oct_core.words import message, note, say


class ExplainableRun(Protocol):
    """What explanations need of a loaded run (checkpoints.LoadedRun is one)."""

    @property
    def card(self) -> RunCard:
        """Name, classes and temperature."""

    @property
    def model(self) -> nn.Module:
        """(N, 1, S, S) in [0, 1] -> logits (N, classes); in evaluation mode, parameters frozen."""

    @property
    def lock(self) -> ModelLock:
        """Held while the model runs; by slow work with ``lock.slow()``."""

    @property
    def layers(self) -> dict[str, nn.Module]:
        """Named layers, shallow to deep."""

    def inputs(self, scans: Sequence[Scan]) -> Tensor:
        """(N, 1, S, S) in [0, 1] on the model's device."""

    def rows(self, scan: Scan) -> Rows:
        """The rows of the scan that ``inputs`` shows the model."""


@dataclass(frozen=True, eq=False)
class Request:
    """One batch for one method. layers : name -> module, those to explain. shared : the passes all
    methods share. lock : the model's, held; by ``lock.slow()`` if any method of the batch is slow.
    """

    model: nn.Module
    layers: Mapping[str, nn.Module]
    shared: Pass
    lock: ModelLock = field(default_factory=ModelLock)

    def pause(self, passes: int = 0) -> None:
        """Between two pieces of slow work, see ``oct_core.runs.turns.pause``."""
        pause(self.lock, passes)

    def in_pieces(self) -> nn.Module:
        """The model for methods that pass large batches: it pauses by itself."""
        return InPieces(self.model, self.lock)


Compute = Callable[[Request], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Method:
    """One way to explain.

    name : the key. title : for people. kind : "layer" (one map a layer) or "input" (one map a
    scan).
    signed : whether values below zero mean evidence against (colour them with a diverging table).
    reference : the paper.
    compute : request -> layer (or "input") -> (N, h, w), float32, at its own size.
    gradients, guided : which of the shared backward passes it uses.
    needs : packages to install before it can be used.
    runs : of a slow method, (channels of the layer, side of the input) -> forward passes that one
    map needs. from_layer : those passes begin at the layer, not at the input.
    activations : class names of the activations that it holds for; None is all.
    """

    name: str
    title: str
    kind: str
    signed: bool
    reference: str
    compute: Compute
    gradients: bool = False
    guided: bool = False
    needs: tuple[str, ...] = ()
    runs: Callable[[int, int], int] | None = None
    from_layer: bool = False
    activations: tuple[str, ...] | None = None

    @property
    def slow(self) -> bool:
        """Whether a map takes many passes: cut in pieces that give way, with an estimate."""
        return self.runs is not None

    def applies_to(self, activations: Collection[str]) -> bool:
        """Whether it holds for a network of these activations (see ``activations_of``)."""
        return self.activations is None or set(activations) <= set(self.activations)


METHODS: Registry[Method] = Registry(message("explanation method"))

# These stand in torch's file of activations too: they normalise or attend, no ReLU is missing.
_NO_ACTIVATION = (
    nn.Softmax,
    nn.Softmax2d,
    nn.Softmin,
    nn.LogSoftmax,
    nn.MultiheadAttention,
)


def activations_of(model: nn.Module) -> tuple[str, ...]:
    """Class names of the activation modules in a model, sorted, each once: ("ReLU",) or ("SiLU",
    "Sigmoid").

    A subclass of nn.ReLU counts as ReLU, but for nn.ReLU6, which torch derives from Hardtanh. A
    function (``F.silu``) is no module: the guided pass meets it, see ``engine.passes``.
    """
    names = set()
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            names.add("ReLU")
        elif not isinstance(module, _NO_ACTIVATION) and any(
            base.__module__ == nn.ReLU.__module__ for base in type(module).__mro__
        ):
            names.add(type(module).__name__)
    return tuple(sorted(names))


def methods_for(subject: str | nn.Module) -> tuple[str, ...]:
    """The names of all registered methods that hold for a network, in the registry's order.

    subject : a name in the catalog (its entry's word is taken), or a model (its modules are looked
    at). Raises UnknownNameError for a name that is not in the catalog.
    """
    activations = (
        ARCHITECTURES.get(subject).activations
        if isinstance(subject, str)
        else activations_of(subject)
    )
    return tuple(name for name in METHODS if METHODS.get(name).applies_to(activations))


def check_methods(methods: Sequence[Method], model: nn.Module) -> None:
    """Raises ExplanationError for a method that does not hold for the activations of this model."""
    activations = activations_of(model)
    for method in methods:
        if not method.applies_to(activations):
            others = set(activations) - set(method.activations or ())
            raise ExplanationError(
                "{method} holds only for networks whose activations are all {allowed}; this one "
                "has {others}: use {other_method} instead",
                method=note(method.title),
                allowed=", ".join(method.activations or ()),
                others=", ".join(sorted(others)),
                other_method=_way_out(method, activations),
            )


def _way_out(method: Method, activations: Collection[str]) -> str:
    """The title of the first method that holds, of the same kind (a map a layer, or one a scan)."""
    usable = [
        other
        for name in METHODS
        if (other := METHODS.get(name)).applies_to(activations) and not other.needs
    ]
    usable.sort(key=lambda other: other.kind != method.kind)
    return say(usable[0].title) if usable else say("no map")
