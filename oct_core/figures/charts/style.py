"""The look every figure shares, and alt text.

Backgrounds are transparent and no text has a colour of its own, so a page's light or dark theme
shows through.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import plotly.graph_objects as go

from oct_core.errors import MetricError
from oct_core.models.catalog import ARCHITECTURES

_FAINT = "rgba(128,128,128,0.25)"


def plain(text: str) -> str:
    """A name that is not ours (of a run, a layer) for plotly, which reads a little HTML in every
    text and ``%{...}`` in templates: it appears as it is.
    """
    return html.escape(text, quote=False).replace("%{", "%\u2060{")


def translucent(colour: str, opacity: float) -> str:
    """A "#RRGGBB" as plotly's "rgba(...)"; opacity 0 to 1."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def _template() -> go.layout.Template:
    """In the template, not the layout, so that Streamlit's theme can still set fonts and grids."""
    axis = {
        "gridcolor": _FAINT,
        "linecolor": _FAINT,
        "zerolinecolor": _FAINT,
        "automargin": True,
        "title": {"standoff": 8},
    }
    colours = [ARCHITECTURES.get(name).colour for name in ARCHITECTURES]
    return go.layout.Template(layout={"xaxis": axis, "yaxis": axis, "colorway": colours})


def finish(figure: go.Figure, title: str, x: str, y: str, alt: str) -> go.Figure:
    """Give a figure its title, axis names, alt text and the common look; returns it. All are plain
    text.
    """
    figure.update_layout(
        title={"text": plain(title), "x": 0, "xanchor": "left"},
        template=_template(),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "yanchor": "top", "y": -0.26, "x": 0},
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
        meta={"alt": alt},
    )
    figure.update_xaxes(title_text=plain(x))
    figure.update_yaxes(title_text=plain(y))
    return figure


def describe(title: str, parts: Sequence[str]) -> str:
    """Alt text: the title, then what each part of the figure shows."""
    return f"{title}. {'; '.join(parts)}."


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


def say_empty(figure: go.Figure, sentence: str) -> None:
    """Write a sentence in the middle of a figure that has nothing to draw."""
    figure.add_annotation(text=sentence, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    figure.update_xaxes(showticklabels=False)
    figure.update_yaxes(showticklabels=False)
