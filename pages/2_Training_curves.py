"""Training curves: loss, accuracy, sensitivity by class and learning rate of any set of runs,
growing while a run is being trained; and the stages of each.
"""

from __future__ import annotations

import streamlit as st

from oct_core.words import message, say
from pages.ui.app.language import fragment
from pages.ui.app.layout import open_page
from pages.ui.app.services import errors_on_page
from pages.ui.curves import page as curves_views
from pages.ui.shared.empty_states import report_damaged, say_no_runs
from pages.ui.shared.run_data import find_runs

# How often a page with a run in training looks for new lines, in seconds.
LOOK_AGAIN = 3.0
# And a page on which nothing grows, for a training that begins.
LOOK_SELDOM = 20.0

with open_page(message("Training curves")), errors_on_page():
    runs = find_runs()
    report_damaged(runs)
    if not runs.cards:
        say_no_runs(runs)
    elif names := curves_views.choose(runs.cards):
        live = fragment(curves_views.curves, run_every=LOOK_AGAIN if runs.training else LOOK_SELDOM)
        live(names, watching=bool(runs.training))
    else:
        st.info(say("Select at least one run above."), icon=":material/check_box:")
