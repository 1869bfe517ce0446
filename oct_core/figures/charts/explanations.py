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
from oct_core.figures.charts.style import CLASS_COLOURS, NEUTRAL, finish, run_colours, say_empty
from oct_core.metrics.intervals import Interval
from oct_core.words import say

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
                "expected one score a place, got {places_count} places and {scores_count} scores",
                places_count=len(self.places),
                scores_count=len(self.scores),
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
        f"{run}, {profile.name}, {place}: {score}"
        for place, score in zip(profile.places, profile.scores, strict=True)
    ]
    return go.Scatter(
        x=list(range(1, len(profile.places) + 1)),
        y=[score.value for score in profile.scores],
        error_y=_errors(profile.scores),
        name=f"{run}: {profile.name}",
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
            name=name,
            legendgroup=name,
            showlegend=first,
            mode="lines",
            line={"color": NEUTRAL, "dash": _LEVELS[number % len(_LEVELS)], "width": 1.6},
            hovertemplate=f"{name}: %{{y:.3f}}<extra></extra>",
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
        subplot_titles=tuple(runs),
        **more,
    )


def _profiles(
    found: Mapping[str, Sequence[Profile]],
    levels: Mapping[str, Mapping[str, float]],
    title: str,
    x: str,
    y: str,
) -> go.Figure:
    figure, colours, said = _panels(list(found)), run_colours(found), []
    for column, (run, profiles) in enumerate(found.items(), start=1):
        places = max((profile.places for profile in profiles), key=len, default=())
        for trace in _levels(levels.get(run, {}), len(places), column == 1):
            figure.add_trace(trace, row=1, col=column)
        for number, profile in enumerate(profiles):
            figure.add_trace(_line(run, profile, colours[run], number), row=1, col=column)
            values = ", ".join(
                f"{place} {score.value:.2f}"
                for place, score in zip(profile.places, profile.scores, strict=True)
            )
            said.append(f"{run}, {profile.name}: {values}")
        ticks = {
            "tickvals": list(range(1, len(places) + 1)),
            "ticktext": list(places),
            "tickangle": -35,
        }
        figure.update_xaxes(**ticks, range=[0.6, len(places) + 0.4], row=1, col=column)
        said += [f"{run}, {name}: {value:.2f}" for name, value in levels.get(run, {}).items()]
    if not said:
        say_empty(figure, say("Nothing measured yet"))
    alt = f"{title}. {'; '.join(said) or 'Nothing measured yet'}."
    return _with_headings(finish(figure, title, x, "", alt), y)


def _with_headings(figure: go.Figure, y: str) -> go.Figure:
    """The y axis named once, and room for the headings of the panels and a legend below slanted
    ticks.
    """
    figure.update_yaxes(title_text=y, row=1, col=1)
    figure.update_yaxes(rangemode="tozero")  # else a difference in the fourth digit fills the panel
    figure.update_layout(margin={"t": 80}, height=460, legend={"y": -0.38})
    return figure


def scores_by_layer(
    found: Mapping[str, Sequence[Profile]],
    levels: Mapping[str, Mapping[str, float]],
    title: str,
    y: str = "Score",
) -> go.Figure:
    """One panel a run: a score against the depth of the layer, with 95% intervals, beside maps that
    know no network (dashed).

    found : run -> one Profile a method, layers shallow to deep. levels : run -> baseline -> its
    score.
    """
    return _profiles(found, levels, title, say("Layer, shallow to deep"), y)


def likeness_by_stage(
    found: Mapping[str, Sequence[Profile]], title: str, y: str = "Rank correlation"
) -> go.Figure:
    """One panel a run: how alike maps stay while block after block, head first, gets random
    weights.

    found : run -> one Profile a method; its places are the blocks in the order in which they became
    random.
    """
    return _profiles(found, {}, title, say("Random down to this block"), y)


