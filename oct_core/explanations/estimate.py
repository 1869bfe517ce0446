"""How long a slow map will take, told before it is begun: from one measured pass."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from oct_core.explanations.capture import capture
from oct_core.explanations.methods import ExplainableRun, Method
from oct_core.types import Scan


@dataclass(frozen=True)
class Pace:
    """One forward pass of a run on this machine.

    seconds : of one scan. side : of the input, pixels. channels : layer -> of its output. rest :
    layer -> share of the pass, 0 to 1, that comes after it.
    """

    seconds: float
    side: int
    channels: Mapping[str, int]
    rest: Mapping[str, float]


def measure_pace(run: ExplainableRun, scan: Scan) -> Pace:
    """Time one pass of one scan, after another that warms up. Takes the run's lock."""
    x = run.inputs([scan])
    marks: dict[str, float] = {}

    def now() -> float:
        if x.device.type == "cuda":
            torch.cuda.synchronize(x.device)
        elif x.device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()

    def mark(name: str) -> None:
        marks[name] = now()

    with run.lock, torch.no_grad():
        with capture(run.layers) as captured:
            run.model(x)
        channels = {name: int(output.shape[1]) for name, output in captured.outputs.items()}
        handles = [
            module.register_forward_hook(lambda *_, name=name: mark(name))
            for name, module in run.layers.items()
        ]
        try:
            begin = now()
            run.model(x)
            end = now()
        finally:
            for handle in handles:
                handle.remove()
    seconds = max(end - begin, 1e-6)
    rest = {name: (end - then) / seconds for name, then in marks.items()}
    return Pace(seconds, int(x.shape[-1]), channels, rest)


def runs_of(method: Method, pace: Pace, layer: str) -> int:
    """Forward passes that one map of a slow method needs, 0 for a quick one. layer : "input" for
    methods of the input.
    """
    return method.runs(pace.channels.get(layer, 0), pace.side) if method.runs else 0


def seconds_of(method: Method, pace: Pace, layer: str) -> float:
    """About how many seconds one map of a slow method takes on this machine, alone."""
    share = pace.rest.get(layer, 1.0) if method.from_layer else 1.0
    return runs_of(method, pace, layer) * pace.seconds * share
