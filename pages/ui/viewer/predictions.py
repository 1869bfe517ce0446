"""What the models say: side by side, in words, and as a table of all open scans."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

from oct_core.exports import PREDICTION_COLUMNS, by_class, predictions_csv
from oct_core.figures.charts import alt_text, probability_bars, sensitivity_specificity
from oct_core.figures.colours import NEUTRAL, class_colour, model_colour
from oct_core.types import CLASS_TITLES, CLASSES, Prediction, RunCard
from oct_core.words import say, say_count
from pages.ui.app.services import colours_of, title_of
from pages.ui.shared.charts import show
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.run_data import stored_evaluation
from pages.ui.shared.tables import sample_text
from pages.ui.viewer.reading import Reading

UNSURE = 0.6


def what_to_expect(cards: Sequence[RunCard]) -> None:
    """Before the first scan: sensitivity and specificity of the models on their test parts. The
    chart has the browser load plotly meanwhile.
    """
    scores = {
        title_of(card): scores for card in cards if (scores := stored_evaluation(card)) is not None
    }
    if not scores:
        return
    st.subheader(say("How well the models do"), anchor=False)
    show(sensitivity_specificity(scores, colours_of(cards)), "expected")
    samples = "; ".join(dict.fromkeys(sample_text(one) for one in scores.values()))
    st.caption(
        say(
            "Measured on the test part, on patients whom the models never saw: {samples}. Expect "
            "worse on scans of other devices.",
            samples=samples,
        )
    )


def agreement(readings: Sequence[Reading]) -> str:
    """Whether the models agree, and which are unsure, in sentences. Plain text."""
    counts = Counter(reading.prediction.predicted for reading in readings)
    (label, _), *others = counts.most_common()
    if len(readings) == 1:
        words = say("{model} predicts {label}.", model=readings[0].title, label=label)
    elif not others:
        words = (
            say("Both models agree: {label}.", label=label)
            if len(readings) == 2
            else say("All {count} models agree: {label}.", count=len(readings), label=label)
        )
    else:
        votes = [
            say("{label} ({models})", label=label, models=_titles(readings, label))
            for label, _ in counts.most_common()
        ]
        words = say("The models disagree: {votes}.", votes=", ".join(votes))
    unsure = [reading.title for reading in readings if reading.prediction.confidence < UNSURE]
    if not unsure:
        return words
    doubt = say_count(
        "{models} is unsure (below {limit:.0%}).",
        "{models} are unsure (below {limit:.0%}).",
        len(unsure),
        models=", ".join(unsure),
        limit=UNSURE,
    )
    return f"{words} {doubt}"


def _titles(readings: Sequence[Reading], label: str) -> str:
    return ", ".join(reading.title for reading in readings if reading.prediction.predicted == label)


def agree(readings: Sequence[Reading]) -> bool:
    """Whether all models predict one class."""
    return len({reading.prediction.predicted for reading in readings}) <= 1


def side_by_side(readings: Sequence[Reading]) -> None:
    """One column a model: predicted class, probability, bars of the four classes; above them the
    agreement in words.
    """
    words = escape_markdown(agreement(readings))
    if agree(readings):
        st.success(words, icon=":material/check_circle:")
    else:
        st.warning(words, icon=":material/call_split:")
    for start in range(0, len(readings), 3):
        row = readings[start : start + 3]
        frames = [column.container(border=True) for column in st.columns(len(row))]
        for frame, reading in zip(frames, row, strict=True):
            with frame:
                st.html(_heading(reading))
        # The charts after all the answers, which the browser draws meanwhile.
        for frame, reading in zip(frames, row, strict=True):
            chart = small_bars(reading.prediction)
            with frame:
                st.plotly_chart(
                    chart,
                    key=f"bars_{reading.card.name}",
                    width="stretch",
                    config={"displayModeBar": False},
                    alt=alt_text(chart) or None,
                )


def _heading(reading: Reading) -> str:
    prediction = reading.prediction
    label = prediction.predicted
    return (
        f'<div data-testid="prediction-{html.escape(reading.card.name, quote=True)}">'
        f'<div style="border-left:4px solid {model_colour(reading.card.architecture)};'
        'padding-left:.6rem">'
        f'<span class="oct-muted">{html.escape(reading.title)}</span></div>'
        '<div style="display:flex;justify-content:space-between;align-items:baseline;gap:.5rem">'
        '<span style="font-size:1.55rem;font-weight:650">'
        f"{html.escape(label)}</span>"
        f'<span style="font-size:1.25rem">{prediction.confidence:.1%}</span></div>'
        f'<div class="oct-muted">{html.escape(say(CLASS_TITLES.get(label, "")))}</div></div>'
    )


def small_bars(prediction: Prediction) -> go.Figure:
    """The four probabilities of one model, each number at its bar."""
    figure = probability_bars(
        [prediction], {prediction.run: NEUTRAL}, title=say("Class probabilities")
    )
    figure.update_traces(
        marker_color=[class_colour(name) for name in prediction.classes],
        textposition="auto",
        textangle=0,
    )
    # plotly leaves out a bar of no width, and its number with it
    widths = [max(float(p), 0.002) for p in prediction.probabilities]
    figure.update_traces(
        x=widths,
        customdata=prediction.probabilities,
        hovertemplate="%{y}: %{customdata:.4f}<extra></extra>",
    )
    figure.update_xaxes(
        range=[0, 1.1], title=None, showticklabels=False
    )  # each bar says its number
    figure.update_yaxes(title=None)
    figure.update_layout(
        height=180, margin={"l": 4, "r": 4, "t": 34, "b": 8}, showlegend=False, title_font_size=13
    )
    return figure


def table_of_all(names: Sequence[str], predictions: Sequence[Sequence[Prediction]]) -> None:
    """All open scans: one row a scan and model, downloadable."""
    answers = [
        (name, prediction)
        for name, of_scan in zip(names, predictions, strict=True)
        for prediction in of_scan
    ]
    rows = [
        (name, prediction.run, prediction.predicted, *by_class(prediction))
        for name, prediction in answers
    ]
    formats = {
        f"p_{name}": st.column_config.ProgressColumn(name, min_value=0, max_value=1, format="%.3f")
        for name in CLASSES
    }
    st.dataframe(
        dict(zip(PREDICTION_COLUMNS, zip(*rows, strict=True), strict=True)),
        column_config={
            "image": say("Scan"),
            "run": say("Model"),
            "predicted": say("Predicted"),
            **formats,
        },
        hide_index=True,
        height=min(420, 38 + 35 * len(rows)),
    )
    st.download_button(
        say("Download the table (CSV)"),
        predictions_csv(answers),
        "oct_predictions.csv",
        "text/csv",
        icon=":material/table:",
        on_click="ignore",
    )
