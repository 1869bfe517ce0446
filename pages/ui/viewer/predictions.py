"""What the models say: side by side, in words, and as a table of all open scans."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from oct_core.exports import PREDICTION_COLUMNS, prediction_rows, predictions_csv
from oct_core.figures.charts import sensitivity_specificity
from oct_core.figures.colours import class_colour, model_colour
from oct_core.models.catalog import ENSEMBLE_BLURB, run_title
from oct_core.runs.ensemble import ensemble_card
from oct_core.runs.files import GATE_COLUMNS
from oct_core.types import CLASS_TITLES, CLASSES, QUESTIONS, Judgement, Prediction, RunCard
from oct_core.words import say
from pages.ui.app.services import colours_of, title_of
from pages.ui.shared.charts import show
from pages.ui.shared.run_data import ensemble_evaluation, stored_evaluation
from pages.ui.shared.tables import sample_text
from pages.ui.shared.verdicts import QUESTION_TITLES, SHORT_TITLES
from pages.ui.viewer.reading import Reading


def what_to_expect(cards: Sequence[RunCard]) -> None:
    """Before the first scan: sensitivity and specificity of the models on their test parts, the
    ensemble's first. The chart has the browser load plotly meanwhile.
    """
    found = [(card, stored_evaluation(card)) for card in cards]
    if len(cards) > 1:
        found.insert(0, (ensemble_card(cards), ensemble_evaluation(cards)))
    scores = {title_of(card): scores for card, scores in found if scores is not None}
    if not scores:
        return
    st.header(say("How well the models do"), anchor=False)
    show(
        sensitivity_specificity(scores, colours_of(card for card, _ in found)),
        "expected",
    )
    samples = "; ".join(dict.fromkeys(sample_text(one) for one in scores.values()))
    st.caption(
        say(
            "Measured on the test part, on patients whom the models never saw: {samples}. Expect "
            "worse on scans of other devices.",
            samples=samples,
        )
    )


def answers(readings: Sequence[Reading], maps: Mapping[str, str] | None = None) -> str:
    """The HTML of a card for each reading, the first one's as wide as all others: predicted class,
    probability, bars of the four classes. Gray where the first verdict is that there is no answer.

    maps : HTML of the deepest map below a model's answer, by the name of its run; the place of one
    that is not there yet is kept.
    """
    kind = readings[0].judgement.verdict.kind
    wide = len(readings) > 1
    cards = [
        _card(reading, wide and not place, None if maps is None else maps.get(reading.card.name))
        for place, reading in enumerate(readings)
    ]
    return f'<div class="oct-answers oct-{kind} oct-maps" data-group="cards">{"".join(cards)}</div>'


def _card(reading: Reading, wide: bool, picture: str | None) -> str:
    prediction, label = reading.prediction, reading.prediction.predicted
    name = html.escape(reading.card.name, quote=True)
    about = say(ENSEMBLE_BLURB) if wide else ""
    below = "" if wide else picture if picture is not None else '<div class="oct-wait"></div>'
    return (
        f'<section class="oct-card{" oct-wide" if wide else ""}" '
        f'data-testid="prediction-{name}" '
        f'style="--own:{model_colour(reading.card.architecture)}"><div>'
        f'<h2 class="oct-muted" title="{html.escape(about, quote=True)}">'
        f"{html.escape(reading.title)}</h2>"
        f'<p class="oct-call"><b>{html.escape(label)}</b> '
        f"<span>{prediction.confidence:.1%}</span></p>"
        f'<p class="oct-muted">{html.escape(say(CLASS_TITLES.get(label, label)))}</p></div>'
        f"{bars(prediction)}{below}</section>"
    )


def bars(prediction: Prediction) -> str:
    """The HTML of the four probabilities, each number at its bar."""
    pairs = list(zip(prediction.classes, map(float, prediction.probabilities), strict=True))
    alt = ", ".join(f"{name} {p:.1%}" for name, p in pairs)
    title = say("Class probabilities: {shares}", shares=alt)
    rows = "".join(
        f'<span>{html.escape(name)}</span><i title="{p:.4f}"><b style="width:{p:.2%};'
        f'background:{class_colour(name)}"></b></i><span>{p:.1%}</span>'
        for name, p in pairs
    )
    label = html.escape(title, quote=True)
    return f'<div class="oct-bars" role="img" aria-label="{label}">{rows}</div>'


def table_of_all(judged: Sequence[tuple[str, Judgement]]) -> None:
    """All open scans: one row a scan and model, the ensemble's first, downloadable.

    judged : (name of the scan, judgement).
    """
    rows = prediction_rows(judged)
    shares = {
        f"p_{name}": st.column_config.ProgressColumn(
            name, min_value=0, max_value=100, format="%.1f%%", width=90
        )
        for name in CLASSES
    }
    scores = {
        column: st.column_config.NumberColumn(
            say(QUESTION_TITLES[question]), format="%.2f", help=say("The threshold is 1.")
        )
        for column, question in zip(GATE_COLUMNS, QUESTIONS, strict=True)
    }
    frame = pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS))
    frame[list(shares)] *= 100
    frame["verdict"] = [say(SHORT_TITLES[kind]) for kind in frame["verdict"]]
    frame["run"] = [run_title(name) for name in frame["run"]]
    st.dataframe(
        frame,
        column_order=["image", "run", "verdict", "predicted", "reason", *shares, *scores],
        column_config={
            "image": st.column_config.TextColumn(say("Scan"), width=130),
            "run": st.column_config.TextColumn(say("Model"), width=100),
            "verdict": st.column_config.TextColumn(say("Verdict"), width=90),
            "predicted": st.column_config.TextColumn(say("Predicted"), width=90),
            "reason": st.column_config.TextColumn(say("Reason"), width=320),
            **shares,
            **scores,
        },
        hide_index=True,
        height=min(420, 38 + 35 * len(rows)),
    )
    st.download_button(
        say("Download the table (CSV)"),
        predictions_csv(judged),
        "oct_predictions.csv",
        "text/csv",
        icon=":material/table:",
        on_click="ignore",
    )
