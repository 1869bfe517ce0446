"""What the figures of the home page hide, and what a wrong answer looks like."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence

import streamlit as st
from PIL import Image

from oct_core.metrics.summary import Evaluation
from oct_core.models.catalog import ENSEMBLE, run_title
from oct_core.reasons import reasons_words, verdict_title
from oct_core.trust.wrong_example import (
    CLEAN,
    Picture,
    WrongExample,
    example_file,
    read_example,
)
from oct_core.types import CLASS_TITLES, RunCard, Verdict
from oct_core.words import say, say_count
from pages.ui.app.cache import cache_data
from pages.ui.app.services import title_of
from pages.ui.shared.elsewhere import CHOSE_RECIPE, TOO_GOOD, external_sets, shares_of
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.run_data import one_of_each, stored_evaluation
from pages.ui.shared.verdicts import mark

NORMAL = "NORMAL"
MUCH_ILLNESS = 0.3
"""A part of which more than this share is diseased is no screening."""


def what_auc_hides(members: Sequence[RunCard], together: Evaluation | None) -> None:
    """One sentence: the threshold, how many are ill, other devices.

    members : finished runs, one of each network. together : their figures as an ensemble.
    """
    if not members:
        return
    scores = together or stored_evaluation(members[0])
    if scores is None or NORMAL not in scores.classes:
        return
    title = run_title(ENSEMBLE) if together else title_of(members[0])
    asked = members if together else members[:1]
    sentences = [_at_home(title, scores), *(_elsewhere(asked, key) for key in external_sets(asked))]
    with st.container(border=True):
        st.markdown(" ".join(sentence for sentence in sentences if sentence))


def _at_home(title: str, scores: Evaluation) -> str:
    """Of the confusion matrix: any disease against none."""
    normal = scores.classes.index(NORMAL)
    matrix = scores.confusion
    healthy, total = int(matrix[normal].sum()), int(matrix.sum())
    ill = total - healthy
    if not ill or not healthy:
        return ""
    missed = int(matrix[:, normal].sum() - matrix[normal, normal])
    told = say(
        "**What the AUC hides.** An AUC ranks scans; it says nothing of the threshold. As the "
        "{model} answers, it calls {found} of {ill} diseased test scans diseased (sensitivity "
        "{sensitivity:.1%}) and {right} of {healthy} normal ones NORMAL (specificity "
        "{specificity:.1%}), in a part of which {share:.0%} is diseased.",
        model=escape_markdown(title),
        found=ill - missed,
        ill=ill,
        sensitivity=(ill - missed) / ill,
        right=int(matrix[normal, normal]),
        healthy=healthy,
        specificity=int(matrix[normal, normal]) / healthy,
        share=ill / total,
    )
    if ill / total <= MUCH_ILLNESS:
        return told
    return told + " " + say("That is far more than in a screening.")


def _elsewhere(cards: Sequence[RunCard], key: str) -> str:
    shares = shares_of(cards, key)
    if shares is None:
        return ""
    found = ", ".join(
        say("{right} of {count} {label}", right=right, count=count, label=label)
        for label, (right, count, _) in shares.by_label.items()
    )
    name = key.partition("/")[2]
    told = say(
        "On other devices ({name}) it recognises {found}.",
        name=escape_markdown(name),
        found=escape_markdown(found),
    )
    return f"{told} {say(TOO_GOOD, name=escape_markdown(name))}" if name == CHOSE_RECIPE else told


def wrong_answer(cards: Sequence[RunCard]) -> None:
    """One synthetic scan that the models here call another class, as it was found and stored."""
    example = read_example(example_file())
    members = one_of_each([card for card in cards if card.status == "done"])
    if example is None or not example.is_of(members):
        return
    st.header(say("What a wrong answer looks like"), anchor=False)
    picture = example.picture
    left, right = st.columns([1, 2], gap="medium")
    left.image(
        _png(picture.label, picture.seed, picture.corruption),
        width="stretch",
        alt=say("Synthetic B-scan: {title}", title=say(CLASS_TITLES[picture.label])),
    )
    with right:
        made = _made(picture)
        st.markdown(say("It shows **{label}** ({made}).", label=picture.label, made=made))
        st.html(_verdict(example.verdict))
        st.markdown(_called(example, members))
        st.caption(_one_of(example))
        st.caption(_lesson(example.verdict.kind))


@cache_data(max_entries=4)
def _png(label: str, seed: int, corruption: str) -> bytes:
    """The picture as a file, made once."""
    file = io.BytesIO()
    Image.fromarray(Picture(label, seed, corruption).draw()).save(file, "PNG")
    return file.getvalue()


def _verdict(verdict: Verdict) -> str:
    """As the viewer has it: mark, title, reasons."""
    reasons = reasons_words(verdict) or say(CLASS_TITLES.get(verdict.label, verdict.label))
    title, reasons = map(html.escape, (verdict_title(verdict), reasons[:1].upper() + reasons[1:]))
    return (
        f'<div class="oct-verdict oct-{verdict.kind}" data-testid="wrong-example">'
        f"{mark(verdict.kind)}<p><b>{title}</b> {reasons}.</p></div>"
    )


def _made(picture: Picture) -> str:
    name = picture.corruption
    if name == CLEAN:
        return say("synthetic, unchanged")
    return say("synthetic, then changed: {change}", change=say(name))


def _called(example: WrongExample, members: Sequence[RunCard]) -> str:
    told = {card.name: escape_markdown(title_of(card)) for card in members}
    return "  \n".join(
        say("{model} calls it {label}.", model=told[run], label=label)
        for run, label in example.called.items()
    )


def _one_of(example: WrongExample) -> str:
    wrong = sum(example.wrong.values())
    return say_count(
        "Of {tried} synthetic scans {count} was called another class: {answer} with a plain "
        "answer, {caution} with caution, {refer} without an answer. This is the one that the "
        "verdict warns of least.",
        "Of {tried} synthetic scans {count} were called another class: {answer} with a plain "
        "answer, {caution} with caution, {refer} without an answer. This is the one that the "
        "verdict warns of least.",
        wrong,
        tried=example.tried,
        **{kind: example.wrong.get(kind, 0) for kind in ("answer", "caution", "refer")},
    )


def _lesson(kind: str) -> str:
    if kind == "answer":
        return say("Nothing on the screen would have told you: agreement is no proof.")
    if kind == "caution":
        return say("The caution and its reasons tell you; the class is wrong.")
    return say("The verdict gives no answer here, and rightly so: the class would be wrong.")
