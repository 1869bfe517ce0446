"""Colours, the look every figure shares, and alt text.

Colours are Okabe & Ito's (2008), told apart with every common colour blindness; models and classes
share none. Backgrounds are transparent and no text has a colour of its own, so a page's light or
dark theme shows through.
"""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Iterable

import plotly.graph_objects as go

from oct_core.errors import MetricError

MODEL_COLOURS: dict[str, str] = {
    "vgg16": "#0072B2",
    "resnet50": "#D55E00",
    "densenet121": "#009E73",
}
CLASS_COLOURS: dict[str, str] = {
    "CNV": "#CC79A7",
    "DME": "#E69F00",
    "DRUSEN": "#56B4E9",
    "NORMAL": "#999999",
}
NEUTRAL = "#8C8C8C"
_SPARE = ("#7B6FD0", "#A6761D", "#B8506A", "#4C9A9A")
_SHADES = (1.0, 1.45, 0.65, 1.8)
_FAINT = "rgba(128,128,128,0.25)"


def _shade(colour: str, factor: float) -> str:
    """The same hue, lighter (factor > 1) or darker (< 1), kept off black and white."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    shaded = colorsys.hls_to_rgb(hue, min(0.78, max(0.18, light * factor)), saturation)
    return "#" + "".join(f"{round(part * 255):02X}" for part in shaded)


def model_colour(name: str) -> str:
    """The colour of a run, "#RRGGBB": its architecture's if the name holds one, else a spare that
    depends on the name alone.
    """
    lowered = name.lower()
    for architecture, colour in MODEL_COLOURS.items():
        if architecture in lowered:
            return colour
    return _SPARE[zlib.crc32(name.encode()) % len(_SPARE)]


def run_colours(runs: Iterable[str]) -> dict[str, str]:
    """A colour for each run: a second run of one architecture takes another shade of its colour
    (four shades, then again).
    """
    seen: dict[str, int] = {}
    colours = {}
    for run in runs:
        base = model_colour(run)
        colours[run] = (
            base if not seen.get(base) else _shade(base, _SHADES[seen[base] % len(_SHADES)])
        )
        seen[base] = seen.get(base, 0) + 1
    return colours


def class_colour(name: str) -> str:
    """The colour of a class, "#RRGGBB"; gray for a name that is none of the four."""
    return CLASS_COLOURS.get(name, NEUTRAL)


def _template() -> go.layout.Template:
    """In the template, not the layout, so that Streamlit's theme can still set fonts and grids."""
    axis = {
        "gridcolor": _FAINT,
        "linecolor": _FAINT,
        "zerolinecolor": _FAINT,
        "automargin": True,
        "title": {"standoff": 8},
    }
    return go.layout.Template(
        layout={"xaxis": axis, "yaxis": axis, "colorway": list(MODEL_COLOURS.values())}
    )


def finish(figure: go.Figure, title: str, x: str, y: str, alt: str) -> go.Figure:
    """Give a figure its title, axis names, alt text and the common look; returns it."""
    figure.update_layout(
        title={"text": title, "x": 0, "xanchor": "left"},
        template=_template(),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "yanchor": "top", "y": -0.26, "x": 0},
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
        meta={"alt": alt},
    )
    figure.update_xaxes(title_text=x)
    figure.update_yaxes(title_text=y)
    return figure


def alt_text(figure: go.Figure) -> str:
    """What a figure shows in words, for screen readers; raises MetricError for a figure not made
    here.
    """
    meta = figure.layout.meta
    if not isinstance(meta, dict) or not meta.get("alt"):
        raise MetricError(
            "expected a figure with alt text, got one without; build it with "
            "oct_core.figures.charts"
        )
    return str(meta["alt"])


def say_empty(figure: go.Figure, message: str) -> None:
    """Write a sentence in the middle of a figure that has nothing to draw."""
    figure.add_annotation(text=message, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    figure.update_xaxes(showticklabels=False)
    figure.update_yaxes(showticklabels=False)
