"""Gallery: scans in rows, each with the Grad-CAM of every model beside it, as a teacher would show
them; a few a page.
"""

from __future__ import annotations

import streamlit as st

from oct_core.words import message, say
from pages.ui.app.layout import open_page
from pages.ui.app.services import errors_on_page
from pages.ui.gallery import views as gallery_views
from pages.ui.shared.empty_states import report_damaged, say_no_runs
from pages.ui.shared.run_data import find_runs

with open_page(message("Gallery")), errors_on_page():
    runs = find_runs()
    report_damaged(runs)
    if not runs.cards:
        say_no_runs(runs)
    elif not (
        ready := [card for card in runs.cards if card.status == "done" and card.weights_sha256]
    ):
        st.info(
            say("No run has weights yet. The gallery opens when the first training ends."),
            icon=":material/hourglass_top:",
        )
    else:
        gallery_views.gallery(gallery_views.choose(ready))
