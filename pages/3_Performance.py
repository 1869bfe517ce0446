"""Performance: what the models get right and wrong on held-out scans, one model or all, with
intervals by patient.
"""

from __future__ import annotations

import streamlit as st

from oct_core.words import say
from pages.ui import performance as evaluation_views
from pages.ui.app.layout import page_setup
from pages.ui.app.services import shown_errors
from pages.ui.shared.empty_states import scored_runs

page_setup("Performance")
with shown_errors():
    if cards := scored_runs():
        if chosen := evaluation_views.choose(cards):
            evaluation_views.performance(*chosen)
        else:
            st.info(say("Choose at least one model above."), icon=":material/check_box:")
