"""ROC and precision-recall curves: several in one figure, with their bands, the corner where they
bend, and points on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import plotly.graph_objects as go

from oct_core.figures.charts.style import describe, finish, plain, say_empty, translucent
from oct_core.figures.colours import NEUTRAL, class_colour
from oct_core.metrics.bands import Band
from oct_core.metrics.curves import MACRO, RocCurve, pair_names
from oct_core.metrics.precision_recall import PrecisionRecallCurve
from oct_core.types import CLASSES, FloatArray
from oct_core.words import message, say

_CORNERS = (0.02, 0.05, 0.1, 0.2, 0.4)
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_MACRO_COLOUR = "#7B6FD0"
_WIDEST, _THINNEST = 7.0, 2.0


@dataclass(frozen=True)
class LineStyle:
    """How one curve looks. colour : "#RRGGBB". dash : as plotly has them."""

    colour: str
    dash: str = "solid"


@dataclass(frozen=True, eq=False)
class CurveLook:
    """How a figure of curves looks.

    styles : of each curve. bands : of some of them. points : what each is called -> its place (x,
    y) on the axes; the first is filled, the others are open diamonds. point_colour : of the first.
    zoom : show the corner where curves and bands bend and points lie, not the whole square.
    """

    styles: Mapping[str, LineStyle]
    bands: Mapping[str, Band] = field(default_factory=dict)
    points: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    point_colour: str = NEUTRAL
    zoom: bool = False


@dataclass(frozen=True)
class _Axes:
    """What tells the two kinds of figures apart. ideal : the corner (x, y) of a perfect curve."""

    x: str
    y: str
    hover: str
    ideal: tuple[float, float]
    corner: str


_ROC = _Axes(
    message("False positive rate (1 - specificity)"),
    message("True positive rate (sensitivity)"),
    message("sensitivity %{y:.3f}, false positive rate %{x:.3f}"),
    (0.0, 1.0),
    message("{title}, upper left corner"),
)
_PRECISION = _Axes(
    message("Recall (sensitivity)"),
    message("Precision (positive predictive value)"),
    message("recall %{x:.3f}, precision %{y:.3f}"),
    (1.0, 1.0),
    message("{title}, upper right corner"),
)
_Line = tuple[FloatArray, FloatArray, FloatArray, str]
"""x, y and thresholds (M,) of a curve, and its name in the legend."""


def curve_title(name: str) -> str:
    """A curve of ``metrics.curves`` for people: ``CNV vs DME``, ``macro average``; a class stands
    as it is.
    """
    if name == MACRO:
        return say(MACRO)
    first, versus, second = name.partition(" vs ")
    return say("{first} vs {second}", first=first, second=second) if versus else name


def class_styles(classes: Sequence[str] = CLASSES) -> dict[str, LineStyle]:
    """The macro average and each class."""
    return {MACRO: LineStyle(_MACRO_COLOUR, "dash")} | {
        name: LineStyle(class_colour(name)) for name in classes
    }


def pair_styles(classes: Sequence[str] = CLASSES) -> dict[str, LineStyle]:
    """Each pair of classes: the first class's colour, a dash for the second."""
    pairs = zip(pair_names(classes), combinations(range(len(classes)), 2), strict=True)
    return {
        name: LineStyle(class_colour(classes[i]), _DASHES[(j - 1) % len(_DASHES)])
        for name, (i, j) in pairs
    }


def corner_size(errors: Sequence[tuple[FloatArray, FloatArray]]) -> float:
    """How much of both axes shows the bend of every curve: one of 0.02, 0.05, 0.1, 0.2, 0.4 and 1.

    errors : of each curve, two arrays (M,) that would both be 0 at its ideal corner.
    """
    bends = [float(np.nanmin(np.maximum(across, down))) for across, down in errors]
    reach = 2 * max(bends, default=1.0)
    return next((size for size in _CORNERS if size >= reach), 1.0)


def _widths(count: int) -> FloatArray:
    """Of curves drawn one over the other: the first is the widest, so that where they coincide each
    is seen at the edges of the next.
    """
    widest = min(_WIDEST, _THINNEST + 1.6 * (count - 1))
    return np.linspace(widest, _THINNEST, count)


def _threshold_words(thresholds: FloatArray) -> list[str] | None:
    """For the hover; None of a mean of curves, which has none."""
    if np.isnan(thresholds).all():
        return None
    return [
        say("none called")
        if np.isinf(value)
        else say("called from {threshold:.3f} on", threshold=value)
        for value in thresholds
    ]


def _curve(line: _Line, style: LineStyle, width: float, axes: _Axes) -> go.Scatter:
    x, y, thresholds, name = line
    words = _threshold_words(thresholds)
    return go.Scatter(
        x=x,
        y=y,
        customdata=words,
        mode="lines",
        name=plain(name),
        legendgroup=name,
        line={
            "color": style.colour,
            "dash": style.dash,
            "width": float(width),
            "shape": "vh" if axes is _PRECISION else "linear",
        },
        hovertemplate=say(axes.hover) + (", %{customdata}" if words else "") + "<extra></extra>",
    )


