"""The one place where the pages declare a cache that browser sessions share.

Nothing derived from an upload may be in one: that lives in ``session.py``, per browser session and
bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import streamlit as st

P = ParamSpec("P")
R = TypeVar("R")


def cache_data(
    *, max_entries: int, ttl: float | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """``st.cache_data`` with the signature kept for mypy: each caller gets a copy of its own.

    ttl : seconds until an entry is made anew. There is no spinner: its text would be fixed when the
    file is loaded, whatever the language of the person.
    """
    return cast(
        Callable[[Callable[P, R]], Callable[P, R]],
        st.cache_data(show_spinner=False, max_entries=max_entries, ttl=ttl),
    )


def cache_resource(*, max_entries: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """``st.cache_resource`` with the signature kept for mypy: all callers share one object, which
    is safe under threads or read only.
    """
    return cast(
        Callable[[Callable[P, R]], Callable[P, R]],
        st.cache_resource(show_spinner=False, max_entries=max_entries),
    )
