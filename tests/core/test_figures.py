"""Every figure: what all must have, what each draws, and what they do with nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from oct_core.errors import MetricError
from oct_core.figures import charts
from oct_core.figures.charts import CurveLook
from oct_core.figures.charts.explanations import REGION_TITLES
from oct_core.figures.charts.training import running_mean
from oct_core.figures.colours import CLASS_COLOURS, run_colours
from oct_core.metrics import Evaluation, evaluate_table
from oct_core.metrics.bands import roc_band
from oct_core.metrics.calibration import reliability, softmax
from oct_core.metrics.curves import MACRO, pair_names, roc_one_vs_one, roc_one_vs_rest
from oct_core.metrics.decision import decision_curve
from oct_core.metrics.intervals import Interval
from oct_core.metrics.precision_recall import precision_recall_one_vs_rest
from oct_core.trust.verdict import RiskCoverage
from oct_core.types import CLASSES, VERDICTS, Prediction, PredictionTable

RUNS = ("vgg16", "resnet50", "densenet121")
COLOURS = run_colours({run: run for run in RUNS})


def table() -> PredictionTable:
    random = np.random.default_rng(0)
    labels = (np.arange(60) % 4).astype(np.int64)
    logits = (random.normal(size=(60, 4)) + 1.5 * np.eye(4)[labels]).astype(np.float32)
    names = np.array([f"scan{k}" for k in range(60)])
    return PredictionTable(np.array(["test"] * 60), names, names, names, labels, logits)


TABLE = table()
SCORES = softmax(TABLE.logits)
EVALUATIONS: dict[str, Evaluation] = {
    run: evaluate_table(TABLE, "test", resamples=20, seed=k) for k, run in enumerate(RUNS)
}
PREDICTIONS = [Prediction(run, TABLE.logits[k], SCORES[k]) for k, run in enumerate(RUNS)]
COUNTS = {
    "train": {name: {"images": 90 + k, "patients": 30 + k} for k, name in enumerate(CLASSES)},
    "val": dict.fromkeys(CLASSES, 7),
}


def history(epochs: int) -> dict[str, np.ndarray]:
    epoch = np.arange(1, epochs + 1)
    names = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "val_auc", "learning_rate")
    return {"epoch": epoch, **{name: 1 / (epoch + k) for k, name in enumerate(names)}}


def steps(n: int = 70) -> dict[str, np.ndarray]:
    step = np.arange(n) * 10
    return {
        "step": step,
        "epoch": step // 100,
        "loss": np.exp(-step / 100),
        "accuracy": step / 1000,
        "learning_rate": np.ones(n),
    }


HISTORIES = {run: history(6) for run in RUNS}
BY_CLASS = history(6) | {f"val_sensitivity_{name}": np.linspace(0, 1, 6) for name in CLASSES}
STEPS = {run: steps() for run in RUNS}
SCORES_AT = (Interval(0.2, 0.1, 0.35), Interval(0.5, 0.4, 0.55), Interval(0.7, np.nan, np.nan))
PROFILES = {
    run: [
        charts.Profile(name, ("a", "b", "c"), SCORES_AT) for name in ("Grad-CAM", "Guided Grad-CAM")
    ]
    for run in RUNS
}
LEVELS = {run: {"Random map": 0.3, "Image gradient": 0.4} for run in RUNS}
DECISIONS = {
    run: decision_curve(TABLE.label == k, SCORES[:, k], patients=TABLE.patient, resamples=20)
    for k, run in enumerate(RUNS)
}
VERDICT_NAMES = {kind: kind.capitalize() for kind in VERDICTS}
VERDICT_COUNTS = {run: {"answer": 6, "caution": 3, "refer": 1} for run in RUNS}
RISK = RiskCoverage(np.array([0.25, 0.5, 0.75, 1]), np.array([0, 0, 0.1, 0.2]), 0.075, 0.5, 0.0)
SHARES = dict(zip(charts.REGION_COLOURS, (0.5, 0.2, 0.15, 0.1, 0.05), strict=True))
BUILDERS: dict[str, Callable[[], go.Figure]] = {
    "training_curves": lambda: charts.training_curves(HISTORIES, COLOURS, "accuracy", {"vgg16": 3}),
    "class_curves": lambda: charts.class_curves(BY_CLASS, "vgg16", 3),
    "step_curves": lambda: charts.step_curves(STEPS, COLOURS, "loss", smoothing=5),
    "learning_rate_curves": lambda: charts.learning_rate_curves(STEPS, COLOURS),
    "confusion_matrix": lambda: charts.confusion_matrix(EVALUATIONS["vgg16"].confusion),
    "sensitivity_specificity": lambda: charts.sensitivity_specificity(EVALUATIONS, COLOURS),
    "roc_curves": lambda: charts.roc_curves(
        roc_one_vs_rest(TABLE.label, SCORES), CurveLook(charts.class_styles()), "ROC one-vs-rest"
    ),
    "reliability_diagram": lambda: charts.reliability_diagram(
        {run: reliability(TABLE.label, SCORES) for run in RUNS}, COLOURS
    ),
    "precision_recall_curves": lambda: charts.precision_recall_curves(
        precision_recall_one_vs_rest(TABLE.label, SCORES),
        CurveLook(charts.class_styles()),
        "Precision and recall",
    ),
    "corruption_lines": lambda: charts.corruption_lines(
        {run: {"blur": SCORES_AT, "speckle": SCORES_AT} for run in RUNS}, COLOURS
    ),
    "verdict_bars": lambda: charts.verdict_bars(VERDICT_COUNTS, VERDICT_NAMES, "Verdicts"),
    "risk_coverage_curves": lambda: charts.risk_coverage_curves(
        dict.fromkeys(RUNS, RISK), COLOURS, "Risk over coverage"
    ),
    "decision_curves": lambda: charts.decision_curves(DECISIONS, COLOURS),
    "class_distribution": lambda: charts.class_distribution(COUNTS),
    "scores_by_layer": lambda: charts.scores_by_layer(
        PROFILES, LEVELS, COLOURS, "Deletion by layer"
    ),
    "likeness_by_stage": lambda: charts.likeness_by_stage(PROFILES, COLOURS, "Likeness by block"),
    "lesion_bars": lambda: charts.lesion_bars(
        {run: dict(zip("abc", SCORES_AT, strict=True)) for run in RUNS},
        {"vgg16": 0.1},
        COLOURS,
        "Pointing",
        "Share",
    ),
    "region_shares": lambda: charts.region_shares(
        {run: {"Grad-CAM": SHARES, "Random map": SHARES} for run in RUNS}
    ),
}
EMPTY: dict[str, Callable[[], go.Figure]] = {
    "training_curves": lambda: charts.training_curves({}, {}),
    "training_curves, no epoch yet": lambda: charts.training_curves({"vgg16": history(0)}, COLOURS),
    "class_curves": lambda: charts.class_curves(
        history(0) | {f"val_sensitivity_{name}": np.zeros(0) for name in CLASSES}, "vgg16"
    ),
    "step_curves": lambda: charts.step_curves({"vgg16": steps(0)}, COLOURS),
    "learning_rate_curves": lambda: charts.learning_rate_curves({}, {}),
    "sensitivity_specificity": lambda: charts.sensitivity_specificity({}, {}),
    "roc_curves": lambda: charts.roc_curves({}, CurveLook(charts.class_styles()), "ROC"),
    "precision_recall_curves": lambda: charts.precision_recall_curves(
        {}, CurveLook(charts.class_styles(), zoom=True), "Precision and recall"
    ),
    "corruption_lines": lambda: charts.corruption_lines({}, {}),
    "verdict_bars": lambda: charts.verdict_bars({}, VERDICT_NAMES, "Verdicts"),
    "risk_coverage_curves": lambda: charts.risk_coverage_curves({}, {}, "Risk over coverage"),
    "decision_curves": lambda: charts.decision_curves({}, {}),
    "class_distribution": lambda: charts.class_distribution({}),
    "scores_by_layer": lambda: charts.scores_by_layer({}, {}, {}, "Deletion by layer"),
    "likeness_by_stage": lambda: charts.likeness_by_stage(
        {"vgg16": []}, COLOURS, "Likeness by block"
    ),
    "lesion_bars": lambda: charts.lesion_bars({"vgg16": {}}, {}, COLOURS, "Pointing", "Share"),
    "region_shares": lambda: charts.region_shares({}),
}
NOT_FIGURES = {
    *("alt_text", "REGION_COLOURS", "Profile"),
    *("CurveLook", "LineStyle", "class_styles", "pair_styles", "curve_title"),
}


def test_every_figure_is_listed() -> None:
    assert set(BUILDERS) == set(charts.__all__) - NOT_FIGURES, (
        "a figure without a contract: add it to BUILDERS"
    )


@pytest.mark.parametrize("name", list(BUILDERS))
def test_title_axes_alt_text_and_theme(name: str) -> None:
    figure = BUILDERS[name]()
    layout = figure.layout
    assert layout.title.text and layout.xaxis.title.text and layout.yaxis.title.text
    assert len(charts.alt_text(figure)) > 40 and layout.title.text.split(" (")[
        0
    ] in charts.alt_text(figure)
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert (
        layout.font.color is None
        and layout.template.layout.font.color is None
        and layout.title.font.color is None
    )
    assert all(
        trace.type == "heatmap" or trace.name or trace.showlegend is False for trace in figure.data
    )
    json.loads(figure.to_json())


@pytest.mark.parametrize("name", list(EMPTY))
def test_nothing_to_draw_is_said(name: str) -> None:
    figure = EMPTY[name]()
    assert len(figure.layout.annotations) >= 1 and figure.layout.annotations[-1].text
    assert figure.layout.title.text and charts.alt_text(figure)


def test_alt_text_of_a_foreign_figure_is_an_error() -> None:
    with pytest.raises(MetricError, match="expected a figure with alt text"):
        charts.alt_text(go.Figure())


def test_training_curves_overlay_runs_and_star_the_best_epoch() -> None:
    figure = charts.training_curves(
        HISTORIES, COLOURS, "loss", {"vgg16": 3, "resnet50": None, "densenet121": 99}
    )
    drawn = [trace for trace in figure.data if trace.showlegend is False]
    assert len(drawn) == 7
    star = next(trace for trace in drawn if "best" in trace.name)
    assert (star.x[0], star.y[0], star.name) == (
        3,
        HISTORIES["vgg16"]["val_loss"][2],
        "vgg16, best epoch 3",
    )
    dashes = {trace.line.dash for trace in drawn if "training" in trace.name}
    assert dashes == {"dot"} and drawn[0].legendgroup == drawn[1].legendgroup == "vgg16"
    of_auc = charts.training_curves(HISTORIES, COLOURS, "auc").data
    assert len([trace for trace in of_auc if trace.showlegend is False]) == 3


def test_the_legend_lies_beside_the_plot_and_names_each_run_and_dash_once() -> None:
    for figure in (
        charts.training_curves(HISTORIES, COLOURS, "loss", {"vgg16": 3}),
        charts.class_curves(BY_CLASS, "vgg16"),
        charts.step_curves(STEPS, COLOURS),
        charts.learning_rate_curves(HISTORIES, COLOURS),
    ):
        legend = figure.layout.legend
        assert legend.x > 1 and legend.xanchor == "left" and legend.orientation == "v"
        entries = [trace for trace in figure.data if trace.showlegend is not False]
        names = [trace.name for trace in entries]
        assert len(set(names)) == len(names) and all(list(trace.x) == [None] for trace in entries)
        groups = {trace.legendgroup for trace in figure.data if trace.showlegend is False}
        assert groups <= {trace.legendgroup for trace in entries}
    loss = charts.training_curves(HISTORIES, COLOURS, "loss", {"vgg16": 3})
    named = [trace.name for trace in loss.data if trace.showlegend is not False]
    assert named == [*RUNS, "validation", "training", "saved epoch"]


def test_a_long_name_in_the_legend_takes_several_lines() -> None:
    name = "VGG16 (2026-11-28-vgg16-at-224-px-with-phantoms)"
    figure = charts.learning_rate_curves({name: history(3)}, {name: "#0072B2"})
    assert max(map(len, figure.data[-1].name.split("<br>"))) <= 20


def test_curves_by_time_are_in_minutes_or_hours() -> None:
    quick = {"vgg16": HISTORIES["vgg16"] | {"hours": np.arange(1, 7) / 60}}
    figure = charts.training_curves(quick, COLOURS, "loss", {"vgg16": 3}, by="time")
    assert figure.layout.xaxis.title.text == "Minutes of training"
    np.testing.assert_allclose(figure.data[0].x, np.arange(1, 7))
    assert next(trace for trace in figure.data if "best" in trace.name).x[0] == pytest.approx(3)
    slow = {"vgg16": HISTORIES["vgg16"] | {"hours": np.arange(1, 7)}}
    figure = charts.learning_rate_curves(slow, COLOURS, "time")
    assert figure.layout.xaxis.title.text == "Hours of training"
    np.testing.assert_allclose(figure.data[0].x, np.arange(1, 7))
    with pytest.raises(MetricError, match="expected a column 'hours'"):
        charts.training_curves(HISTORIES, COLOURS, by="time")


def test_stages_are_parted_by_a_line() -> None:
    columns = {name: np.r_[values[:3], np.nan, values[3:]] for name, values in history(6).items()}
    figure = charts.training_curves({"vgg16": columns}, COLOURS)
    assert [shape.x0 for shape in figure.layout.shapes] == [3.5]
    assert not charts.training_curves(HISTORIES, COLOURS).layout.shapes


def test_curves_of_classes_are_in_their_colours() -> None:
    figure = charts.class_curves(BY_CLASS, "vgg16", 3)
    lines = {trace.name: trace for trace in figure.data if trace.mode == "lines+markers"}
    assert {name: line.line.color for name, line in lines.items()} == CLASS_COLOURS
    np.testing.assert_allclose(lines["DME"].y, np.linspace(0, 1, 6))
    with pytest.raises(MetricError, match="expected a column 'val_sensitivity_CNV'"):
        charts.class_curves(HISTORIES["vgg16"], "vgg16")


def test_curves_refuse_what_they_cannot_draw() -> None:
    with pytest.raises(MetricError, match="expected a metric of loss, accuracy, auc, got 'f1'"):
        charts.training_curves(HISTORIES, COLOURS, "f1")
    with pytest.raises(
        MetricError,
        match="expected a column 'val_loss' in the record of run 'vgg16', got epoch, train_loss",
    ):
        charts.training_curves(
            {"vgg16": {"epoch": np.arange(2), "train_loss": np.ones(2)}}, COLOURS
        )
    with pytest.raises(MetricError, match="smoothing of at least 1, got 'loss' and 0"):
        charts.step_curves(STEPS, COLOURS, smoothing=0)


def test_running_mean_is_the_mean_of_the_last_values() -> None:
    values = np.random.default_rng(0).normal(size=20)
    literal = [np.mean(values[max(0, k - 4) : k + 1]) for k in range(20)]
    np.testing.assert_allclose(running_mean(values, 5), literal)
    np.testing.assert_allclose(running_mean(values, 1), values)


def test_the_learning_rate_is_by_step_or_by_epoch() -> None:
    assert charts.learning_rate_curves(STEPS, COLOURS).layout.xaxis.title.text == "Step"
    assert charts.learning_rate_curves(HISTORIES, COLOURS).layout.xaxis.title.text == "Epoch"


def test_confusion_in_counts_and_per_cent() -> None:
    confusion = np.array([[8, 2, 0, 0], [0, 5, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    counts, shares = (
        charts.confusion_matrix(confusion, per_cent=flag).data[0] for flag in (False, True)
    )
    assert counts.text[0].tolist() == ["8", "2", "0", "0"]
    assert [list(row) for row in shares.text][::3] == [
        ["80.0%", "20.0%", "0.0%", "0.0%"],
        ["25.0%"] * 4,
    ]
    assert list(shares.text[2]) == [""] * 4
    assert "14 of 19 scans correct" in charts.alt_text(charts.confusion_matrix(confusion))
    with pytest.raises(MetricError, match=r"shape \(4, 4\), got \(3, 3\)"):
        charts.confusion_matrix(np.eye(3))


def test_sensitivity_and_specificity_carry_their_intervals() -> None:
    left, right = charts.sensitivity_specificity({"vgg16": EVALUATIONS["vgg16"]}, COLOURS).data
    for trace, cells in (
        (left, EVALUATIONS["vgg16"].sensitivity),
        (right, EVALUATIONS["vgg16"].specificity),
    ):
        np.testing.assert_allclose(trace.y, [cell.value for cell in cells.values()])
        np.testing.assert_allclose(
            trace.y + trace.error_y.array, [cell.high for cell in cells.values()]
        )
        np.testing.assert_allclose(
            trace.y - trace.error_y.arrayminus, [cell.low for cell in cells.values()]
        )
    assert (left.showlegend, right.showlegend) == (True, False)


def pairs() -> go.Figure:
    return charts.roc_curves(
        roc_one_vs_one(TABLE.label, SCORES), CurveLook(charts.pair_styles()), "ROC one-vs-one"
    )


def test_roc_figures_draw_classes_pairs_and_chance() -> None:
    rest, lines = BUILDERS["roc_curves"](), pairs().data
    assert [trace.name.split(":")[0] for trace in rest.data] == [MACRO, *CLASSES, "chance"]
    assert rest.data[1].line.color == CLASS_COLOURS["CNV"] and rest.data[0].line.dash == "dash"
    assert len(lines) == 7 and len({(trace.line.color, trace.line.dash) for trace in lines}) == 7
    assert [trace.line.color for trace in lines[:6]] == [
        CLASS_COLOURS[name.split(" ")[0]] for name in pair_names(CLASSES)
    ]
    widths = [trace.line.width for trace in rest.data[:-1]]
    assert widths == sorted(widths, reverse=True) and len(set(widths)) == 5, "none hides another"
    expected = roc_one_vs_rest(TABLE.label, SCORES)["CNV"]
    np.testing.assert_array_equal(rest.data[1].x, expected.false_positive_rate)
    assert rest.data[1].name == f"CNV: AUC {expected.auc:.3f}"
    assert rest.data[1].customdata[0] == "none called" and rest.data[0].customdata is None
    assert rest.data[1].customdata[1] == f"called from {expected.thresholds[1]:.3f} on"


def test_zooming_shows_the_bend_of_every_curve_and_says_so() -> None:
    sharp = softmax(TABLE.logits + 2 * np.eye(4)[TABLE.label])

    def roc(scores: np.ndarray, zoom: bool) -> go.Figure:
        look = CurveLook(charts.class_styles(), zoom=zoom)
        return charts.roc_curves(roc_one_vs_rest(TABLE.label, scores), look, "ROC")

    def precision(scores: np.ndarray, zoom: bool) -> go.Figure:
        look = CurveLook(charts.class_styles(), zoom=zoom)
        curves = precision_recall_one_vs_rest(TABLE.label, scores)
        return charts.precision_recall_curves(curves, look, "Precision")

    for draw, corner, at in (
        (roc, "upper left corner", lambda x, y: np.maximum(x, 1 - y)),
        (precision, "upper right corner", lambda x, y: np.maximum(1 - x, 1 - y)),
    ):
        whole, near = draw(sharp, False), draw(sharp, True)
        assert whole.layout.xaxis.range == (-0.01, 1.01) and corner not in charts.alt_text(whole)
        low, high = near.layout.xaxis.range
        assert high - low < 0.5 and corner in charts.alt_text(near)
        for trace in near.data[:4]:
            bend = at(np.array(trace.x), np.array(trace.y)).argmin()
            assert low <= trace.x[bend] <= high
            assert near.layout.yaxis.range[0] <= trace.y[bend] <= near.layout.yaxis.range[1]
    assert roc(np.full((60, 4), 0.25), True).layout.xaxis.range == (-0.03, 1.03)


def test_precision_and_recall_are_drawn_as_steps_with_their_area() -> None:
    figure = BUILDERS["precision_recall_curves"]()
    curves = precision_recall_one_vs_rest(TABLE.label, SCORES)
    drawn = {trace.name.split(":")[0]: trace for trace in figure.data}
    assert {trace.name for trace in figure.data} == {
        f"{name}: AP {curve.average_precision:.3f}" for name, curve in curves.items()
    }
    np.testing.assert_array_equal(drawn["DRUSEN"].y, curves["DRUSEN"].precision)
    assert {trace.line.shape for trace in figure.data} == {"vh"}
    assert f"calls at random {curves['CNV'].prevalence:.3f}" in charts.alt_text(figure)


def test_a_band_lies_under_its_curve_and_points_where_they_are() -> None:
    curve = roc_one_vs_rest(TABLE.label, SCORES)["CNV"]
    band = roc_band(TABLE.label == 0, SCORES[:, 0], TABLE.patient, resamples=20)
    places = {"threshold 0.5": (0.2, 0.7), "of the card": (0.4, 0.9)}
    look = CurveLook(
        {"vgg16": charts.LineStyle(COLOURS["vgg16"])}, {"vgg16": band}, places, COLOURS["vgg16"]
    )
    figure = charts.roc_curves({"vgg16": curve, "no style": curve}, look, "CNV against the rest")
    area, line, _, *points = figure.data
    np.testing.assert_array_equal(area.y, np.r_[band.high, band.low[::-1]])
    assert line.line.color == points[0].marker.color == COLOURS["vgg16"]
    assert {trace.name: (trace.x[0], trace.y[0]) for trace in points} == places
    assert points[1].marker.symbol == "diamond-open"
    assert "of the card at 0.400 across and 0.900 up" in charts.alt_text(figure)


def test_a_cell_can_be_clicked_and_framed() -> None:
    confusion = np.array([[8, 2, 0, 0], [0, 5, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    figure = charts.confusion_matrix(confusion, cell=("NORMAL", "DME"))
    cells = figure.data[1]
    words = dict(zip(zip(cells.y, cells.x, strict=True), cells.text, strict=True))
    assert len(words) == 16
    assert words["CNV", "DME"] == "True class CNV, predicted DME: 2 scans (20.0%)"
    [frame] = figure.layout.shapes
    assert (frame.y0, frame.y1, frame.x0, frame.x1) == (2.5, 3.5, 0.5, 1.5)


def test_verdicts_are_shares_with_their_counts() -> None:
    answer, caution, refer = charts.verdict_bars(VERDICT_COUNTS, VERDICT_NAMES, "Verdicts").data
    assert [trace.name for trace in (answer, caution, refer)] == ["Answer", "Caution", "Refer"]
    np.testing.assert_allclose([answer.x[0], caution.x[0], refer.x[0]], [0.6, 0.3, 0.1])
    assert list(answer.text) == ["6", "6", "6"] and list(answer.y) == list(RUNS)


def test_risk_over_coverage_ends_where_the_rule_stops() -> None:
    silent = replace(RISK, answered=0.0, answered_risk=float("nan"))
    figure = charts.risk_coverage_curves({"vgg16": RISK, "resnet50": silent}, COLOURS, "Risk")
    line, stop, other = figure.data
    np.testing.assert_array_equal(line.y, RISK.risk)
    assert (stop.x[0], stop.y[0], stop.marker.color) == (0.5, 0.0, COLOURS["vgg16"])
    assert other.line.color == COLOURS["resnet50"], "no stop without an answer"
    alt = charts.alt_text(figure)
    assert "vgg16: the rule answers 50.0% of the scans, 0.0% of them wrong; of all 20.0%" in alt
    assert "resnet50: no scan is answered" in alt


def test_corruptions_stand_beside_the_clean_scans() -> None:
    figure = BUILDERS["corruption_lines"]()
    assert len(figure.data) == 6 and list(figure.layout.xaxis.ticktext) == ["blur", "speckle"]
    for trace in figure.data:
        np.testing.assert_allclose(trace.y, [cell.value for cell in SCORES_AT])
    assert "vgg16: clean 0.200, at the highest grade blur 0.700" in charts.alt_text(figure)


def test_decision_curves_stand_beside_calling_all_and_none() -> None:
    figure = BUILDERS["decision_curves"]()
    bands, references, lines = figure.data[:3], figure.data[3:5], figure.data[5:]
    np.testing.assert_array_equal(references[0].y, DECISIONS["vgg16"].all_positive)
    assert not np.any(references[1].y) and [trace.name for trace in lines] == list(RUNS)
    for band, line, run in zip(bands, lines, RUNS, strict=True):
        curve = DECISIONS[run]
        np.testing.assert_array_equal(line.y, curve.model)
        np.testing.assert_array_equal(band.y, np.r_[curve.high, curve.low[::-1]])
        assert line.line.color == COLOURS[run]
    better = (DECISIONS["vgg16"].model > np.maximum(DECISIONS["vgg16"].all_positive, 0)).sum()
    assert f"vgg16: net benefit above calling all or none at {better} of 99" in charts.alt_text(
        figure
    )


def test_reliability_has_the_intervals_by_patient() -> None:
    points = reliability(TABLE.label, SCORES, patients=TABLE.patient)
    drawn = charts.reliability_diagram({"vgg16": points}, COLOURS).data[0]
    assert list(np.argsort(drawn.marker.size)) == list(np.argsort(points.count))
    defined = ~np.isnan(points.low)
    assert defined.any()
    np.testing.assert_allclose((drawn.y - drawn.error_y.arrayminus)[defined], points.low[defined])
    np.testing.assert_allclose((drawn.y + drawn.error_y.array)[defined], points.high[defined])


@pytest.mark.parametrize(
    ("unit", "first", "axis"),
    [("images", 90, "Number of scans"), ("patients", 30, "Number of patients")],
)
def test_distribution_takes_the_cards_counts(unit: Any, first: int, axis: str) -> None:
    figure = charts.class_distribution({"train": COUNTS["train"], "test": {"CNV": {unit: 4}}}, unit)
    assert [trace.name for trace in figure.data] == list(CLASSES)
    assert list(figure.data[0].y) == [first, 4] and list(figure.data[1].y) == [first + 1, 0]
    assert list(figure.data[0].x) == ["Training", "Test"] and figure.layout.yaxis.title.text == axis


def test_scores_by_layer_draw_each_method_with_its_interval_and_the_baselines_dashed() -> None:
    figure = charts.scores_by_layer(PROFILES, LEVELS, COLOURS, "Deletion by layer")
    assert len(figure.data) == 3 * (2 + 2) and [
        one.text for one in figure.layout.annotations
    ] == list(RUNS)
    lines = [trace for trace in figure.data if trace.name.startswith("vgg16")]
    assert {trace.line.color for trace in lines} == {COLOURS["vgg16"]}
    assert len({(trace.line.dash, trace.marker.symbol) for trace in lines}) == 2, (
        "methods differ by more than their colour"
    )
    np.testing.assert_allclose(lines[0].y + lines[0].error_y.array, [0.35, 0.55, 0.7])
    np.testing.assert_allclose(lines[0].y - lines[0].error_y.arrayminus, [0.1, 0.4, 0.7])
    levels = [trace for trace in figure.data if trace.name == "Random map"]
    assert [trace.showlegend for trace in levels] == [True, False, False] and set(levels[0].y) == {
        0.3
    }
    assert list(figure.layout.xaxis.ticktext) == [
        "a",
        "b",
        "c",
    ] and "Random map: 0.30" in charts.alt_text(figure)


def test_lesion_bars_hold_scores_intervals_and_the_area() -> None:
    figure = BUILDERS["lesion_bars"]()
    assert [bar.name for bar in figure.data] == list(RUNS) and list(figure.data[0].y) == [
        0.2,
        0.5,
        0.7,
    ]
    assert figure.layout.shapes[0].y0 == 0.1 and "lesion area 0.10" in charts.alt_text(figure)


def test_region_shares_stack_to_the_whole_and_refuse_another_region() -> None:
    figure = BUILDERS["region_shares"]()
    first = figure.data[:5]
    assert [bar.name for bar in first] == list(
        REGION_TITLES.values()
    ) and figure.layout.barmode == "stack"
    np.testing.assert_allclose(np.sum([bar.x for bar in first], axis=0), 1)
    assert len({bar.marker.pattern.shape for bar in first}) == 5, (
        "regions differ by more than their colour"
    )
    with pytest.raises(MetricError, match="got sclera"):
        charts.region_shares({"vgg16": {"Grad-CAM": {"sclera": 1.0}}})


def test_every_region_has_a_title() -> None:
    assert list(REGION_TITLES) == list(charts.REGION_COLOURS)


def test_a_name_with_markup_appears_as_it_is() -> None:
    name = "<b>x</b> %{y}"
    figure = charts.training_curves({name: history(6)}, {name: "#0072B2"}, "loss")
    assert figure.data[0].name == "&lt;b&gt;x&lt;/b&gt; %\u2060{y}, training"
    assert f"{name}: validation" in charts.alt_text(figure)


def test_a_profile_has_one_score_a_place() -> None:
    with pytest.raises(MetricError, match="2 places and 3 scores"):
        charts.Profile("Grad-CAM", ("a", "b"), SCORES_AT)
