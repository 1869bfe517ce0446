"""The tabs of the page Performance on thresholds, calibration and comparison.

Each is a fragment: a choice in it draws it alone again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from oct_core.errors import MetricError
from oct_core.figures import charts
from oct_core.metrics import METRICS, reason_undefined
from oct_core.metrics.comparison_words import describe_comparison, p_text
from oct_core.metrics.curves import roc_curve
from oct_core.metrics.intervals import Interval, bounds_text, interval_text
from oct_core.metrics.operating_points import URGENT_REFERRAL, ThresholdFigures, detectable
from oct_core.types import RunCard
from oct_core.words import message, say
from pages.ui.app import services
from pages.ui.app.session import keep_choice
from pages.ui.performance import data
from pages.ui.shared.charts import show
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.run_data import evaluation
from pages.ui.shared.tables import further_frame, show_table

Cards = Mapping[str, RunCard]
"""The chosen runs by their titles."""
_CALIBRATION = {
    "ece": "expected_calibration_error",
    "classwise_ece": "classwise_calibration_error",
    "brier": "brier_score",
    "log_loss": "log_loss",
}
_FIGURES = {
    "sensitivity": (message("Sensitivity"), "sensitivity"),
    "specificity": (message("Specificity"), "specificity"),
    "ppv": (message("Positive predictive value"), "precision"),
    "npv": (message("Negative predictive value"), "negative_predictive_value"),
}
"""Field of ThresholdFigures -> its title, and the metric that says why it is not defined."""


def target_title(target: str) -> str:
    """A class stands as it is."""
    return say("CNV or DME") if target == URGENT_REFERRAL else target


def target_option(target: str) -> str:
    """The same in the list of choices."""
    return say("CNV or DME (urgent)") if target == URGENT_REFERRAL else target


def _choose_target(cards: Cards, tab: str) -> str:
    classes = next(iter(cards.values())).classes
    return keep_choice(
        f"{tab}_target",
        URGENT_REFERRAL if URGENT_REFERRAL in detectable(classes) else classes[0],
        st.selectbox,
        say("Class to detect"),
        list(detectable(classes)),
        page="performance",
        format_func=target_option,
    )


@st.fragment
def calibration(cards: Cards, split: str) -> None:
    """Reliability and calibration errors before and after the temperature."""
    points = {title: data.reliability_of(card, split) for title, card in cards.items()}
    colours = services.colours_of(cards.values())
    titles = (
        say("Reliability without a temperature"),
        say("Reliability with the temperature"),
    )
    for stage, column in enumerate(st.columns(2, gap="medium")):
        with column:
            of_stage = {title: both[stage] for title, both in points.items()}
            figure = charts.reliability_diagram(of_stage, colours, titles[stage])
            show(figure.update_layout(height=460), f"reliability_{stage}")
    rows = []
    for title, card in cards.items():
        for temperature in (1.0, card.temperature):
            scores = evaluation(card, split, temperature)
            row = {"model": title, "temperature": f"{temperature:.3f}"}
            rows.append(row | {key: scores.describe(name) for key, name in _CALIBRATION.items()})
    show_table(
        pd.DataFrame(rows), say("Calibration of each model without and with its temperature")
    )
    st.caption(
        say(
            "A temperature divides what the network puts out, so that its confidence means what it "
            "says; it was fitted on validation scans and changes no predicted class. 1.000 stands "
            "for none. All four figures are better the smaller they are."
        )
    )


@st.fragment
def operating_point(cards: Cards, split: str) -> None:
    """A threshold to move for one class of one model."""
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    with left:
        title = keep_choice(
            "operating_model",
            next(iter(cards)),
            st.selectbox,
            say("Model"),
            list(cards),
            page="performance",
        )
    with middle:
        target = _choose_target(cards, "operating")
    card, name = cards[title], target_title(target)
    positive, scores = data.detection_of(card, split, target)
    with right:
        per_cent = st.number_input(
            say("Prevalence in per cent"),
            min_value=0.1,
            max_value=99.9,
            value=None,
            key=f"performance_prevalence_{target}",
            placeholder=say("as in this part: {share:.1f}", share=100 * positive.mean()),
            help=say(
                "Predictive values depend on how common the class is where the model is used. "
                "Hospitals' collections hold far more disease than a screening does."
            ),
        )
    if positive.all() or not positive.any():
        st.info(
            say("Not defined: this part has only {name}.", name=name)
            if positive.all()
            else say("Not defined: this part has no {name}.", name=name)
        )
        return
    frozen = (card.raw.get("operating_points") or {}).get(target)
    stored = float(frozen["threshold"]) if frozen else None
    steps = data.thresholds_of(scores, stored)
    threshold = keep_choice(
        f"threshold_{card.name}_{split}_{target}",
        stored if stored is not None else min(steps, key=lambda step: abs(step - 0.5)),
        st.select_slider,
        say("Called {name} from this probability on", name=name),
        steps,
        page="performance",
        format_func="{:.4g}".format,
    )
    prevalence = None if per_cent is None else per_cent / 100
    figures = data.figures_of(card, split, target, threshold, prevalence)
    _four_figures(figures, name)
    points = {
        say("threshold {threshold:.4g}", threshold=threshold): (
            figures.sensitivity.value,
            figures.specificity.value,
        )
    }
    if stored is not None:
        of_card = data.figures_of(card, split, target, stored, None)
        points[say("of the run card")] = (of_card.sensitivity.value, of_card.specificity.value)
    colour = services.colours_of([card])[title]
    chart, matrix = st.columns(2, gap="medium")
    with chart:
        heading = say("{model}: {name} against the rest", model=title, name=name)
        figure = charts.operating_point(roc_curve(positive, scores), points, colour, heading)
        show(figure.update_layout(height=460), "operating_roc")
    with matrix:
        heading = say("{model}: scans called {name}", model=title, name=name)
        figure = charts.confusion_matrix(figures.confusion, [say("other"), name], heading)
        show(figure.update_layout(height=460), "operating_matrix")
    st.caption(
        say(
            "The diamond is the threshold {threshold:.4g} of the run card, chosen on validation "
            "scans. A threshold chosen by looking at this part flatters the model.",
            threshold=stored,
        )
        if stored is not None
        else say(
            "The run card holds no threshold for this. A threshold chosen by looking at this part "
            "flatters the model."
        )
    )


def _four_figures(figures: ThresholdFigures, name: str) -> None:
    classes = (say("other"), name)
    row = st.container(horizontal=True, gap="small")
    for field, (_, metric) in _FIGURES.items():
        interval: Interval = getattr(figures, field)
        undefined = math.isnan(interval.value)
        reason = reason_undefined(METRICS.get(metric), figures.confusion, classes, 1)
        place = row.container(width=160, gap="xxsmall")
        place.metric(say(_FIGURES[field][0]), "–" if undefined else f"{interval.value:.3f}")
        place.caption(escape_markdown(reason if undefined else bounds_text(interval)))
    st.caption(
        say(
            "Predictive values at a prevalence of {share:.1f}%. Below each figure: its 95% "
            "interval by patient.",
            share=100 * figures.prevalence,
        )
    )


@st.fragment
def decision(cards: Cards, split: str) -> None:
    """Net benefit of each model against calling all scans positive, or none."""
    target = _choose_target(cards, "decision")
    curves = {title: data.decision_of(card, split, target) for title, card in cards.items()}
    heading = say("Decision curve of {name}", name=target_title(target))
    figure = charts.decision_curves(curves, services.colours_of(cards.values()), heading)
    show(figure.update_layout(height=520), "decision")
    st.caption(
        say(
            "The threshold says how much a false alarm costs: at 0.1, one missed scan is as bad as "
            "nine false alarms. Net benefit counts hits a scan, less false alarms at that price; a "
            "model helps where its line is above both others (Vickers and Elkin 2006). The bands "
            "are 95% intervals by patient, at the share of disease of this part."
        )
    )


@st.fragment
def comparison(cards: Cards, split: str) -> None:
    """Every pair of models: differences with intervals and tests, and what they say in words."""
    if len(cards) < 2:
        st.info(say("Select two or more models to compare."), icon=":material/check_box:")
        return
    try:
        pairs = data.comparisons_of(cards, split)
    except MetricError as error:
        st.info(escape_markdown(str(error)))
        return
    rows = [
        {
            "pair": say("{first} less {second}", first=pair.name_a, second=pair.name_b),
            "accuracy_difference": interval_text(pair.difference, patients=pair.n_patients),
            "auc_difference": interval_text(pair.auc_difference, 4, patients=pair.n_patients),
            "mcnemar": p_text(pair.mcnemar.p_value),
            "mcnemar_holm": p_text(pair.adjusted_mcnemar),
            "delong": p_text(pair.delong.p_value),
            "delong_holm": p_text(pair.adjusted_delong),
        }
        for pair in pairs
    ]
    show_table(pd.DataFrame(rows), say("Differences between the models, with tests"))
    st.markdown("\n".join(f"- {escape_markdown(describe_comparison(pair))}" for pair in pairs))
    st.caption(
        say(
            "Both models of a pair scored the same scans. An interval that holds 0 shows no "
            "difference, which does not show that there is none: this part is small."
        )
    )


def further_figures(cards: Cards, split: str) -> None:
    """All other metrics, one row each."""
    scores = {title: evaluation(card, split) for title, card in cards.items()}
    st.markdown(say("**Further figures**"))
    show_table(further_frame(scores), say("Further figures of each model"), height="content")
    st.caption(
        say(
            "Kermany's cost of an error: 4 for CNV or DME called NORMAL, 2 for CNV or DME called "
            "DRUSEN, 1 for any other. Triage: CNV and DME are urgent, DRUSEN is routine, NORMAL is "
            "observed."
        )
    )
