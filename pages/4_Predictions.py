"""Predictions: what all models said of every held-out scan, one row a scan, with filters; a click
opens the scan in the viewer.
"""

from __future__ import annotations

import streamlit as st

from oct_core.words import message, say
from pages.ui import predictions as prediction_views
from pages.ui.app.layout import open_page
from pages.ui.app.services import errors_on_page
from pages.ui.shared.data_folder import offer_upload, pictures_at_hand
from pages.ui.shared.empty_states import scored_runs
from pages.ui.shared.scan_rows import show_scans

with open_page(message("Predictions")):
    at_hand = False
    with errors_on_page():
        answers = prediction_views.everything(cards) if (cards := scored_runs()) else None
        if answers is not None and answers.frames:
            at_hand = pictures_at_hand(answers.images)
            rows = prediction_views.choose_rows(answers)
            if not at_hand:
                at_hand = offer_upload(answers.digests)
            if rows.empty:
                st.info(
                    say("No scan matches these filters. Widen one of them."),
                    icon=":material/filter_alt_off:",
                )
            else:
                show_scans(prediction_views.readable(rows), "prediction", at_hand)
                prediction_views.offer_csv(answers, rows)
    with errors_on_page():
        if not at_hand:
            prediction_views.phantom_grid()
