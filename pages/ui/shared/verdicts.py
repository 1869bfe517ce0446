"""Verdicts in small: the mark that tells them apart without colour, and words for narrow places."""

from __future__ import annotations

import html

from oct_core.reasons import VERDICT_TITLES, reasons_words, verdict_words
from oct_core.types import Verdict
from oct_core.words import message, say

MARKS = {"answer": "✓", "caution": "!", "refer": "?"}
QUESTION_TITLES = {
    "bscan": message("Not a B-scan"),
    "upright": message("Not as it was recorded"),
    "familiar": message("Unlike the training scans"),
}
"""Question of the gate -> what a high score means."""
SHORT_TITLES = VERDICT_TITLES | {"refer": message("No answer")}


def mark(kind: str) -> str:
    """The HTML of a verdict's mark; the words beside it say what it means."""
    return f'<i class="oct-mark oct-{kind}" aria-hidden="true">{MARKS[kind]}</i>'


def badge(verdict: Verdict) -> str:
    """The HTML of a verdict under a thumbnail: mark, class or that there is no answer; its reasons
    as a tooltip.
    """
    title = say(SHORT_TITLES[verdict.kind])
    words = title if verdict.kind == "refer" else f"{verdict.label} {verdict.probability:.1%}"
    tip = say(
        "{verdict}: {reasons}", verdict=title, reasons=reasons_words(verdict) or verdict.label
    )
    return _badge(verdict.kind, words, tip)


def small_line(verdict: Verdict) -> str:
    """The HTML of a verdict in one small line: mark, title, reasons."""
    return _badge(verdict.kind, verdict_words(verdict), say(SHORT_TITLES[verdict.kind]))


def _badge(kind: str, words: str, tip: str) -> str:
    return (
        f'<div class="oct-badge" data-testid="badge" title="{html.escape(tip, quote=True)}">'
        f"{mark(kind)}<span>{html.escape(words)}</span></div>"
    )
