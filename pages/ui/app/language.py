"""The language of the app: that of the browser, until somebody chooses one in the side bar.

The choice is kept in the session, for the next page, and in the address, for a reload.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import streamlit as st

from oct_core.words import language, say

LANGUAGES = {"en": "English", "ko": "한국어"}
"""Each by its own name, which is never translated."""
QUERY = "lang"
_STATE, _WIDGET = "language", "language_switch"
F = TypeVar("F", bound=Callable[..., Any])


def choose_language() -> str:
    """The language of this session: the one chosen, else that of the browser, else English."""
    for name in (st.session_state.get(_STATE), st.query_params.get(QUERY)):
        if name in LANGUAGES:
            return str(name)
    # "ko-KR"; nothing outside a browser
    name = str(st.context.locale or "").replace("_", "-").split("-")[0].lower()
    return name if name in LANGUAGES else "en"


def _take_choice() -> None:
    st.session_state[_STATE] = st.session_state[_WIDGET]
    _say_choices_anew()


def _say_choices_anew() -> None:
    """Send what is chosen elsewhere to the browser again: it keeps a choice by its label, and would
    show the one of the other language, which is soon on offer no more.
    """
    for key, value in st.session_state.items():
        texts = value if isinstance(value, list | tuple) else [value]
        if texts and all(isinstance(text, str) for text in texts):
            st.session_state[key] = value


def language_switch(name: str) -> None:
    """The switch in the side bar, with the language that is on; keeps a choice in the address."""
    if st.query_params.get(QUERY) in LANGUAGES:
        st.session_state.setdefault(_STATE, st.query_params[QUERY])
    if _STATE in st.session_state and st.query_params.get(QUERY) != name:
        st.query_params[QUERY] = name  # a change of page leaves it out
    st.session_state[_WIDGET] = name
    st.sidebar.segmented_control(
        say("Language"),
        list(LANGUAGES),
        format_func=LANGUAGES.__getitem__,
        key=_WIDGET,
        on_change=_take_choice,
        label_visibility="collapsed",
        required=True,
    )


def fragment(function: F, run_every: float | None = None) -> F:
    """``st.fragment`` that says everything in the language of the session: it is drawn again
    without the page around it.
    """

    @wraps(function)
    def draw(*args: Any, **values: Any) -> Any:
        with language(choose_language()):
            return function(*args, **values)

    return cast(F, st.fragment(draw, run_every=run_every))
