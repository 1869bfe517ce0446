"""The verdict: one line above everything, the way out of what is wrong with the scan, and the rule
in full.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from oct_core.reasons import reasons_words, verdict_title
from oct_core.trust.conformal import LEVEL
from oct_core.types import CLASS_TITLES, QUESTIONS, GateScores, Judgement, RunCard, Verdict
from oct_core.words import message, say
from pages.ui.app.services import for_visitors, judge_of
from pages.ui.app.session import Item, keep_choice
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.verdicts import QUESTION_TITLES, mark

LEVELS = [0.01, 0.02, 0.05, 0.1, 0.2]


def line_html(verdict: Verdict) -> str:
    """The verdict in one line of HTML: mark, title, class with its probability, reasons."""
    words = reasons_words(verdict) or say(CLASS_TITLES.get(verdict.label, verdict.label))
    words = words[:1].upper() + words[1:]
    return (
        f'<div class="oct-verdict oct-{verdict.kind}" data-testid="verdict" role="status">'
        f"{mark(verdict.kind)}<p><b>{html.escape(verdict_title(verdict))}</b> "
        f"<span>{html.escape(words)}.</span></p></div>"
    )


def waiting_html(words: str) -> str:
    """What stands where the verdict will be. words : plain text."""
    return f'<div class="oct-verdict"><p class="oct-muted">{html.escape(words)}</p></div>'


@dataclass(frozen=True)
class Mend:
    """What undoes a change of the scan in one click. icon : a Material symbol. apply : has the item
    read otherwise.
    """

    title: str
    icon: str
    apply: Callable[[Item], object]


def _turn_left(item: Item) -> None:
    for _ in range(3):
        item.turn_right()


def _invert(item: Item) -> None:
    item.invert = not item.invert


def _take_luminance(item: Item) -> None:
    item.luminance = True


_TURN = message("Turn it")
MENDS: dict[str, Mend] = {
    "upside down": Mend(_TURN, ":material/swap_vert:", Item.turn_over),
    "turned left": Mend(_TURN, ":material/rotate_right:", Item.turn_right),
    "turned right": Mend(_TURN, ":material/rotate_left:", _turn_left),
    "inverted": Mend(message("Invert"), ":material/invert_colors:", _invert),
    "false colour": Mend(message("Take its luminance"), ":material/contrast:", _take_luminance),
}
"""Change of a scan, as a reason of a verdict names it, to what undoes it."""


def show(item: Item, judgement: Judgement) -> None:
    """The line, and beside it a button for each change that one click undoes."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.html(line_html(judgement.verdict), width="stretch")
        for change in dict.fromkeys(reason.key for reason in judgement.verdict.reasons):
            if change in MENDS:
                _button(item, change)


def _button(item: Item, change: str) -> None:
    mend = MENDS[change]
    switch_off = change == "inverted" and item.invert
    st.button(
        say("Switch invert off") if switch_off else say(mend.title),
        icon=mend.icon,
        key=f"mend_{change}_{item.id}",
        type="primary",
        on_click=apply_mend,
        args=(item, mend),
    )


def apply_mend(item: Item, mend: Mend) -> None:
    """Read the scan as the mend says, and have the switches beside it show it."""
    mend.apply(item)
    for name in ("invert", "luminance"):
        st.session_state[f"{name}_{item.id}"] = getattr(item, name)


def rule_panel(judgement: Judgement, cards: Sequence[RunCard], level: float) -> None:
    """How the verdict is made: this scan's figures, the whole rule, the level, and what its
    guarantee is worth. level : as it stands.
    """
    judge = judge_of(cards, level)
    verdict = judgement.verdict
    for problem in judge.problems:
        st.warning(escape_markdown(for_visitors(problem)), icon=":material/broken_image:")
    with st.expander(say("How this verdict is made")):
        st.markdown(_figures(judgement.scores, verdict))
        st.markdown(
            "\n".join(f"{place}. {line}" for place, line in enumerate(judge.rule.describe(), 1))
        )
        keep_choice(
            "level",
            LEVEL,
            st.select_slider,
            say("Level of the sets of possible classes"),
            LEVELS,
            format_func=lambda value: f"{value:.0%}",
            help=say(
                "The share of scans of each class whose set may miss the class. Lower: fewer "
                "misses, more scans with several possible classes."
            ),
        )
        if judge.sets is not None:
            st.markdown("\n".join(f"- {line}" for line in judge.sets.describe()))
        st.caption(
            say(
                "The constants were frozen on validation scans and on 240 scans of other devices "
                "(external_dev). The guarantee holds for scans drawn like the validation scans; "
                "for scans of other devices or hospitals there is none, which is why the gate asks "
                "first."
            )
        )


def _figures(scores: GateScores | None, verdict: Verdict) -> str:
    """This scan's own figures, as Markdown."""
    cells = [
        (
            say("{question} (threshold 1)", question=say(QUESTION_TITLES[question])),
            say("not measured") if scores is None else f"{getattr(scores, question):.2f}",
        )
        for question in QUESTIONS
    ]
    possible = ", ".join(verdict.prediction_set) or say("none")
    cells += [
        (say("Possible classes"), possible),
        (say("Calibrated probability"), f"{verdict.label} {verdict.probability:.1%}"),
    ]
    heads, values = zip(*cells, strict=True)
    rows = [heads, ["---"] * len(heads), [escape_markdown(value) for value in values]]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
