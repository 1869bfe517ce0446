"""The parts of the page Predictions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import pandas as pd
import streamlit as st

from oct_core.errors import CheckpointError, OctError
from oct_core.metrics.calibration import softmax
from oct_core.models.catalog import ENSEMBLE, run_title
from oct_core.reasons import reasons_words
from oct_core.runs.ensemble import ensemble_table
from oct_core.types import CLASS_TITLES, CLASSES, PredictionTable, RunCard
from oct_core.words import message, say, say_count
from pages.ui.app import services, session
from pages.ui.app.services import title_of
from pages.ui.shared.links import open_in_viewer
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.samples import all_samples
from pages.ui.shared.tables import PREDICTION_COLUMNS, prediction_frame
from pages.ui.shared.verdicts import SHORT_TITLES

ANY = ""
"""The choice that filters nothing."""
OUTCOMES = {"right": message("Correct"), "wrong": message("Wrong")}


def everything(cards: Sequence[RunCard]) -> pd.DataFrame:
    """Every test scan of every predictor, one row a scan and predictor, the ensemble of all runs
    first; a damaged file is reported and left out. Where gates have been fitted, ``verdict`` and
    ``reason`` say what may be made of each answer, "" of a run without a gate.
    """
    frames: list[pd.DataFrame] = []
    tables: dict[str, PredictionTable] = {}
    for card in cards:
        try:
            table = services.prediction_table(card).of_split("test")
        except OctError as error:
            st.warning(
                say(
                    "The predictions of **{model}** cannot be read: {error}",
                    model=escape_markdown(title_of(card)),
                    error=escape_markdown(services.describe_error(error)),
                ),
                icon=":material/broken_image:",
            )
            continue
        if len(table):
            tables[card.name] = table
            frame = prediction_frame(title_of(card), table, softmax(table.logits, card.temperature))
            frames.append(_with_verdicts(frame, [card]))
    if len(tables) > 1:
        with suppress(CheckpointError):  # runs of different data have no scan in common
            whole = ensemble_table(tables, {card.name: card.temperature for card in cards})
            frame = prediction_frame(run_title(ENSEMBLE), whole, softmax(whole.logits))
            members = [card for card in cards if card.name in tables]
            frames.insert(0, _with_verdicts(frame, members))
    if not frames:
        return pd.DataFrame(columns=PREDICTION_COLUMNS)
    rows = pd.concat(frames, ignore_index=True)
    return rows if rows["verdict"].any() else rows.drop(columns=["verdict", "reason"])


def _with_verdicts(frame: pd.DataFrame, cards: Sequence[RunCard]) -> pd.DataFrame:
    """The rows of one run or of the ensemble of several, each with its verdict."""
    try:
        verdicts = services.verdicts_on(cards, "test")
    except OctError as error:
        verdicts = None
        if len(cards) == 1:  # of an ensemble it is the fault of a member, which is said already
            st.warning(
                escape_markdown(services.describe_error(error)), icon=":material/broken_image:"
            )
    words = [("", "")] * len(frame)
    if verdicts is not None:
        words = [(say(SHORT_TITLES[each.kind]), reasons_words(each)) for each in verdicts]
    place = list(frame).index("confidence") + 1
    for offset, name in enumerate(("verdict", "reason")):
        frame.insert(place + offset, name, [pair[offset] for pair in words])
    return frame


def filtered(rows: pd.DataFrame) -> pd.DataFrame:
    """The filter bar, and the rows that pass it."""
    models = list(dict.fromkeys(rows["model"]))
    with st.container(border=True):
        columns = st.columns([2, 2, 2, 2, 3], vertical_alignment="bottom", gap="medium")
        choose = partial(session.keep_choice, page="prediction")
        model = choose(
            "model",
            ANY,
            columns[0].selectbox,
            say("Model"),
            [ANY, *models],
            format_func=lambda name: name or say("All models"),
        )
        true = choose(
            "true",
            ANY,
            columns[1].selectbox,
            say("True class"),
            [ANY, *CLASSES],
            format_func=lambda name: name or say("Any"),
        )
        predicted = choose(
            "predicted",
            ANY,
            columns[2].selectbox,
            say("Predicted class"),
            [ANY, *CLASSES],
            format_func=lambda name: name or say("Any"),
        )
        outcome = choose(
            "outcome",
            ANY,
            columns[3].selectbox,
            say("Outcome"),
            [ANY, *OUTCOMES],
            format_func=lambda key: say(OUTCOMES[key]) if key else say("Any"),
        )
        low, high = choose(
            "confidence",
            (0.0, 1.0),
            columns[4].slider,
            say("Confidence of the prediction"),
            0.0,
            1.0,
            step=0.01,
        )
    passes = rows["confidence"].between(low, high)
    for column, choice in (("model", model), ("true", true), ("predicted", predicted)):
        if choice != ANY:
            passes &= rows[column] == choice
    if outcome != ANY:
        passes &= rows["right"] == (outcome == "right")
    selection = rows[passes].reset_index(drop=True)
    wrong = int((~selection["right"].astype(bool)).sum())
    st.caption(
        say_count(
            "{shown} of {count} prediction, {wrong} wrong. Each row is one scan of the test part, "
            "classified by one model.",
            "{shown} of {count} predictions, {wrong} wrong. Each row is one scan of the test part, "
            "classified by one model.",
            len(rows),
            shown=len(selection),
            wrong=wrong,
        )
    )
    return selection


def phantom_grid() -> None:
    """Synthetic scans to click on where there is no data folder; they are no part of the table."""
    st.header(say("Synthetic scans to open instead"), anchor=False)
    st.caption(
        say(
            "Drawn by this program, with a known class. They are not test scans and count in no "
            "figure above."
        )
    )
    samples = all_samples()
    for start in range(0, len(samples), 4):
        for column, sample in zip(
            st.columns(4, gap="medium"), samples[start : start + 4], strict=False
        ):
            phantom = sample.phantom()
            with column:
                st.image(
                    phantom.pixels,
                    width="stretch",
                    alt=say("Synthetic B-scan: {title}", title=say(CLASS_TITLES[sample.label])),
                )
                if st.button(
                    sample.title,
                    key=f"phantom_{sample.seed}",
                    icon=":material/open_in_new:",
                    width="stretch",
                ):
                    open_in_viewer(sample)
