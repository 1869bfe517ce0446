"""What a page says when there is nothing to show, or not yet."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from oct_core.types import RunCard
from oct_core.words import message, say, say_count
from pages.ui.app.services import for_visitors, title_of
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.run_data import Runs, find_runs

TRAIN_HINT = message(
    "Train all models with `./train_all.sh FOLDER`; see the page **Data and models**."
)


def report_damaged(runs: Runs) -> None:
    """One warning for each run folder that cannot be read, with the reason."""
    for name, reason in runs.damaged:
        st.warning(
            say(
                "The run **{run}** is left out because it cannot be read: {reason}",
                run=escape_markdown(name),
                reason=escape_markdown(for_visitors(reason)),
            ),
            icon=":material/broken_image:",
        )


def say_no_runs(runs: Runs) -> None:
    """The sentence for a checkpoints folder without one readable run, that cannot be read or is not
    there.
    """
    folder = escape_markdown(runs.root.absolute().name)
    if runs.state == "unreadable":
        st.error(
            say(
                "The folder **{folder}** of the trained models cannot be read. Give the account "
                "that runs the app permission to read it, then reload the page.",
                folder=folder,
            ),
            icon=":material/folder_off:",
        )
        return
    sentence = (
        say("There is no trained model: the folder **{folder}** is not there.", folder=folder)
        if runs.state == "missing"
        else say("There is no trained model in the folder **{folder}** yet.", folder=folder)
    )
    st.info(f"{sentence} {say(TRAIN_HINT)}", icon=":material/model_training:")


def say_not_scored(runs: Runs) -> None:
    """The sentence for runs that exist and have no predictions yet."""
    if not runs.cards:
        return say_no_runs(runs)
    if runs.training:
        st.info(
            say_count(
                "**{names}** is still being trained. Its test predictions are written when the "
                "training ends; until then the page **Training curves** shows its progress.",
                "**{names}** are still being trained. Their test predictions are written when the "
                "training ends; until then the page **Training curves** shows their progress.",
                len(runs.training),
                names=_names(runs.training),
            ),
            icon=":material/hourglass_top:",
        )
        st.page_link(
            "pages/2_Training_curves.py",
            label=say("Watch the training curves"),
            icon=":material/show_chart:",
        )
    else:
        st.info(
            say(
                "No run has test predictions yet. Make them with `python -m oct_core evaluate RUN "
                "--data DATA`."
            ),
            icon=":material/query_stats:",
        )


def scored_runs() -> Sequence[RunCard]:
    """The runs with predictions. Says on the page what is damaged, and what to do when there is
    none.
    """
    runs = find_runs()
    report_damaged(runs)
    if not runs.scored:
        say_not_scored(runs)
    elif waiting := [card for card in runs.training if card not in runs.scored]:
        st.caption(say("Not shown here, still in training: {names}.", names=_names(waiting)))
    return runs.scored


def _names(cards: Sequence[RunCard]) -> str:
    """The titles of runs, for Markdown."""
    return ", ".join(escape_markdown(title_of(card)) for card in cards)
