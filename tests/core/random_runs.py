"""Runs with random weights, two small phantoms, and what tests of the maps compare."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from oct_core.models.catalog import ARCHITECTURES
from oct_core.models.networks import build_model
from oct_core.runs.weights import LoadedRun
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import Preprocessing
from oct_core.types import CLASSES, RunCard, Scan

SIZE = 64
GRAY = ((0.5,) * 3, (0.25,) * 3)


@functools.cache
def random_run(name: str) -> LoadedRun:
    torch.manual_seed(0)
    model = build_model(name, len(CLASSES), *GRAY).eval().requires_grad_(False)
    for (
        module
    ) in model.modules():  # keeps activations alive through 16 layers without batch normalisation
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    card = RunCard(name, Path("."), "done", name, CLASSES, {}, "", 1.5, 1, {})
    return LoadedRun(
        card,
        model,
        ARCHITECTURES.get(name),
        Preprocessing(size=SIZE, version=1),
        torch.device("cpu"),
    )


@functools.cache
def scans() -> tuple[Scan, ...]:
    return tuple(make_phantom(label, seed, 96, 128).scan for seed, label in enumerate(CLASSES[:2]))


def cosine(first: Any, second: Any) -> float:
    """Of two maps that have values: zero everywhere is no direction that could be the same."""
    a, b = np.asarray(first, np.float64).ravel(), np.asarray(second, np.float64).ravel()
    assert a.any() and b.any(), "expected two maps with values, got one that is zero everywhere"
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def assert_same_direction(pairs: Iterable[tuple[Any, Any]], over: float, most: float = 0.5) -> None:
    """The cosine of each pair is over the bound; a class without evidence in a network with random
    weights is zero in both, which may not be so for more than a share of ``most`` of the pairs.
    """
    checked = []
    for first, second in pairs:
        has_values = bool(np.asarray(first).any())
        assert has_values == bool(np.asarray(second).any())
        assert not has_values or cosine(first, second) > over
        checked.append(has_values)
    assert checked and np.mean(checked) >= 1 - most


def fingerprint(model: nn.Module) -> list[Any]:
    """Everything a careless explanation leaves behind."""
    hooks = [
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        for module in model.modules()
    ]
    modes = [
        (module.training, getattr(module, "inplace", None), id(type(module)))
        for module in model.modules()
    ]
    leaves = [
        (parameter.grad is None, parameter.requires_grad, parameter._version)
        for parameter in model.parameters()
    ]
    return [hooks, modes, leaves, [id(module) for module in model.modules()]]
