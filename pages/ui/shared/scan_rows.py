"""Rows of scans and answers as a table or as pictures; a click opens the scan in the viewer."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from oct_core.figures.pictures import shrink
from oct_core.types import CLASS_TITLES
from oct_core.words import message, say
from pages.ui.shared.data_folder import data_folder, may_be_shown, picture_or_upload
from pages.ui.shared.links import open_in_viewer
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.pager import open_page_of, pager
from pages.ui.shared.pictures import data_uri, figure
from pages.ui.shared.tables import COLUMNS, show_table
from pages.ui.shared.verdicts import SHORT_TITLES

PICTURES_PER_PAGE = 8
PICTURE_SIDE = 360
OUTCOMES = {True: message("Correct"), False: message("Wrong")}
_MARKS = {True: "✓", False: "✗"}
_LAST = ("reason", "model", "patient", "p(true)")


def outcome_words(right: bool) -> str:
    """``✓ Correct`` or ``✗ Wrong``."""
    return f"{_MARKS[bool(right)]} {say(OUTCOMES[bool(right)])}"


def show_scans(rows: pd.DataFrame, key: str, at_hand: bool) -> None:
    """Rows of ``tables.prediction_frame``, with their pictures where there are some.

    rows : may have more columns: ``verdict`` (its kind), ``reason``, ``agreement``, and one a
    further model, named by its title. key : before every widget's key. at_hand : whether there is
    a data folder or an upload.
    """
    if at_hand:
        _table_with_pictures(rows, key)
    else:
        _table(rows)
        st.caption(
            say(
                "The scans themselves are not part of this repository. Start the app with "
                "`streamlit run streamlit_app.py -- --data DIR`, or set the environment variable "
                "`OCT_DATA`, to see them here and open them in the viewer."
            )
        )


def _words_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as they are read: words for the outcome, per cent for probabilities; what is read
    first stands first.
    """
    shown = rows.drop(columns=["sha256", "right"])
    shown["outcome"] = [outcome_words(right) for right in rows["right"]]
    if "verdict" in shown:
        shown["verdict"] = [say(SHORT_TITLES[kind]) if kind else "" for kind in rows["verdict"]]
    shares = [name for name in rows if name == "confidence" or str(name).startswith("p(")]
    shown[shares] = rows[shares] * 100
    first = ["image", "true", "predicted", "outcome", "verdict", "confidence", "agreement"]
    last = [*_LAST, *(name for name in shares if name not in (*first, *_LAST))]
    models = [name for name in shown if name not in first and name not in last]
    return shown[[name for name in (*first, *models, *last) if name in shown]]


def _table(rows: pd.DataFrame, **options: Any) -> Any:
    shown = _words_of(rows)
    columns = {
        "confidence": st.column_config.ProgressColumn(
            say(COLUMNS["confidence"]),
            width=100,
            min_value=0,
            max_value=100,
            format="%.1f%%",
            help=say("The probability of the predicted class."),
        ),
        "p(true)": st.column_config.NumberColumn(
            say(COLUMNS["p(true)"]), format="%.1f%%", help=say("The probability of the true class.")
        ),
        "outcome": st.column_config.TextColumn(say("Outcome"), width=85),
        "agreement": st.column_config.TextColumn(
            say("Agreement"), width=80, help=say("How many models give the commonest answer.")
        ),
        "verdict": st.column_config.TextColumn(say(COLUMNS["verdict"]), width=80),
        "reason": st.column_config.TextColumn(say(COLUMNS["reason"]), width=320),
    }
    columns |= {
        name: st.column_config.Column(width=95)
        for name in map(str, shown.columns)
        if name not in COLUMNS and name not in columns and not name.startswith("p(")
    }
    columns |= {
        name: st.column_config.NumberColumn(format="%.1f%%", help=_class_title(name))
        for name in map(str, shown.columns)
        if name.startswith("p(") and name != "p(true)"
    }
    return show_table(
        shown,
        say("Predictions for these scans"),
        {name: column for name, column in columns.items() if name in shown},
        height=min(420, 38 * (len(rows) + 1)),
        **options,
    )


def _class_title(column: str) -> str | None:
    """The class of ``p(CNV)`` in words."""
    title = CLASS_TITLES.get(column[2:-1])
    return None if title is None else say(title)


def _table_with_pictures(rows: pd.DataFrame, key: str) -> None:
    pictures, table = st.tabs(
        [say(":material/grid_view: Pictures"), say(":material/table_rows: Table")]
    )
    with pictures:
        _picture_pages(rows[may_be_shown(rows)], key)
    with table:
        event = _table(rows, on_select="rerun", selection_mode="single-row", key=f"{key}_table")
        st.caption(say("Tick a row at its left edge to open the scan in the viewer."))
        if places := event.selection.rows:
            _open_row(rows.iloc[places[0]])


def _picture_pages(rows: pd.DataFrame, key: str) -> None:
    if rows.empty:
        st.info(say("There is no picture of these scans."), icon=":material/hide_image:")
        return
    pager(len(rows), PICTURES_PER_PAGE, key, "top")
    page = rows.iloc[open_page_of(len(rows), PICTURES_PER_PAGE, key)]
    for start in range(0, len(page), 4):
        for column, (index, row) in zip(
            st.columns(4, gap="medium"), page.iloc[start : start + 4].iterrows(), strict=False
        ):
            with column:
                _picture(row, f"{key}_open_{index}")
    pager(len(rows), PICTURES_PER_PAGE, key, "bottom")


def _picture(row: pd.Series[Any], key: str) -> None:
    scan = picture_or_upload(row["image"], row["sha256"])
    if scan is None:
        st.info(say("Not in the data folder."), icon=":material/hide_image:")
    else:
        alt = say(
            "B-scan, true class {true}, predicted class {predicted}",
            true=row["true"],
            predicted=row["predicted"],
        )
        # In the page itself: an upload is never in the server's media store.
        picture = figure(data_uri(shrink(scan.pixels, PICTURE_SIDE)), alt)
        st.html(f'<div class="oct-maps">{picture}</div>')
    badge = "green" if row["right"] else "red"
    outcome = outcome_words(row["right"])
    st.markdown(f"**{row['predicted']}** {row['confidence']:.1%} :{badge}-badge[{outcome}]")
    words = [
        say("{model} · true class {true}", model=escape_markdown(row["model"]), true=row["true"])
    ]
    if row.get("verdict"):
        words.append(say("verdict: {verdict}", verdict=say(SHORT_TITLES[row["verdict"]])))
    if row.get("agreement"):
        words.append(say("models that agree: {agreement}", agreement=row["agreement"]))
    words += [
        f"{escape_markdown(name)} {row[name]}"
        for name in map(str, row.index)
        if name not in COLUMNS and name not in ("sha256", "agreement") and name[:2] != "p("
    ]
    st.caption(" · ".join(words))
    if scan is not None and st.button(
        say("Open in the viewer"), key=key, icon=":material/open_in_new:", width="stretch"
    ):
        open_in_viewer(scan)


def _open_row(row: pd.Series[Any]) -> None:
    scan = picture_or_upload(row["image"], row["sha256"])
    if scan is not None:
        open_in_viewer(scan)
    elif data_folder() is None:
        st.info(
            say("Upload the file of this scan to see it."),
            icon=":material/hide_image:",
        )
    else:
        st.info(
            say("The data folder does not hold this scan, or its content has changed."),
            icon=":material/hide_image:",
        )
