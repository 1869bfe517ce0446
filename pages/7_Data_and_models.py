"""Data and models: what the models learned from, where it came from, run cards, licence, citation,
training on own scans.
"""

from __future__ import annotations

from oct_core.words import message
from pages.ui import data as data_views
from pages.ui.app.layout import open_page
from pages.ui.app.services import errors_on_page
from pages.ui.shared.empty_states import report_damaged, say_no_runs
from pages.ui.shared.run_data import find_runs

with open_page(message("Data and models")):
    with errors_on_page():
        runs = find_runs()
        report_damaged(runs)
        if runs.cards:
            data_views.distribution(runs.cards)
        else:
            say_no_runs(runs)
    data_views.origins()
    with errors_on_page():
        if runs.cards:
            data_views.run_cards(runs.cards)
    data_views.own_scans()
    data_views.licence_and_citation()
