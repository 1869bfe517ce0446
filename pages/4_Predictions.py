"""Predictions: what each model said of every held-out scan, with filters; a click opens the scan in the viewer."""

from __future__ import annotations

import streamlit as st

from pages.ui import prediction_views
from pages.ui.data_folder import data_folder
from pages.ui.empty_states import scored_runs
from pages.ui.layout import page_setup
from pages.ui.services import shown_errors

page_setup("Predictions", ":material/table_rows:")
with shown_errors():
    if cards := scored_runs():
        found = prediction_views.filtered(prediction_views.everything(cards))
        if found.empty:
            st.info("No scan fits these filters. Widen one of them.", icon=":material/filter_alt_off:")
        elif data_folder() is None:
            prediction_views.table_without_pictures(found)
        else:
            prediction_views.table_with_pictures(found)
with shown_errors():
    if data_folder() is None:
        prediction_views.phantom_grid()
