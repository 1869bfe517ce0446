"""What an explanation method is, and the registry of them all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from oct_core.explanations.engine import Pass
from oct_core.registry import Registry
from oct_core.types import RunCard, Scan


class ExplainableRun(Protocol):
    """What explanations need of a loaded run (checkpoints.LoadedRun is one)."""

    @property
    def card(self) -> RunCard:
        """Name, classes and temperature."""

    @property
    def model(self) -> nn.Module:
        """(N, 1, S, S) in [0, 1] -> logits (N, classes); in evaluation mode, parameters frozen."""

    @property
    def lock(self) -> threading.Lock:
        """Held while the model runs."""

    @property
    def layers(self) -> dict[str, nn.Module]:
        """Named layers, shallow to deep."""

    def inputs(self, scans: Sequence[Scan]) -> Tensor:
        """(N, 1, S, S) in [0, 1] on the model's device."""


@dataclass(frozen=True, eq=False)
class Request:
    """One batch for one method. layers : name -> module, those to explain. shared : the passes all
    methods share.
    """

    model: nn.Module
    layers: Mapping[str, nn.Module]
    shared: Pass


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
    needs : packages to install before it can be used. slow : many forward passes a scan.
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
    slow: bool = False


METHODS: Registry[Method] = Registry("explanation method")
