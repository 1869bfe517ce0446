"""What may be made of the answers: shares of verdicts, and risk over coverage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import plotly.graph_objects as go

from oct_core.figures.charts.style import describe, finish, plain, say_empty
from oct_core.figures.colours import INK, VERDICT_COLOURS
from oct_core.types import VERDICTS, FloatArray
from oct_core.words import say


class RiskLine(Protocol):
    """What is drawn of ``trust.verdict.RiskCoverage``, which figures know nothing of."""

    @property
    def coverage(self) -> FloatArray:
        """(N,), rising to 1."""

    @property
    def risk(self) -> FloatArray:
        """(N,), 0 to 1."""

    @property
    def answered(self) -> float:
        """The coverage where the rule's answers end."""

    @property
    def answered_risk(self) -> float:
        """The risk there, NaN without an answer."""


def verdict_bars(
    by_name: Mapping[str, Mapping[str, int]], titles: Mapping[str, str], title: str
) -> go.Figure:
    """One bar a name, of the shares of its verdicts; the numbers of scans stand in it.

    by_name : name -> how many scans have each of VERDICTS. titles : of the verdicts, for people.
    """
    figure = go.Figure()
    totals = {name: sum(counts.values()) for name, counts in by_name.items()}
    for kind in VERDICTS:
        counts = [int(by_name[name][kind]) for name in by_name]
        figure.add_trace(
            go.Bar(
                x=[
                    count / total if total else 0.0
                    for count, total in zip(counts, totals.values(), strict=True)
                ],
                y=[plain(name) for name in by_name],
                orientation="h",
                name=plain(titles[kind]),
                marker={"color": VERDICT_COLOURS[kind]},
                text=[str(count) if count else "" for count in counts],
                textposition="inside",
                insidetextfont={"color": INK},
                insidetextanchor="middle",
                textangle=0,
                hovertemplate="%{y}: %{x:.1%}" + f"<extra>{plain(titles[kind])}</extra>",
            )
        )
    if not by_name:
        say_empty(figure, say("No scan"))
    figure.update_layout(barmode="stack")
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(type="category", autorange="reversed")
    parts = [
        f"{name}: " + ", ".join(f"{titles[kind]} {counts[kind]}" for kind in VERDICTS)
        for name, counts in by_name.items()
    ]
    return finish(
        figure,
        title,
        say("Share of the scans"),
        say("Scans"),
        describe(title, parts or [say("No scan")]),
    )


def risk_coverage_curves(
    by_run: Mapping[str, RiskLine], colours: Mapping[str, str], title: str
) -> go.Figure:
    """How many of the most trusted scans are wrong, over how many of them are answered; a diamond
    where the rule stops. colours : run -> its colour.
    """
    figure = go.Figure()
    for run, line in by_run.items():
        figure.add_trace(
            go.Scatter(
                x=line.coverage,
                y=line.risk,
                mode="lines",
                name=plain(run),
                legendgroup=run,
                line={"color": colours[run], "width": 2},
                hovertemplate=say("%{x:.1%} answered, %{y:.1%} of them wrong")
                + f"<extra>{plain(run)}</extra>",
            )
        )
        if not np.isnan(line.answered_risk):
            figure.add_trace(_stop(run, line, colours[run]))
    if not by_run:
        say_empty(figure, say("No run"))
    highest = max([0.02, *(float(line.risk.max()) for line in by_run.values())])
    figure.update_xaxes(range=[0, 1.01], tickformat=".0%")
    figure.update_yaxes(range=[-0.02 * highest, 1.05 * highest], tickformat=".1%")
    return finish(
        figure,
        title,
        say("Coverage: share of the scans answered"),
        say("Risk: wrong among the answered"),
        describe(
            title, [_risk_words(run, line) for run, line in by_run.items()] or [say("No run")]
        ),
    )


def _stop(run: str, line: RiskLine, colour: str) -> go.Scatter:
    return go.Scatter(
        x=[line.answered],
        y=[line.answered_risk],
        mode="markers",
        name=say("{run}: where the rule stops", run=plain(run)),
        legendgroup=run,
        showlegend=False,
        cliponaxis=False,
        marker={"color": colour, "size": 13, "symbol": "diamond"},
        hovertemplate=say("the rule answers %{x:.1%}, %{y:.1%} of them wrong")
        + f"<extra>{plain(run)}</extra>",
    )


def _risk_words(run: str, line: RiskLine) -> str:
    if np.isnan(line.answered_risk):
        return say("{run}: no scan is answered", run=run)
    return say(
        "{run}: the rule answers {answered:.1%} of the scans, {risk:.1%} of them wrong; of all "
        "{whole:.1%}",
        run=run,
        answered=line.answered,
        risk=line.answered_risk,
        whole=float(line.risk[-1]),
    )