def _band(band: Band, name: str, style: LineStyle) -> go.Scatter:
    return go.Scatter(
        x=np.r_[band.grid, band.grid[::-1]],
        y=np.r_[band.high, band.low[::-1]],
        fill="toself",
        fillcolor=translucent(style.colour, 0.13),
        line={"color": style.colour, "width": 0},
        name=plain(name),
        legendgroup=name,
        showlegend=False,
        hoverinfo="skip",
    )


def _point(name: str, place: tuple[float, float], colour: str | None, axes: _Axes) -> go.Scatter:
    """colour : None of an open diamond."""
    return go.Scatter(
        x=[place[0]],
        y=[place[1]],
        mode="markers",
        cliponaxis=False,
        name=plain(name),
        marker={
            "color": colour or NEUTRAL,
            "size": 12 if colour else 19,
            "symbol": "circle" if colour else "diamond-open",
            "line": {"width": 2},
        },
        hovertemplate=say(axes.hover) + f"<extra>{plain(name)}</extra>",
    )


def _chance() -> go.Scatter:
    line = {"color": NEUTRAL, "dash": "dot", "width": 1}
    return go.Scatter(
        x=[0, 1], y=[0, 1], mode="lines", name=say("chance"), line=line, hoverinfo="skip"
    )


def _figure(
    lines: Mapping[str, _Line], look: CurveLook, axes: _Axes, title: str, parts: Sequence[str]
) -> go.Figure:
    figure = go.Figure()
    bands = {
        name: band
        for name, band in look.bands.items()
        if name in lines and not np.isnan(band.low).all()
    }
    order = [name for name in look.styles if name in lines]
    for name in order:
        if name in bands:
            figure.add_trace(_band(bands[name], lines[name][3], look.styles[name]))
    for name, width in zip(order, _widths(len(order)), strict=True):
        figure.add_trace(_curve(lines[name], look.styles[name], width, axes))
    if axes is _ROC:
        figure.add_trace(_chance())
    for number, (name, place) in enumerate(look.points.items()):
        figure.add_trace(_point(name, place, None if number else look.point_colour, axes))
    if not lines:
        say_empty(figure, say("No class has both positive and negative scans"))
    places = [(x, y) for x, y, _, _ in lines.values()]
    places += [(band.grid, band.low) for band in bands.values()]
    places += [(np.array([x]), np.array([y])) for x, y in look.points.values()]
    size = _set_ranges(figure, places, axes, look.zoom)
    heading = say(axes.corner, title=title) if size < 1 else title
    alt = describe(heading, [*parts, *_point_words(look)] or [say("No curve")])
    return finish(figure, title, say(axes.x), say(axes.y), alt)


def _set_ranges(
    figure: go.Figure, places: Sequence[tuple[FloatArray, FloatArray]], axes: _Axes, zoom: bool
) -> float:
    """Show the corner or the whole; returns how much of the axes that is."""
    ideal_x, ideal_y = axes.ideal
    errors = [(np.abs(x - ideal_x), np.abs(y - ideal_y)) for x, y in places]
    size = corner_size(errors) if zoom else 1.0
    edge = 0.03 * size if zoom else 0.01
    across = [-edge, size + edge] if ideal_x == 0 else [1 - size - edge, 1 + edge]
    figure.update_layout(height=520)
    figure.update_xaxes(range=across, constrain="domain")
    figure.update_yaxes(range=[1 - size - edge, 1 + edge], scaleanchor="x", constrain="domain")
    return size


def _point_words(look: CurveLook) -> list[str]:
    return [
        say("{name} at {x:.3f} across and {y:.3f} up", name=name, x=x, y=y)
        for name, (x, y) in look.points.items()
    ]


def roc_curves(curves: Mapping[str, RocCurve], look: CurveLook, title: str) -> go.Figure:
    """ROC curves by name, with chance; the order is that of the styles, the first lies lowest.

    curves : of ``metrics.curves``: of classes, of pairs, or of runs. A curve without a style is
    left out.
    """
    lines = {
        name: (
            curve.false_positive_rate,
            curve.true_positive_rate,
            curve.thresholds,
            say("{name}: AUC {auc:.3f}", name=curve_title(name), auc=curve.auc),
        )
        for name, curve in curves.items()
        if name in look.styles
    }
    return _figure(lines, look, _ROC, title, [line[3] for line in lines.values()])


def precision_recall_curves(
    curves: Mapping[str, PrecisionRecallCurve], look: CurveLook, title: str
) -> go.Figure:
    """Precision-recall curves by name, as steps, see ``roc_curves``."""
    lines = {
        name: (
            curve.recall,
            curve.precision,
            curve.thresholds,
            say("{name}: AP {ap:.3f}", name=curve_title(name), ap=curve.average_precision),
        )
        for name, curve in curves.items()
        if name in look.styles
    }
    parts = [
        say(
            "{name}: average precision {ap:.3f}, calls at random {prevalence:.3f}",
            name=curve_title(name),
            ap=curves[name].average_precision,
            prevalence=curves[name].prevalence,
        )
        for name in lines
    ]
    return _figure(lines, look, _PRECISION, title, parts)
