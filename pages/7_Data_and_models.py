"""Data and models: what the models learned from, where data and weights came from, what to expect
on other devices, run cards, training on own scans, licence, citation.
"""

from __future__ import annotations

from oct_core.words import message
from pages.ui.app.layout import open_page
from pages.ui.app.services import errors_on_page
from pages.ui.data import page as data_views
from pages.ui.data.expected import expected
from pages.ui.data.lineage import lineage
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
            lineage(runs.cards)
    with errors_on_page():
        if runs.cards:
            expected(runs.cards)
    with errors_on_page():
        if runs.cards:
            data_views.run_cards(runs.cards)
    data_views.own_scans()
    data_views.licence_and_citation()
