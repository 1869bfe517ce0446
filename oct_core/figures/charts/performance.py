"""Confusion matrix, sensitivity and specificity, ROC and reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from oct_core.errors import MetricError
from oct_core.figures.charts.style import NEUTRAL, class_colour, finish, run_colours, say_empty
from oct_core.metrics import curves
from oct_core.metrics.calibration import Reliability
from oct_core.metrics.curves import MACRO, RocCurve, pair_names
from oct_core.metrics.intervals import Interval
from oct_core.metrics.summary import Evaluation
from oct_core.types import CLASSES
from oct_core.words import say

_BLUES = [[0.0, "#EAF2FB"], [0.5, "#6AAED6"], [1.0, "#08519C"]]
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def confusion_matrix(
    confusion: ArrayLike,
    classes: Sequence[str] = CLASSES,
    title: str = "Confusion matrix",
    per_cent: bool = False,
) -> go.Figure:
    """Counts (or per cent of each true class, empty where a class has no scan), truth down,
    prediction across.

    confusion : (K, K), rows are the truth. Raises MetricError for another shape.
    """
    counts = np.asarray(confusion)
    if counts.shape != (len(classes), len(classes)):
        raise MetricError(
            "expected a confusion matrix of shape ({classes_count}, {classes_count}), got "
            "{shape}; pass its classes",
            classes_count=len(classes),
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
        hovertemplate="True %{y}, called %{x}: %{customdata} scans (%{z:.1f}%)<extra></extra>",
    )
    figure = go.Figure(heat)
    axis = {"type": "category", "constrain": "domain", "showgrid": False, "tickfont": {"size": 11}}
    figure.update_xaxes(**axis, tickangle=0)
    figure.update_yaxes(**axis, tickangle=-90, autorange="reversed", scaleanchor="x")
    right, total = int(np.trace(counts)), int(counts.sum())
    each = "; ".join(
        f"{name} {int(counts[k, k])} of {int(rows[k, 0])}" for k, name in enumerate(names)
    )
    return finish(
        figure,
        title,
        say("Predicted class"),
        say("True class"),
        say(
            "{title}: {right} of {total} scans right. By true class: {each}.",
            title=title,
            right=right,
            total=total,
            each=each,
        ),
    )


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
    hover = [f"{run}, {name}: {cell}" for name, cell in table.items()]
    return go.Scatter(
        x=list(table),
        y=value,
        error_y=errors,
        name=run,
        legendgroup=run,
        offsetgroup=run,
        mode="markers",
        showlegend=show_legend,
        marker={"color": colour, "size": 11},
        text=hover,
        hovertemplate="%{text}<extra></extra>",
    )


def sensitivity_specificity(
    evaluations: Mapping[str, Evaluation], title: str = "Sensitivity and specificity by class"
) -> go.Figure:
    """Sensitivity (left) and specificity (right) of each class and run, with 95% intervals by
    patient.
    """
    figure = make_subplots(
        rows=1,
        cols=2,
        shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=("Sensitivity", "Specificity"),
    )
    colours, said = run_colours(evaluations), []
    for run, evaluation in evaluations.items():
        figure.add_trace(_points(run, evaluation.sensitivity, colours[run], True), row=1, col=1)
        figure.add_trace(_points(run, evaluation.specificity, colours[run], False), row=1, col=2)
        both = [
            (name, evaluation.sensitivity[name].value, evaluation.specificity[name].value)
            for name in evaluation.classes
        ]
        pairs = [f"{name} {first:.2f} and {second:.2f}" for name, first, second in both]
        said.append(f"{run}: {', '.join(pairs)}")
    if not evaluations:
        say_empty(figure, say("No evaluated run"))
    figure.update_layout(scattermode="group", scattergap=0.5)
    finish(
        figure,
        title,
        "Class",
        "",
        say(
            "{title}, sensitivity and specificity in turn. {value}.",
            title=title,
            value="; ".join(said) or "No evaluated run",
        ),
    )
    figure.update_yaxes(title_text=say("Share of scans (95% interval)"), row=1, col=1)
    figure.update_layout(margin={"t": 80})  # room for the two headings under the title
    return figure


def _roc_trace(
    name: str, curve: RocCurve, colour: str, dash: str = "solid", width: float = 2
) -> go.Scatter:
    return go.Scatter(
        x=curve.false_positive_rate,
        y=curve.true_positive_rate,
        customdata=curve.thresholds,
        mode="lines",
        name=f"{name}: AUC {curve.auc:.3f}",
        line={"color": colour, "dash": dash, "width": width},
        hovertemplate=say(
            "%{y:.3f} at false positive rate %{x:.3f}, threshold %{customdata:.3f}<extra>"
        )
        + name
        + "</extra>",
    )


def _diagonal(name: str) -> go.Scatter:
    line = {"color": NEUTRAL, "dash": "dot", "width": 1}
    return go.Scatter(x=[0, 1], y=[0, 1], mode="lines", name=name, line=line, hoverinfo="skip")


def _roc_figure(
    title: str, curves_: Mapping[str, RocCurve], traces: Sequence[go.Scatter]
) -> go.Figure:
    figure = go.Figure(list(traces))
    figure.add_trace(_diagonal("chance"))
    figure.update_layout(height=520)
    if not curves_:
        say_empty(figure, say("No class has scans on both sides"))
    figure.update_xaxes(range=[-0.01, 1.01], constrain="domain")
    figure.update_yaxes(range=[-0.01, 1.01], scaleanchor="x", constrain="domain")
    areas = "; ".join(f"{name} {curve.auc:.3f}" for name, curve in curves_.items())
    alt = say("{title}. Areas under the curves: {value}.", title=title, value=areas or "none")
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
    title: str = "ROC, one class against the rest",
) -> go.Figure:
    """The ROC curve of each class of one run, with the macro average (dashed).

    labels : (N,). probabilities : (N, K). Raises MetricError for bad arrays or if no class has
    scans on both sides.
    """
    found = curves.roc_one_vs_rest(labels, probabilities, classes)
    traces = [
        _roc_trace(name, curve, class_colour(name))
        for name, curve in found.items()
        if name != MACRO
    ]
    return _roc_figure(
        title, found, [*traces, _roc_trace(MACRO, found[MACRO], "#7B6FD0", "dash", 3)]
    )


def roc_one_vs_one(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str] = CLASSES,
    title: str = "ROC, one class against another",
) -> go.Figure:
    """The ROC curve of each pair of classes of one run (Hand & Till, see metrics.curves): the first
    class's colour, a dash for the second.

    Raises MetricError for bad arrays.
    """
    found = curves.roc_one_vs_one(labels, probabilities, classes)
    pairs = zip(pair_names(classes), combinations(range(len(classes)), 2), strict=True)
    styles = {
        name: (class_colour(classes[i]), _DASHES[(j - 1) % len(_DASHES)]) for name, (i, j) in pairs
    }
    traces = [_roc_trace(name, curve, *styles[name]) for name, curve in found.items()]
    return _roc_figure(title, found, traces)


def roc_runs(
    found: Mapping[str, RocCurve], title: str = "ROC, macro average of each model"
) -> go.Figure:
    """One curve a run, for comparing runs: run -> the same curve of each (macro average, one class
    or one pair).
    """
    colours = run_colours(found)
    return _roc_figure(
        title, found, [_roc_trace(run, curve, colours[run]) for run, curve in found.items()]
    )


def reliability_diagram(
    found: Mapping[str, Reliability], title: str = "Reliability of the confidence"
) -> go.Figure:
    """Accuracy against confidence in bins, one line a run; on the diagonal the confidence means
    what it says.
    """
    figure, colours = go.Figure(), run_colours(found)
    for run, points in found.items():
        figure.add_trace(
            go.Scatter(
                x=points.confidence,
                y=points.accuracy,
                customdata=points.count,
                name=run,
                mode="lines+markers",
                line={"color": colours[run]},
                hovertemplate=say(
                    "confidence %{x:.2f}, accuracy %{y:.2f}, %{customdata} scans<extra>"
                )
                + run
                + "</extra>",
            )
        )
    figure.add_trace(_diagonal("ideal"))
    figure.update_xaxes(range=[0, 1.01])
    figure.update_yaxes(range=[0, 1.01])
    said = "; ".join(f"{run}: {int(points.count.sum())} scans" for run, points in found.items())
    return finish(
        figure, title, say("Mean confidence"), "Accuracy", f"{title}. {said or 'No run'}."
    )
