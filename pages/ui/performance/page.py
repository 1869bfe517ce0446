"""The parts of the page Performance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from oct_core.errors import MetricError, OctError
from oct_core.figures import charts
from oct_core.metrics.calibration import softmax
from oct_core.metrics.summary import Evaluation
from oct_core.types import FloatArray, IntArray, RunCard
from oct_core.words import message, say
from pages.ui.app import services, session
from pages.ui.app.services import title_of
from pages.ui.performance import tabs
from pages.ui.shared.charts import show
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.run_data import SPLITS, evaluation, splits
from pages.ui.shared.tables import (
    auc_frame,
    class_frame,
    headline_frame,
    sample_text,
    show_table,
)

Rows = tuple[IntArray, FloatArray]
UNITS = {"counts": message("Counts"), "per_cent": message("Percent of the true class")}


def choose(cards: Sequence[RunCard]) -> tuple[list[RunCard], str] | None:
    """The models and the part of the data to show; None if no model is chosen."""
    usable = [card for card in cards if _parts(card)]
    titles = {card.name: escape_markdown(title_of(card)) for card in usable}
    parts = [split for split in SPLITS if any(split in splits(card) for card in usable)]
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    choose_one = partial(session.keep_choice, page="performance")
    names = choose_one(
        "runs",
        list(titles),
        left.pills,
        say("Models"),
        list(titles),
        selection_mode="multi",
        format_func=titles.get,
    )
    split = choose_one(
        "split",
        parts[0] if parts else None,
        right.selectbox,
        say("Part of the data"),
        parts,
        format_func=lambda split: say(SPLITS[split]),
    )
    cards = [card for card in usable if card.name in (names or []) and split in splits(card)]
    return (cards, split) if cards and split else None


def _parts(card: RunCard) -> tuple[str, ...]:
    """The parts a run has predictions of; a damaged file is reported and counts as none."""
    try:
        return splits(card)
    except OctError as error:
        st.warning(
            say(
                "The predictions of **{model}** cannot be read: {error}",
                model=escape_markdown(title_of(card)),
                error=escape_markdown(str(error)),
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
            "{part}: {sample}. Intervals are 95%, from a bootstrap by patient: all scans of a "
            "patient are drawn together, because they are alike.",
            part=say(SPLITS[split]),
            sample=sample_text(first),
        )
    )
    _headlines(scores)
    by_title = {title_of(card): card for card in cards}
    names = [
        say("Confusion matrix"),
        say("Sensitivity and specificity"),
        say("ROC one-vs-rest"),
        say("ROC one-vs-one"),
        say("Precision-recall"),
        say("Calibration"),
        say("Operating point"),
        say("Decision curve"),
        say("Comparison"),
        say("Tables"),
    ]
    places = iter(st.tabs(names))
    with next(places):
        _confusion(scores)
    with next(places):
        _by_class(scores, services.colours_of(cards))
    with next(places):
        _roc_one_vs_rest(rows)
    with next(places):
        _roc_one_vs_one(rows)
    with next(places):
        _precision_recall(rows)
    for draw in (tabs.calibration, tabs.operating_point, tabs.decision, tabs.comparison):
        with next(places):
            draw(by_title, split)
    with next(places):
        _tables(scores)
        tabs.further_figures(by_title, split)


def _rows(card: RunCard, split: str) -> Rows:
    table = services.prediction_table(card).of_split(split)
    return table.label, softmax(table.logits, card.temperature)


def _zoom(tab: str) -> bool:
    """Whether to show the corner where the curves bend, as long as nobody asks for the whole."""
    return not session.keep_choice(
        f"whole_{tab}", False, st.toggle, say("Show the whole axes"), page="performance"
    )


@st.fragment
def _roc_one_vs_rest(rows: dict[str, Rows]) -> None:
    zoom = _zoom("rest")
    try:
        panels = {
            name: charts.roc_one_vs_rest(
                *pair, title=say("{model}: ROC one-vs-rest", model=name), zoom=zoom
            )
            for name, pair in rows.items()
        }
    except MetricError as error:
        st.info(escape_markdown(str(error)))
        return
    _side_by_side(panels, "rest")
    st.caption(
        say(
            "One curve for each class against the other three, and their macro average. The "
            "diagonal is chance. The axes end where the curves have bent, unless the whole is "
            "shown."
        )
    )


@st.fragment
def _roc_one_vs_one(rows: dict[str, Rows]) -> None:
    zoom = _zoom("pairs")
    panels = {
        name: charts.roc_one_vs_one(
            *pair, title=say("{model}: ROC one-vs-one", model=name), zoom=zoom
        )
        for name, pair in rows.items()
    }
    _side_by_side(panels, "pairs")
    st.caption(
        say(
            "One curve for each of the six pairs of classes, computed from the scans of those "
            "two classes only (Hand and Till 2001)."
        )
    )


@st.fragment
def _precision_recall(rows: dict[str, Rows]) -> None:
    zoom = _zoom("precision")
    panels = {
        name: charts.precision_recall(
            *pair, title=say("{model}: precision and recall", model=name), zoom=zoom
        )
        for name, pair in rows.items()
    }
    _side_by_side(panels, "precision")
    st.caption(
        say(
            "How many of the scans called a class are of it (precision), and how many of the class "
            "are called it (recall). AP is the average precision, the area under the steps. Unlike "
            "ROC, it depends on how common the class is."
        )
    )


def _headlines(scores: dict[str, Evaluation]) -> None:
    show_table(headline_frame(scores), say("Accuracy, AUC and calibration of each model"))


def _side_by_side(panels: dict[str, Any], key: str, height: int = 480) -> None:
    """The same chart of each model, up to three in a row."""
    names = list(panels)
    width = min(3, len(names))
    for start in range(0, len(names), width):
        for column, name in zip(
            st.columns(width, gap="medium"), names[start : start + width], strict=False
        ):
            with column:
                show(panels[name].update_layout(height=height), f"{key}_{name}")


def _confusion(scores: dict[str, Evaluation]) -> None:
    unit = st.segmented_control(
        say("Show"),
        list(UNITS),
        default="counts",
        format_func=lambda key: say(UNITS[key]),
        key="confusion_unit",
    )
    panels = {
        name: charts.confusion_matrix(
            evaluation.confusion,
            evaluation.classes,
            title=say("{model}: confusion matrix", model=name),
            per_cent=unit == "per_cent",
        )
        for name, evaluation in scores.items()
    }
    _side_by_side(panels, "confusion", 340)


def _by_class(scores: dict[str, Evaluation], colours: dict[str, str]) -> None:
    show(charts.sensitivity_specificity(scores, colours), "sensitivity")
    st.caption(
        say(
            "Sensitivity: the share of the scans of a class that the model assigns to it. "
            "Specificity: the share of all other scans that it does not. The lines are 95% "
            "intervals."
        )
    )
    show_table(
        class_frame(scores), say("Sensitivity and specificity by class and model"), height="content"
    )


def _tables(scores: dict[str, Evaluation]) -> None:
    st.markdown(say("**AUC, each class against the rest**"))
    show_table(auc_frame(scores, "auc"), say("One-vs-rest AUC by class and model"))
    st.markdown(say("**AUC, each pair of classes**"))
    show_table(auc_frame(scores, "auc_pairs"), say("One-vs-one AUC by pair and model"))
    st.caption(
        say(
            "Area under the ROC curve: 1 is perfect, 0.5 is chance. In brackets: the 95% interval "
            "by patient."
        )
    )
