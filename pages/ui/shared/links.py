"""Ways from one page to another."""

from __future__ import annotations

import streamlit as st

from oct_core.types import Scan
from pages.ui.shared.samples import Sample

VIEWER = "pages/1_Viewer.py"


def open_in_viewer(scan: Scan | Sample) -> None:
    """Hand a scan or a sample to the viewer and go there."""
    st.session_state["open_scan"] = scan
    st.switch_page(VIEWER)
