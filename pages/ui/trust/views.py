"""The parts of the page Explanations: what it is about, faithfulness and place. Randomisation and
tables have files of their own.
"""

from __future__ import annotations

import streamlit as st

from oct_core.figures import charts
from oct_core.trust.report_file import COMMAND, Report
from oct_core.words import message, say
from pages.ui.shared.charts import show
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
    "A heat map shows where a network *seems* to look; it can be wrong about that. This page asks "
    "three questions of every map. "
    "**Is it faithful?** If the marked pixels matter, hiding them must change the prediction. "
    "**Does it depend on what was learned?** If the network is replaced by random numbers, the map "
    "must change. "
    "**Does it lie in the right place?** On synthetic scans the lesion is known exactly; on real "
    "scans at least the retina is. "
    "Maps that know no network (noise, a bell in the middle, the edges of the picture) stand "
    "beside, because a map is worth something only "
    "where it does better than these."
)


def introduction() -> None:
    """What the page is about, in plain words."""
    st.markdown(_INTRODUCTION)


def say_no_report() -> None:
    """How to make the report."""
    way = say(
        "Measure them with `{command}`; without `--data`, on synthetic scans only.", command=COMMAND
    )
    st.info(
        say("The maps have not been measured yet. {way}", way=way), icon=":material/straighten:"
    )


def overview(report: Report) -> None:
    """What was measured: scans, time, day, runs."""
    raw = report.raw
    cells = st.columns(4)
    devices = ", ".join(dict.fromkeys(str(about["device"]) for about in report.runs.values()))
    cells[0].metric(
        say("Phantoms"),
        data.count_text(report, "phantoms"),
        help=say("Synthetic scans whose lesion is known by the pixel; none was trained on."),
    )
    cells[1].metric(
        say("Validation scans"),
        data.count_text(report, "validation"),
        help=say("Real scans, none trained on. The test part is never used here."),
    )
    cells[2].metric(say("Models"), len(raw["runs"]))
    unknown = any(about["seconds"] is None for about in report.runs.values())
    cells[3].metric(
        say("Time it took"),
        ("over " if unknown else "") + duration_text(raw["seconds"]),
        help=say("On {devices}.", devices=devices),
    )
    made = say(" Made on {made}.", made=raw["made"]) if raw.get("made") else ""
    how = say("Intervals are 95%, from a bootstrap by patient; each phantom is a patient.")
    st.caption(f"{raw['note']}{made} Models: {', '.join(_read_rightly(report))}. {how}")


def _read_rightly(report: Report) -> list[str]:
    """``VGG16 (reads 20 of 24 phantoms rightly)`` for each run."""
    said = []
    for run in report.runs:
        counts = [
            f"{one['right']} of {one['n']} {source}"
            for source, one in (report.raw["right"].get(run) or {}).items()
        ]
        said.append(
            f"{data.run_title(report, run)}"
            + (say(" (reads {counts} rightly)", counts=" and ".join(counts)) if counts else "")
        )
    return said


def say_what_does_not_fit(report: Report, runs: Runs) -> None:
    """A report cut short, made with other weights, or without some of the runs that are here."""
    if not report.raw["complete"]:
        done, planned = report.raw["tasks"]["done"], report.raw["tasks"]["planned"]
        way = say("Run `{command}` again; it goes on with the rest.", command=COMMAND)
        st.warning(
            say(
                "This report is not complete: {done} of {planned} tasks are done. {way}",
                done=done,
                planned=planned,
                way=way,
            ),
            icon=":material/hourglass_top:",
        )
    cards = {card.name: card for card in runs.cards}
    for run, about in report.runs.items():
        if run in cards and cards[run].weights_sha256 != about.get("weights_sha256"):
            st.warning(
                say(
                    "**{model}** was measured with other weights than those installed now: its "
                    "figures here do not speak of the maps in the viewer. Measure again with "
                    "`{command}`.",
                    model=data.run_title(report, run),
                    command=COMMAND,
                ),
                icon=":material/sync_problem:",
            )
    gone = [data.run_title(report, run) for run in report.runs if run not in cards]
    new = [
        card.name for card in runs.cards if card.status == "done" and card.name not in report.runs
    ]
    if gone and cards:
        st.caption(say("Measured, but not installed here: {gone}.", gone=", ".join(gone)))
    if new:
        st.caption(
            say(
                "Installed, but not measured yet: {new}. Run `{command}`.",
                new=", ".join(new),
                command=COMMAND,
            )
        )


def definition(report: Report, measure: str) -> None:
    """A button that opens what a measure means, which way is better and its source."""
    about = report.measures.get(measure)
    if about:
        with st.popover(say("What is {title}?", title=about["title"]), icon=":material/help:"):
            st.markdown(definition_text(about))


def definition_text(about: dict[str, str]) -> str:
    """One measure in words."""
    better = (
        say(" **{better} is better.**", better=about["better"].capitalize())
        if about["better"]
        else ""
    )
    source = f" *{about['source']}*" if about["source"] else ""
    return f"**{about['title']}.** {about['definition']}{better}{source}"


def choose_source(report: Report, key: str) -> str:
    """Which scans; no control while there is one kind only."""
    sources = report.sources
    if len(sources) == 1:
        return sources[0]
    return str(
        st.selectbox(
            say("Scans"), sources, format_func=lambda one: data.SOURCES.get(one, one), key=key
        )
    )


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
                format_func=lambda name: report.measures[name]["title"],
                key="report_measure",
            )
        )
    with middle:
        source = choose_source(report, "report_source")
    with right:
        definition(report, measure)
    about = report.measures[measure]
    profiles, levels = data.layer_profiles(report, measure, source)
    better = say(" ({better} is better)", better=about["better"]) if about["better"] else ""
    show(
        charts.scores_by_layer(
            profiles,
            levels,
            say("{title} by layer{better}", title=about["title"], better=better),
            about["title"],
        ),
        "faithfulness",
    )
    st.caption(
        say(
            "Solid and dotted lines: the maps of each layer, with 95% intervals by patient. Gray "
            "dashed lines: maps that do not change with the layer. A map tells something only "
            "where it stands on the better side of noise and of the edges of the picture."
        )
    )


def localisation(report: Report) -> None:
    """Pointing game and energy on phantoms; the shares by region on any scans."""
    counts = data.lesion_counts(report)
    said = "; ".join(f"{run} {n} of {total}" for run, (n, total) in counts.items())
    st.markdown(say("##### On the lesion of phantoms"))
    st.caption(
        say(
            "Over the phantoms with a lesion that the model reads rightly: {said}. Maps of the "
            "last layer, or of the input.",
            said=said,
        )
    )
    for column, measure in zip(st.columns(2, gap="medium"), ("pointing", "energy"), strict=True):
        about = report.measures.get(measure)
        if about:
            with column:
                found, areas = data.lesion_scores(report, measure)
                show(charts.lesion_bars(found, areas, about["title"], about["title"]), measure)
                definition(report, measure)
    st.markdown(say("##### On the retina"))
    source = choose_source(report, "report_place_source")
    title = say("Where the maps lie: {sources}", sources=data.SOURCES.get(source, source).lower())
    show(charts.region_shares(data.region_scores(report, source), title), "regions")
    st.caption(
        say(
            "The retina is estimated from the scan: between the inner limiting membrane and "
            "Bruch's membrane. Vitreous is above, choroid and sclera below. Mass on borders and "
            "wedges is a warning: nothing of the eye is there."
        )
    )
    definition(report, "mass_retina")
