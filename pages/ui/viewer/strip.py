"""The strip of open scans: thumbnails that are the buttons, each with its verdict."""

from __future__ import annotations

from unicodedata import east_asian_width

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from oct_core.figures.pictures import shrink
from pages.ui.app.session import Viewer
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.pictures import data_uri
from pages.ui.viewer.controls import Choices
from pages.ui.viewer.input import item_name, show_item

LONGEST_NAME = 17


def strip(state: Viewer, choices: Choices) -> dict[str, DeltaGenerator]:
    """All open scans in one line, the shown one marked; a click shows another. Returns where each
    one's verdict goes, by the id of its item.
    """
    places, rules = {}, []
    with st.container(border=False, horizontal=True, gap="small", key="oct_strip"):
        for item in state.ordered():
            with st.container(width=120, gap=None, key=f"tile_{item.id}"):
                name = item_name(item, choices)
                picture = data_uri(shrink(item.whole().pixels, 200), 75)
                rules.append(
                    f'.st-key-show_{item.id} button {{ background-image: url("{picture}") }}'
                )
                st.button(
                    escape_markdown(shorten(name)),
                    key=f"show_{item.id}",
                    type="primary" if item.id == state.current else "secondary",
                    help=escape_markdown(name),
                    on_click=show_item,
                    args=(state, item),
                    width="stretch",
                )
                places[item.id] = st.empty()
    st.html(f"<style>{' '.join(rules)}</style>")
    return places


def shorten(name: str, longest: int = LONGEST_NAME) -> str:
    """A name that fits a tile: of a long one both ends, where names differ. longest : in letters of
    usual width; those of Hangul are twice as wide.
    """
    if _width(name) <= longest:
        return name
    head, tail = "", ""
    for first, last in zip(name, reversed(name), strict=True):
        if _width(head + first + tail) < longest:
            head += first
        if _width(head + tail + last) < longest:
            tail = last + tail
    return f"{head}…{tail}"


def _width(name: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in name)
