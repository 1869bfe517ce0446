"""Decision curves: what calling scans positive is worth at each threshold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from oct_core.figures.charts.style import describe, finish, plain, say_empty
from oct_core.figures.colours import NEUTRAL
from oct_core.metrics.decision import DecisionCurve
from oct_core.words import say

_FLOOR = -0.1
"""Net benefit below this is cut off: calling all positive falls without end."""


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
