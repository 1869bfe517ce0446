"""What a threshold gives: precision-recall curves, a moving operating point, decision curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from oct_core.figures.charts.performance import corner_size
from oct_core.figures.charts.style import describe, finish, plain, say_empty
from oct_core.figures.colours import NEUTRAL, class_colour
from oct_core.metrics.curves import RocCurve
from oct_core.metrics.decision import DecisionCurve
from oct_core.metrics.precision_recall import precision_recall_one_vs_rest
from oct_core.types import CLASSES
from oct_core.words import say

_FLOOR = -0.1
"""Net benefit below this is cut off: calling all positive falls without end."""


def precision_recall(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str] = CLASSES,
    title: str | None = None,
    zoom: bool = False,
) -> go.Figure:
    """The precision-recall curve of each class of one run, with its average precision.

    labels : (N,). probabilities : (N, K). zoom : show the corner where the curves bend. Raises
    MetricError for bad arrays.
    """
    by_class = precision_recall_one_vs_rest(labels, probabilities, classes)
    figure = go.Figure()
    for name, curve in by_class.items():
        figure.add_trace(
            go.Scatter(
                x=curve.recall,
                y=curve.precision,
                customdata=curve.thresholds,
                mode="lines",
                name=say("{name}: AP {ap:.3f}", name=plain(name), ap=curve.average_precision),
                line={"color": class_colour(name), "shape": "vh", "width": 2},
                hovertemplate=say(
                    "recall %{x:.3f}, precision %{y:.3f}, threshold %{customdata:.3f}"
                )
                + f"<extra>{plain(name)}</extra>",
            )
        )
    size = (
        corner_size([(1 - curve.recall, 1 - curve.precision) for curve in by_class.values()])
        if zoom
        else 1.0
    )
    edge = 0.03 * size if zoom else 0.01
    figure.update_layout(height=520)
    figure.update_xaxes(range=[1 - size - edge, 1 + edge], constrain="domain")
    figure.update_yaxes(range=[1 - size - edge, 1 + edge], scaleanchor="x", constrain="domain")
    title = say("Precision and recall, one class against the rest") if title is None else title
    heading = say("{title}, upper right corner", title=title) if size < 1 else title
    parts = [
        say(
            "{name}: average precision {ap:.3f}, calls at random {prevalence:.3f}",
            name=name,
            ap=curve.average_precision,
            prevalence=curve.prevalence,
        )
        for name, curve in by_class.items()
    ]
    return finish(
        figure,
        title,
        say("Recall (sensitivity)"),
        say("Precision (positive predictive value)"),
        describe(heading, parts),
    )


def operating_point(
    curve: RocCurve,
    points: Mapping[str, tuple[float, float]],
    colour: str,
    title: str | None = None,
) -> go.Figure:
    """One ROC curve with points on it, such as the threshold in use and the one of the card, in the
    corner that shows its bend and all points.

    points : what each is called -> (sensitivity, specificity); the first is filled, the others are
    open. colour : of the run.
    """
    figure = go.Figure(
        go.Scatter(
            x=curve.false_positive_rate,
            y=curve.true_positive_rate,
            customdata=curve.thresholds,
            mode="lines",
            line={"color": colour, "width": 2},
            name=say("AUC {auc:.3f}", auc=curve.auc),
            hovertemplate=say(
                "sensitivity %{y:.3f}, false positive rate %{x:.3f}, threshold %{customdata:.3f}"
            )
            + "<extra></extra>",
        )
    )
    for number, (name, (sensitivity, specificity)) in enumerate(points.items()):
        figure.add_trace(
            go.Scatter(
                x=[1 - specificity],
                y=[sensitivity],
                mode="markers",
                cliponaxis=False,
                name=plain(name),
                marker={
                    "color": NEUTRAL if number else colour,
                    "size": 18 if number else 11,
                    "symbol": "diamond-open" if number else "circle",
                    "line": {"width": 2},
                },
                hovertemplate=say("sensitivity %{y:.3f}, false positive rate %{x:.3f}")
                + f"<extra>{plain(name)}</extra>",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            name=say("chance"),
            line={"color": NEUTRAL, "dash": "dot", "width": 1},
            hoverinfo="skip",
        )
    )
    errors = [(curve.false_positive_rate, 1 - curve.true_positive_rate)]
    errors += [(np.array([1 - down]), np.array([1 - up])) for up, down in points.values()]
    size = corner_size(errors)
    edge = 0.03 * size
    figure.update_xaxes(range=[-edge, size + edge], constrain="domain")
    figure.update_yaxes(range=[1 - size - edge, 1 + edge], scaleanchor="x", constrain="domain")
    title = say("Operating point") if title is None else title
    parts = [say("area under the ROC curve {auc:.3f}", auc=curve.auc)] + [
        say(
            "{name}: sensitivity {sensitivity:.3f}, specificity {specificity:.3f}",
            name=name,
            sensitivity=sensitivity,
            specificity=specificity,
        )
        for name, (sensitivity, specificity) in points.items()
    ]
    return finish(
        figure,
        title,
        say("False positive rate (1 - specificity)"),
        say("True positive rate (sensitivity)"),
        describe(title, parts),
    )


def _band(run: str, curve: DecisionCurve, colour: str, opacity: float) -> go.Scatter:
    return go.Scatter(
        x=np.r_[curve.thresholds, curve.thresholds[::-1]],
        y=np.r_[curve.high, curve.low[::-1]],
        fill="toself",
        fillcolor=colour,
        opacity=opacity,
        line={"color": colour, "width": 0},
        name=plain(run),
        legendgroup=run,
        showlegend=False,
        hoverinfo="skip",
    )


def decision_curves(
    by_run: Mapping[str, DecisionCurve], colours: Mapping[str, str], title: str | None = None
) -> go.Figure:
    """Net benefit over thresholds, one line a run with its 95% band, against calling all scans
    positive (dashed) and none (dotted). colours : run -> its colour.
    """
    figure = go.Figure()
    for run, curve in by_run.items():
        if not np.isnan(curve.low).all():
            figure.add_trace(_band(run, curve, colours[run], 0.2 / len(by_run)))
    references = {}
    if by_run:
        first = next(iter(by_run.values()))
        nothing = np.zeros_like(first.thresholds)
        references = {
            say("all called positive"): (first.thresholds, first.all_positive, "dash"),
            say("none called positive"): (first.thresholds, nothing, "dot"),
        }
    for name, (thresholds, benefit, dash) in references.items():
        figure.add_trace(
            go.Scatter(
                x=thresholds,
                y=benefit,
                mode="lines",
                name=name,
                line={"color": NEUTRAL, "dash": dash, "width": 2},
                hovertemplate=say("threshold %{x:.2f}, net benefit %{y:.3f}")
                + f"<extra>{name}</extra>",
            )
        )
    for run, curve in by_run.items():
        figure.add_trace(
            go.Scatter(
                x=curve.thresholds,
                y=curve.model,
                mode="lines",
                name=plain(run),
                legendgroup=run,
                line={"color": colours[run], "width": 2},
                hovertemplate=say("threshold %{x:.2f}, net benefit %{y:.3f}")
                + f"<extra>{plain(run)}</extra>",
            )
        )
    if not by_run:
        say_empty(figure, say("No run"))
    highest = max([0.05, *(float(np.fmax(c.model, c.high).max()) for c in by_run.values())])
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(range=[_FLOOR, 1.05 * highest])
    title = say("Decision curve") if title is None else title
    parts = []
    for run, curve in by_run.items():
        better = curve.model > np.maximum(curve.all_positive, 0.0)
        parts.append(
            say(
                "{run}: net benefit above calling all or none at {count} of {total} thresholds",
                run=run,
                count=int(better.sum()),
                total=len(better),
            )
        )
    return finish(
        figure,
        title,
        say("Threshold probability"),
        say("Net benefit (true positives a scan)"),
        describe(title, parts or [say("No run")]),
    )
