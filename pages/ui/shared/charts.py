"""How every plotly figure is put on a page: the theme, alt text, and its files."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import streamlit as st

from oct_core.figures.charts import alt_text
from oct_core.figures.colours import NEUTRAL
from oct_core.words import say
from pages.ui.app import session
from pages.ui.shared.files import file_stem, offer_file
from pages.ui.shared.markdown import escape_markdown

_TOOLS = 30
"""Height in pixels of plotly's tools, which would cover a title beside them."""
_REMOVED = ["lasso2d", "select2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "pan2d", "zoom2d"]
PICTURE_FORMATS = ("PNG", "SVG")


def choose_picture_format() -> None:
    """The kind of picture that the camera above every chart saves."""
    session.keep_choice(
        "format",
        PICTURE_FORMATS[0],
        st.segmented_control,
        say("Pictures of charts as"),
        list(PICTURE_FORMATS),
        page="picture",
        required=True,
        help=say("What the camera above a chart saves; the whole chart is there as HTML, too."),
    )


def show(figure: Any, key: str, on_click: Callable[[], None] | None = None) -> None:
    """Draw a figure as wide as its place; its alt text, for screen readers and, folded, for all,
    and the figure as HTML.

    key : also what its files are called. on_click : called before the page is drawn anew when a
    point of the figure was clicked, see ``clicked``.
    """
    alt, name = alt_text(figure), file_stem(key)
    options: dict[str, Any] = (
        {} if on_click is None else {"on_select": on_click, "selection_mode": "points"}
    )
    st.plotly_chart(
        _with_tools_above(figure),
        theme="streamlit",
        width="stretch",
        key=key,
        config={
            "displaylogo": False,
            "displayModeBar": True,
            "modeBarButtonsToRemove": _REMOVED,
            "toImageButtonOptions": {
                "format": session.read_choice("format", PICTURE_FORMATS[0], page="picture").lower(),
                "filename": name,
                "scale": 2,
            },
        },
        alt=alt,
        **options,
    )
    with st.expander(say("Description and file of this chart")):
        st.markdown(escape_markdown(alt))
        offer_file(
            say("Chart (HTML)"), partial(_html, figure), f"{name}.html", "text/html", f"{key}_html"
        )


def clicked(key: str) -> dict[str, Any] | None:
    """The point of the figure ``key`` that was clicked last, as plotly has it; None if none is."""
    state = st.session_state.get(key)
    points: list[dict[str, Any]] = state.selection.points if state else []
    return points[0] if points else None


def _with_tools_above(figure: Any) -> Any:
    """The figure with room for plotly's tools above its title."""
    drawn = deepcopy(figure)
    drawn.update_layout(
        margin_t=(figure.layout.margin.t or 50) + _TOOLS,
        title={"yref": "container", "y": 1, "yanchor": "top", "pad": {"t": _TOOLS + 6}},
        modebar={"orientation": "h", "bgcolor": "rgba(0,0,0,0)", "color": NEUTRAL},
    )
    if figure.layout.height:
        drawn.update_layout(height=figure.layout.height + _TOOLS)
    return drawn


def _html(figure: Any) -> bytes:
    """A page of its own that needs no network."""
    page: str = figure.to_html(config={"displaylogo": False}, include_plotlyjs=True)
    return page.encode()
