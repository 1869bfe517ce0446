"""Curves of a training: by epoch, by step, and the learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from oct_core.errors import MetricError
from oct_core.figures.charts.style import describe, finish, plain, say_empty
from oct_core.figures.colours import NEUTRAL, class_colour
from oct_core.types import CLASSES, SENSITIVITY, FloatArray
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
_LEGEND = 20
"""Letters in a line of the legend, which takes its room from the plot."""
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


@dataclass(frozen=True)
class Time:
    """The x axis of curves by epoch. title : with its unit. factor : of the column ``hours``; 0 for
    the epoch itself.
    """

    title: str
    factor: float

    def places(self, columns: Columns, run: str) -> NDArray[Any]:
        """Where each row lies."""
        if not self.factor:
            return _column(columns, "epoch", run)
        return _column(columns, "hours", run) * self.factor


def _time(histories: Mapping[str, Columns], by: str) -> Time:
    """Epochs, or minutes or hours, whichever reads better."""
    if by == "epoch":
        return Time(say("Epoch"), 0.0)
    last = [
        np.nanmax(_column(columns, "hours", run))
        for run, columns in histories.items()
        if _rows(columns)
    ]
    if max(last, default=0.0) < 2:
        return Time(say("Minutes of training"), 60.0)
    return Time(say("Hours of training"), 1.0)


def _rows(columns: Columns) -> int:
    return len(columns.get("epoch", ()))


def _line(
    run: str, name: str, x: NDArray[Any], y: NDArray[Any], colour: str, dash: str = "solid"
) -> go.Scatter:
    """One curve of a run; ``name`` is what a person sees who points at it."""
    return go.Scatter(
        x=x,
        y=y,
        name=plain(name),
        legendgroup=run,
        showlegend=False,
        mode="lines+markers" if len(x) < 60 else "lines",
        line={"color": colour, "dash": dash, "width": 2},
        marker={"size": 5},
    )


def _key(name: str, group: str, **look: Any) -> go.Scatter:
    """An entry of the legend that draws nothing; a click on it hides its group."""
    return go.Scatter(x=[None], y=[None], name=plain(name), legendgroup=group, **look)


def _name_lines(figure: go.Figure, colours: Mapping[str, str]) -> None:
    """In the legend: one entry a colour, long names on several lines."""
    for name, colour in colours.items():
        figure.add_trace(
            _key(name, name, mode="lines", line={"color": colour, "width": 3}).update(
                name="<br>".join(map(plain, wrap(name, _LEGEND)))
            )
        )


def _say_styles(figure: go.Figure, styles: Mapping[str, str], starred: bool) -> None:
    """In the legend: what each dash is, and the star."""
    for name, dash in styles.items():
        look = {"color": NEUTRAL, "dash": dash, "width": 2}
        figure.add_trace(_key(name, f"dash {dash}", mode="lines", line=look))
    if starred:
        look = {"symbol": "star", "size": 11, "color": NEUTRAL}
        figure.add_trace(_key(say("saved epoch"), "star", mode="markers", marker=look))


def _part_stages(figure: go.Figure, columns: Columns, x: NDArray[Any], colour: str) -> None:
    """A vertical line where a stage ends and the next begins: at a row of NaN."""
    for row in np.flatnonzero(np.isnan(np.asarray(columns["epoch"], np.float64))):
        middle = (x[row - 1] + x[row + 1]) / 2
        figure.add_vline(float(middle), line={"color": colour, "dash": "dash", "width": 1})


def _best(
    run: str, epoch: int, columns: Columns, place: tuple[NDArray[Any], NDArray[Any]], colour: str
) -> go.Scatter | None:
    """A star on the row of that epoch; ``place`` : x and y of all rows."""
    at = np.flatnonzero(columns["epoch"] == epoch)
    if not at.size:
        return None
    marker = {
        "symbol": "star",
        "size": 14,
        "color": colour,
        "line": {"color": "#FFFFFF", "width": 1},
    }
    return go.Scatter(
        x=place[0][at],
        y=place[1][at],
        name=say("{run}, best epoch {epoch}", run=plain(run), epoch=epoch),
        legendgroup=run,
        showlegend=False,
        mode="markers",
        marker=marker,
    )


def _finish(figure: go.Figure, title: str, axes: tuple[str, str], alt: str) -> go.Figure:
    """As ``finish``, the legend beside the plot; axes : what they are called."""
    return finish(figure, title, *axes, alt).update_layout(
        legend={
            "orientation": "v",
            "x": 1.02,
            "xanchor": "left",
            "y": 1,
            "yanchor": "top",
            "itemwidth": 30,
            "font": {"size": 11},
        }
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
    by: str = "epoch",
) -> go.Figure:
    """Training (dotted) and validation (solid) curves of any set of runs, a star on the epoch of
    the saved weights; a vertical line where a row of NaN parts two stages of a run.

    histories : run -> history.csv as arrays. colours : run -> its colour. metric : "loss",
    "accuracy" or "auc" (validation only).
    best_epochs : run -> epoch as in the history. by : "epoch", or "time" by the column ``hours``.
    Raises MetricError for another metric or a missing column.
    """
    if metric not in EPOCH_METRICS:
        raise MetricError(
            "expected a metric of {epoch_metrics}, got {metric!r}; pick one of these",
            epoch_metrics=", ".join(EPOCH_METRICS),
            metric=metric,
        )
    title, y_title = map(say, EPOCH_METRICS[metric])
    time, figure, ends, starred = _time(histories, by), go.Figure(), {}, False
    for run, columns in histories.items():
        x, held_out = time.places(columns, run), _column(columns, f"val_{metric}", run)
        if metric != "auc":
            learned = _column(columns, f"train_{metric}", run)
            name = say("{run}, training", run=run)
            figure.add_trace(_line(run, name, x, learned, colours[run], "dot"))
        name = say("{run}, validation", run=run)
        figure.add_trace(_line(run, name, x, held_out, colours[run]))
        best = (best_epochs or {}).get(run)
        star = None if best is None else _best(run, best, columns, (x, held_out), colours[run])
        if star is not None:
            figure.add_trace(star)
            starred = True
        _part_stages(figure, columns, x, colours[run])
        ends[run] = say("validation {end}", end=_last(held_out))
    _name_lines(figure, {run: colours[run] for run in histories})
    styles = {say("validation"): "solid"} | ({} if metric == "auc" else {say("training"): "dot"})
    _say_styles(figure, styles if histories else {}, starred)
    if not any(_rows(columns) for columns in histories.values()):
        say_empty(figure, say(_NOTHING))
    return _finish(figure, title, (time.title, y_title), _describe(title, ends))


def class_curves(
    columns: Columns, run: str, best_epoch: int | None = None, by: str = "epoch"
) -> go.Figure:
    """Sensitivity of each class on validation scans, by epoch, of one run; in the colours of the
    classes.

    columns : history.csv as arrays, with a column ``val_sensitivity_CLASS`` a class. by : as in
    ``training_curves``. Raises MetricError if it has none of them.
    """
    own = {
        name.removeprefix(SENSITIVITY): np.asarray(values)
        for name, values in columns.items()
        if name.startswith(SENSITIVITY)
    }
    if not own:
        _column(columns, f"{SENSITIVITY}{CLASSES[0]}", run)
    time, figure = _time({run: columns}, by), go.Figure()
    x, title = time.places(columns, run), say("Sensitivity by class: {run}", run=run)
    for label, values in own.items():
        figure.add_trace(_line(label, label, x, values, class_colour(label)))
        star = None
        if best_epoch is not None:
            star = _best(label, best_epoch, columns, (x, values), class_colour(label))
        if star is not None:
            figure.add_trace(star)
    _part_stages(figure, columns, x, NEUTRAL)
    _name_lines(figure, {label: class_colour(label) for label in own})
    figure.update_yaxes(range=[-0.02, 1.04])
    if not _rows(columns):
        say_empty(figure, say(_NOTHING))
    ends = {label: _last(values) for label, values in own.items()}
    axes = time.title, say("Sensitivity (validation)")
    return _finish(figure, title, axes, _describe(title, ends))


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
    _name_lines(figure, {run: colours[run] for run in steps})
    axes = say("Step"), say(EPOCH_METRICS[metric][1])
    return _finish(figure, title, axes, _describe(title, ends))


def learning_rate_curves(
    records: Mapping[str, Columns], colours: Mapping[str, str], by: str = "epoch"
) -> go.Figure:
    """The learning rate of any set of runs: by step if every record is a steps.csv; if they are
    history.csv, by epoch or ``by`` time. colours : run -> its colour.
    """
    by_step = bool(records) and all("step" in columns for columns in records.values())
    title, place = say("Learning rate"), "step" if by_step else "epoch"
    time = Time(say("Step"), 0.0) if by_step else _time(records, by)
    figure, ends = go.Figure(), {}
    for run, columns in records.items():
        rate = _column(columns, "learning_rate", run)
        x = _column(columns, "step", run) if by_step else time.places(columns, run)
        figure.add_trace(_line(run, run, x, rate, colours[run]))
        ends[run] = _last(rate)
    _name_lines(figure, {run: colours[run] for run in records})
    if not any(len(columns[place]) for columns in records.values()):
        say_empty(figure, say(_NOTHING))
    figure.update_yaxes(exponentformat="power", rangemode="tozero")
    return _finish(figure, title, (time.title, say("Learning rate")), _describe(title, ends))
