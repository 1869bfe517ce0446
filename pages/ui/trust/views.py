"""The parts of the page Explanations: what it is about, faithfulness and place. Randomisation and
tables have files of their own.
"""

from __future__ import annotations

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
    """What the page is about, in plain words."""
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
    title = say(_BY_LAYER[report.measures[measure]["better"]], measure=name)
    colours = data.colours(report)
    show(charts.scores_by_layer(profiles, levels, colours, title, name), "faithfulness")
    st.caption(
        say(
            "Solid and dotted lines: the maps of each layer, with 95% intervals by patient. Gray "
            "dashed lines: maps that do not depend on the layer. A map is informative only where "
            "it scores better than noise and than the edges of the picture."
        )
    )


def localisation(report: Report) -> None:
    """Pointing game and energy on phantoms; the shares by region on any scans."""
    counts = data.lesion_counts(report)
    lines = [
        say("{model} {right} of {total}", model=escape_markdown(run), right=right, total=total)
        for run, (right, total) in counts.items()
    ]
    st.header(say("On the lesion (phantoms)"), anchor=False)
    st.caption(
        say(
            "Over the phantoms with a lesion that the model classifies correctly: {counts}. Maps "
            "at the last layer, or at the input.",
            counts="; ".join(lines),
        )
    )
    for column, measure in zip(st.columns(2, gap="medium"), ("pointing", "energy"), strict=True):
        if measure in report.measures:
            with column:
                scores, areas = data.lesion_scores(report, measure)
                title = data.measure_title(report, measure)
                colours = data.colours(report)
                show(charts.lesion_bars(scores, areas, colours, title, title), measure)
                definition(report, measure)
    st.header(say("On the retina"), anchor=False)
    source = choose_source(report, "report_place_source")
    title = say("Where the maps lie: {scans}", scans=data.source_title(source))
    show(charts.region_shares(data.region_scores(report, source), title), "regions")
    st.caption(
        say(
            "The retina is estimated from the scan, between the inner limiting membrane and "
            "Bruch's membrane. The vitreous is above, choroid and sclera are below. Mass on "
            "borders and wedges is a warning sign: no tissue is there."
        )
    )
    definition(report, "mass_retina")
