"""Curves of a training: by epoch, by step, and the learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from oct_core.errors import MetricError
from oct_core.figures.charts.style import finish, run_colours, say_empty
from oct_core.types import FloatArray
from oct_core.words import message, say

Columns = Mapping[str, NDArray[Any]]
EPOCH_METRICS: dict[str, tuple[str, str]] = {
    "loss": (message("Loss by epoch"), message("Loss (cross-entropy)")),
    "accuracy": (message("Accuracy by epoch"), "Accuracy"),
    "auc": (message("Macro AUC by epoch"), message("Macro AUC")),
}
_NOTHING = message("Nothing recorded yet")


def _column(columns: Columns, name: str, run: str) -> NDArray[Any]:
    if name not in columns:
        raise MetricError(
            "expected a column {name!r} in the record of run {run!r}, got {value}; read it again",
            name=name,
            run=run,
            value=", ".join(columns) or "none",
        )
    return np.asarray(columns[name])


def _line(
    run: str,
    part: str,
    x: NDArray[Any],
    y: NDArray[Any],
    colour: str,
    dash: str,
    symbol: str = "circle",
) -> go.Scatter:
    mode = "lines+markers" if len(x) < 60 else "lines"
    name = f"{run}, {part}" if part else run
    return go.Scatter(
        x=x,
        y=y,
        name=name,
        legendgroup=run,
        mode=mode,
        line={"color": colour, "dash": dash, "width": 2},
        marker={"size": 5, "symbol": symbol},
    )


def _best(run: str, epoch: int, x: NDArray[Any], y: NDArray[Any], colour: str) -> go.Scatter | None:
    at = np.flatnonzero(x == epoch)
    if not at.size:
        return None
    marker = {
        "symbol": "star",
        "size": 14,
        "color": colour,
        "line": {"color": "#FFFFFF", "width": 1},
    }
    return go.Scatter(
        x=x[at],
        y=y[at],
        name=say("{run}, best epoch {epoch}", run=run, epoch=epoch),
        legendgroup=run,
        mode="markers",
        marker=marker,
    )


def _describe(title: str, ends: Mapping[str, str]) -> str:
    return (
        f"{title}. " + ("; ".join(f"{run}: {end}" for run, end in ends.items()) or _NOTHING) + "."
    )


def _last(name: str, values: NDArray[Any]) -> str:
    finite = values[np.isfinite(values.astype(np.float64))] if len(values) else values
    return (
        say("{name} ends at {finite:.3g}", name=name, finite=finite[-1])
        if len(finite)
        else say("no {name} yet", name=name)
    )


def training_curves(
    histories: Mapping[str, Columns],
    metric: str = "loss",
    best_epochs: Mapping[str, int | None] | None = None,
) -> go.Figure:
    """Training (dotted) and validation (solid) curves of any set of runs, the kept epoch marked
    with a star.

    histories : run -> history.csv as arrays. metric : "loss", "accuracy" or "auc" (validation
    only).
    best_epochs : run -> epoch as in the history. Raises MetricError for another metric or a missing
    column.
    """
    if metric not in EPOCH_METRICS:
        raise MetricError(
            "expected a metric of {epoch_metrics}, got {metric!r}; pick one of these",
            epoch_metrics=", ".join(EPOCH_METRICS),
            metric=metric,
        )
    title, y_title = EPOCH_METRICS[metric]
    figure, ends, colours = go.Figure(), {}, run_colours(histories)
    for run, columns in histories.items():
        epoch, held_out = _column(columns, "epoch", run), _column(columns, f"val_{metric}", run)
        if metric != "auc":
            figure.add_trace(
                _line(
                    run,
                    "training",
                    epoch,
                    _column(columns, f"train_{metric}", run),
                    colours[run],
                    "dot",
                )
            )
        figure.add_trace(_line(run, "validation", epoch, held_out, colours[run], "solid"))
        best = (best_epochs or {}).get(run)
        star = None if best is None else _best(run, best, epoch, held_out, colours[run])
        if star is not None:
            figure.add_trace(star)
        ends[run] = _last("validation", held_out)
    if not any(len(columns["epoch"]) for columns in histories.values()):
        say_empty(figure, _NOTHING)
    return finish(figure, title, "Epoch", y_title, _describe(title, ends))


def running_mean(values: NDArray[Any], window: int) -> FloatArray:
    """The mean of the last ``window`` values at each place (fewer at the start), float64, the same
    length.
    """
    padded = np.r_[0.0, np.cumsum(np.asarray(values, dtype=np.float64))]
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(0, stop - window)
    return np.asarray((padded[stop] - padded[start]) / (stop - start))


def step_curves(
    steps: Mapping[str, Columns], metric: Literal["loss", "accuracy"] = "loss", smoothing: int = 1
) -> go.Figure:
    """Training loss or accuracy by step of any set of runs.

    steps : run -> steps.csv as arrays. smoothing : mean of this many recorded steps, 1 is none.
    Raises MetricError for another metric, smoothing < 1 or a missing column.
    """
    if metric not in ("loss", "accuracy") or smoothing < 1:
        raise MetricError(
            "expected loss or accuracy and a smoothing of at least 1, got {metric!r} and "
            "{smoothing}; 1 is no smoothing",
            metric=metric,
            smoothing=smoothing,
        )
    title = say("Training {metric} by step", metric=metric) + (
        say(" (mean of {smoothing})", smoothing=smoothing) if smoothing > 1 else ""
    )
    figure, ends, colours = go.Figure(), {}, run_colours(steps)
    for run, columns in steps.items():
        values = running_mean(_column(columns, metric, run), smoothing)
        figure.add_trace(
            _line(run, "", _column(columns, "step", run), values, colours[run], "solid")
        )
        ends[run] = _last(metric, values)
    if not any(len(columns["step"]) for columns in steps.values()):
        say_empty(figure, _NOTHING)
    return finish(figure, title, "Step", EPOCH_METRICS[metric][1], _describe(title, ends))


def learning_rate_curves(records: Mapping[str, Columns]) -> go.Figure:
    """The learning rate of any set of runs: by step if every record is a steps.csv, by epoch if
    they are history.csv.
    """
    by_step = bool(records) and all("step" in columns for columns in records.values())
    title, place = say("Learning rate"), "step" if by_step else "epoch"
    figure, ends, colours = go.Figure(), {}, run_colours(records)
    for run, columns in records.items():
        rate = _column(columns, "learning_rate", run)
        figure.add_trace(_line(run, "", _column(columns, place, run), rate, colours[run], "solid"))
        ends[run] = _last(say("learning rate"), rate)
    if not any(len(columns[place]) for columns in records.values()):
        say_empty(figure, _NOTHING)
    figure.update_yaxes(exponentformat="power", rangemode="tozero")
    return finish(figure, title, place.capitalize(), say("Learning rate"), _describe(title, ends))
