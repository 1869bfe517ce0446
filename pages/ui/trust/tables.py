"""The tables of the page Explanations: in short, the wider family of methods, and every figure with
a download.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from oct_core.trust.report_file import Report
from oct_core.words import say
from pages.ui.trust import data as data
from pages.ui.trust.views import choose_source, definition_text

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
            wanted = {
                "kind": "core",
                "run": run,
                "source": "phantoms",
                "method": method,
                "layer": layer,
            }
            found = {
                row["measure"]: data.figure_text(row)
                for row in report.rows
                if wanted.items() <= row.items()
            }
            cells = {
                report.measures[measure]["title"]: found[measure]
                for measure in _SHORT
                if measure in found
            }
            if cells:
                rows.append(
                    {"model": data.run_title(report, run), "map": data.method_title(report, method)}
                    | cells
                )
    if rows:
        st.markdown(
            say(
                "##### In short: Grad-CAM at the last layer, beside maps that know no network, on "
                "phantoms"
            )
        )
        _table(report, pd.DataFrame(rows), _SHORT, say("Grad-CAM and baselines in short"))


def _table(report: Report, frame: pd.DataFrame, measures: tuple[str, ...], alt: str) -> None:
    """A table with the definition of each measure in the header of its column."""
    abouts = [report.measures[measure] for measure in measures if measure in report.measures]
    config = {
        about["title"]: st.column_config.TextColumn(help=definition_text(about)) for about in abouts
    }
    st.dataframe(
        frame, hide_index=True, width="stretch", height="content", column_config=config, alt=alt
    )


def wider(report: Report) -> None:
    """The other methods at the last layer beside the core and the baselines, and why some were left
    out.
    """
    st.markdown(say("##### Other methods, last layer"))
    source = choose_source(report, "report_wider_source")
    frame = data.wider_frame(report, source, _WIDER)
    if frame.empty:
        st.info(say("No other method has been measured yet."), icon=":material/hourglass_top:")
    else:
        _table(report, frame, _WIDER, say("Scores of other methods"))
        st.caption(
            say(
                "All rows of a model are of the same few scans, so the intervals are wide. Point "
                "at a heading for its definition."
            )
        )
    for left in report.raw["skipped"]:
        st.caption(
            say(
                "Left out: **{method}** of {model}. {reason}",
                method=data.method_title(report, left["method"]),
                model=data.run_title(report, left["run"]),
                reason=left["reason"],
            )
        )


def whole(report: Report) -> None:
    """Every figure, filtered, with a download and the definitions."""
    frame = data.whole_frame(report)
    columns = st.columns([2, 2, 2, 1], vertical_alignment="bottom")
    for column, name, label in zip(
        columns, ("run", "source", "measure"), ("Models", "Scans", "Measures"), strict=False
    ):
        options = list(dict.fromkeys(frame[name]))
        named = partial(_option, report, name)
        chosen = column.multiselect(
            label, options, placeholder=say("All"), format_func=named, key=f"report_table_{name}"
        )
        frame = frame[frame[name].isin(chosen)] if chosen else frame
    with columns[3], st.popover(say("Definitions"), icon=":material/help:"):
        for about in report.measures.values():
            st.markdown(definition_text(about))
    st.dataframe(
        frame, hide_index=True, width="stretch", height=460, alt=say("Every figure of the report")
    )
    st.download_button(
        say("Download {frame_count} rows (CSV)", frame_count=len(frame)),
        frame.to_csv(index=False),
        "explanations.csv",
        "text/csv",
        icon=":material/download:",
        key="report_csv",
    )


def _option(report: Report, column: str, value: str) -> str:
    if column == "run":
        return data.run_title(report, value)
    if column == "source":
        return (data.SOURCES | {"both": say("Both kinds of scans")}).get(value, value)
    return str(report.measures.get(value, {}).get("title", value))
