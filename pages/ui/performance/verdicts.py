"""The tab of the page Performance on verdicts: what the rule answers, what it gets wrong, and what
the gate notices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from oct_core.figures import charts
from oct_core.metrics.intervals import Interval, interval_text
from oct_core.reasons import VERDICT_TITLES
from oct_core.trust.gate import compare_scores
from oct_core.trust.verdict import VerdictTable
from oct_core.types import VERDICTS, RunCard
from oct_core.words import message, say
from pages.ui.app.language import fragment
from pages.ui.app.services import for_visitors, judge_of
from pages.ui.app.session import keep_choice
from pages.ui.performance import data
from pages.ui.performance.colours import source_colours
from pages.ui.performance.data import Source
from pages.ui.shared.charts import show
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.tables import Cell, Estimate, show_rows
from pages.ui.shared.verdicts import QUESTION_TITLES

LEVELS = (0.01, 0.05, 0.1, 0.2)
FAMILIES = {
    "picture": message("no B-scan"),
    "anatomy": message("tomogram of something else"),
    "change": message("changed B-scan"),
    "corruption": message("corrupted B-scan"),
}


@fragment
def verdicts(cards: Sequence[RunCard], sources: Sequence[Source]) -> None:
    """The table of verdicts, the risk over the coverage, the rule, and the gate."""
    level = keep_choice(
        "verdict_level",
        0.05,
        st.segmented_control,
        say("The sets of possible classes miss the right one in"),
        list(LEVELS),
        page="performance",
        format_func=lambda share: f"{share:.0%}",
        required=True,
    )
    for problem in judge_of(cards, level).problems:
        st.warning(escape_markdown(for_visitors(problem)), icon=":material/broken_image:")
    made = {source.title: data.verdicts_of(source, level) for source in sources}
    tables = {title: table for title, (table, _) in made.items()}
    titles = {kind: say(VERDICT_TITLES[kind]) for kind in VERDICTS}
    left, right = st.columns(2, gap="medium")
    with left:
        counts = {title: table.counts for title, table in tables.items()}
        show(charts.verdict_bars(counts, titles, say("Verdicts")), "verdict_bars")
    with right:
        lines = {title: line for title, (_, line) in made.items()}
        show(
            charts.risk_coverage_curves(lines, source_colours(sources), say("Risk over coverage")),
            "risk_coverage",
        )
    show_rows(
        [_row(title, table) for title, table in tables.items()],
        say("Verdicts of each model"),
        f"verdicts_{sources[0].data}",
        upright=True,
    )
    by_class: list[dict[str, Cell]] = [
        {
            "model": title,
            "class": label,
            "scans": counts.n,
            "answer": counts.answer,
            "caution": counts.caution,
            "refer": counts.refer,
            "wrong": counts.wrong,
        }
        for title, table in tables.items()
        for label, counts in table.by_class.items()
    ]
    show_rows(by_class, say("Verdicts by true class"), f"verdicts_by_class_{sources[0].data}")
    st.caption(
        say(
            "Validation scans and external_dev decided the constants of the rule, so on them it "
            "flatters itself; the test part decided nothing. Of scans under corruption many are "
            "of one patient."
        )
    )
    with st.expander(say("The rule")):
        st.markdown("\n".join(f"1. {line}" for line in data.rule_lines(level)))
    _gates(cards)
    _other_scans(sources)


def _row(title: str, table: VerdictTable) -> dict[str, Cell]:
    cells: dict[str, Cell] = {"model": title, "scans": table.n_scans}
    cells |= {kind: table.counts[kind] for kind in VERDICTS}
    return cells | {
        "answered_share": _estimate(table.shares["answer"]),
        "wrong": table.wrong,
        "risk": _estimate(table.risk),
        "missed": table.missed,
        "missed_share": _estimate(table.missed_share),
    }


def _estimate(interval: Interval) -> Estimate:
    """Not defined where no scan is counted: none was answered, or none is of a disease."""
    nothing = math.isnan(interval.value)
    return Estimate(interval, say("not defined: no scan") if nothing else interval_text(interval))


def _family(key: str) -> str:
    """One that this version does not know stands as the card has it."""
    return say(FAMILIES[key]) if key in FAMILIES else key


def _other_scans(sources: Sequence[Source]) -> None:
    """How the gate's scores of the data chosen compare with those of validation scans."""
    rows: list[dict[str, Cell]] = []
    for source in sources:
        usual, others = (data.table_of(each).gate for each in (source.at("val"), source))
        if usual is None or others is None:
            continue
        areas, shares = compare_scores(usual, others)
        row: dict[str, Cell] = {"model": source.title}
        for title, area, share in zip(QUESTION_TITLES.values(), areas, shares, strict=True):
            row[say(title)] = f"{area:.2f} ({share:.0%})"
        rows.append(row)
    if not rows:
        return
    st.header(say("Its scores of this data"), anchor=False)
    show_rows(rows, say("The gate's scores of this data, by model"), f"scores_{sources[0].data}")
    st.caption(
        say(
            "The area under the ROC curve between validation scans and these by each score, 0.5 "
            "by chance; in brackets the share above 1."
        )
    )


def _gates(cards: Sequence[RunCard]) -> None:
    by_title = data.detections_of(cards)
    st.header(say("What the gate notices"), anchor=False)
    if not by_title:
        st.info(
            say(
                "The card of no gate says what it notices. Fit it anew with `python -m oct_core "
                "gate RUN --data DATA`."
            )
            if any(card.raw.get("gate") for card in cards)
            else say(
                "No gate has been fitted. Fit it with `python -m oct_core gate RUN --data DATA`."
            ),
            icon=":material/door_open:",
        )
        return
    rows: list[dict[str, Cell]] = [
        {
            "model": title,
            "input": say(str(each["name"])),
            "family": _family(str(each["family"])),
            "scans": int(str(each["n"])),
            "auroc": f"{float(str(each['auroc'])):.3f}",
            "noticed": f"{float(str(each['noticed'])):.1%}",
        }
        for title, detections in by_title.items()
        for each in detections
    ]
    show_rows(rows, say("Inputs that are no scan as recorded, by model"), "gate", height=420)
    st.caption(
        say(
            "AUROC: between validation scans as recorded and these inputs, by the score of the "
            "question that they are there for. Noticed: a score of any question above 1, which "
            "2% of the validation scans are for each question. Pictures are drawn, of other seeds "
            "than the gate was fitted with; tomograms of something else it never saw."
        )
    )
