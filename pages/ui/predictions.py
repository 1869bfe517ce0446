"""The parts of the page Predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from oct_core.errors import OctError
from oct_core.types import CLASS_TITLES, CLASSES, RunCard, Scan
from oct_core.words import say
from pages.ui.app import services, session
from pages.ui.app.services import title_of
from pages.ui.shared.data_folder import open_picture
from pages.ui.shared.run_data import probabilities
from pages.ui.shared.samples import Sample, all_samples
from pages.ui.shared.tables import prediction_frame

PICTURES_PER_PAGE = 12
VIEWER = "pages/1_Viewer.py"
_SHOWN = [
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


def open_in_viewer(scan: Scan | Sample) -> None:
    """Hand a scan or a sample to the viewer and go there."""
    st.session_state["open_scan"] = scan
    st.switch_page(VIEWER)


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
                    model=title_of(card),
                    error=error,
                ),
                icon=":material/broken_image:",
            )
            continue
        if len(table):
            frames.append(
                prediction_frame(title_of(card), table, probabilities(table, card.temperature))
            )
    return (
        pd.concat(frames, ignore_index=True)
        if frames
        else pd.DataFrame(columns=[*_SHOWN, "sha256"])
    )


def filtered(rows: pd.DataFrame) -> pd.DataFrame:
    """The filter bar, and the rows that pass it."""
    models = list(dict.fromkeys(rows["model"]))
    with st.container(border=True):
        first = st.columns([2, 2, 2, 2, 3], vertical_alignment="bottom", gap="medium")
        kept = partial(session.kept, page="prediction")
        model = kept(
            "model", say("All models"), first[0].selectbox, "Model", [say("All models"), *models]
        )
        true = kept("true", "Any", first[1].selectbox, say("True class"), ["Any", *CLASSES])
        predicted = kept(
            "predicted", "Any", first[2].selectbox, say("Predicted class"), ["Any", *CLASSES]
        )
        outcome = kept("outcome", "Any", first[3].selectbox, "Outcome", ["Any", "Right", "Wrong"])
        low, high = kept(
            "confidence",
            (0.0, 1.0),
            first[4].slider,
            say("Confidence of the prediction"),
            0.0,
            1.0,
            step=0.01,
        )
    keep = rows["confidence"].between(low, high)
    for column, wanted, any_of_them in (
        ("model", model, say("All models")),
        ("true", true, "Any"),
        ("predicted", predicted, "Any"),
    ):
        if wanted != any_of_them:
            keep &= rows[column] == wanted
    if outcome != "Any":
        keep &= rows["right"] == (outcome == "Right")
    found = rows[keep].reset_index(drop=True)
    wrong = int((~found["right"].astype(bool)).sum())
    st.caption(
        say(
            "{found_count} of {rows_count} predictions, {wrong} of them wrong. Every row is one "
            "scan of the test part read by one model.",
            found_count=len(found),
            rows_count=len(rows),
            wrong=wrong,
        )
    )
    return found


def _table(rows: pd.DataFrame, **options: Any) -> Any:
    share = st.column_config.ProgressColumn
    columns = {
        "confidence": share(
            "confidence",
            width=110,
            min_value=0.0,
            max_value=1.0,
            format="%.3f",
            help=say("The probability of the predicted class."),
        ),
        "p(true)": st.column_config.NumberColumn(
            format="%.3f", help=say("The probability of the true class.")
        ),
        "right": st.column_config.CheckboxColumn("right", width=55),
    }
    columns |= {
        f"p({name})": st.column_config.NumberColumn(format="%.3f", help=CLASS_TITLES[name])
        for name in CLASSES
    }
    return st.dataframe(
        rows[_SHOWN],
        hide_index=True,
        width="stretch",
        height=420,
        column_config=columns,
        alt=say("Predictions of the test scans"),
        **options,
    )


def table_without_pictures(rows: pd.DataFrame) -> None:
    """The true table, and how to get its pictures."""
    _table(rows)
    st.caption(
        say(
            "The scans themselves are not part of this repository. Start the app with `streamlit "
            "run streamlit_app.py -- --data DIR`, or with the environment variable OCT_DATA, and "
            "their pictures appear here and open in the viewer."
        )
    )


def table_with_pictures(rows: pd.DataFrame) -> None:
    """The same rows as pictures or as a table; a click opens the scan in the viewer."""
    pictures, table = st.tabs([":material/grid_view: Pictures", ":material/table_rows: Table"])
    with pictures:
        _picture_pages(rows)
    with table:
        event = _table(rows, on_select="rerun", selection_mode="single-row", key="prediction_table")
        st.caption(say("Choose a row at its left edge to open the scan in the viewer."))
        if chosen := event.selection.rows:
            _open_row(rows.iloc[chosen[0]])


def _picture_pages(rows: pd.DataFrame) -> None:
    pages = math.ceil(len(rows) / PICTURES_PER_PAGE)
    page = (
        st.number_input(
            say("Page of {pages}", pages=pages), 1, pages, key="prediction_page", width=160
        )
        if pages > 1
        else 1
    )
    shown = rows.iloc[(page - 1) * PICTURES_PER_PAGE : page * PICTURES_PER_PAGE]
    for start in range(0, len(shown), 4):
        for column, (index, row) in zip(
            st.columns(4, gap="medium"), shown.iloc[start : start + 4].iterrows(), strict=False
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
                "B-scan, true class {true}, read as {predicted}",
                true=row["true"],
                predicted=row["predicted"],
            ),
        )
    mark = ":green[:material/check:]" if row["right"] else ":red[:material/close:]"
    st.markdown(f"{mark} **{row['predicted']}** {row['confidence']:.3f}")
    st.caption(f"{row['model']} · true {row['true']}")
    if scan is not None and st.button(
        say("Open in the viewer"), key=key, icon=":material/open_in_new:", width="stretch"
    ):
        open_in_viewer(scan)


def _open_row(row: pd.Series[Any]) -> None:
    scan = open_picture(row["image"], row["sha256"])
    if scan is None:
        st.info(
            say("This scan is not in the data folder, or not with the same content."),
            icon=":material/hide_image:",
        )
    else:
        open_in_viewer(scan)


def phantom_grid() -> None:
    """Synthetic scans to click on where there is no data folder; they are no part of the table."""
    st.subheader(say("Synthetic scans to open instead"), anchor=False)
    st.caption(
        say(
            "Drawn by this program, with a known class; they are not test scans and no figure "
            "above rests on them."
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
                    alt=say(
                        "Synthetic B-scan, {class_titles}", class_titles=CLASS_TITLES[sample.label]
                    ),
                )
                if st.button(
                    sample.title,
                    key=f"phantom_{sample.seed}",
                    icon=":material/open_in_new:",
                    width="stretch",
                ):
                    open_in_viewer(sample)
