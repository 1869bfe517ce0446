"""The parts of the page Predictions: one row a scan, with what every model says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from oct_core.errors import CheckpointError, OctError
from oct_core.exports import table_csv
from oct_core.metrics.calibration import softmax
from oct_core.models.catalog import ENSEMBLE, run_title
from oct_core.reasons import reasons_words
from oct_core.runs.ensemble import ensemble_table
from oct_core.types import CLASS_TITLES, CLASSES, PredictionTable, RunCard
from oct_core.words import message, say, say_count
from pages.ui.app import services, session
from pages.ui.app.services import title_of
from pages.ui.shared.links import open_in_viewer
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.pager import first_page, open_page_of, pager
from pages.ui.shared.samples import all_samples
from pages.ui.shared.tables import offer_table, prediction_frame
from pages.ui.shared.verdicts import SHORT_TITLES

ANY = ""
"""The choice that filters nothing."""
OUTCOMES = {"right": message("Correct"), "wrong": message("Wrong")}
AGREEMENTS = {"all": message("All models agree"), "some": message("Models disagree")}
ORDERS = {
    "file": message("As they are stored"),
    "unsure": message("Least confident first"),
    "sure": message("Most confident first"),
    "wrong": message("Wrong first, the most confident on top"),
    "split": message("Most disagreement first"),
    "class": message("By true class"),
    "verdict": message("By verdict, no answer first"),
}
PHANTOMS_PER_PAGE = 4
_WORST_FIRST = ["refer", "caution", "answer", ""]
_SCAN = ["image", "sha256"]


@dataclass(frozen=True, eq=False)
class Answers:
    """What was said of the test scans. frames : title of a predictor -> its rows, see
    ``tables.prediction_frame``, with ``verdict`` (its kind, "" without a gate) and ``reason``; the
    ensemble first. models : the titles without the ensemble's.
    """

    frames: Mapping[str, pd.DataFrame]
    models: Sequence[str]

    @property
    def images(self) -> list[str]:
        """The names of all scans."""
        return [image for frame in self.frames.values() for image in frame["image"]]

    @property
    def digests(self) -> set[str]:
        """The sha256 of all scans."""
        return {digest for frame in self.frames.values() for digest in frame["sha256"]}

    def of(self, model: str, rows: pd.DataFrame) -> pd.DataFrame:
        """What a predictor says of the scans of these rows: predicted, confidence; NaN where it
        was not asked.
        """
        answers = self.frames[model].drop_duplicates(_SCAN).set_index(_SCAN)
        asked = pd.MultiIndex.from_frame(rows[_SCAN])
        return answers[["predicted", "confidence"]].reindex(asked).set_axis(rows.index)

    def rows(self, model: str) -> pd.DataFrame:
        """One row a scan that this predictor answered: its own answer, the answers of the others in
        columns of their titles, and how many models give the commonest one: agree of asked.
        """
        rows = self.frames[model].copy()
        others = {title: self.of(title, rows) for title in self.frames}
        labels = pd.DataFrame({title: others[title]["predicted"] for title in self.models})
        for title, answer in others.items():
            if title != model:
                rows[title] = [
                    "" if pd.isna(label) else f"{label} {share:.1%}"
                    for label, share in answer.itertuples(index=False)
                ]
        rows["asked"] = labels.notna().sum(axis=1)
        rows["agree"] = np.max([(labels == name).sum(axis=1) for name in CLASSES], axis=0)
        return rows


def everything(cards: Sequence[RunCard]) -> Answers:
    """Every test scan of every run and of the ensemble of all; a damaged file is reported and left
    out.
    """
    frames: dict[str, pd.DataFrame] = {}
    tables: dict[str, PredictionTable] = {}
    for card in cards:
        try:
            table = services.prediction_table(card).of_split("test")
        except OctError as error:
            st.warning(
                say(
                    "The predictions of **{model}** cannot be read: {error}",
                    model=escape_markdown(title_of(card)),
                    error=escape_markdown(services.describe_error(error)),
                ),
                icon=":material/broken_image:",
            )
            continue
        if len(table):
            tables[card.name] = table
            chances = softmax(table.logits, card.temperature)
            frame = prediction_frame(title_of(card), table, chances)
            frames[title_of(card)] = _with_verdicts(frame, [card])
    models = list(frames)
    if len(tables) > 1:
        with suppress(CheckpointError):  # runs of different data have no scan in common
            whole = ensemble_table(tables, {card.name: card.temperature for card in cards})
            frame = prediction_frame(run_title(ENSEMBLE), whole, softmax(whole.logits))
            members = [card for card in cards if card.name in tables]
            frames = {run_title(ENSEMBLE): _with_verdicts(frame, members)} | frames
    return Answers(frames, models)


def _with_verdicts(frame: pd.DataFrame, cards: Sequence[RunCard]) -> pd.DataFrame:
    """The rows of one run or of the ensemble of several, each with its verdict."""
    try:
        verdicts = services.verdicts_on(cards, "test")
    except OctError as error:
        verdicts = None
        if len(cards) == 1:  # of an ensemble it is the fault of a member, which is said already
            st.warning(
                escape_markdown(services.describe_error(error)), icon=":material/broken_image:"
            )
    frame["verdict"] = "" if verdicts is None else [each.kind for each in verdicts]
    frame["reason"] = "" if verdicts is None else [reasons_words(each) for each in verdicts]
    return frame


def choose_rows(answers: Answers) -> pd.DataFrame:
    """The filter bar, and the rows that pass it, in the order that was asked for."""
    with st.container(border=True):
        columns = st.columns(4, vertical_alignment="bottom", gap="medium")
        model = _choose("model", columns[0], say("Answer of"), {n: n for n in answers.frames})
        rows = answers.rows(model)
        classes = {name: name for name in CLASSES}
        true = _choose("true", columns[1], say("True class"), classes, say("Any"))
        predicted = _choose("predicted", columns[2], say("Predicted class"), classes, say("Any"))
        outcome = _choose("outcome", columns[3], say("Outcome"), _said(OUTCOMES), say("Any"))
        columns = st.columns(4, vertical_alignment="bottom", gap="medium")
        verdict = agreement = ANY
        if rows["verdict"].any():
            verdict = _choose(
                "verdict", columns[0], say("Verdict"), _said(SHORT_TITLES), say("Any")
            )
        if len(answers.models) > 1:
            choices = _said(AGREEMENTS)
            agreement = _choose("agreement", columns[1], say("Agreement"), choices, say("Any"))
        order = _choose("order", columns[2], say("Order"), _said(ORDERS))
        low, high = session.keep_choice(
            "confidence",
            (0, 100),
            columns[3].slider,
            say("Confidence of the prediction"),
            0,
            100,
            page="prediction",
            format="%d%%",
            on_change=partial(first_page, "prediction"),
        )
    passes = (rows["confidence"] * 100).between(low, high)
    for column, choice in (("true", true), ("predicted", predicted), ("verdict", verdict)):
        if choice != ANY:
            passes &= rows[column] == choice
    if outcome != ANY:
        passes &= rows["right"] == (outcome == "right")
    if agreement != ANY:
        passes &= (rows["asked"] > 1) & ((rows["agree"] == rows["asked"]) == (agreement == "all"))
    _count(rows, rows[passes], model)
    return _in_order(rows[passes], order).reset_index(drop=True)


def _said(choices: Mapping[str, str]) -> dict[str, str]:
    return {key: say(title) for key, title in choices.items()}


def _choose(
    name: str,
    place: st.delta_generator.DeltaGenerator,
    label: str,
    titles: Mapping[str, str],
    anything: str = "",
) -> str:
    """A choice that survives a visit to another page; at first ``anything``, else the first one."""
    titles = ({ANY: anything} if anything else {}) | dict(titles)
    draw: Callable[..., str | None] = place.selectbox
    return session.keep_choice(
        name,
        next(iter(titles)),
        draw,
        label,
        list(titles),
        page="prediction",
        format_func=titles.__getitem__,
        on_change=partial(first_page, "prediction"),
    )


def _in_order(rows: pd.DataFrame, order: str) -> pd.DataFrame:
    """The rows sorted; those that are alike stay as they are stored."""
    ways: dict[str, Callable[[], pd.DataFrame]] = {
        "unsure": lambda: rows.sort_values("confidence", kind="stable"),
        "sure": lambda: rows.sort_values("confidence", ascending=False, kind="stable"),
        "wrong": lambda: rows.sort_values(
            ["right", "confidence"], ascending=[True, False], kind="stable"
        ),
        "split": lambda: rows.iloc[np.lexsort((rows["confidence"], rows["agree"] / rows["asked"]))],
        "class": lambda: rows.sort_values("true", key=_place(CLASSES), kind="stable"),
        "verdict": lambda: rows.sort_values("verdict", key=_place(_WORST_FIRST), kind="stable"),
    }
    return ways.get(order, lambda: rows)()


def _place(values: Sequence[str]) -> Callable[[pd.Series[Any]], pd.Series[Any]]:
    return lambda column: column.map(dict(zip(values, range(len(values)), strict=True)))


def _count(rows: pd.DataFrame, selection: pd.DataFrame, model: str) -> None:
    """How many scans are shown, how many of them are wrong."""
    words = say_count(
        "{shown} of {count} scan of the test part; {model} is wrong on {wrong} of those shown.",
        "{shown} of {count} scans of the test part; {model} is wrong on {wrong} of those shown.",
        len(rows),
        shown=len(selection),
        model=escape_markdown(model),
        wrong=int((~selection["right"].astype(bool)).sum()),
    )
    if (rows["asked"] > 1).any():
        split = int((selection["agree"] < selection["asked"]).sum())
        words += " " + say("The models disagree on {count}.", count=split)
    st.caption(words)


def readable(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as ``scan_rows.show_scans`` takes them: agreement in words, and no column that holds
    nothing.
    """
    rows = rows.copy()
    if (rows["asked"] > 1).any():
        rows["agreement"] = [
            say("{agree} of {asked}", agree=agree, asked=asked)
            for agree, asked in zip(rows["agree"], rows["asked"], strict=True)
        ]
    empty = [] if rows["verdict"].any() else ["verdict", "reason"]
    return rows.drop(columns=["agree", "asked", *empty])


