"""The parts of the page Predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from oct_core.errors import OctError
from oct_core.metrics.calibration import softmax
from oct_core.types import CLASS_TITLES, CLASSES, RunCard
from oct_core.words import message, say, say_count
from pages.ui.app import services, session
from pages.ui.app.services import title_of
from pages.ui.shared.data_folder import open_picture
from pages.ui.shared.links import open_in_viewer
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.samples import all_samples
from pages.ui.shared.tables import COLUMNS, prediction_frame, show_table

PICTURES_PER_PAGE = 12
_COLUMNS = [
    "image",
    "patient",
    "model",
    "true",
    "predicted",
    "right",
    "confidence",
    "p(true)",
    *(f"p({name})" for name in CLASSES),
]
ANY = ""
"""The choice that filters nothing."""
OUTCOMES = {"right": message("Correct"), "wrong": message("Wrong")}


def everything(cards: Sequence[RunCard]) -> pd.DataFrame:
    """Every test scan of every run, one row a scan and run; a damaged file is reported and left
    out.
    """
    frames: list[pd.DataFrame] = []
    for card in cards:
        try:
            table = services.prediction_table(card).of_split("test")
        except OctError as error:
            st.warning(
                say(
                    "The predictions of **{model}** cannot be read: {error}",
                    model=escape_markdown(title_of(card)),
                    error=escape_markdown(str(error)),
                ),
                icon=":material/broken_image:",
            )
            continue
        if len(table):
            frames.append(
                prediction_frame(title_of(card), table, softmax(table.logits, card.temperature))
            )
    return (
        pd.concat(frames, ignore_index=True)
        if frames
        else pd.DataFrame(columns=[*_COLUMNS, "sha256"])
    )


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


def _table(rows: pd.DataFrame, **options: Any) -> Any:
    share = st.column_config.ProgressColumn
    columns = {
        "confidence": share(
            say(COLUMNS["confidence"]),
            width=110,
            min_value=0.0,
            max_value=1.0,
            format="%.3f",
            help=say("The probability of the predicted class."),
        ),
        "p(true)": st.column_config.NumberColumn(
            say(COLUMNS["p(true)"]), format="%.3f", help=say("The probability of the true class.")
        ),
        "right": st.column_config.CheckboxColumn(say(COLUMNS["right"]), width=70),
    }
    columns |= {
        f"p({name})": st.column_config.NumberColumn(format="%.3f", help=say(CLASS_TITLES[name]))
        for name in CLASSES
    }
    return show_table(
        rows[_COLUMNS], say("Predictions for the test scans"), columns, height=420, **options
    )


def table_without_pictures(rows: pd.DataFrame) -> None:
    """The table, and how to get its pictures."""
    _table(rows)
    st.caption(
        say(
            "The scans themselves are not part of this repository. Start the app with `streamlit "
            "run streamlit_app.py -- --data DIR`, or set the environment variable `OCT_DATA`, to "
            "see them here and open them in the viewer."
        )
    )


def table_with_pictures(rows: pd.DataFrame) -> None:
    """The same rows as pictures or as a table; a click opens the scan in the viewer."""
    pictures, table = st.tabs(
        [say(":material/grid_view: Pictures"), say(":material/table_rows: Table")]
    )
    with pictures:
        _picture_pages(rows)
    with table:
        event = _table(rows, on_select="rerun", selection_mode="single-row", key="prediction_table")
        st.caption(say("Tick a row at its left edge to open the scan in the viewer."))
        if places := event.selection.rows:
            _open_row(rows.iloc[places[0]])


def _picture_pages(rows: pd.DataFrame) -> None:
    pages = math.ceil(len(rows) / PICTURES_PER_PAGE)
    page = (
        st.number_input(
            say("Page of {pages}", pages=pages), 1, pages, key="prediction_page", width=160
        )
        if pages > 1
        else 1
    )
    page_rows = rows.iloc[(page - 1) * PICTURES_PER_PAGE : page * PICTURES_PER_PAGE]
    for start in range(0, len(page_rows), 4):
        for column, (index, row) in zip(
            st.columns(4, gap="medium"), page_rows.iloc[start : start + 4].iterrows(), strict=False
        ):
            with column:
                _picture(row, f"open_{index}")


def _picture(row: pd.Series[Any], key: str) -> None:
    scan = open_picture(row["image"], row["sha256"])
    if scan is None:
        st.info(say("Not in the data folder."), icon=":material/hide_image:")
    else:
        st.image(
            scan.pixels,
            width="stretch",
            alt=say(
                "B-scan, true class {true}, predicted class {predicted}",
                true=row["true"],
                predicted=row["predicted"],
            ),
        )
    mark = ":green[:material/check:]" if row["right"] else ":red[:material/close:]"
    st.markdown(f"{mark} **{row['predicted']}** {row['confidence']:.3f}")
    st.caption(
        say("{model} · true class {true}", model=escape_markdown(row["model"]), true=row["true"])
    )
    if scan is not None and st.button(
        say("Open in the viewer"), key=key, icon=":material/open_in_new:", width="stretch"
    ):
        open_in_viewer(scan)


def _open_row(row: pd.Series[Any]) -> None:
    scan = open_picture(row["image"], row["sha256"])
    if scan is None:
        st.info(
            say("The data folder does not hold this scan, or its content has changed."),
            icon=":material/hide_image:",
        )
    else:
        open_in_viewer(scan)


def phantom_grid() -> None:
    """Synthetic scans to click on where there is no data folder; they are no part of the table."""
    st.subheader(say("Synthetic scans to open instead"), anchor=False)
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