def lesion_bars(
    found: Mapping[str, Mapping[str, Interval]], reference: Mapping[str, float], title: str, y: str
) -> go.Figure:
    """Bars of one score by map and run with 95% intervals; the dashed line is what a map without
    aim would score.

    found : run -> map -> score. reference : run -> what no aim scores, the lesion's mean share of
    the picture.
    """
    figure, colours, said = go.Figure(), run_colours(found), []
    for run, scores in found.items():
        figure.add_trace(
            go.Bar(
                x=list(scores),
                y=[score.value for score in scores.values()],
                name=run,
                offsetgroup=run,
                marker={"color": colours[run]},
                error_y=_errors(list(scores.values()), color=NEUTRAL),
                text=[f"{run}, {name}: {score}" for name, score in scores.items()],
                textposition="none",
                hovertemplate="%{text}<extra></extra>",
            )
        )
        said.append(
            f"{run}: " + ", ".join(f"{name} {score.value:.2f}" for name, score in scores.items())
        )
    if not any(found.values()):
        say_empty(figure, say("No phantom with a lesion was read rightly"))
    for run, value in reference.items():
        said.append(say("{run}, lesion area {value:.2f}", run=run, value=value))
    if reference:
        mean = float(np.mean(list(reference.values())))
        figure.add_hline(
            y=mean,
            line={"color": NEUTRAL, "dash": "dash", "width": 1.6},
            annotation_text=say("lesion area {mean:.2f}", mean=mean),
        )
    figure.update_layout(barmode="group", bargap=0.25, height=430)
    return finish(figure, title, "Map", y, f"{title}. {'; '.join(said) or 'Nothing measured yet'}.")


def region_shares(
    found: Mapping[str, Mapping[str, Mapping[str, float]]], title: str = "Where the maps lie"
) -> go.Figure:
    """One panel a run, one stacked bar a map: the share of its sum on each region of the scan.

    found : run -> map -> region of REGION_COLOURS -> share, 0 to 1. Raises MetricError for another
    region.
    """
    regions = list(
        dict.fromkeys(
            region for maps in found.values() for shares in maps.values() for region in shares
        )
    )
    if unknown := set(regions) - set(REGION_COLOURS):
        raise MetricError(
            "expected regions of {region_colours}, got {unknown}",
            region_colours=", ".join(REGION_COLOURS),
            unknown=", ".join(sorted(unknown)),
        )
    figure, said = _panels(list(found)), []
    for column, (run, maps) in enumerate(found.items(), start=1):
        for region in regions:
            figure.add_trace(_region_bar(region, maps, column == 1), row=1, col=column)
        said += [
            f"{run}, {name}: "
            + ", ".join(f"{region} {share:.0%}" for region, share in shares.items())
            for name, shares in maps.items()
        ]
    if not said:
        say_empty(figure, say("Nothing measured yet"))
    figure.update_layout(barmode="stack")
    finish(
        figure,
        title,
        say("Share of the map"),
        "",
        f"{title}. {'; '.join(said) or 'Nothing measured yet'}.",
    )
    figure.update_xaxes(range=[0, 1], tickformat=".0%", tickangle=0)
    figure.update_yaxes(autorange="reversed")
    return _with_headings(figure, "Map").update_layout(
        legend={"y": -0.25, "traceorder": "normal"}, height=420
    )


def _region_bar(region: str, maps: Mapping[str, Mapping[str, float]], first: bool) -> go.Bar:
    pattern = {"shape": _PATTERNS[list(REGION_COLOURS).index(region)], "size": 6, "solidity": 0.25}
    return go.Bar(
        y=list(maps),
        x=[shares.get(region, 0.0) for shares in maps.values()],
        orientation="h",
        name=region,
        legendgroup=region,
        showlegend=first,
        marker={"color": REGION_COLOURS[region], "pattern": pattern, "line": {"width": 0}},
        hovertemplate=f"%{{y}}, {region}: %{{x:.1%}}<extra></extra>",
    )
