"""What the models say: side by side, in words, and as a table of all open scans."""

from __future__ import annotations

import csv
import html
import io
from collections import Counter
from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

from oct_core.figures.charts import (
    alt_text,
    class_colour,
    model_colour,
    probability_bars,
    sensitivity_specificity,
)
from oct_core.types import CLASS_TITLES, CLASSES, Prediction, RunCard
from oct_core.words import say
from pages.ui.app.services import title_of
from pages.ui.shared.charts import show
from pages.ui.shared.run_data import stored_evaluation
from pages.ui.shared.tables import sample_text

UNSURE = 0.6
CSV_COLUMNS = ("image", "run", "predicted", *(f"p_{name}" for name in CLASSES))
_WORDS = {2: "two", 3: "three", 4: "four", 5: "five"}


def what_to_expect(cards: Sequence[RunCard]) -> None:
    """Before the first scan: sensitivity and specificity of the models on their test parts. The
    chart has the browser load plotly meanwhile.
    """
    scores = {
        title_of(card): found for card in cards if (found := stored_evaluation(card)) is not None
    }
    if not scores:
        return
    st.subheader(say("How well the models do"), anchor=False)
    show(sensitivity_specificity(scores), "expected")
    samples = " and ".join(dict.fromkeys(sample_text(one) for one in scores.values()))
    st.caption(
        say(
            "On {samples} of the test part, of patients that the models never saw. Expect worse "
            "on scans of other devices.",
            samples=samples,
        )
    )


def agreement(predictions: Sequence[Prediction], titles: Sequence[str]) -> str:
    """One sentence on whether the models agree, and how sure they are. predictions and titles: one
    a model.
    """
    counts = Counter(prediction.predicted for prediction in predictions)
    unsure = [
        title
        for prediction, title in zip(predictions, titles, strict=True)
        if prediction.confidence < UNSURE
    ]
    doubt = (
        say(
            " {listed} {value} unsure (below {unsure:.0%}).",
            listed=_listed(unsure),
            value="is" if len(unsure) == 1 else "are",
            unsure=UNSURE,
        )
        if unsure
        else ""
    )
    if len(predictions) == 1:
        return f"{titles[0]} says {predictions[0].predicted}.{doubt}"
    if len(counts) == 1:
        every = (
            say("Both models")
            if len(predictions) == 2
            else say("All {words} models", words=_WORDS.get(len(predictions), len(predictions)))
        )
        return f"{every} agree: {predictions[0].predicted}.{doubt}"
    said = []
    for name, _ in counts.most_common():
        voters = [
            title
            for prediction, title in zip(predictions, titles, strict=True)
            if prediction.predicted == name
        ]
        said.append(f"{_listed(voters)} {'says' if len(voters) == 1 else 'say'} {name}")
    return say("The models disagree: {said}.{doubt}", said="; ".join(said), doubt=doubt)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def agree(predictions: Sequence[Prediction]) -> bool:
    """Whether all models predict one class."""
    return len({prediction.predicted for prediction in predictions}) <= 1


def side_by_side(predictions: Sequence[Prediction], cards: Sequence[RunCard]) -> None:
    """One column a model: predicted class, probability, bars of the four classes; above them the
    agreement in words.
    """
    titles = [title_of(card) for card in cards]
    words = agreement(predictions, titles)
    if agree(predictions):
        st.success(words, icon=":material/check_circle:")
    else:
        st.warning(words, icon=":material/call_split:")
    for start in range(0, len(cards), 3):
        row = list(zip(predictions, cards, strict=True))[start : start + 3]
        frames = [column.container(border=True) for column in st.columns(len(row))]
        for frame, (prediction, card) in zip(frames, row, strict=True):
            with frame:
                st.html(_heading(prediction, card))
        charts = [
            small_bars(prediction) for prediction, _ in row
        ]  # after all the answers, which the browser draws meanwhile
        for frame, chart, (_, card) in zip(frames, charts, row, strict=True):
            with frame:
                st.plotly_chart(
                    chart,
                    key=f"bars_{card.name}",
                    width="stretch",
                    config={"displayModeBar": False},
                    alt=alt_text(chart) or None,
                )


def _heading(prediction: Prediction, card: RunCard) -> str:
    sure = f"{prediction.confidence:.1%}"
    return (
        f'<div data-testid="prediction-{html.escape(card.name, quote=True)}">'
        f'<div style="border-left:4px solid {model_colour(card.architecture)};padding-left:.6rem">'
        f'<span class="oct-muted">{html.escape(title_of(card))}</span></div>'
        f'<div style="display:flex;justify-content:space-between;align-items:baseline;gap:.5rem">'
        '<span style="font-size:1.55rem;font-weight:650">'
        f"{html.escape(prediction.predicted)}</span>"
        f'<span style="font-size:1.25rem">{sure}</span></div>'
        f'<div class="oct-muted">{CLASS_TITLES.get(prediction.predicted, "")}</div></div>'
    )


def small_bars(prediction: Prediction) -> go.Figure:
    """The four probabilities of one model, each number at its bar."""
    figure = probability_bars([prediction], title=say("Class probabilities"))
    figure.update_traces(
        marker_color=[class_colour(name) for name in prediction.classes],
        textposition="auto",
        textangle=0,
    )
    # plotly leaves out a bar of no width, and its number with it
    drawn = [max(float(p), 0.002) for p in prediction.probabilities]
    figure.update_traces(
        x=drawn,
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


def rows(
    names: Sequence[str], predictions: Sequence[Sequence[Prediction]]
) -> list[dict[str, str | float]]:
    """One row a scan and run, with the columns of ``python -m oct_core predict``."""
    return [
        {
            "image": name,
            "run": prediction.run,
            "predicted": prediction.predicted,
            **{
                f"p_{label}": float(p)
                for label, p in zip(prediction.classes, prediction.probabilities, strict=True)
            },
        }
        for name, of_scan in zip(names, predictions, strict=True)
        for prediction in of_scan
    ]


def as_csv(table: Sequence[dict[str, str | float]]) -> bytes:
    """The rows as CSV. A name that a spreadsheet would run as a formula gets an apostrophe before
    it.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in table:
        name = str(row["image"])
        safe = "'" + name if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name
        numbers = {key: f"{value:.6f}" for key, value in row.items() if isinstance(value, float)}
        writer.writerow({**row, **numbers, "image": safe})
    return buffer.getvalue().encode()


def table_of_all(names: Sequence[str], predictions: Sequence[Sequence[Prediction]]) -> None:
    """All open scans: one row a scan and model, downloadable."""
    table = rows(names, predictions)
    formats = {
        f"p_{name}": st.column_config.ProgressColumn(name, min_value=0, max_value=1, format="%.3f")
        for name in CLASSES
    }
    st.dataframe(
        {column: [row[column] for row in table] for column in CSV_COLUMNS},
        column_config={"image": "Scan", "run": "Model", "predicted": "Predicted", **formats},
        hide_index=True,
        height=min(420, 38 + 35 * len(table)),
    )
    st.download_button(
        say("Download the table (CSV)"),
        as_csv(table),
        "oct_predictions.csv",
        "text/csv",
        icon=":material/table:",
        on_click="ignore",
    )
