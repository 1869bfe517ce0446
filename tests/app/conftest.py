"""For all tests of pages."""

from __future__ import annotations

from typing import Any

import pytest
import streamlit as st


@pytest.fixture
def only_the_open_tab() -> None:
    """A test that asks for this sees the tabs as a visitor does."""


@pytest.fixture(autouse=True)
def every_tab_drawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages draw all their tabs, not only the open one, so that one visit sees everything."""
    if "only_the_open_tab" in request.fixturenames:
        return
    tabs = st.tabs

    def draw_all(names: list[str], **options: Any) -> Any:
        return tabs(names, **{key: value for key, value in options.items() if key != "on_change"})

    monkeypatch.setattr(st, "tabs", draw_all)
