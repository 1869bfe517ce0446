"""The parts of the page Performance: what is chosen, and the headline figures above the tabs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from oct_core.errors import OctError
from oct_core.models.catalog import ENSEMBLE, run_title
from oct_core.types import RunCard
from oct_core.words import say
from pages.ui.app import session
from pages.ui.app.services import describe_error, title_of
from pages.ui.performance import curves, data, tabs, verdicts
from pages.ui.performance.data import Source
from pages.ui.shared.charts import choose_picture_format
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.tables import headline_rows, sample_text, show_rows

_OPEN_TAB = "performance_open_tab"


def choose(cards: Sequence[RunCard]) -> tuple[list[RunCard], list[Source]] | None:
    """The runs chosen, and their answers to the data chosen, those of the ensemble first; None if
    there are none, which is said.
    """
    usable = [card for card in cards if _can_be_read(card)]
    choices = data.keys_of(usable)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    choose_one = partial(session.keep_choice, page="performance")
    titles = {card.name: escape_markdown(title_of(card)) for card in usable}
    if len(usable) > 1:
        titles = {ENSEMBLE: run_title(ENSEMBLE)} | titles
    with right:
        key = choose_one(
            "data",
            next(iter(choices), None),
            st.selectbox,
            say("Data"),
            list(choices),
            format_func=lambda key: choices.get(key, key),
        )
    with left:
        names = choose_one(
            "runs",
            list(titles),
            st.pills,
            say("Models"),
            list(titles),
            selection_mode="multi",
            format_func=titles.get,
            help=say("The ensemble is that of the models chosen beside it, of all if none is."),
        )
    if key and not names:
        st.info(say("Select at least one model above."), icon=":material/check_box:")
    return _answers(usable, names, key) if key and names else None


def _answers(
    usable: Sequence[RunCard], names: Sequence[str], key: str
) -> tuple[list[RunCard], list[Source]] | None:
    """Runs without answers to this data are named and left out."""
    chosen = [card for card in usable if card.name in names]
    members = chosen or list(usable)
    have = {card.name for card in usable if key in data.keys_of([card])}
    if without := [title_of(card) for card in members if card.name not in have]:
        st.caption(
            say(
                "Without answers to this data: {models}.",
                models=escape_markdown(", ".join(without)),
            )
        )
    members = [card for card in members if card.name in have]
    members = [card for card in members if _has_answers(card, key)]
    sources = [data.source_of(title_of(card), [card], key) for card in chosen if card in members]
    if ENSEMBLE in names and len(members) > 1:
        try:
            whole = data.ensemble_source(members, key)
            data.table_of(whole)
            sources = [whole, *sources]
        except OctError as error:
            st.caption(
                say("No ensemble here: {reason}", reason=escape_markdown(describe_error(error)))
            )
    if sources:
        return members, sources
    st.info(
        say("An ensemble needs two models with answers to this data.")
        if members
        else say("None of these models has answers to this data that can be used."),
        icon=":material/data_alert:",
    )
    return None


def _has_answers(card: RunCard, key: str) -> bool:
    """Whether its answers to this data can be used; why not is said."""
    try:
        data.table_of(data.source_of(title_of(card), [card], key))
    except OctError as error:
        st.warning(escape_markdown(describe_error(error)), icon=":material/broken_image:")
        return False
    return True


def _can_be_read(card: RunCard) -> bool:
    """Whether there are answers; a damaged file is reported and counts as none."""
    try:
        choices = data.keys_of([card])
        if choices:
            data.table_of(data.source_of(title_of(card), [card], next(iter(choices))))
        return bool(choices)
    except OctError as error:
        st.warning(
            say(
                "The predictions of **{model}** cannot be read: {error}",
                model=escape_markdown(title_of(card)),
                error=escape_markdown(describe_error(error)),
            ),
            icon=":material/broken_image:",
        )
        return False


def performance(cards: Sequence[RunCard], sources: Sequence[Source]) -> None:
    """All figures of the chosen predictors on the chosen data."""
    with st.spinner(say("Computing intervals by patient …")):
        scores = {source.title: data.evaluation_of(source) for source in sources}
    first, key = next(iter(scores.values())), sources[0].data
    st.caption(
        say(
            "{part}: {sample}. Intervals are 95%, by patient: all scans of a patient count "
            "together, because they are alike.",
            part=escape_markdown(data.keys_of(cards).get(key, key)),
            sample=sample_text(first),
        )
    )
    show_rows(
        headline_rows(scores),
        say("Accuracy, AUC and calibration of each model"),
        f"figures_{key}",
        upright=True,
    )
    choose_picture_format()
    parts = {
        say("Confusion"): partial(tabs.confusion, scores, sources),
        say("Curves"): partial(curves.curves, sources),
        say("Threshold"): partial(curves.operating_point, cards, sources),
        say("Calibration"): partial(tabs.calibration, sources),
        say("Comparison"): partial(tabs.comparison, sources),
        say("Robustness"): partial(tabs.robustness, cards, sources),
        say("Verdicts"): partial(verdicts.verdicts, cards, sources),
        say("All figures"): partial(tabs.further_figures, scores, key),
    }
    # Only the open tab is computed and drawn. Streamlit knows it by its title, so another language
    # has other tabs, and opens the one of the same number.
    titles = list(parts)
    places = st.tabs(
        titles,
        key=f"performance_tab_{titles[0]}",
        default=titles[st.session_state.get(_OPEN_TAB, 0)],
        on_change="rerun",
    )
    for number, (place, draw) in enumerate(zip(places, parts.values(), strict=True)):
        if place.open:
            st.session_state[_OPEN_TAB] = number
        if place.open is not False:
            with place:
                draw()
