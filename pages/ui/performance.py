"""The parts of the page Performance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from oct_core.errors import OctError
from oct_core.figures import charts
from oct_core.metrics.summary import Evaluation
from oct_core.types import FloatArray, IntArray, RunCard
from oct_core.words import say
from pages.ui.app import services, session
from pages.ui.app.services import title_of
from pages.ui.shared.charts import show
from pages.ui.shared.run_data import SPLITS, evaluation, probabilities, splits
from pages.ui.shared.tables import auc_frame, class_frame, headline_frame, sample_text

Rows = tuple[IntArray, FloatArray]


def choose(cards: Sequence[RunCard]) -> tuple[list[RunCard], str] | None:
    """The models and the part of the data to show; None if no model is chosen."""
    usable = [card for card in cards if _parts(card)]
    titles = {card.name: title_of(card) for card in usable}
    parts = [split for split in SPLITS if any(split in splits(card) for card in usable)]
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    kept = partial(session.kept, page="performance")
    names = kept(
        "runs",
        list(titles),
        left.pills,
        "Models",
        list(titles),
        selection_mode="multi",
        format_func=titles.get,
    )
    split = kept(
        "split",
        parts[0] if parts else None,
        right.selectbox,
        say("Part of the data"),
        parts,
        format_func=SPLITS.get,
    )
    chosen = [card for card in usable if card.name in (names or []) and split in splits(card)]
    return (chosen, split) if chosen and split else None


def _parts(card: RunCard) -> tuple[str, ...]:
    """The parts a run has predictions of; a damaged file is reported and counts as none."""
    try:
        return splits(card)
    except OctError as error:
        st.warning(
            say(
                "The predictions of **{model}** cannot be read: {error}",
                model=title_of(card),
                error=error,
            ),
            icon=":material/broken_image:",
        )
        return ()


def performance(cards: Sequence[RunCard], split: str) -> None:
    """All scores of the chosen models on one part."""
    scores = {title_of(card): evaluation(card, split) for card in cards}
    rows = {title_of(card): _rows(card, split) for card in cards}
    first = next(iter(scores.values()))
    st.caption(
        say(
            "{splits}: {sample_text}. Intervals are 95%, from a bootstrap by patient: all scans "
            "of a patient are drawn together, because they are alike.",
            splits=SPLITS[split],
            sample_text=sample_text(first),
        )
    )
    _headlines(scores)
    confusion, by_class, rest, pairs, tables = st.tabs(
        [
            say("Confusion matrix"),
            say("Sensitivity and specificity"),
            say("ROC one-vs-rest"),
            say("ROC one-vs-one"),
            say("AUC tables"),
        ]
    )
    with confusion:
        _confusion(scores)
    with by_class:
        _by_class(scores)
    with rest:
        _side_by_side(
            {
                name: charts.roc_one_vs_rest(*pair, title=say("{name}: ROC one-vs-rest", name=name))
                for name, pair in rows.items()
            },
            "rest",
        )
        st.caption(
            say(
                "One curve a class, against the three others, and their macro average. The "
                "diagonal is guessing."
            )
        )
    with pairs:
        _side_by_side(
            {
                name: charts.roc_one_vs_one(*pair, title=say("{name}: ROC one-vs-one", name=name))
                for name, pair in rows.items()
            },
            "pairs",
        )
        st.caption(
            say(
                "One curve for each of the six pairs of classes, over the scans of these two "
                "classes only (Hand and Till 2001)."
            )
        )
    with tables:
        _tables(scores)


def _rows(card: RunCard, split: str) -> Rows:
    table = services.prediction_table(card).of_split(split)
    return table.label, probabilities(table, card.temperature)


def _headlines(scores: dict[str, Evaluation]) -> None:
    st.dataframe(
        headline_frame(scores),
        hide_index=True,
        width="stretch",
        alt=say("Accuracy, AUC and calibration of each model"),
    )


def _side_by_side(charts: dict[str, Any], key: str, height: int = 480) -> None:
    """The same chart of each model, up to three in a row."""
    names = list(charts)
    width = min(3, len(names))
    for start in range(0, len(names), width):
        for column, name in zip(
            st.columns(width, gap="medium"), names[start : start + width], strict=False
        ):
            with column:
                show(charts[name].update_layout(height=height), f"{key}_{name}")


def _confusion(scores: dict[str, Evaluation]) -> None:
    unit = st.segmented_control(
        say("Show"),
        ["Counts", say("Per cent of the true class")],
        default="Counts",
        key="confusion_unit",
    )
    per_cent = unit == "Per cent of the true class"
    charts = {
        name: charts.confusion_matrix(
            one.confusion,
            one.classes,
            title=say("{name}: confusion matrix", name=name),
            per_cent=per_cent,
        )
        for name, one in scores.items()
    }
    _side_by_side(charts, "confusion", 340)


def _by_class(scores: dict[str, Evaluation]) -> None:
    show(charts.sensitivity_specificity(scores), "sensitivity")
    st.caption(
        say(
            "Sensitivity: the share of the scans of a class that are called it. Specificity: the "
            "share of all other scans that are not. The lines are the 95% intervals."
        )
    )
    st.dataframe(
        class_frame(scores),
        hide_index=True,
        width="stretch",
        height="content",
        alt=say("Sensitivity and specificity by class and model"),
    )


def _tables(scores: dict[str, Evaluation]) -> None:
    st.markdown(say("**AUC, each class against the rest**"))
    st.dataframe(
        auc_frame(scores, "auc"),
        hide_index=True,
        width="stretch",
        alt=say("One-vs-rest AUC by class and model"),
    )
    st.markdown(say("**AUC, each pair of classes**"))
    st.dataframe(
        auc_frame(scores, "auc_pairs"),
        hide_index=True,
        width="stretch",
        alt=say("One-vs-one AUC by pair and model"),
    )
    st.caption(
        say(
            "Area under the ROC curve: 1 is perfect, 0.5 is guessing; in brackets the 95% interval "
            "by patient."
        )
    )
