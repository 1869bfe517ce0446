"""How far to trust one map, on demand."""

from __future__ import annotations

import streamlit as st

from oct_core.types import Explanation, RunCard, Scan
from pages.ui.session import Viewer


def measure_panel(state: Viewer, scan: Scan, card: RunCard, explanation: Explanation) -> None:
    """placeholder"""
    st.empty()
