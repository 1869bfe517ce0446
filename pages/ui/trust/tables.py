"""The tables of the page Explanations: in short, the wider family of methods, and every figure with
a download.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from oct_core.exports import table_csv
from oct_core.trust.report_file import Report
from oct_core.words import say, say_count
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.tables import show_table
from pages.ui.trust import data as data
from pages.ui.trust.views import choose_source, definition_text, measure_of

_SHORT = ("deletion_mean", "insertion_mean", "road", "pointing", "energy")
_WIDER = (
    "deletion_mean",
    "insertion_mean",
    "road",
    "average_drop",
    "pointing",
    "energy",
    "mass_retina",
)


def in_short(report: Report) -> None:
    """Grad-CAM at the last layer of each run on phantoms, beside the baselines."""
    rows = []
    for run in report.runs:
        for method, layer in (
            ("gradcam", data.layer_at(report, run, 0)),
            *((name, "input") for name in data.BASELINES),
        ):
            place = {
                "kind": "core",
                "run": run,
                "source": "phantoms",
                "method": method,
                "layer": layer,
            }
            figures = {
                row["measure"]: data.figure_text(row)
                for row in report.rows
                if place.items() <= row.items()
            }
            cells = {measure: figures[measure] for measure in _SHORT if measure in figures}
            if cells:
                rows.append(
                    {"model": data.run_title(report, run), "map": data.method_title(report, method)}
                    | cells
                )
    if rows:
        st.header(
            say(
                "Summary: Grad-CAM at the last layer on phantoms, beside maps that do not use the "
                "network"
            ),
            anchor=False,
        )
        _table(report, pd.DataFrame(rows), _SHORT, say("Summary of Grad-CAM and the baselines"))


def _table(report: Report, frame: pd.DataFrame, measures: tuple[str, ...], alt: str) -> None:
    """A table with the definition of each measure in the header of its column."""
    config = {
        name: st.column_config.TextColumn(
            data.measure_title(report, name), help=definition_text(measure_of(report, name))
        )
        for name in measures
        if name in report.measures
    }
    show_table(frame, alt, config, height="content")


def wider(report: Report) -> None:
    """The other methods at the last layer beside the core and the baselines, and why some were left
    out.
    """
    st.header(say("Other methods, last layer"), anchor=False)
    source = choose_source(report, "report_wider_source")
    frame = data.wider_frame(report, source, _WIDER)
    if frame.empty:
        st.info(say("No other method has been measured yet."), icon=":material/hourglass_top:")
    else:
        _table(report, frame, _WIDER, say("Scores of other methods"))
        st.caption(
            say(
                "All rows of a model come from the same few scans, so the intervals are wide. "
                "Point at a heading for its definition."
            )
        )
    for row in report.raw["skipped"]:
        st.caption(
            say(
                "Not measured: **{method}** for {model}. {reason}",
                method=data.method_title(report, row["method"]),
                model=escape_markdown(data.run_title(report, row["run"])),
                reason=escape_markdown(row["reason"]),
            )
        )


def whole(report: Report) -> None:
    """Every figure, filtered, with a download and the definitions."""
    frame = data.whole_frame(report)
    columns = st.columns([2, 2, 2, 1], vertical_alignment="bottom")
    labels = {"run": say("Models"), "source": say("Scans"), "measure": say("Measures")}
    for column, (name, label) in zip(columns, labels.items(), strict=False):
        options = list(dict.fromkeys(frame[name]))
        named = partial(_option, report, name)
        choice = column.multiselect(
            label, options, placeholder=say("All"), format_func=named, key=f"report_table_{name}"
        )
        frame = frame[frame[name].isin(choice)] if choice else frame
    with columns[3], st.popover(say("Definitions"), icon=":material/help:"):
        for name in report.measures:
            st.markdown(definition_text(measure_of(report, name)))
    show_table(frame, say("Every figure of the report"), height=460)
    st.download_button(
        say_count("Download {count} row (CSV)", "Download {count} rows (CSV)", len(frame)),
        table_csv(
            list(frame.columns),
            frame.astype(object).where(frame.notna(), None).itertuples(index=False),
        ),
        "explanations.csv",
        "text/csv",
        icon=":material/download:",
        key="report_csv",
    )


def _option(report: Report, column: str, value: str) -> str:
    if column == "run":
        return data.run_title(report, value)
    if column == "source":
        return data.source_title(value)
    return data.measure_title(report, value)
