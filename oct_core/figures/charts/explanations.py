"""How far maps can be trusted: scores by layer, likeness after randomisation, place on the lesion
and on the retina.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from oct_core.errors import MetricError
from oct_core.figures.charts.style import describe, finish, plain, say_empty
from oct_core.figures.colours import CLASS_COLOURS, NEUTRAL
from oct_core.metrics.intervals import Interval, interval_text
from oct_core.words import message, say

_DASHES = ("solid", "dot", "dash", "dashdot", "longdash")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x")
_LEVELS = ("dot", "dash", "dashdot", "longdash")
_PATTERNS = ("", "/", ".", "x", "+", "-", "|")
REGION_COLOURS = {
    "retina": "#7B6FD0",
    "above": CLASS_COLOURS["DRUSEN"],
    "below": CLASS_COLOURS["DME"],
    "borders": NEUTRAL,
    "wedges": CLASS_COLOURS["CNV"],
}
"""Region of a scan -> its colour; patterns tell them apart too."""
REGION_TITLES = {
    "retina": message("retina"),
    "above": message("above the retina"),
    "below": message("below the retina"),
    "borders": message("borders"),
    "wedges": message("wedges"),
}
_NOTHING = message("Nothing measured yet")


@dataclass(frozen=True)
class Profile:
    """One line: a score at each place (a layer, or a step of the randomisation), in order. name :
    for the legend.
    """

    name: str
    places: tuple[str, ...]
    scores: tuple[Interval, ...]

    def __post_init__(self) -> None:
        if len(self.places) != len(self.scores):
            raise MetricError(
                "expected one score a place, got {places} places and {scores} scores",
                places=len(self.places),
                scores=len(self.scores),
            )


def _errors(scores: Sequence[Interval], **look: object) -> dict[str, object]:
    """The interval as whiskers; none where it is not defined."""
    value, low, high = (
        np.array([getattr(score, end) for score in scores]) for end in ("value", "low", "high")
    )
    whiskers = {"array": np.nan_to_num(high - value), "arrayminus": np.nan_to_num(value - low)}
    return {"type": "data", "thickness": 1.3, "width": 3, **whiskers, **look}


def _line(run: str, profile: Profile, colour: str, number: int) -> go.Scatter:
    hover = [
        plain(f"{run}, {profile.name}, {place}: {interval_text(score)}")
        for place, score in zip(profile.places, profile.scores, strict=True)
    ]
    return go.Scatter(
        x=list(range(1, len(profile.places) + 1)),
        y=[score.value for score in profile.scores],
        error_y=_errors(profile.scores),
        name=plain(f"{run}: {profile.name}"),
        mode="lines+markers",
        line={"color": colour, "dash": _DASHES[number % len(_DASHES)]},
        marker={"size": 8, "symbol": _SYMBOLS[number % len(_SYMBOLS)]},
        text=hover,
        hovertemplate="%{text}<extra></extra>",
    )


def _levels(levels: Mapping[str, float], places: int, first: bool) -> list[go.Scatter]:
    """Dashed horizontal lines across a panel, one legend entry for all panels."""
    return [
        go.Scatter(
            x=[0.7, places + 0.3],
            y=[value, value],
            name=plain(name),
            legendgroup=name,
            showlegend=first,
            mode="lines",
            line={"color": NEUTRAL, "dash": _LEVELS[number % len(_LEVELS)], "width": 1.6},
            hovertemplate=f"{plain(name)}: %{{y:.3f}}<extra></extra>",
        )
        for number, (name, value) in enumerate(levels.items())
    ]


def _panels(runs: Sequence[str], **more: object) -> go.Figure:
    """One panel a run, side by side, with one scale."""
    return make_subplots(
        rows=1,
        cols=max(1, len(runs)),
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=tuple(map(plain, runs)),
        **more,
    )


def _profiles(
    by_run: Mapping[str, Sequence[Profile]],
    levels: Mapping[str, Mapping[str, float]],
    colours: Mapping[str, str],
    title: str,
    x: str,
    y: str,
) -> go.Figure:
    figure, lines = _panels(list(by_run)), []
    for column, (run, profiles) in enumerate(by_run.items(), start=1):
        places = max((profile.places for profile in profiles), key=len, default=())
        for trace in _levels(levels.get(run, {}), len(places), column == 1):
            figure.add_trace(trace, row=1, col=column)
        for number, profile in enumerate(profiles):
            figure.add_trace(_line(run, profile, colours[run], number), row=1, col=column)
            values = ", ".join(
                f"{place} {score.value:.2f}"
                for place, score in zip(profile.places, profile.scores, strict=True)
            )
            lines.append(f"{run}, {profile.name}: {values}")
        ticks = {
            "tickvals": list(range(1, len(places) + 1)),
            "ticktext": list(map(plain, places)),
            "tickangle": -35,
        }
        figure.update_xaxes(**ticks, range=[0.6, len(places) + 0.4], row=1, col=column)
        lines += [f"{run}, {name}: {value:.2f}" for name, value in levels.get(run, {}).items()]
    if not lines:
        say_empty(figure, say(_NOTHING))
    alt = describe(title, lines or [say(_NOTHING)])
    return _with_headings(finish(figure, title, x, "", alt), y)


def _with_headings(figure: go.Figure, y: str) -> go.Figure:
    """The y axis named once, and room for the headings of the panels and a legend below slanted
    ticks.
    """
    figure.update_yaxes(title_text=plain(y), row=1, col=1)
    figure.update_yaxes(rangemode="tozero")  # else a difference in the fourth digit fills the panel
    figure.update_layout(margin={"t": 80}, height=460, legend={"y": -0.38})
    return figure


def scores_by_layer(
    by_run: Mapping[str, Sequence[Profile]],
    levels: Mapping[str, Mapping[str, float]],
    colours: Mapping[str, str],
    title: str,
    y: str | None = None,
) -> go.Figure:
    """One panel a run: a score against the depth of the layer, with 95% intervals, beside maps that
    know no network (dashed).

    by_run : run -> one Profile a method, layers shallow to deep. levels : run -> baseline -> its
    score. colours : run -> its colour.
    """
    y = say("Score") if y is None else y
    return _profiles(by_run, levels, colours, title, say("Layer, shallow to deep"), y)


def likeness_by_stage(
    by_run: Mapping[str, Sequence[Profile]],
    colours: Mapping[str, str],
    title: str,
    y: str | None = None,
) -> go.Figure:
    """One panel a run: how alike maps stay while block after block, head first, gets random
    weights.

    by_run : run -> one Profile a method; its places are the blocks in the order in which they
    became random. colours : run -> its colour.
    """
    y = say("Rank correlation") if y is None else y
    return _profiles(by_run, {}, colours, title, say("Random down to this block"), y)


def lesion_bars(
    by_run: Mapping[str, Mapping[str, Interval]],
    reference: Mapping[str, float],
    colours: Mapping[str, str],
    title: str,
    y: str,
) -> go.Figure:
    """Bars of one score by map and run with 95% intervals; the dashed line is what a map
    unrelated to the lesion would score.

    by_run : run -> map -> score. reference : run -> that score, the lesion's mean share of the
    picture. colours : run -> its colour.
    """
    figure, lines = go.Figure(), []
    for run, scores in by_run.items():
        figure.add_trace(
            go.Bar(
                x=list(map(plain, scores)),
                y=[score.value for score in scores.values()],
                name=plain(run),
                offsetgroup=run,
                marker={"color": colours[run]},
                error_y=_errors(list(scores.values()), color=NEUTRAL),
                text=[
                    plain(f"{run}, {name}: {interval_text(score)}")
                    for name, score in scores.items()
                ],
                textposition="none",
                hovertemplate="%{text}<extra></extra>",
            )
        )
        lines.append(
            f"{run}: " + ", ".join(f"{name} {score.value:.2f}" for name, score in scores.items())
        )
    if not any(by_run.values()):
        say_empty(figure, say("No phantom with a lesion was classified correctly"))
    for run, value in reference.items():
        lines.append(say("{run}, lesion area {area:.2f}", run=run, area=value))
    if reference:
        mean = float(np.mean(list(reference.values())))
        figure.add_hline(
            y=mean,
            line={"color": NEUTRAL, "dash": "dash", "width": 1.6},
            annotation_text=say("lesion area {area:.2f}", area=mean),
        )
    figure.update_layout(barmode="group", bargap=0.25, height=430)
    return finish(figure, title, say("Map"), y, describe(title, lines or [say(_NOTHING)]))


def region_shares(
    by_run: Mapping[str, Mapping[str, Mapping[str, float]]], title: str | None = None
) -> go.Figure:
    """One panel a run, one stacked bar a map: the share of its sum on each region of the scan.

    by_run : run -> map -> region of REGION_COLOURS -> share, 0 to 1. Raises MetricError for another
    region.
    """
    regions = list(
        dict.fromkeys(
            region for maps in by_run.values() for shares in maps.values() for region in shares
        )
    )
    if unknown := set(regions) - set(REGION_COLOURS):
        raise MetricError(
            "expected regions of {regions}, got {unknown}; rename them",
            regions=", ".join(REGION_COLOURS),
            unknown=", ".join(sorted(unknown)),
        )
    figure, lines = _panels(list(by_run)), []
    for column, (run, maps) in enumerate(by_run.items(), start=1):
        for region in regions:
            figure.add_trace(_region_bar(region, maps, column == 1), row=1, col=column)
        lines += [
            f"{run}, {name}: "
            + ", ".join(
                f"{say(REGION_TITLES[region])} {share:.0%}" for region, share in shares.items()
            )
            for name, shares in maps.items()
        ]
    if not lines:
        say_empty(figure, say(_NOTHING))
    figure.update_layout(barmode="stack")
    title = say("Where the maps lie") if title is None else title
    alt = describe(title, lines or [say(_NOTHING)])
    finish(figure, title, say("Share of the map"), "", alt)
    figure.update_xaxes(range=[0, 1], tickformat=".0%", tickangle=0)
    figure.update_yaxes(autorange="reversed")
    return _with_headings(figure, say("Map")).update_layout(
        legend={"y": -0.25, "traceorder": "normal"}, height=420
    )


def _region_bar(region: str, maps: Mapping[str, Mapping[str, float]], first: bool) -> go.Bar:
    title = plain(say(REGION_TITLES[region]))
    pattern = {"shape": _PATTERNS[list(REGION_COLOURS).index(region)], "size": 6, "solidity": 0.25}
    return go.Bar(
        y=list(map(plain, maps)),
        x=[shares.get(region, 0.0) for shares in maps.values()],
        orientation="h",
        name=title,
        legendgroup=region,
        showlegend=first,
        marker={"color": REGION_COLOURS[region], "pattern": pattern, "line": {"width": 0}},
        hovertemplate=f"%{{y}}, {title}: %{{x:.1%}}<extra></extra>",
    )
