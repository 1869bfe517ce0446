"""Every figure: what all must have, what each draws, and what they do with nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from oct_core.errors import MetricError
from oct_core.figures import charts
from oct_core.figures.charts.training import running_mean
from oct_core.metrics import Evaluation, evaluate_table
from oct_core.metrics.calibration import reliability, softmax
from oct_core.metrics.curves import MACRO, pair_names, roc_one_vs_rest
from oct_core.metrics.intervals import Interval
from oct_core.types import CLASSES, Prediction, PredictionTable

RUNS = ("vgg16", "resnet50", "densenet121")


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
STEPS = {run: steps() for run in RUNS}
SCORES_AT = (Interval(0.2, 0.1, 0.35), Interval(0.5, 0.4, 0.55), Interval(0.7, np.nan, np.nan))
PROFILES = {
    run: [
        charts.Profile(name, ("a", "b", "c"), SCORES_AT) for name in ("Grad-CAM", "Guided Grad-CAM")
    ]
    for run in RUNS
}
LEVELS = {run: {"Random map": 0.3, "Image gradient": 0.4} for run in RUNS}
SHARES = dict(zip(charts.REGION_COLOURS, (0.5, 0.2, 0.15, 0.1, 0.05), strict=True))
BUILDERS: dict[str, Callable[[], go.Figure]] = {
    "probability_bars": lambda: charts.probability_bars(PREDICTIONS),
    "training_curves": lambda: charts.training_curves(HISTORIES, "accuracy", {"vgg16": 3}),
    "step_curves": lambda: charts.step_curves(STEPS, "loss", smoothing=5),
    "learning_rate_curves": lambda: charts.learning_rate_curves(STEPS),
    "confusion_matrix": lambda: charts.confusion_matrix(EVALUATIONS["vgg16"].confusion),
    "sensitivity_specificity": lambda: charts.sensitivity_specificity(EVALUATIONS),
    "roc_one_vs_rest": lambda: charts.roc_one_vs_rest(TABLE.label, SCORES),
    "roc_one_vs_one": lambda: charts.roc_one_vs_one(TABLE.label, SCORES),
    "roc_runs": lambda: charts.roc_runs(
        {run: roc_one_vs_rest(TABLE.label, SCORES)[MACRO] for run in RUNS}
    ),
    "reliability_diagram": lambda: charts.reliability_diagram(
        {run: reliability(TABLE.label, SCORES) for run in RUNS}
    ),
    "class_distribution": lambda: charts.class_distribution(COUNTS),
    "scores_by_layer": lambda: charts.scores_by_layer(PROFILES, LEVELS, "Deletion by layer"),
    "likeness_by_stage": lambda: charts.likeness_by_stage(PROFILES, "Likeness by block"),
    "lesion_bars": lambda: charts.lesion_bars(
        {run: dict(zip("abc", SCORES_AT, strict=True)) for run in RUNS},
        {"vgg16": 0.1},
        "Pointing",
        "Share",
    ),
    "region_shares": lambda: charts.region_shares(
        {run: {"Grad-CAM": SHARES, "Random map": SHARES} for run in RUNS}
    ),
}
EMPTY: dict[str, Callable[[], go.Figure]] = {
    "probability_bars": lambda: charts.probability_bars([]),
    "training_curves": lambda: charts.training_curves({}),
    "training_curves, no epoch yet": lambda: charts.training_curves({"vgg16": history(0)}),
    "step_curves": lambda: charts.step_curves({"vgg16": steps(0)}),
    "learning_rate_curves": lambda: charts.learning_rate_curves({}),
    "sensitivity_specificity": lambda: charts.sensitivity_specificity({}),
    "roc_one_vs_one": lambda: charts.roc_one_vs_one(np.zeros(60, dtype=int), SCORES),
    "roc_runs": lambda: charts.roc_runs({}),
    "class_distribution": lambda: charts.class_distribution({}),
    "scores_by_layer": lambda: charts.scores_by_layer({}, {}, "Deletion by layer"),
    "likeness_by_stage": lambda: charts.likeness_by_stage({"vgg16": []}, "Likeness by block"),
    "lesion_bars": lambda: charts.lesion_bars({"vgg16": {}}, {}, "Pointing", "Share"),
    "region_shares": lambda: charts.region_shares({}),
}
NOT_FIGURES = {
    "alt_text",
    "class_colour",
    "model_colour",
    "run_colours",
    "CLASS_COLOURS",
    "MODEL_COLOURS",
    "REGION_COLOURS",
    "Profile",
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
    assert all(trace.type == "heatmap" or trace.name for trace in figure.data)
    json.loads(figure.to_json())


@pytest.mark.parametrize("name", list(EMPTY))
def test_nothing_to_draw_is_said(name: str) -> None:
    figure = EMPTY[name]()
    assert len(figure.layout.annotations) >= 1 and figure.layout.annotations[-1].text
    assert figure.layout.title.text and charts.alt_text(figure)


def test_alt_text_of_a_foreign_figure_is_an_error() -> None:
    with pytest.raises(MetricError, match="expected a figure with alt text"):
        charts.alt_text(go.Figure())


def brightness(colour: str) -> float:
    return float(np.dot([0.299, 0.587, 0.114], [int(colour[i : i + 2], 16) for i in (1, 3, 5)]))


def test_colours_differ_and_are_seen_on_black_and_white() -> None:
    colours = [*charts.MODEL_COLOURS.values(), *charts.CLASS_COLOURS.values()]
    assert tuple(charts.MODEL_COLOURS) == RUNS and tuple(charts.CLASS_COLOURS) == CLASSES
    for first, second in combinations(colours, 2):
        assert (
            sum(abs(int(first[i : i + 2], 16) - int(second[i : i + 2], 16)) for i in (1, 3, 5)) > 60
        ), (first, second)
    assert all(60 < brightness(colour) < 190 for colour in colours)


def test_a_model_has_its_colour_under_any_run_name_and_second_runs_another_shade() -> None:
    assert charts.model_colour("2026-05-01-vgg16") == charts.MODEL_COLOURS["vgg16"]
    assert (
        charts.model_colour("mine")
        == charts.model_colour("mine")
        not in charts.MODEL_COLOURS.values()
    )
    assert charts.class_colour("DME") == charts.CLASS_COLOURS["DME"] != charts.class_colour("other")
    shades = charts.run_colours(["vgg16", "a-vgg16", "resnet50", "b-vgg16", "c-vgg16"])
    assert (shades["vgg16"], shades["resnet50"]) == (
        charts.MODEL_COLOURS["vgg16"],
        charts.MODEL_COLOURS["resnet50"],
    )
    assert len(set(shades.values())) == 5


def test_probability_bars_hold_the_probabilities_in_the_models_colours() -> None:
    bars = charts.probability_bars(PREDICTIONS).data
    for bar, prediction in zip(bars, PREDICTIONS, strict=True):
        np.testing.assert_array_equal(bar.x, prediction.probabilities)
        assert (
            list(bar.y) == list(CLASSES)
            and bar.marker.color == charts.MODEL_COLOURS[prediction.run]
        )
    with pytest.raises(MetricError, match="expected one prediction a run, got vgg16, vgg16"):
        charts.probability_bars([PREDICTIONS[0], PREDICTIONS[0]])


def test_training_curves_overlay_runs_and_star_the_best_epoch() -> None:
    figure = charts.training_curves(
        HISTORIES, "loss", {"vgg16": 3, "resnet50": None, "densenet121": 99}
    )
    assert len(figure.data) == 7
    star = next(trace for trace in figure.data if "best" in trace.name)
    assert (star.x[0], star.y[0], star.name) == (
        3,
        HISTORIES["vgg16"]["val_loss"][2],
        "vgg16, best epoch 3",
    )
    dashes = {trace.line.dash for trace in figure.data if "training" in trace.name}
    assert dashes == {"dot"} and figure.data[0].legendgroup == figure.data[1].legendgroup == "vgg16"
    assert len(charts.training_curves(HISTORIES, "auc").data) == 3


def test_curves_refuse_what_they_cannot_draw() -> None:
    with pytest.raises(MetricError, match="expected a metric of loss, accuracy, auc, got 'f1'"):
        charts.training_curves(HISTORIES, "f1")
    with pytest.raises(
        MetricError,
        match="expected a column 'val_loss' in the record of run 'vgg16', got epoch, train_loss",
    ):
        charts.training_curves({"vgg16": {"epoch": np.arange(2), "train_loss": np.ones(2)}})
    with pytest.raises(MetricError, match="smoothing of at least 1, got 'loss' and 0"):
        charts.step_curves(STEPS, smoothing=0)


def test_running_mean_is_the_mean_of_the_last_values() -> None:
    values = np.random.default_rng(0).normal(size=20)
    literal = [np.mean(values[max(0, k - 4) : k + 1]) for k in range(20)]
    np.testing.assert_allclose(running_mean(values, 5), literal)
    np.testing.assert_allclose(running_mean(values, 1), values)


def test_the_learning_rate_is_by_step_or_by_epoch() -> None:
    assert charts.learning_rate_curves(STEPS).layout.xaxis.title.text == "Step"
    assert charts.learning_rate_curves(HISTORIES).layout.xaxis.title.text == "Epoch"


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
    assert "14 of 19 scans right" in charts.alt_text(charts.confusion_matrix(confusion))
    with pytest.raises(MetricError, match=r"shape \(4, 4\), got \(3, 3\)"):
        charts.confusion_matrix(np.eye(3))


def test_sensitivity_and_specificity_carry_their_intervals() -> None:
    left, right = charts.sensitivity_specificity({"vgg16": EVALUATIONS["vgg16"]}).data
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


def test_roc_figures_draw_classes_pairs_and_chance() -> None:
    rest, pairs = BUILDERS["roc_one_vs_rest"](), BUILDERS["roc_one_vs_one"]()
    assert [trace.name.split(":")[0] for trace in rest.data] == [*CLASSES, MACRO, "chance"]
    assert (
        rest.data[0].line.color == charts.CLASS_COLOURS["CNV"] and rest.data[4].line.dash == "dash"
    )
    assert (
        len(pairs.data) == 7
        and len({(trace.line.color, trace.line.dash) for trace in pairs.data}) == 7
    )
    assert [trace.line.color for trace in pairs.data[:6]] == [
        charts.CLASS_COLOURS[name.split(" ")[0]] for name in pair_names(CLASSES)
    ]
    expected = roc_one_vs_rest(TABLE.label, SCORES)["CNV"]
    np.testing.assert_array_equal(rest.data[0].x, expected.false_positive_rate)
    assert rest.data[0].name == f"CNV: AUC {expected.auc:.3f}"


@pytest.mark.parametrize(("unit", "first"), [("images", 90), ("patients", 30)])
def test_distribution_takes_the_cards_counts(unit: Any, first: int) -> None:
    figure = charts.class_distribution({"train": COUNTS["train"], "test": {"CNV": {unit: 4}}}, unit)
    assert [trace.name for trace in figure.data] == list(CLASSES)
    assert list(figure.data[0].y) == [first, 4] and list(figure.data[1].y) == [first + 1, 0]
    assert (
        list(figure.data[0].x) == ["Training", "Test"]
        and figure.layout.yaxis.title.text == f"Number of {unit}"
    )


def test_scores_by_layer_draw_each_method_with_its_interval_and_the_baselines_dashed() -> None:
    figure = charts.scores_by_layer(PROFILES, LEVELS, "Deletion by layer")
    assert len(figure.data) == 3 * (2 + 2) and [
        one.text for one in figure.layout.annotations
    ] == list(RUNS)
    lines = [trace for trace in figure.data if trace.name.startswith("vgg16")]
    assert {trace.line.color for trace in lines} == {charts.MODEL_COLOURS["vgg16"]}
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
        charts.REGION_COLOURS
    ) and figure.layout.barmode == "stack"
    np.testing.assert_allclose(np.sum([bar.x for bar in first], axis=0), 1)
    assert len({bar.marker.pattern.shape for bar in first}) == 5, (
        "regions differ by more than their colour"
    )
    with pytest.raises(MetricError, match="got sclera"):
        charts.region_shares({"vgg16": {"Grad-CAM": {"sclera": 1.0}}})


def test_a_profile_has_one_score_a_place() -> None:
    with pytest.raises(MetricError, match="2 places and 3 scores"):
        charts.Profile("Grad-CAM", ("a", "b"), SCORES_AT)
