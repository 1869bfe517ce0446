"""Performance: what the models get right and wrong on held-out scans, one model or all, with
intervals by patient.
"""

from __future__ import annotations

from oct_core.words import message
from pages.ui.app.layout import open_page
from pages.ui.app.services import errors_on_page
from pages.ui.performance.page import choose, performance
from pages.ui.shared.empty_states import scored_runs

with open_page(message("Performance")), errors_on_page():
    if (cards := scored_runs()) and (selection := choose(cards)):
        performance(*selection)
