"""Scans and a loaded run -> Explanations, with the Predictions that the same forward pass gave."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from oct_core.errors import ExplanationError
from oct_core.explanations.engine import Pass, passes
from oct_core.explanations.gradcam import upsample
from oct_core.explanations.methods import (
    METHODS,
    ExplainableRun,
    Method,
    Request,
    activations_of,
    check_methods,
    methods_for,
)
from oct_core.runs.predictor import check_loaded, make_prediction
from oct_core.scans.checks import as_scans
from oct_core.scans.preprocess import Rows
from oct_core.types import Explanation, Float32Array, Prediction, Scan
from oct_core.words import say

DEFAULT_METHODS = ("gradcam", "guided_backprop", "guided_gradcam")
"""What is made unless something else is asked for, of those that hold for the network."""
Target = str | int | Integral | None
"""A class by name or number (numpy's integers too), or None for the scan's own prediction."""
Explained = tuple[Prediction, list[Explanation]]


def _targets(
    target: Target | Sequence[Target], count: int, classes: tuple[str, ...]
) -> list[int | None]:
    """One class index (or None) a scan; raises ExplanationError naming the near classes."""
    targets: list[Target] = (
        list(target) if not isinstance(target, str | int | Integral | None) else [target] * count
    )
    if len(targets) != count:
        raise ExplanationError(
            "expected one target class for all or one a scan ({scans}), got {targets}; give one "
            "or one a scan",
            scans=count,
            targets=len(targets),
        )
    return [_class_index(each, classes) for each in targets]


def _class_index(target: Target, classes: tuple[str, ...]) -> int | None:
    if target is None:
        return None
    if isinstance(target, str) and target in classes:
        return classes.index(target)
    if (
        isinstance(target, Integral)
        and not isinstance(target, bool)
        and 0 <= int(target) < len(classes)
    ):
        return int(target)
    raise ExplanationError(
        "expected a target class of {classes} (or 0 to {highest}), got {target!r}; None "
        "explains the prediction",
        classes=", ".join(classes),
        highest=len(classes) - 1,
        target=target,
    )


def select_layers(
    available: Mapping[str, nn.Module], names: Sequence[str] | None
) -> dict[str, nn.Module]:
    """The named layers, all by default; raises ExplanationError naming the near ones."""
    selected = (
        list(available)
        if names is None
        else list(dict.fromkeys([names] if isinstance(names, str) else names))
    )
    for name in selected:
        if name not in available:
            near = difflib.get_close_matches(name, available, n=3)
            if near:
                raise ExplanationError(
                    "expected a named layer, got {name!r}; did you mean {near}?",
                    name=name,
                    near=", ".join(near),
                )
            raise ExplanationError(
                "expected a named layer, got {name!r}; there are: {layers}",
                name=name,
                layers=", ".join(available),
            )
    return {name: available[name] for name in selected}


def default_methods(model: nn.Module) -> tuple[str, ...]:
    """Those of DEFAULT_METHODS that hold for a model."""
    usable = methods_for(model)
    return tuple(name for name in DEFAULT_METHODS if name in usable)


def say_left_out(model: nn.Module) -> str:
    """Which of DEFAULT_METHODS do not hold for a model, and why; "" if all do."""
    usable = default_methods(model)
    left_out = [METHODS.get(name) for name in DEFAULT_METHODS if name not in usable]
    if not left_out:
        return ""
    allowed = {name for method in left_out for name in method.activations or ()}
    others = [name for name in activations_of(model) if name not in allowed]
    return say(
        "left out, because they hold only for networks whose activations are all ReLU and this "
        "one has {activations}: {methods}",
        activations=", ".join(others),
        methods=", ".join(say(method.title) for method in left_out),
    )


def _select_methods(names: Sequence[str] | None, model: nn.Module) -> list[Method]:
    """The named methods, or the default ones with a warning of those that do not hold."""
    if names is None:
        names = default_methods(model)
        if words := say_left_out(model):
            warnings.warn(words, stacklevel=3)
    listed = [names] if isinstance(names, str) else names
    methods = [METHODS.get(name) for name in dict.fromkeys(listed)]
    check_methods(methods, model)
    return methods


def _check_scans(scans: Sequence[Scan]) -> None:
    for scan in scans:
        if scan.pixels.ndim != 2 or 0 in scan.pixels.shape:
            raise ExplanationError(
                "expected gray pixels (H, W), got shape {shape}; read scans with read_scan",
                shape=scan.pixels.shape,
            )
        if not bool(np.isfinite(scan.pixels).all()):
            raise ExplanationError(
                "expected gray values 0 to 255, got NaN or infinity; read the scan again or mask "
                "those pixels"
            )


def _without_blank(maps: Tensor, shared: Pass) -> Tensor:
    """A scan of one gray value shows nothing to point at: its map is zero (what borders and biases
    alone would draw is dropped).
    """
    return torch.where(shared.blank[:, None, None], torch.zeros_like(maps), maps)


def _array(values: Tensor, rows: Rows, shape: tuple[int, int] | None) -> Float32Array:
    """A map (h, w) of what the network saw -> float32 of the whole scan, zero in rows that it did
    not see. shape : (H, W) of the scan; None keeps the network's own pixels in the rows it saw.
    """
    seen, height, first = values[None].float(), rows.height, rows.first
    if shape is None:
        height, first = rows.whole(values.shape[0])
    else:
        seen = upsample(seen, (rows.last - rows.first, shape[1]))
    below = height - first - seen.shape[1]
    return np.ascontiguousarray(
        functional.pad(seen, (0, 0, first, below))[0].cpu().numpy(), dtype=np.float32
    )


@dataclass(frozen=True, eq=False)
class _Task:
    """What to make of every batch. network_size : maps as the network saw the scan."""

    methods: Sequence[Method]
    layers: Mapping[str, nn.Module]
    precision: str
    network_size: bool


def _explain_batch(
    scans: Sequence[Scan], run: ExplainableRun, targets: Sequence[int | None], task: _Task
) -> list[Explained]:
    x = run.inputs(scans)
    side = (x.shape[2], x.shape[3])
    rows = [run.rows(scan) for scan in scans]
    shapes = [None if task.network_size else scan.pixels.shape for scan in scans]
    captured = task.layers if any(method.gradients for method in task.methods) else {}
    slow = any(method.slow for method in task.methods)
    with run.lock.slow() if slow else run.lock:
        shared = passes(
            run.model,
            captured,
            x,
            targets,
            guided=any(method.guided for method in task.methods),
            precision=task.precision,
        )
        request = Request(run.model, task.layers, shared, run.lock)
        computed = [
            (method, layer, maps)
            for method in task.methods
            for layer, maps in method.compute(request).items()
        ]
    classes = [run.card.classes[index] for index in shared.targets.tolist()]
    results: list[Explained] = [
        (make_prediction(run.card, logits.cpu().numpy()), []) for logits in shared.logits
    ]
    for method, layer, maps in computed:
        if task.network_size:
            maps = upsample(maps.float(), side)
        arrays = [
            _array(*one) for one in zip(_without_blank(maps, shared), rows, shapes, strict=True)
        ]
        for (_, explanations), label, values in zip(results, classes, arrays, strict=True):
            explanations.append(
                Explanation(run.card.name, method.name, layer, label, values, method.signed)
            )
    return results


def explain_with_predictions(  # noqa: PLR0913 - public, the last ones by keyword only
    scans: Scan | Sequence[Scan],
    run: ExplainableRun,
    target: Target | Sequence[Target] = None,
    methods: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    *,
    batch_size: int = 8,
    precision: str = "float32",
    network_size: bool = False,
) -> list[Explained]:
    """The prediction and the maps of each scan, from one forward pass a batch.

    Parameters
    ----------
    scans : one or many, of any sizes.
    run : a loaded run; its lock is held while its model works, and the model is left as it was.
    target : a class (name or index) for all scans, or one a scan; None explains each scan's own
    prediction.
    methods : names in METHODS; by default Grad-CAM and the guided pair, or, with a warning, what of
    these holds for the network's activations.
    layers : names in run.layers, all by default ("input" maps have no layer).
    batch_size : scans a pass. precision : "float32" or "bfloat16" (autocast; its tolerance: see
    engine.passes).
    network_size : give maps in the network's own pixels, (S, S) where it sees all rows and
    taller where it sees some (zero in the others), instead of in the scan's own
    pixels.

    Returns
    -------
    One (Prediction, [Explanation ...]) a scan, maps in the order of methods, then
    of layers. Maps are float32 (H, W) in the scan's own pixels. Not signed: >= 0, raw. Signed: the
    derivative of the class logit by the gray value in [0, 1] of a pixel at the network's size. A
    scan of one gray value has zero maps (``evidence`` False).

    Raises
    ------
    UnknownNameError : a method that does not exist.
    ScanError : what is no scan (a path, an array). CheckpointError : a run that is not loaded.
    ExplanationError : a layer or class that does not exist, a method that does not hold for the
    network's activations (before any pass), NaN, a model in training mode, a package that is
    missing.
    """
    check_loaded(run)
    listed = as_scans(scans)
    _check_scans(listed)
    if batch_size < 1:
        raise ExplanationError(
            "expected a batch size of at least 1, got {batch_size}", batch_size=batch_size
        )
    task = _Task(
        _select_methods(methods, run.model),
        select_layers(run.layers, layers),
        precision,
        network_size,
    )
    targets = _targets(target, len(listed), run.card.classes)
    results: list[Explained] = []
    for start in range(0, len(listed), batch_size):
        part = slice(start, start + batch_size)
        results += _explain_batch(listed[part], run, targets[part], task)
    return results


def explain(  # noqa: PLR0913 - public, the last ones by keyword only
    scans: Scan | Sequence[Scan],
    run: ExplainableRun,
    target: Target | Sequence[Target] = None,
    methods: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    *,
    batch_size: int = 8,
    precision: str = "float32",
) -> list[list[Explanation]]:
    """The maps of each scan; see explain_with_predictions for parameters, values and errors."""
    explained = explain_with_predictions(
        scans, run, target, methods, layers, batch_size=batch_size, precision=precision
    )
    return [maps for _, maps in explained]
