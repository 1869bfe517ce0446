"""Explanations: how far heat maps can be trusted, from the report of the command line."""

from __future__ import annotations

import streamlit as st

from oct_core.trust.report_file import read_report
from oct_core.words import message, say
from pages.ui.app.layout import open_page
from pages.ui.app.services import errors_on_page
from pages.ui.shared.empty_states import report_damaged, say_no_runs
from pages.ui.shared.run_data import find_runs
from pages.ui.trust import lights as report_lights
from pages.ui.trust import sanity as report_sanity
from pages.ui.trust import tables as report_tables
from pages.ui.trust import views as report_views

with open_page(message("Explanations")), errors_on_page():
    runs = find_runs()
    report_damaged(runs)
    if not runs.cards:
        say_no_runs(runs)
    report = read_report()
    if report is None:
        report_views.say_no_report()
        report_views.introduction()
    else:
        report_views.say_what_does_not_fit(report, runs)
        report_lights.lights(report)
        report_views.introduction()
        report_views.overview(report)
        report_tables.in_short(report)
        st.header(say("The figures"), anchor=False)
        faithful, sanity, place, others, table = st.tabs(
            [
                say("Faithfulness"),
                say("Randomisation"),
                say("Localisation"),
                say("Other methods"),
                say("Whole table"),
            ]
        )
        with faithful:
            report_views.faithfulness(report)
        with sanity:
            report_sanity.randomisation(report, list(runs.cards))
        with place:
            report_views.localisation(report)
        with others:
            report_tables.wider(report)
        with table:
            report_tables.whole(report)
