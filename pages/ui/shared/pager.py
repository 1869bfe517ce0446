"""Pages of a long list: buttons above and below it that say where one is."""

from __future__ import annotations

import math
from functools import partial

import streamlit as st

from oct_core.words import say


def open_page_of(count: int, size: int, key: str) -> slice:
    """Which of ``count`` rows stand on the page that is open. size : rows a page. key : as for
    ``pager``.
    """
    start = (_number(count, size, key) - 1) * size
    return slice(start, start + size)


def pager(count: int, size: int, key: str, place: str) -> None:
    """Buttons to the pages before and after, and where one is; nothing for one page.

    count : of all rows. size : rows a page. key : of the list. place : "top" or "bottom", for one
    list may have two pagers.
    """
    pages, number = _pages(count, size), _number(count, size, key)
    if pages == 1:
        return
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key=f"{key}_pager_{place}"
    ):
        for label, icon, step, last in (
            (say("Previous"), ":material/chevron_left:", -1, 1),
            (say("Next"), ":material/chevron_right:", 1, pages),
        ):
            st.button(
                label,
                icon=icon,
                key=f"{key}_{place}_{step}",
                disabled=number == last,
                on_click=partial(_turn, key, number + step),
            )
        st.markdown(say("Page {number} of {pages}", number=number, pages=pages), width="content")


def first_page(key: str) -> None:
    """Back to the first page: the list is another one now."""
    _turn(key, 1)


def _turn(key: str, number: int) -> None:
    st.session_state[f"{key}_page"] = number


def _pages(count: int, size: int) -> int:
    return max(1, math.ceil(count / size))


def _number(count: int, size: int, key: str) -> int:
    """The page that is open, from 1; the last one if the list has become shorter."""
    number: int = st.session_state.get(f"{key}_page", 1)
    return min(max(1, number), _pages(count, size))
