"""How every plotly figure is put on a page: the theme's fonts and greys, and alt text."""

from __future__ import annotations

from typing import Any

import streamlit as st

from oct_core.figures.charts import alt_text
from oct_core.words import say
from pages.ui.shared.markdown import escape_markdown

_CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"]}


def show(figure: Any, key: str) -> None:
    """Draw a figure as wide as its place, with its alt text for screen readers and, folded, for
    all.
    """
    alt = alt_text(figure)
    st.plotly_chart(figure, theme="streamlit", width="stretch", key=key, config=_CONFIG, alt=alt)
    with st.expander(say("Text description of this chart")):
        st.markdown(escape_markdown(alt))
