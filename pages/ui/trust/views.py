"""The parts of the page Explanations: what it is about, faithfulness and place. Randomisation and
tables have files of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from oct_core.figures import charts
from oct_core.trust.report_file import COMMAND, Report
from oct_core.words import message, say
from pages.ui.app.services import title_of
from pages.ui.shared.charts import show
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.run_data import Runs
from pages.ui.shared.tables import duration_text
from pages.ui.trust import data as data

FAITHFUL = (
    "deletion_mean",
    "insertion_mean",
    "deletion_blur",
    "insertion_blur",
    "road",
    "average_drop",
    "average_increase",
)
_INTRODUCTION = message(
    "A heat map shows where a network *seems* to look, and can be wrong about it. This page asks "
    "three questions of every map. "
    "**Is it faithful?** If the highlighted pixels matter, hiding them must change the prediction. "
    "**Does it depend on what was learned?** If the network's weights are replaced by random "
    "numbers, the map must change. "
    "**Is it in the right place?** On synthetic scans the lesion is known exactly; on real scans "
    "at least the retina is. "
    "For comparison there are maps that do not use the network at all: noise, a Gaussian at the "
    "centre, the edges of the picture. A map is informative only where it does better than these."
)


def introduction() -> None:
    """What was asked of the maps, in plain words."""
    st.header(say("What was measured"), anchor=False)
    st.markdown(say(_INTRODUCTION))


def say_no_report() -> None:
    """How to make the report."""
    st.info(
        say(
            "The maps have not been measured yet. Measure them with `{command}`; without "
            "`--data`, only synthetic scans are used.",
            command=COMMAND,
        ),
        icon=":material/straighten:",
    )


def overview(report: Report) -> None:
    """What was measured: scans, time, day, runs."""
    raw = report.raw
    cells = st.columns(4)
    devices = ", ".join(dict.fromkeys(str(about["device"]) for about in report.runs.values()))
    cells[0].metric(
        say("Phantoms"),
        data.count_text(report, "phantoms"),
        help=say(
            "Synthetic scans whose lesion is known to the pixel. No model was trained on them."
        ),
    )
    cells[1].metric(
        say("Validation scans"),
        data.count_text(report, "validation"),
        help=say("Real scans that no model was trained on. The test part is never used here."),
    )
    cells[2].metric(say("Models"), len(raw["runs"]))
    duration = duration_text(raw["seconds"])
    unknown = any(about["seconds"] is None for about in report.runs.values())
    cells[3].metric(
        say("Computing time"),
        say("over {duration}", duration=duration) if unknown else duration,
        help=say("On {devices}.", devices=escape_markdown(devices)),
    )
    sentences = [escape_markdown(report.note)]
    if raw.get("made"):
        sentences.append(say("Made on {date}.", date=raw["made"]))
    sentences.append(
        say("Intervals are 95%, from a bootstrap by patient; each phantom counts as one patient.")
    )
    if counts := _correct_counts(report):
        sentences.append(say("Classified correctly: {counts}.", counts="; ".join(counts)))
    st.caption(" ".join(sentences))


_CORRECT = {
    "phantoms": message("{right} of {total} phantoms"),
    "validation": message("{right} of {total} validation scans"),
}


def _correct_counts(report: Report) -> list[str]:
    """``VGG16 20 of 24 phantoms, 18 of 24 validation scans`` for each run, for Markdown."""
    lines = []
    for run in report.runs:
        counts = [
            say(_CORRECT[source], right=row["right"], total=row["n"])
            for source, row in (report.raw["right"].get(run) or {}).items()
            if source in _CORRECT
        ]
        if counts:
            lines.append(f"{escape_markdown(data.run_title(report, run))} {', '.join(counts)}")
    return lines


def say_what_does_not_fit(report: Report, runs: Runs) -> None:
    """A report cut short, made with other weights, or without some of the runs that are here."""
    if not report.raw["complete"]:
        done, planned = report.raw["tasks"]["done"], report.raw["tasks"]["planned"]
        st.warning(
            say(
                "This report is not complete: {done} of {planned} tasks are done. Run `{command}` "
                "again to do the rest.",
                done=done,
                planned=planned,
                command=COMMAND,
            ),
            icon=":material/hourglass_top:",
        )
    cards = {card.name: card for card in runs.cards}
    for run, about in report.runs.items():
        if run in cards and cards[run].weights_sha256 != about.get("weights_sha256"):
            st.warning(
                say(
                    "**{model}** was measured with other weights than those installed now, so its "
                    "figures here do not describe the maps in the viewer. Measure again with "
                    "`{command}`.",
                    model=escape_markdown(data.run_title(report, run)),
                    command=COMMAND,
                ),
                icon=":material/sync_problem:",
            )
    missing = [
        escape_markdown(data.run_title(report, run)) for run in report.runs if run not in cards
    ]
    unmeasured = [
        escape_markdown(title_of(card))
        for card in runs.cards
        if card.status == "done" and card.name not in report.runs
    ]
    if missing and cards:
        st.caption(say("Measured, but not installed here: {models}.", models=", ".join(missing)))
    if unmeasured:
        st.caption(
            say(
                "Installed, but not measured yet: {models}. Run `{command}`.",
                models=", ".join(unmeasured),
                command=COMMAND,
            )
        )


def definition(report: Report, measure: str) -> None:
    """A button that opens what a measure means, which way is better and its source."""
    if measure in report.measures:
        about = measure_of(report, measure)
        with st.popover(say("What is {measure}?", measure=about["title"]), icon=":material/help:"):
            st.markdown(definition_text(about))


def measure_of(report: Report, name: str) -> dict[str, str]:
    """A measure of the report in the language of the moment, for Markdown: title, definition,
    source; better stays "higher", "lower" or "".
    """
    about = report.measures[name]
    words = {key: escape_markdown(say(about[key])) for key in ("title", "definition", "source")}
    return words | {"better": about["better"]}


BETTER = {"higher": message("Higher is better."), "lower": message("Lower is better.")}


def definition_text(about: dict[str, str]) -> str:
    """One measure (``measure_of``) as a paragraph of Markdown."""
    parts = [f"**{about['title']}.** {about['definition']}"]
    if about["better"] in BETTER:
        parts.append(f"**{say(BETTER[about['better']])}**")
    if about["source"]:
        parts.append(f"*{about['source']}*")
    return " ".join(parts)


def choose_source(report: Report, key: str) -> str:
    """Which scans; no control while there is one kind only."""
    sources = report.sources
    if len(sources) == 1:
        return sources[0]
    return str(st.selectbox(say("Scans"), sources, format_func=data.source_title, key=key))


_BY_LAYER = {
    "higher": message("{measure} by layer (higher is better)"),
    "lower": message("{measure} by layer (lower is better)"),
    "": message("{measure} by layer"),
}


def faithfulness(report: Report) -> None:
    """One score against the depth of the layer, with the baselines."""
    left, middle, right = st.columns([2, 2, 2], vertical_alignment="bottom")
    present = {row["measure"] for row in report.rows}
    names = [name for name in FAITHFUL if name in present]
    if not names:
        st.info(say("No scan has been measured yet."), icon=":material/hourglass_top:")
        return
    with left:
        measure = str(
            st.selectbox(
                say("Measure"),
                names,
                format_func=lambda name: data.measure_title(report, name),
                key="report_measure",
            )
        )
    with middle:
        source = choose_source(report, "report_source")
    with right:
        definition(report, measure)
    profiles, levels = data.layer_profiles(report, measure, source)
    name = data.measure_title(report, measure)
    st.subheader(say(_BY_LAYER[report.measures[measure]["better"]], measure=name), anchor=False)
    colours = data.colours(report)
    scale = data.scale_of(profiles, levels)
    charts_by_model(
        {
            run: charts.scores_by_layer(
                {run: lines}, {run: levels[run]}, colours, run, name
            ).update_yaxes(range=scale)
            for run, lines in profiles.items()
        },
        "faithfulness",
    )
    st.caption(
        say(
            "Solid and dotted lines: the maps of each layer, with 95% intervals by patient. Gray "
            "dashed lines: maps that do not depend on the layer. A map is informative only where "
            "it scores better than noise and than the edges of the picture."
        )
    )


def charts_by_model(figures: Mapping[str, Any], key: str) -> None:
    """One chart a model, side by side where there is room and one below the other on a phone, so
    that no label stands over another. figures : title of the run -> its chart, called so.
    """
    if not figures:
        st.info(say("No scan has been measured yet."), icon=":material/hourglass_top:")
        return
    columns = st.columns(len(figures), gap="medium")
    for column, (run, figure) in zip(columns, figures.items(), strict=True):
        with column:
            show(_alone(figure, run), f"{key}_{run}")


def _alone(figure: Any, run: str) -> Any:
    """The chart of one model, for a narrow place: no heading of a panel and no name of the model
    before each line, since the chart is called so, and the legend below all labels.
    """
    figure.layout.annotations = ()
    for trace in figure.data:
        trace.name = trace.name.removeprefix(f"{run}: ")
    named = sum(trace.showlegend is not False for trace in figure.data)
    below = 120 + 21 * named
    return figure.update_layout(
        height=300 + below,
        margin={"t": 50, "b": below},
        legend={"yref": "container", "y": 0, "yanchor": "bottom"},
    )


def localisation(report: Report) -> None:
    """Pointing game and energy on phantoms; the shares by region on any scans."""
    counts = data.lesion_counts(report)
    lines = [
        say("{model} {right} of {total}", model=escape_markdown(run), right=right, total=total)
        for run, (right, total) in counts.items()
    ]
    st.subheader(say("On the lesion (phantoms)"), anchor=False)
    st.caption(
        say(
            "Over the phantoms with a lesion that the model classifies correctly: {counts}. Maps "
            "at the last layer, or at the input. Dashed: the share of the picture that the lesion "
            "covers.",
            counts="; ".join(lines),
        )
    )
    for column, measure in zip(st.columns(2, gap="medium"), ("pointing", "energy"), strict=True):
        if measure in report.measures:
            with column:
                scores, areas = data.lesion_scores(report, measure)
                title = data.measure_title(report, measure)
                colours = data.colours(report)
                show(_upright(charts.lesion_bars(scores, areas, colours, title, title)), measure)
                definition(report, measure)
    st.subheader(say("On the retina"), anchor=False)
    source = choose_source(report, "report_place_source")
    charts_by_model(
        {
            run: _on_two_lines(charts.region_shares({run: maps}, run))
            for run, maps in data.region_scores(report, source).items()
        },
        "regions",
    )
    st.caption(
        say(
            "The retina is estimated from the scan, between the inner limiting membrane and "
            "Bruch's membrane. The vitreous is above, choroid and sclera are below. Mass on "
            "borders and wedges is a warning sign: no tissue is there."
        )
    )
    definition(report, "mass_retina")


def _upright(figure: Any) -> Any:
    """Bars whose names stand upright below them, with the legend above: nothing meets."""
    figure.layout.annotations = ()  # the dashed line is named in the caption
    figure.update_xaxes(tickangle=-90, title_text="", automargin=True)
    return figure.update_layout(legend={"y": 1.02, "yanchor": "bottom"}, margin={"t": 80})


def _on_two_lines(figure: Any) -> Any:
    """Bars with their names broken at spaces, so that a narrow place leaves room for the bars."""
    for trace in figure.data:
        trace.y = [name.replace(" ", "<br>", 1) for name in trace.y]
    return figure.update_yaxes(title_text="")
