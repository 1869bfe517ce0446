"""What to expect of each model on other devices, beside what it did at home."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from oct_core.metrics.intervals import Interval, interval_text
from oct_core.models.catalog import ENSEMBLE, run_title
from oct_core.runs.evaluations import external_key
from oct_core.types import RunCard
from oct_core.words import say
from pages.ui.app.services import title_of
from pages.ui.shared.elsewhere import CHOSE_RECIPE, HOME, TOO_GOOD, Shares, sets_of, shares_of
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.run_data import one_of_each
from pages.ui.shared.tables import Cell, Estimate, show_rows


def expected(cards: Sequence[RunCard]) -> None:
    """One table: each predictor on the held-out part and on every set from elsewhere."""
    st.header(say("At home and on other devices"), anchor=False)
    done = [card for card in cards if card.status == "done"]
    predictors = {title_of(card): [card] for card in done}
    members = one_of_each(done)
    if len(members) > 1:
        predictors = {run_title(ENSEMBLE): members} | predictors
    titles = sets_of(done)
    rows = [
        (title, key, shares)
        for title, of_title in predictors.items()
        for key in titles
        if (shares := shares_of(of_title, key)) is not None
    ]
    if not rows:
        st.info(
            say("No run has answered its test part or a set from elsewhere yet."),
            icon=":material/info:",
        )
        return
    elsewhere = {label for _, key, shares in rows if key != HOME for label in shares.by_label}
    # Those that can be compared come first: a narrow screen shows these.
    labels = sorted(
        {label for _, _, shares in rows for label in shares.by_label},
        key=lambda label: (label not in elsewhere, label),
    )
    show_rows(
        [_row(title, titles[key], shares, labels) for title, key, shares in rows],
        say("Accuracy and sensitivity at home and elsewhere"),
        "home_and_elsewhere",
    )
    words = say(
        "Share of right answers, its 95% interval by patient, and of how many scans. Expect "
        "what the other devices say, not what the test part says: it is of the device and the "
        "clinics that the models learned from."
    )
    if any(key == external_key(CHOSE_RECIPE) for _, key, _ in rows):
        words += " " + say(TOO_GOOD, name=escape_markdown(CHOSE_RECIPE))
    st.caption(words)
    if all(key == HOME for _, key, _ in rows):
        st.caption(
            say(
                "No set from elsewhere has been answered. Score one with `python -m oct_core "
                "evaluate RUN --labelled FOLDER --name NAME`."
            )
        )


def _row(title: str, name: str, shares: Shares, labels: Sequence[str]) -> dict[str, Cell]:
    row: dict[str, Cell] = {
        "model": title,
        "data": name,
        "scans": shares.n_scans,
        "patients": shares.n_patients,
        "accuracy": _estimate(shares.accuracy, None),
    }
    for label in labels:
        of_label = shares.by_label.get(label)
        column = say("{label} recognised", label=label)
        row[column] = "–" if of_label is None else _estimate(of_label[2], of_label[1])
    return row


def _estimate(interval: Interval, count: int | None) -> Estimate:
    text = "–" if math.isnan(interval.value) else interval_text(interval)
    return Estimate(interval, text if count is None else say("{text}, n {n}", text=text, n=count))
