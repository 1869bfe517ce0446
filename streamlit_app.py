"""Home: what this is, how to start, the four classes, the three models with their held-out figures
and what these hide, a wrong answer, and the limits.
"""

from __future__ import annotations

from oct_core.words import message
from pages.ui.app.layout import open_page
from pages.ui.app.services import errors_on_page, warm_up
from pages.ui.home import page as home_views
from pages.ui.home.honesty import wrong_answer
from pages.ui.shared.empty_states import report_damaged, say_no_runs
from pages.ui.shared.run_data import find_runs

with open_page(message("Three CNNs read retinal OCT")):
    home_views.introduction()
    home_views.three_steps()
    with errors_on_page():
        home_views.the_classes()
    with errors_on_page():
        runs = find_runs()
        report_damaged(runs)
        if runs.cards:
            home_views.the_models(runs.cards)
        else:
            say_no_runs(runs)
        with errors_on_page():
            wrong_answer(runs.cards)
    home_views.the_limits()
    warm_up()
