"""Confusion matrix, sensitivity and specificity, ROC and reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from oct_core.errors import MetricError
from oct_core.figures.charts.style import describe, finish, plain, say_empty
from oct_core.figures.colours import NEUTRAL, class_colour
from oct_core.metrics import curves
from oct_core.metrics.calibration import Reliability
from oct_core.metrics.curves import MACRO, RocCurve, pair_names
from oct_core.metrics.intervals import Interval, interval_text
from oct_core.metrics.summary import Evaluation
from oct_core.types import CLASSES, FloatArray
from oct_core.words import say, say_count

_BLUES = [[0.0, "#EAF2FB"], [0.5, "#6AAED6"], [1.0, "#08519C"]]
_CORNERS = (0.02, 0.05, 0.1, 0.2, 0.4)
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def confusion_matrix(
    confusion: ArrayLike,
    classes: Sequence[str] = CLASSES,
    title: str | None = None,
    per_cent: bool = False,
) -> go.Figure:
    """Counts (or per cent of each true class, empty where a class has no scan), truth down,
    prediction across.

    confusion : (K, K), rows are the truth. Raises MetricError for another shape.
    """
    counts = np.asarray(confusion)
    if counts.shape != (len(classes), len(classes)):
        raise MetricError(
            "expected a confusion matrix of shape ({size}, {size}), got {shape}; pass its classes",
            size=len(classes),
            shape=counts.shape,
        )
    rows = counts.sum(axis=1, keepdims=True)
    share = np.divide(100.0 * counts, rows, out=np.full(counts.shape, np.nan), where=rows > 0)
    text = (
        [["" if np.isnan(cell) else f"{cell:.1f}%" for cell in row] for row in share]
        if per_cent
        else counts.astype(int).astype(str)
    )
    names = list(classes)
    heat = go.Heatmap(
        z=share,
        x=names,
        y=names,
        text=text,
        texttemplate="%{text}",
        textfont={"size": 16},
        colorscale=_BLUES,
        zmin=0,
        zmax=100,
        xgap=2,
        ygap=2,
        customdata=counts,
        showscale=False,
        hovertemplate=say("True class %{y}, predicted %{x}: %{customdata} scans (%{z:.1f}%)")
        + "<extra></extra>",
    )
    figure = go.Figure(heat)
    axis = {"type": "category", "constrain": "domain", "showgrid": False, "tickfont": {"size": 11}}
    figure.update_xaxes(**axis, tickangle=0)
    figure.update_yaxes(**axis, tickangle=-90, autorange="reversed", scaleanchor="x")
    right, total = int(np.trace(counts)), int(counts.sum())
    each = "; ".join(
        say("{name} {right} of {total}", name=name, right=int(counts[k, k]), total=int(rows[k, 0]))
        for k, name in enumerate(names)
    )
    title = say("Confusion matrix") if title is None else title
    alt = say(
        "{title}: {right} of {total} scans correct. By true class: {each}.",
        title=title,
        right=right,
        total=total,
        each=each,
    )
    return finish(figure, title, say("Predicted class"), say("True class"), alt)


def _points(run: str, table: Mapping[str, Interval], colour: str, show_legend: bool) -> go.Scatter:
    value = np.array([cell.value for cell in table.values()])
    low, high = (
        np.array([getattr(cell, end) for cell in table.values()]) for end in ("low", "high")
    )
    errors = {
        "type": "data",
        "array": np.nan_to_num(high - value),
        "arrayminus": np.nan_to_num(value - low),
        "thickness": 1.5,
    }
    hover = [plain(f"{run}, {name}: {interval_text(cell)}") for name, cell in table.items()]
    return go.Scatter(
        x=list(table),
        y=value,
        error_y=errors,
        name=plain(run),
        legendgroup=run,
        offsetgroup=run,
        mode="markers",
        showlegend=show_legend,
        marker={"color": colour, "size": 11},
        text=hover,
        hovertemplate="%{text}<extra></extra>",
    )


def sensitivity_specificity(
    evaluations: Mapping[str, Evaluation],
    colours: Mapping[str, str],
    title: str | None = None,
) -> go.Figure:
    """Sensitivity (left) and specificity (right) of each class and run, with 95% intervals by
    patient. colours : run -> its colour.
    """
    figure = make_subplots(
        rows=1,
        cols=2,
        shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=(say("Sensitivity"), say("Specificity")),
    )
    lines = []
    for run, evaluation in evaluations.items():
        figure.add_trace(_points(run, evaluation.sensitivity, colours[run], True), row=1, col=1)
        figure.add_trace(_points(run, evaluation.specificity, colours[run], False), row=1, col=2)
        pairs = [
            say(
                "{name} {sensitivity:.2f} and {specificity:.2f}",
                name=name,
                sensitivity=evaluation.sensitivity[name].value,
                specificity=evaluation.specificity[name].value,
            )
            for name in evaluation.classes
        ]
        lines.append(f"{run}: {', '.join(pairs)}")
    if not evaluations:
        say_empty(figure, say("No evaluated run"))
    figure.update_layout(scattermode="group", scattergap=0.5)
    title = say("Sensitivity and specificity by class") if title is None else title
    heading = say("{title} (sensitivity first, then specificity)", title=title)
    finish(figure, title, say("Class"), "", describe(heading, lines or [say("No evaluated run")]))
    figure.update_yaxes(title_text=say("Share of scans (95% interval)"), row=1, col=1)
    figure.update_layout(margin={"t": 80})  # room for the two headings under the title
    return figure


def curve_title(name: str) -> str:
    """A curve of ``metrics.curves`` for people: ``CNV vs DME``, ``macro average``; a class stands
    as it is.
    """
    if name == MACRO:
        return say(MACRO)
    first, versus, second = name.partition(" vs ")
    return say("{first} vs {second}", first=first, second=second) if versus else name


def _roc_trace(
    name: str, curve: RocCurve, colour: str, dash: str = "solid", width: float = 2
) -> go.Scatter:
    return go.Scatter(
        x=curve.false_positive_rate,
        y=curve.true_positive_rate,
        customdata=curve.thresholds,
        mode="lines",
        name=say("{name}: AUC {auc:.3f}", name=plain(name), auc=curve.auc),
        line={"color": colour, "dash": dash, "width": width},
        hovertemplate=say(
            "sensitivity %{y:.3f}, false positive rate %{x:.3f}, threshold %{customdata:.3f}"
        )
        + f"<extra>{plain(name)}</extra>",
    )


def _diagonal(name: str) -> go.Scatter:
    line = {"color": NEUTRAL, "dash": "dot", "width": 1}
    return go.Scatter(x=[0, 1], y=[0, 1], mode="lines", name=name, line=line, hoverinfo="skip")


def corner_size(errors: Sequence[tuple[FloatArray, FloatArray]]) -> float:
    """How much of both axes shows the bend of every curve: one of 0.02, 0.05, 0.1, 0.2, 0.4 and 1.

    errors : of each curve, two arrays (M,) that would both be 0 at its ideal corner.
    """
    bends = [float(np.maximum(across, down).min()) for across, down in errors]
    reach = 2 * max(bends, default=1.0)
    return next((size for size in _CORNERS if size >= reach), 1.0)


def _roc_figure(
    title: str, curves_: Mapping[str, RocCurve], traces: Sequence[go.Scatter], zoom: bool = False
) -> go.Figure:
    figure = go.Figure(list(traces))
    figure.add_trace(_diagonal(say("chance")))
    figure.update_layout(height=520)
    if not curves_:
        say_empty(figure, say("No class has both positive and negative scans"))
    size = (
        corner_size([(c.false_positive_rate, 1 - c.true_positive_rate) for c in curves_.values()])
        if zoom
        else 1.0
    )
    edge = 0.03 * size if zoom else 0.01
    figure.update_xaxes(range=[-edge, size + edge], constrain="domain")
    figure.update_yaxes(range=[1 - size - edge, 1 + edge], scaleanchor="x", constrain="domain")
    areas = "; ".join(f"{curve_title(name)} {curve.auc:.3f}" for name, curve in curves_.items())
    heading = say("{title}, upper left corner", title=title) if size < 1 else title
    alt = (
        say("{title}. Areas under the curves: {areas}.", title=heading, areas=areas)
        if areas
        else say("{title}. No curve.", title=title)
    )
    return finish(
        figure,
        title,
        say("False positive rate (1 - specificity)"),
        say("True positive rate (sensitivity)"),
        alt,
    )


def roc_one_vs_rest(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str] = CLASSES,
    title: str | None = None,
    zoom: bool = False,
) -> go.Figure:
    """The ROC curve of each class of one run, with the macro average (dashed).

    labels : (N,). probabilities : (N, K). zoom : show the corner where the curves bend. Raises
    MetricError for bad arrays or if no class has scans on both sides.
    """
    by_class = curves.roc_one_vs_rest(labels, probabilities, classes)
    traces = [
        _roc_trace(name, curve, class_colour(name))
        for name, curve in by_class.items()
        if name != MACRO
    ]
    traces.append(_roc_trace(curve_title(MACRO), by_class[MACRO], "#7B6FD0", "dash", 3))
    title = say("ROC, one class against the rest") if title is None else title
    return _roc_figure(title, by_class, traces, zoom)


def roc_one_vs_one(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str] = CLASSES,
    title: str | None = None,
    zoom: bool = False,
) -> go.Figure:
    """The ROC curve of each pair of classes of one run (Hand & Till, see metrics.curves): the first
    class's colour, a dash for the second.

    zoom : show the corner where the curves bend. Raises MetricError for bad arrays.
    """
    by_pair = curves.roc_one_vs_one(labels, probabilities, classes)
    pairs = zip(pair_names(classes), combinations(range(len(classes)), 2), strict=True)
    styles = {
        name: (class_colour(classes[i]), _DASHES[(j - 1) % len(_DASHES)]) for name, (i, j) in pairs
    }
    traces = [
        _roc_trace(curve_title(name), curve, *styles[name]) for name, curve in by_pair.items()
    ]
    title = say("ROC, one class against another") if title is None else title
    return _roc_figure(title, by_pair, traces, zoom)


def roc_runs(
    by_run: Mapping[str, RocCurve], colours: Mapping[str, str], title: str | None = None
) -> go.Figure:
    """One curve a run, for comparing runs: run -> the same curve of each (macro average, one class
    or one pair). colours : run -> its colour.
    """
    title = say("ROC, macro average of each model") if title is None else title
    return _roc_figure(
        title, by_run, [_roc_trace(run, curve, colours[run]) for run, curve in by_run.items()]
    )


def reliability_diagram(
    by_run: Mapping[str, Reliability], colours: Mapping[str, str], title: str | None = None
) -> go.Figure:
    """Accuracy against confidence in bins with 95% intervals, one colour a run; on the diagonal a
    confidence of 0.8 is right eight times in ten. The more scans, the larger the point.

    colours : run -> its colour.
    """
    figure = go.Figure()
    for run, points in by_run.items():
        figure.add_trace(
            go.Scatter(
                x=points.confidence,
                y=points.accuracy,
                error_y={
                    "type": "data",
                    "array": np.nan_to_num(points.high - points.accuracy),
                    "arrayminus": np.nan_to_num(points.accuracy - points.low),
                    "thickness": 1,
                },
                customdata=points.count,
                name=plain(run),
                mode="markers",
                opacity=0.75,
                marker={
                    "color": colours[run],
                    "size": 6 + 16 * np.sqrt(points.count / max(1, points.count.sum())),
                },
                hovertemplate=say("confidence %{x:.2f}, accuracy %{y:.2f}, %{customdata} scans")
                + f"<extra>{plain(run)}</extra>",
            )
        )
    figure.add_trace(_diagonal(say("ideal")))
    figure.update_xaxes(range=[0, 1.05])
    figure.update_yaxes(range=[-0.02, 1.07])
    lines = [
        f"{run}: {say_count('{count} scan', '{count} scans', int(points.count.sum()))}"
        for run, points in by_run.items()
    ]
    title = say("Reliability of the confidence") if title is None else title
    alt = describe(title, lines or [say("No run")])
    return finish(figure, title, say("Mean confidence"), say("Accuracy"), alt)
