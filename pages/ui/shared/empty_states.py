"""What a page says when there is nothing to show, or not yet."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from oct_core.types import RunCard
from oct_core.words import message, say
from pages.ui.app.services import title_of
from pages.ui.shared.run_data import Runs, find_runs

TRAIN_HINT = message(
    "Train the three models with `./train_all.sh FOLDER`; the page **Data and models** says how."
)


def report_damaged(runs: Runs) -> None:
    """One warning for each run folder that cannot be read, with the reason."""
    for name, reason in runs.damaged:
        st.warning(
            say(
                "The run **{name}** is left out, because it cannot be read: {reason}",
                name=name,
                reason=reason,
            ),
            icon=":material/broken_image:",
        )


def say_no_runs(runs: Runs) -> None:
    """The sentence for a checkpoints folder without one readable run."""
    st.info(
        say(
            "There is no trained model in `{root_name}/` yet. {train_hint}",
            root_name=runs.root.name,
            train_hint=TRAIN_HINT,
        ),
        icon=":material/model_training:",
    )


def say_not_scored(runs: Runs) -> None:
    """The sentence for runs that exist and have no predictions yet."""
    if not runs.cards:
        return say_no_runs(runs)
    names = ", ".join(title_of(card) for card in runs.training)
    if names:
        st.info(
            say(
                "**{names}** is still being trained. Its held-out predictions are written when "
                "the training ends; until then the page **Training curves** shows how it gets on.",
                names=names,
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
                "No run has predictions of held-out scans. Make them with `python -m oct_core "
                "evaluate RUN --data DATA`."
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
    elif runs.training:
        names = ", ".join(title_of(card) for card in runs.training if card not in runs.scored)
        if names:
            st.caption(
                say("Not shown here because it is still being trained: {names}.", names=names)
            )
    return runs.scored
