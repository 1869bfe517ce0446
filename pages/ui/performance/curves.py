"""The tabs of the page Performance on curves and thresholds. Each part is a fragment: a choice in
it draws it alone again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import streamlit as st

from oct_core.errors import MetricError
from oct_core.figures import charts
from oct_core.figures.charts import CurveLook, LineStyle
from oct_core.metrics import METRICS, reason_undefined
from oct_core.metrics.curves import RocCurve, roc_curve, roc_one_vs_one, roc_one_vs_rest
from oct_core.metrics.intervals import Interval, bounds_text
from oct_core.metrics.operating_points import URGENT_REFERRAL, ThresholdFigures, detectable
from oct_core.metrics.precision_recall import PrecisionRecallCurve, precision_recall_curve
from oct_core.types import RunCard
from oct_core.words import message, say
from pages.ui.app.language import fragment
from pages.ui.app.session import keep_choice
from pages.ui.performance import data
from pages.ui.performance.colours import source_colours
from pages.ui.performance.data import Source
from pages.ui.shared.charts import show
from pages.ui.shared.markdown import escape_markdown

PAIRS = "pairs"
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


def _target_option(target: str) -> str:
    """The same in the list of choices."""
    return say("CNV or DME (urgent)") if target == URGENT_REFERRAL else target


def _choose_target(sources: Sequence[Source], tab: str) -> str:
    table, _ = data.measured(sources[0])
    offer = list(detectable(table.classes))
    return keep_choice(
        f"{tab}_target",
        URGENT_REFERRAL if URGENT_REFERRAL in offer else offer[0],
        st.selectbox,
        say("Class to detect"),
        offer,
        page="performance",
        format_func=_target_option,
    )


def _zoom(tab: str) -> bool:
    """Whether to show the corner where the curves bend, as long as nobody asks for the whole."""
    return not keep_choice(
        f"whole_{tab}", False, st.toggle, say("Show the whole axes"), page="performance"
    )


def _undefined(source: Source, target: str) -> str | None:
    """Why nothing can be detected in the scans that it answered, or None."""
    try:
        positive, _ = data.detection_of(source, target)
    except MetricError as error:
        return escape_markdown(str(error))
    name = target_title(target)
    if positive.all():
        return say("Not defined: this data has only {name}.", name=name)
    return None if positive.any() else say("Not defined: this data has no {name}.", name=name)


def _defined(sources: Sequence[Source], target: str) -> list[Source]:
    """Those of which there is something to draw; why not is said, once for all who share it: runs
    may have answered different scans.
    """
    models: dict[str, list[str]] = {}
    defined = []
    for source in sources:
        if reason := _undefined(source, target):
            models.setdefault(reason, []).append(source.title)
        else:
            defined.append(source)
    for reason, titles in models.items():
        names = escape_markdown(", ".join(titles))
        st.info(f"{names}: {reason}" if defined or len(models) > 1 else reason)
    return defined


@fragment
def curves(sources: Sequence[Source]) -> None:
    """ROC and precision-recall: the predictors over each other for one class, or the classes or
    pairs of one predictor.
    """
    titles = {source.title: source for source in sources}
    left, right = st.columns(2, vertical_alignment="bottom")
    with left:
        view = keep_choice(
            "curves_view",
            "models",
            st.segmented_control,
            say("Curves of"),
            ["models", "classes", PAIRS],
            page="performance",
            format_func=lambda key: {
                "models": say("Models"),
                "classes": say("Classes"),
                PAIRS: say("Pairs of classes"),
            }[key],
            required=True,
        )
    with right:
        if view == "models":
            target = _choose_target(sources, "curves")
        else:
            title = keep_choice(
                "curves_model",
                next(iter(titles)),
                st.selectbox,
                say("Model"),
                list(titles),
                page="performance",
            )
    zoom = _zoom("curves")
    try:
        if view == "models":
            _of_models(sources, target, zoom)
        else:
            _of_classes(titles[title], view == PAIRS, zoom)
    except MetricError as error:
        st.info(escape_markdown(str(error)))
        return
    st.caption(
        say(
            "Point at a curve to see the threshold. The axes end where the curves have bent, "
            "unless the whole is shown; where curves coincide, the lower ones are wider. AP is "
            "the average precision; unlike ROC, precision depends on how common the class is in "
            "this data."
        )
        + (" " + say("Bands are 95% intervals by patient.") if view == "models" else "")
    )


def _of_models(sources: Sequence[Source], target: str, zoom: bool) -> None:
    sources = _defined(sources, target)
    if not sources:
        return
    colours = source_colours(sources)
    roc: dict[str, RocCurve] = {}
    precision: dict[str, PrecisionRecallCurve] = {}
    bands = {}
    for source in sources:
        positive, scores = data.detection_of(source, target)
        roc[source.title] = roc_curve(positive, scores)
        precision[source.title] = precision_recall_curve(positive, scores)
        bands[source.title] = data.bands_of(source, target)
    styles = {title: LineStyle(colour) for title, colour in colours.items()}
    name = target_title(target)
    _two_charts(
        charts.roc_curves(
            roc,
            CurveLook(styles, {title: both[0] for title, both in bands.items()}, zoom=zoom),
            say("ROC: {name} against the rest", name=name),
        ),
        charts.precision_recall_curves(
            precision,
            CurveLook(styles, {title: both[1] for title, both in bands.items()}, zoom=zoom),
            say("Precision and recall: {name}", name=name),
        ),
        "models",
    )


def _of_classes(source: Source, pairs: bool, zoom: bool) -> None:
    table, chances = data.measured(source)
    if pairs:
        figure = charts.roc_curves(
            roc_one_vs_one(table.label, chances, table.classes),
            CurveLook(charts.pair_styles(table.classes), zoom=zoom),
            say("{model}: ROC one-vs-one", model=source.title),
        )
        show(figure, "curves_pairs")
        st.caption(
            say(
                "One curve for each pair of classes, computed from the scans of those two classes "
                "only (Hand and Till 2001)."
            )
        )
        return
    styles = charts.class_styles(table.classes)
    by_class = {
        label: precision_recall_curve(table.label == place, chances[:, place])
        for place, label in enumerate(table.classes)
        if (table.label == place).any()
    }
    _two_charts(
        charts.roc_curves(
            roc_one_vs_rest(table.label, chances, table.classes),
            CurveLook(styles, zoom=zoom),
            say("{model}: ROC one-vs-rest", model=source.title),
        ),
        charts.precision_recall_curves(
            by_class,
            CurveLook(styles, zoom=zoom),
            say("{model}: precision and recall, by class", model=source.title),
        ),
        "classes",
    )


def _two_charts(first: object, second: object, key: str) -> None:
    for place, (figure, name) in zip(
        st.columns(2, gap="medium"), ((first, "roc"), (second, "pr")), strict=True
    ):
        with place:
            show(figure, f"curves_{key}_{name}")


@fragment
def operating_point(cards: Sequence[RunCard], sources: Sequence[Source]) -> None:
    """A threshold to move for one class of one predictor, and what a choice of threshold costs."""
    titles = {source.title: source for source in sources}
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    with left:
        title = keep_choice(
            "operating_model",
            next(iter(titles)),
            st.selectbox,
            say("Model"),
            list(titles),
            page="performance",
        )
    with middle:
        target = _choose_target(sources, "operating")
    source = titles[title]
    reason = _undefined(source, target)
    with right:
        per_cent = st.number_input(
            say("Prevalence in per cent"),
            min_value=0.1,
            max_value=99.9,
            value=None,
            key=f"performance_prevalence_{target}",
            placeholder=None if reason else _own_prevalence(source, target),
            help=say(
                "Predictive values depend on how common the class is where the model is used. "
                "Hospitals' collections hold far more disease than a screening does."
            ),
        )
    if reason:
        st.info(reason)
    else:
        _move_point(source, target, _stored(cards, source, target), per_cent)
    if drawn := [each for each in sources if not _undefined(each, target)]:
        _decision(drawn, target)


def _own_prevalence(source: Source, target: str) -> str:
    positive, _ = data.detection_of(source, target)
    return say("as in this part: {share:.1f}", share=100 * positive.mean())


def _stored(cards: Sequence[RunCard], source: Source, target: str) -> float | None:
    """The threshold that the card of a run has, chosen on validation scans; of an ensemble the one
    that its members' validation scans lead to.
    """
    if len(source.members) > 1:
        return data.threshold_of_ensemble(source, target)
    [card] = [card for card in cards if str(card.folder) == source.members[0][0]]
    point = (card.raw.get("operating_points") or {}).get(target)
    return float(point["threshold"]) if point else None


def _move_point(source: Source, target: str, stored: float | None, per_cent: float | None) -> None:
    positive, scores = data.detection_of(source, target)
    name = target_title(target)
    steps = data.thresholds_of(scores, stored)
    threshold = keep_choice(
        f"threshold_{source.title}_{source.data}_{target}",
        stored if stored is not None else min(steps, key=lambda step: abs(step - 0.5)),
        st.select_slider,
        say("Called {name} from this probability on", name=name),
        steps,
        page="performance",
        format_func="{:.4g}".format,
    )
    prevalence = None if per_cent is None else per_cent / 100
    figures = data.figures_of(source, target, threshold, prevalence)
    _four_figures(figures, name)
    points = {say("threshold {threshold:.4g}", threshold=threshold): figures}
    if stored is not None:
        points[say("chosen on validation scans")] = data.figures_of(source, target, stored, None)
    colour = source_colours([source])[source.title]
    bands = data.bands_of(source, target)
    own = source.title
    zoom = _zoom("operating")

    def look(band: int, places: dict[str, tuple[float, float]]) -> CurveLook:
        # Where nothing is called, precision has no place in the chart.
        defined = {words: place for words, place in places.items() if not np.isnan(place).any()}
        return CurveLook({own: LineStyle(colour)}, {own: bands[band]}, defined, colour, zoom)

    heading = {"model": own, "name": name}
    panels = {
        "roc": charts.roc_curves(
            {own: roc_curve(positive, scores)},
            look(
                0,
                {
                    words: (1 - each.specificity.value, each.sensitivity.value)
                    for words, each in points.items()
                },
            ),
            say("{model}: {name} against the rest", **heading),
        ),
        "pr": charts.precision_recall_curves(
            {own: precision_recall_curve(positive, scores)},
            look(
                1,
                {
                    words: (each.sensitivity.value, _precision(each))
                    for words, each in points.items()
                },
            ),
            say("{model}: precision and recall of {name}", **heading),
        ),
        "matrix": charts.confusion_matrix(
            figures.confusion,
            [say("other"), name],
            say("{model}: scans called {name}", **heading),
        ),
    }
    left, right = st.columns(2, gap="medium")
    for place, (key, figure) in zip((left, right, left), panels.items(), strict=True):
        with place:
            show(figure.update_layout(height=460 if key != "matrix" else 380), f"operating_{key}")
    st.caption(
        say(
            "The open diamond is the threshold {threshold:.4g}, chosen on validation scans. One "
            "chosen by looking at this data flatters the model.",
            threshold=stored,
        )
        if stored is not None
        else say(
            "No threshold is frozen for this. One chosen by looking at this data flatters the "
            "model."
        )
    )


def _precision(figures: ThresholdFigures) -> float:
    """In this data itself, whatever the prevalence chosen."""
    called = figures.confusion[:, 1]
    return float(called[1] / called.sum()) if called.sum() else math.nan


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


def _decision(sources: Sequence[Source], target: str) -> None:
    """Net benefit of each predictor against calling all scans positive, or none."""
    by_title = {source.title: data.decision_of(source, target) for source in sources}
    heading = say("Decision curve of {name}", name=target_title(target))
    figure = charts.decision_curves(by_title, source_colours(sources), heading)
    show(figure.update_layout(height=520), "decision")
    st.caption(
        say(
            "The threshold says how much a false alarm costs: at 0.1, one missed scan is as bad as "
            "nine false alarms. Net benefit counts hits a scan, less false alarms at that price; a "
            "model helps where its line is above both others (Vickers and Elkin 2006). The bands "
            "are 95% intervals by patient. All of it is at the share of disease of this data, "
            "which hardly any clinic has."
        )
    )
