"""Curves of a training: by epoch, by step, and the learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from oct_core.errors import MetricError
from oct_core.figures.charts.style import describe, finish, plain, say_empty
from oct_core.types import FloatArray
from oct_core.words import message, say

Columns = Mapping[str, NDArray[Any]]
EPOCH_METRICS: dict[str, tuple[str, str]] = {
    "loss": (message("Loss by epoch"), message("Loss (cross-entropy)")),
    "accuracy": (message("Accuracy by epoch"), message("Accuracy")),
    "auc": (message("Macro AUC by epoch"), message("Macro AUC")),
}
STEP_TITLES = {
    "loss": message("Training loss by step"),
    "accuracy": message("Training accuracy by step"),
}
_NOTHING = message("Nothing recorded yet")


def _column(columns: Columns, name: str, run: str) -> NDArray[Any]:
    if name not in columns:
        raise MetricError(
            "expected a column {column!r} in the record of run {run!r}, got {columns}; read it "
            "again",
            column=name,
            run=run,
            columns=", ".join(columns) or say("none"),
        )
    return np.asarray(columns[name])


def _line(
    run: str, name: str, x: NDArray[Any], y: NDArray[Any], colour: str, dash: str = "solid"
) -> go.Scatter:
    """One curve of a run; ``name`` is what the legend calls it."""
    return go.Scatter(
        x=x,
        y=y,
        name=plain(name),
        legendgroup=run,
        mode="lines+markers" if len(x) < 60 else "lines",
        line={"color": colour, "dash": dash, "width": 2},
        marker={"size": 5},
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
        name=say("{run}, best epoch {epoch}", run=plain(run), epoch=epoch),
        legendgroup=run,
        mode="markers",
        marker=marker,
    )


def _describe(title: str, ends: Mapping[str, str]) -> str:
    return describe(title, [f"{run}: {end}" for run, end in ends.items()] or [say(_NOTHING)])


def _last(values: NDArray[Any]) -> str:
    """The last finite value of a curve, in words."""
    finite = values[np.isfinite(values.astype(np.float64))] if len(values) else values
    return say("ends at {value:.3g}", value=finite[-1]) if len(finite) else say("no value yet")


def training_curves(
    histories: Mapping[str, Columns],
    colours: Mapping[str, str],
    metric: str = "loss",
    best_epochs: Mapping[str, int | None] | None = None,
) -> go.Figure:
    """Training (dotted) and validation (solid) curves of any set of runs, a star on the epoch of
    the saved weights.

    histories : run -> history.csv as arrays. colours : run -> its colour. metric : "loss",
    "accuracy" or "auc" (validation only).
    best_epochs : run -> epoch as in the history. Raises MetricError for another metric or a missing
    column.
    """
    if metric not in EPOCH_METRICS:
        raise MetricError(
            "expected a metric of {epoch_metrics}, got {metric!r}; pick one of these",
            epoch_metrics=", ".join(EPOCH_METRICS),
            metric=metric,
        )
    title, y_title = map(say, EPOCH_METRICS[metric])
    figure, ends = go.Figure(), {}
    for run, columns in histories.items():
        epoch, held_out = _column(columns, "epoch", run), _column(columns, f"val_{metric}", run)
        if metric != "auc":
            figure.add_trace(
                _line(
                    run,
                    say("{run}, training", run=run),
                    epoch,
                    _column(columns, f"train_{metric}", run),
                    colours[run],
                    "dot",
                )
            )
        name = say("{run}, validation", run=run)
        figure.add_trace(_line(run, name, epoch, held_out, colours[run]))
        best = (best_epochs or {}).get(run)
        star = None if best is None else _best(run, best, epoch, held_out, colours[run])
        if star is not None:
            figure.add_trace(star)
        ends[run] = say("validation {end}", end=_last(held_out))
    if not any(len(columns["epoch"]) for columns in histories.values()):
        say_empty(figure, say(_NOTHING))
    return finish(figure, title, say("Epoch"), y_title, _describe(title, ends))


def running_mean(values: NDArray[Any], window: int) -> FloatArray:
    """The mean of the last ``window`` values at each place (fewer at the start), float64, the same
    length.
    """
    padded = np.r_[0.0, np.cumsum(np.asarray(values, dtype=np.float64))]
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(0, stop - window)
    return np.asarray((padded[stop] - padded[start]) / (stop - start))


def step_curves(
    steps: Mapping[str, Columns],
    colours: Mapping[str, str],
    metric: Literal["loss", "accuracy"] = "loss",
    smoothing: int = 1,
) -> go.Figure:
    """Training loss or accuracy by step of any set of runs.

    steps : run -> steps.csv as arrays. colours : run -> its colour. smoothing : mean of this many
    recorded steps, 1 is none.
    Raises MetricError for another metric, smoothing < 1 or a missing column.
    """
    if metric not in ("loss", "accuracy") or smoothing < 1:
        raise MetricError(
            "expected loss or accuracy and a smoothing of at least 1, got {metric!r} and "
            "{smoothing}; 1 is no smoothing",
            metric=metric,
            smoothing=smoothing,
        )
    title = say(STEP_TITLES[metric])
    if smoothing > 1:
        title = say("{title} (mean of {count} records)", title=title, count=smoothing)
    figure, ends = go.Figure(), {}
    for run, columns in steps.items():
        values = running_mean(_column(columns, metric, run), smoothing)
        figure.add_trace(_line(run, run, _column(columns, "step", run), values, colours[run]))
        ends[run] = _last(values)
    if not any(len(columns["step"]) for columns in steps.values()):
        say_empty(figure, say(_NOTHING))
    return finish(figure, title, say("Step"), say(EPOCH_METRICS[metric][1]), _describe(title, ends))


def learning_rate_curves(records: Mapping[str, Columns], colours: Mapping[str, str]) -> go.Figure:
    """The learning rate of any set of runs: by step if every record is a steps.csv, by epoch if
    they are history.csv. colours : run -> its colour.
    """
    by_step = bool(records) and all("step" in columns for columns in records.values())
    title, place = say("Learning rate"), "step" if by_step else "epoch"
    figure, ends = go.Figure(), {}
    for run, columns in records.items():
        rate = _column(columns, "learning_rate", run)
        figure.add_trace(_line(run, run, _column(columns, place, run), rate, colours[run]))
        ends[run] = _last(rate)
    if not any(len(columns[place]) for columns in records.values()):
        say_empty(figure, say(_NOTHING))
    figure.update_yaxes(exponentformat="power", rangemode="tozero")
    x_title = say("Step") if by_step else say("Epoch")
    return finish(figure, title, x_title, say("Learning rate"), _describe(title, ends))
