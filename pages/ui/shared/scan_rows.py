"""Rows of scans and answers as a table or as pictures; a click opens the scan in the viewer."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import streamlit as st

from oct_core.types import CLASS_TITLES
from oct_core.words import say
from pages.ui.shared.data_folder import open_picture
from pages.ui.shared.links import open_in_viewer
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.tables import COLUMNS, show_table

PICTURES_PER_PAGE = 12


def show_scans(rows: pd.DataFrame, key: str, at_hand: bool) -> None:
    """Rows of ``tables.prediction_frame``, with their pictures where there is a data folder.

    key : before every widget's key. at_hand : of ``data_folder.pictures_at_hand``.
    """
    if at_hand:
        _table_with_pictures(rows, key)
    else:
        _table_without_pictures(rows)


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
        name: st.column_config.TextColumn(say(COLUMNS[name]), width=width)
        for name, width in (("verdict", 90), ("reason", 320))
        if name in rows.columns
    }
    columns |= {
        name: st.column_config.NumberColumn(format="%.3f", help=_class_title(name))
        for name in rows.columns
        if name.startswith("p(") and name not in columns
    }
    return show_table(
        rows.drop(columns="sha256"),
        say("Predictions for these scans"),
        columns,
        height=min(420, 38 * (len(rows) + 1)),
        **options,
    )


def _class_title(column: str) -> str | None:
    """The class of ``p(CNV)`` in words."""
    title = CLASS_TITLES.get(column[2:-1])
    return None if title is None else say(title)


def _table_without_pictures(rows: pd.DataFrame) -> None:
    _table(rows)
    st.caption(
        say(
            "The scans themselves are not part of this repository. Start the app with `streamlit "
            "run streamlit_app.py -- --data DIR`, or set the environment variable `OCT_DATA`, to "
            "see them here and open them in the viewer."
        )
    )


def _table_with_pictures(rows: pd.DataFrame, key: str) -> None:
    pictures, table = st.tabs(
        [say(":material/grid_view: Pictures"), say(":material/table_rows: Table")]
    )
    with pictures:
        _picture_pages(rows, key)
    with table:
        event = _table(rows, on_select="rerun", selection_mode="single-row", key=f"{key}_table")
        st.caption(say("Tick a row at its left edge to open the scan in the viewer."))
        if places := event.selection.rows:
            _open_row(rows.iloc[places[0]])


def _picture_pages(rows: pd.DataFrame, key: str) -> None:
    pages = math.ceil(len(rows) / PICTURES_PER_PAGE)
    page = (
        st.number_input(say("Page of {pages}", pages=pages), 1, pages, key=f"{key}_page", width=160)
        if pages > 1
        else 1
    )
    page_rows = rows.iloc[(page - 1) * PICTURES_PER_PAGE : page * PICTURES_PER_PAGE]
    for start in range(0, len(page_rows), 4):
        for column, (index, row) in zip(
            st.columns(4, gap="medium"), page_rows.iloc[start : start + 4].iterrows(), strict=False
        ):
            with column:
                _picture(row, f"{key}_open_{index}")


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
