"""Scans and a loaded run -> Explanations, with the Predictions that the same forward pass gave."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from numbers import Integral

import numpy as np
import torch
from torch import Tensor, nn

from oct_core.errors import ExplanationError
from oct_core.explanations.engine import Pass, passes
from oct_core.explanations.gradcam import upsample
from oct_core.explanations.methods import METHODS, ExplainableRun, Method, Request
from oct_core.types import Explanation, Float32Array, FloatArray, Prediction, Scan

DEFAULT_METHODS = ("gradcam", "guided_backprop", "guided_gradcam")
Target = str | int | Integral | None
"""A class by name or number (numpy's integers too), or None for the scan's own prediction."""
Explained = tuple[Prediction, list[Explanation]]


def _targets(
    target: Target | Sequence[Target], count: int, classes: tuple[str, ...]
) -> list[int | None]:
    """One class index (or None) a scan; raises ExplanationError naming the near classes."""
    asked: list[Target] = (
        list(target) if not isinstance(target, str | int | Integral | None) else [target] * count
    )
    if len(asked) != count:
        raise ExplanationError(
            "expected one target class for all or one a scan ({count}), got {asked_count}",
            count=count,
            asked_count=len(asked),
        )
    return [_class_index(one, classes) for one in asked]


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
        "expected a target class of {classes} (or 0 to {classes_count}), got {target!r}; None "
        "explains the prediction",
        classes=", ".join(classes),
        classes_count=len(classes) - 1,
        target=target,
    )


def chosen_layers(
    available: Mapping[str, nn.Module], names: Sequence[str] | None
) -> dict[str, nn.Module]:
    """The named layers, all by default; raises ExplanationError naming the near ones."""
    asked = (
        list(available)
        if names is None
        else list(dict.fromkeys([names] if isinstance(names, str) else names))
    )
    for name in asked:
        if name not in available:
            near = difflib.get_close_matches(name, available, n=3)
            hint = (
                f"did you mean {', '.join(near)}?" if near else f"there are: {', '.join(available)}"
            )
            raise ExplanationError(
                "expected a named layer, got {name!r}; {hint}", name=name, hint=hint
            )
    return {name: available[name] for name in asked}


def _chosen_methods(names: Sequence[str]) -> list[Method]:
    asked = [names] if isinstance(names, str) else names
    return [METHODS.get(name) for name in dict.fromkeys(asked)]


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


def _softmax(logits: Float32Array, temperature: float) -> FloatArray:
    scaled = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max())
    return np.asarray(exponentials / exponentials.sum(), dtype=np.float64)


def _prediction(run: ExplainableRun, logits: Tensor) -> Prediction:
    raw = logits.cpu().numpy().astype(np.float32)
    return Prediction(run.card.name, raw, _softmax(raw, run.card.temperature), run.card.classes)


def _without_blank(maps: Tensor, shared: Pass) -> Tensor:
    """A scan of one gray value shows nothing to point at: its map is zero (what borders and biases
    alone would draw is dropped).
    """
    return torch.where(shared.blank[:, None, None], torch.zeros_like(maps), maps)


def _shown(maps: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Float32Array]:
    """(N, h, w) -> one float32 (H, W) a scan, each of its size."""
    sized = [upsample(one[None].float(), size) for one, size in zip(maps, sizes, strict=True)]
    return [np.ascontiguousarray(one[0].cpu().numpy()) for one in sized]


def _explain_batch(
    scans: Sequence[Scan],
    run: ExplainableRun,
    targets: Sequence[int | None],
    methods: Sequence[Method],
    layers: Mapping[str, nn.Module],
    precision: str,
    network_size: bool,
) -> list[Explained]:
    x = run.inputs(scans)
    sizes = [
        (x.shape[2], x.shape[3]) if network_size else (scan.pixels.shape[0], scan.pixels.shape[1])
        for scan in scans
    ]
    captured = layers if any(method.gradients for method in methods) else {}
    with run.lock:
        shared = passes(
            run.model,
            captured,
            x,
            targets,
            guided=any(method.guided for method in methods),
            precision=precision,
        )
        request = Request(run.model, layers, shared)
        made = [
            (method, layer, maps)
            for method in methods
            for layer, maps in method.compute(request).items()
        ]
    classes = [run.card.classes[index] for index in shared.targets.tolist()]
    results: list[Explained] = [(_prediction(run, logits), []) for logits in shared.logits]
    for method, layer, maps in made:
        for (_, found), name, values in zip(
            results, classes, _shown(_without_blank(maps, shared), sizes), strict=True
        ):
            found.append(
                Explanation(run.card.name, method.name, layer, name, values, method.signed)
            )
    return results


def explain_with_predictions(
    scans: Scan | Sequence[Scan],
    run: ExplainableRun,
    target: Target | Sequence[Target] = None,
    methods: Sequence[str] = DEFAULT_METHODS,
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
    methods : names in METHODS. layers : names in run.layers, all by default ("input" maps have no
    layer).
    batch_size : scans a pass. precision : "float32" or "bfloat16" (autocast; its tolerance: see
    engine.passes).
    network_size : give maps (S, S) as the network saw the scan, instead of in the scan's own
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
    ExplanationError : a layer or class that does not exist, NaN, a model in training mode, a
    package that is missing.
    """
    listed = [scans] if isinstance(scans, Scan) else list(scans)
    _check_scans(listed)
    if batch_size < 1:
        raise ExplanationError(
            "expected a batch size of at least 1, got {batch_size}", batch_size=batch_size
        )
    wanted, modules = _chosen_methods(methods), chosen_layers(run.layers, layers)
    targets = _targets(target, len(listed), run.card.classes)
    results: list[Explained] = []
    for start in range(0, len(listed), batch_size):
        part = slice(start, start + batch_size)
        results += _explain_batch(
            listed[part], run, targets[part], wanted, modules, precision, network_size
        )
    return results


def explain(
    scans: Scan | Sequence[Scan],
    run: ExplainableRun,
    target: Target | Sequence[Target] = None,
    methods: Sequence[str] = DEFAULT_METHODS,
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