def offer_csv(answers: Answers, rows: pd.DataFrame) -> None:
    """The button for the rows shown, in their order."""
    offer_table(partial(rows_csv, answers, rows), "predictions")


def rows_csv(answers: Answers, rows: pd.DataFrame) -> bytes:
    """One line a scan: whose answer counts, its class, probabilities and verdict, then class and
    confidence by each model; probabilities with three digits.
    """
    shares = [name for name in rows if str(name).startswith("p(") and name != "p(true)"]
    columns: dict[str, list[Any]] = {
        "image": rows["image"].tolist(),
        "patient": rows["patient"].tolist(),
        "true": rows["true"].tolist(),
        "answer_of": rows["model"].tolist(),
        "predicted": rows["predicted"].tolist(),
        "outcome": ["right" if right else "wrong" for right in rows["right"]],
        "confidence": _digits(rows["confidence"]),
        **{f"p_{str(name)[2:-1]}": _digits(rows[name]) for name in shares},
        "verdict": rows["verdict"].tolist(),
        "reason": rows["reason"].tolist(),
        "models_agree": rows["agree"].tolist(),
        "models_asked": rows["asked"].tolist(),
    }
    for model in answers.models:
        answer = answers.of(model, rows)
        columns[f"{model}_predicted"] = answer["predicted"].fillna("").tolist()
        columns[f"{model}_confidence"] = _digits(answer["confidence"])
    return table_csv(list(columns), zip(*columns.values(), strict=True))


def _digits(shares: pd.Series[Any]) -> list[str]:
    return ["" if pd.isna(share) else f"{share:.3f}" for share in shares]


def phantom_grid() -> None:
    """Synthetic scans to click on where there is no picture; they are no part of the table."""
    st.header(say("Synthetic scans to open instead"), anchor=False)
    st.caption(
        say(
            "Drawn by this program, with a known class. They are not test scans and count in no "
            "figure above."
        )
    )
    samples = all_samples()
    pager(len(samples), PHANTOMS_PER_PAGE, "phantoms", "top")
    page = samples[open_page_of(len(samples), PHANTOMS_PER_PAGE, "phantoms")]
    for column, sample in zip(st.columns(PHANTOMS_PER_PAGE, gap="medium"), page, strict=False):
        phantom = sample.phantom()
        with column:
            st.image(
                phantom.pixels,
                width="stretch",
                alt=say("Synthetic B-scan: {title}", title=say(CLASS_TITLES[sample.label])),
            )
            if st.button(
                sample.title,
                key=f"phantom_{sample.seed}",
                icon=":material/open_in_new:",
                width="stretch",
            ):
                open_in_viewer(sample)
