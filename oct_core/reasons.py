"""Verdicts in words: one sentence a reason, so that a table, a figure and a page say the same."""

from __future__ import annotations

from oct_core.models.catalog import run_title
from oct_core.types import QUESTIONS, GateScores, Reason, Verdict
from oct_core.words import message, say, say_count

VERDICT_TITLES: dict[str, str] = {
    "answer": message("Answer"),
    "caution": message("Caution"),
    "refer": message("No answer: show it to a person"),
}

REASONS: dict[str, str] = {
    "objection": message("it does not look like a retinal B-scan: {words}"),
    "bscan": message("it does not look like a retinal B-scan"),
    "upright": message("it does not look as a B-scan is recorded: turned, mirrored or inverted"),
    "upside down": message("it looks upside down: turn it"),
    "turned left": message("it looks turned to the left: turn it back"),
    "turned right": message("it looks turned to the right: turn it back"),
    "inverted": message("it looks inverted: invert it"),
    "false colour": message("it looks false-coloured: take its luminance"),
    "gray values": message(
        "its gray values are unlike those of a scan as it was recorded, as those of false colours "
        "are: take the scan in gray from the device"
    ),
    "familiar": message("it is unlike the scans that the models were trained on"),
    "disagree": message("the models disagree: {votes}"),
    "two": message("{first} and {second} are both possible"),
    "several": message("{labels} are all possible"),
    "probability": message("the probability is only {probability:.1%}, below {least:.1%}"),
    "unfamiliar": message(
        "it is less familiar to the models than most scans, and the probability is only "
        "{probability:.1%}, below {least:.1%}"
    ),
    "no gate": message("this run has no gate that can be used"),
    "no sets": message("this run has no validation scans to calibrate the answer with"),
}
"""Key -> the sentence, without a capital and a full stop."""


def reason_words(reason: Reason) -> str:
    """One reason in words, in the language of the moment, without a full stop; plain text."""
    values = dict(reason.values)
    if reason.key == "disagree":
        values = {"votes": "; ".join(_vote(label, str(runs)) for label, runs in reason.values)}
    return say(REASONS[reason.key], **values)


def _vote(label: str, runs: str) -> str:
    titles = [run_title(run) for run in runs.split("/")]
    return say_count(
        "{models} says {label}",
        "{models} say {label}",
        len(titles),
        models=", ".join(titles),
        label=label,
    )


def reasons_words(verdict: Verdict) -> str:
    """All reasons of a verdict, worst first, "; " between them; "" for an answer."""
    return "; ".join(map(reason_words, verdict.reasons))


def verdict_title(verdict: Verdict) -> str:
    """ "Answer: DME, 97.1%", "Caution: DME, 71.3%", "No answer: show it to a person"."""
    title = say(VERDICT_TITLES[verdict.kind])
    if verdict.kind == "refer":
        return title
    return say(
        "{title}: {label}, {probability:.1%}",
        title=title,
        label=verdict.label,
        probability=verdict.probability,
    )


def verdict_lines(verdict: Verdict) -> list[str]:
    """The title of the verdict, then a line a reason, worst first, each with a capital; plain
    text.
    """
    reasons = map(reason_words, verdict.reasons)
    return [verdict_title(verdict), *(words[0].upper() + words[1:] for words in reasons)]


def verdict_words(verdict: Verdict) -> str:
    """The same in one sentence: "Caution: DME, 71.3%, because the models disagree: ..."."""
    title = verdict_title(verdict)
    if not verdict.reasons:
        return f"{title}."
    return say("{title}, because {reasons}.", title=title, reasons=reasons_words(verdict))


def scores_words(scores: GateScores) -> str:
    """The gate's scores in one sentence; plain text."""
    return say(
        "Gate: a B-scan {bscan:.2f}, as recorded {upright:.2f}, like the training scans "
        "{familiar:.2f}; above 1 is unusual.",
        **{question: getattr(scores, question) for question in QUESTIONS},
    )
