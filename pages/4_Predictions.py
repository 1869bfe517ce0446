"""Predictions: what each model said of every held-out scan, with filters; a click opens the scan in
the viewer.
"""

from __future__ import annotations

import streamlit as st

from oct_core.words import message, say
from pages.ui import predictions as prediction_views
from pages.ui.app.layout import open_page
from pages.ui.app.services import errors_on_page
from pages.ui.shared.data_folder import pictures_at_hand
from pages.ui.shared.empty_states import scored_runs
from pages.ui.shared.scan_rows import show_scans

with open_page(message("Predictions")):
    at_hand = False
    with errors_on_page():
        if cards := scored_runs():
            everything = prediction_views.everything(cards)
            at_hand = pictures_at_hand(everything["image"])
            rows = prediction_views.filtered(everything)
            if rows.empty:
                st.info(
                    say("No scan matches these filters. Widen one of them."),
                    icon=":material/filter_alt_off:",
                )
            else:
                show_scans(rows, "prediction", at_hand)
    with errors_on_page():
        if not at_hand:
            prediction_views.phantom_grid()
