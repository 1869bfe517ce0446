"""Training curves, Performance, Predictions, Gallery, Data and models: each empty, filled and
failing.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from demo_runs import (
    EPOCHS,
    picture_bytes,
    table,
    write_data_folder,
    write_record,
    write_run,
    write_scores,
)

from oct_core.figures.pictures import caption_of
from oct_core.metrics import evaluate_table
from oct_core.metrics.calibration import softmax
from oct_core.metrics.decision import decision_curve
from oct_core.metrics.operating_points import choose_operating_points, figures_at_threshold
from oct_core.models.catalog import run_title
from oct_core.reasons import reasons_words
from oct_core.runs.files import read_card, read_predictions, write_predictions
from oct_core.trust.judge import Judge, scored_table
from oct_core.trust.verdict import give_verdicts
from oct_core.types import CLASSES, Explanation, RunCard, Verdict
from oct_core.words import language, say
from pages.ui.gallery.data import Example, Strip, arrange, synthetic_examples
from pages.ui.gallery.views import SCANS_PER_PAGE, _row
from pages.ui.predictions import everything, rows_csv
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.samples import Sample

REPOSITORY = Path(__file__).resolve().parents[2]
CURVES, PERFORMANCE, PREDICTIONS = "2_Training_curves", "3_Performance", "4_Predictions"
GALLERY, EXPLANATIONS, DATA = "5_Gallery", "6_Explanations", "7_Data_and_models"
ALL = [CURVES, PERFORMANCE, PREDICTIONS, GALLERY, EXPLANATIONS, DATA]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    st.cache_data.clear()
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("OCT_REPORT", str(tmp_path / "explanations.json"))
    monkeypatch.delenv("OCT_DATA", raising=False)
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return tmp_path / "checkpoints"


def visit(page: str) -> AppTest:
    """The page as a part of the whole app: links to other pages need its entry point."""
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=90)
    return app.switch_page(f"pages/{page}.py").run()


def said(page: AppTest) -> str:
    return " ".join(
        one.value for kind in (page.info, page.warning, page.caption, page.markdown) for one in kind
    )


def charts(page: AppTest) -> int:
    return len(page.get("plotly_chart"))


@pytest.mark.parametrize("name", ALL)
def test_without_runs_every_page_says_how_to_get_one(root: Path, name: str) -> None:
    page = visit(name)
    assert not page.exception and not page.error
    assert "no trained model" in said(page) and "train_all.sh" in said(page)


@pytest.mark.parametrize("name", ALL)
def test_a_damaged_card_is_a_sentence_on_every_page(root: Path, name: str) -> None:
    write_run(root, "resnet50")
    (root / "vgg16").mkdir()
    (root / "vgg16" / "card.json").write_text('{"schema": 99}')
    page = visit(name)
    assert not page.exception and not page.error
    assert "vgg16" in page.warning[0].value and "99" in page.warning[0].value


@pytest.mark.parametrize("name", [PERFORMANCE, PREDICTIONS])
def test_a_run_in_training_sends_to_its_curves(root: Path, name: str) -> None:
    write_run(root, "vgg16", "training")
    page = visit(name)
    assert not page.exception and not page.error and "still being trained" in said(page)


@pytest.mark.parametrize("name", [PERFORMANCE, PREDICTIONS])
def test_damaged_predictions_hide_no_other_run(root: Path, name: str) -> None:
    write_run(root, "vgg16")
    (write_run(root, "resnet50") / "predictions.csv").write_text("split,image\ntest,a\n")
    page = visit(name)
    assert not page.exception and not page.error
    assert "ResNet50" in page.warning[0].value and "VGG16" in page.dataframe[0].value.to_string()


def test_curves_of_any_set_of_runs(root: Path) -> None:
    write_run(root, "vgg16")
    write_run(root, "resnet50", seed=1)
    page = visit(CURVES)
    assert not page.exception and charts(page) == 7
    assert "VGG16" in str(page.get("plotly_chart")[0].proto) and "best epoch 6" in str(
        page.get("plotly_chart")[0].proto
    )
    page.pills(key="curve_runs").set_value(["resnet50"]).run()
    assert "VGG16" not in str(page.get("plotly_chart")[0].proto)
    page.pills(key="curve_runs").set_value([]).run()
    assert "at least one run" in said(page) and not charts(page)


def test_a_run_has_its_networks_colour_whatever_it_is_called(root: Path) -> None:
    """A name that holds another network's, once took that one's colour."""
    write_run(root, "vgg16")
    folder = write_run(root, "resnet50", seed=1).rename(root / "mine-resnet50-from-vgg16")
    title = f"ResNet50 ({folder.name})"
    for name in (CURVES, PERFORMANCE):
        page = visit(name)
        figures = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
        traces = [trace for figure in figures for trace in figure["data"]]
        for prefix, colour in (("VGG16", "#0072B2"), (title, "#D55E00")):
            of_run = [trace for trace in traces if str(trace.get("name", "")).startswith(prefix)]
            assert of_run and all(colour in json.dumps(trace) for trace in of_run), (name, prefix)


def test_curves_grow_while_a_run_is_trained(root: Path) -> None:
    folder = write_run(root, "vgg16", "training")
    page = visit(CURVES)
    assert f"{EPOCHS} of {EPOCHS + 4} epochs done" in page.get("progress")[0].proto.text
    write_record(folder, 1, epochs=2)
    assert f"{EPOCHS + 2} of {EPOCHS + 4} epochs done" in page.run().get("progress")[0].proto.text


@pytest.mark.parametrize(("status", "every"), [("training", 3.0), ("done", 20.0)])
def test_the_timer_is_quick_only_while_something_grows(
    root: Path, monkeypatch: pytest.MonkeyPatch, status: str, every: float
) -> None:
    write_run(root, "vgg16", status)
    intervals: list[float | None] = []
    real = st.fragment

    def fragment(function: object, *, run_every: float | None = None) -> object:
        intervals.append(run_every)
        return real(function, run_every=run_every)  # type: ignore[call-overload]

    monkeypatch.setattr(st, "fragment", fragment)
    visit(CURVES)
    assert intervals == [every]


def test_a_training_that_fell_silent_is_called_so(root: Path) -> None:
    folder = write_run(root, "vgg16", "training")
    for name in ("history.csv", "steps.csv"):
        os.utime(folder / name, (1, 1))
    assert "has recorded nothing for" in said(visit(CURVES))


def test_a_run_that_has_just_started_has_no_curves_yet(root: Path) -> None:
    folder = write_run(root, "vgg16", "training")
    (folder / "history.csv").unlink()
    (folder / "steps.csv").unlink()
    page = visit(CURVES)
    assert not page.exception and not charts(page) and "have not finished an epoch" in said(page)


def figures(page: AppTest) -> dict[str, Any]:
    """The charts of a page by title, the first of each, as plotly's data and layout."""
    specs = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    return {spec["layout"]["title"]["text"]: spec for spec in reversed(specs)}


def frame(page: AppTest, column: str) -> Any:
    """The first table with this column."""
    return next(part.value for part in page.dataframe if column in part.value.columns)


def test_performance_of_all_and_of_one(root: Path) -> None:
    write_run(root, "vgg16")
    write_run(root, "resnet50", seed=1)
    page = visit(PERFORMANCE)
    # Confusion of each and of the ensemble; of all: sensitivity, two curves, decision curve, two of
    # calibration, two of verdicts; of one: two curves and the matrix at the threshold.
    assert not page.exception and charts(page) == 3 + 8 + 3
    assert "32 scans of" in said(page)
    assert list(page.dataframe[0].value)[1:] == ["Ensemble", "VGG16", "ResNet50"]
    tests = [table(seed).of_split("test") for seed in (0, 1)]
    label = tests[0].label
    mean = np.mean([softmax(rows.logits, 1.2) for rows in tests], axis=0)
    right = [np.mean(each.argmax(axis=1) == label) for each in (mean, *(t.logits for t in tests))]
    for cell, share in zip(page.dataframe[0].value.iloc[0, 1:], right, strict=True):
        assert cell.startswith(f"{share:.3f} (")
    assert len(frame(page, "pair")) == 3, "pairs of models, the ensemble among them"
    page.segmented_control(key="performance_curves_view").set_value("pairs").run()
    [pairs] = [spec for title, spec in figures(page).items() if "one-vs-one" in title]
    named = {trace["name"] for trace in pairs["data"] if " vs " in trace.get("name", "")}
    assert len(named) == 6, "six pairs of classes"
    page.segmented_control(key="performance_curves_view").set_value("models").run()
    page.pills(key="performance_runs").set_value(["vgg16"]).run()
    assert charts(page) == 1 + 8 + 3 and list(page.dataframe[0].value)[1:] == ["VGG16"]
    assert "two or more models to compare" in said(page)
    page.selectbox(key="performance_data").set_value("val").run()
    assert "16 scans of" in said(page)


def test_every_further_figure_has_an_interval_or_a_reason(root: Path) -> None:
    write_run(root, "vgg16")
    rows = frame(visit(PERFORMANCE), "figure")
    assert {"Cohen's kappa", "Kermany's mean cost", "Average precision, CNV"} <= set(rows["figure"])
    scores = evaluate_table(table(0), "test", 1.2)
    kappa = rows["VGG16"][rows["figure"] == "Cohen's kappa"].item()
    assert kappa == scores.describe("cohen_kappa") and kappa.endswith(")")
    assert not rows["VGG16"].str.contains("nan").any()


def test_curves_show_their_corner_until_the_whole_is_asked_for(root: Path) -> None:
    write_run(root, "vgg16")
    page = visit(PERFORMANCE)
    views = {
        "models": ["ROC: CNV or DME against the rest", "Precision and recall: CNV or DME"],
        "classes": ["VGG16: ROC one-vs-rest", "VGG16: precision and recall, by class"],
        "pairs": ["VGG16: ROC one-vs-one"],
    }
    for view, names in views.items():
        page.segmented_control(key="performance_curves_view").set_value(view).run()
        _check_corner(page, "curves", names)
    page.segmented_control(key="performance_curves_view").set_value("models").run()
    _check_corner(
        page,
        "operating",
        [
            "VGG16: CNV or DME against the rest",
            "VGG16: precision and recall of CNV or DME",
        ],
    )


def _check_corner(page: AppTest, tab: str, names: list[str]) -> None:
    """The corner at first, and the same curves on whole axes once they are asked for."""
    near = figures(page)
    page.toggle(key=f"performance_whole_{tab}").set_value(True).run()
    for name in names:
        whole = figures(page)[name]
        assert whole["layout"]["xaxis"]["range"] == [-0.01, 1.01]
        assert near[name]["layout"]["xaxis"]["range"] != whole["layout"]["xaxis"]["range"]
        assert near[name]["data"] == whole["data"]
    page.toggle(key=f"performance_whole_{tab}").set_value(False).run()


def test_the_threshold_moves_the_point_the_figures_and_the_matrix(root: Path) -> None:
    folder = write_run(root, "vgg16")
    card = json.loads((folder / "card.json").read_text())
    card["operating_points"]["CNV"] = {"threshold": 0.3}
    (folder / "card.json").write_text(json.dumps(card))
    rows = table(0).of_split("test")
    scores = softmax(rows.logits, 1.2)[:, 0]

    def expected(threshold: float) -> tuple[list[str], list[list[int]]]:
        found = figures_at_threshold(rows.label == 0, scores, threshold, rows.patient, 0.02)
        four = (found.sensitivity, found.specificity, found.ppv, found.npv)
        return [f"{cell.value:.3f}".replace("nan", "–") for cell in four], found.confusion.tolist()

    page = visit(PERFORMANCE)
    assert "No threshold is frozen" in said(page), "urgent referral comes first"
    page.selectbox(key="performance_operating_target").set_value("CNV").run()
    page.number_input(key="performance_prevalence_CNV").set_value(2.0).run()
    slider = page.select_slider(key="performance_threshold_VGG16_test_CNV")
    assert slider.value == 0.3
    assert "is the threshold 0.3, chosen on validation scans" in said(page)
    for threshold in (0.3, 1.0):
        page.select_slider(key=slider.key).set_value(threshold).run()
        four, confusion = expected(threshold)
        assert [part.value for part in page.metric] == four
        assert figures(page)["VGG16: scans called CNV"]["data"][0]["text"] == [
            [str(count) for count in row] for row in confusion
        ]
        drawn = figures(page)["VGG16: CNV against the rest"]["data"]
        points = [trace for trace in drawn if trace.get("mode", "") == "markers"]
        assert [len(points), points[0]["name"]] == [2, f"threshold {threshold:.4g}"]
        assert points[0]["y"][0] == pytest.approx(float(four[0]), abs=1e-3)
        assert points[1]["name"] == "chosen on validation scans"
    assert four[2] == "–" and escape_markdown("not defined: no scan was called CNV") in said(page)
    assert "at a prevalence of 2.0%" in said(page)


def test_the_threshold_of_the_ensemble_is_chosen_on_validation_scans(root: Path) -> None:
    for seed, name in enumerate(("vgg16", "resnet50")):
        write_run(root, name, seed=seed)
    page = visit(PERFORMANCE)
    slider = page.select_slider(key="performance_threshold_Ensemble_test_urgent")
    parts = [table(seed).of_split("val") for seed in (0, 1)]
    chances = np.mean([softmax(rows.logits, 1.2) for rows in parts], axis=0)
    chosen = choose_operating_points(parts[0].label, chances)["urgent"].threshold
    assert slider.value == pytest.approx(chosen, abs=1e-6)
    assert f"is the threshold {chosen:.4g}, chosen on validation scans" in said(page)


def test_a_part_without_the_class_says_so(root: Path) -> None:
    folder = write_run(root, "vgg16")
    rows = table(0)
    keep = rows.label != 3
    columns = (getattr(rows, field.name) for field in dataclasses.fields(rows)[:6])
    write_predictions(folder, type(rows)(*(column[keep] for column in columns)))
    page = visit(PERFORMANCE)
    assert not page.exception and not page.error
    page.selectbox(key="performance_operating_target").set_value("NORMAL").run()
    assert "this data has no NORMAL" in said(page) and not page.metric
    further = frame(page, "figure")
    assert "not defined: no NORMAL" in further["VGG16"].tolist()
    assert not further["VGG16"].str.contains("nan").any()


def test_the_decision_curve_is_of_the_class_chosen(root: Path) -> None:
    write_run(root, "vgg16")
    page = visit(PERFORMANCE)
    assert "Decision curve of CNV or DME" in figures(page)
    page.selectbox(key="performance_operating_target").set_value("DRUSEN").run()
    rows = table(0).of_split("test")
    curve = decision_curve(rows.label == 2, softmax(rows.logits, 1.2)[:, 2])
    drawn = figures(page)["Decision curve of DRUSEN"]["data"]
    named = next(trace for trace in drawn if trace["name"] == "VGG16" and "fill" not in trace)
    alone = go.Figure(go.Scatter(y=curve.model)).to_json()
    assert named["y"] == json.loads(alone)["data"][0]["y"]


def test_models_are_compared_in_figures_and_in_words(root: Path) -> None:
    write_run(root, "vgg16")
    write_run(root, "resnet50", seed=1)
    write_run(root, "densenet121", seed=2)
    page = visit(PERFORMANCE)
    rows = frame(page, "mcnemar")
    assert list(rows["pair"]) == [
        "Ensemble less VGG16",
        "Ensemble less ResNet50",
        "Ensemble less DenseNet121",
        "VGG16 less ResNet50",
        "VGG16 less DenseNet121",
        "ResNet50 less DenseNet121",
    ]
    assert said(page).count("after Holm over 6 comparisons") == 12
    assert rows["mcnemar_holm"].str.startswith("p = ").all()
    assert said(page).count("McNemar\\'s test by patient, ") == 6
    page.pills(key="performance_runs").set_value(["vgg16", "resnet50"]).run()
    assert len(frame(page, "mcnemar")) == 1 and "Holm" not in said(page)


def test_confusion_in_per_cent(root: Path) -> None:
    write_run(root, "vgg16")
    page = visit(PERFORMANCE)
    counts = str(page.get("plotly_chart")[0].proto)
    page.segmented_control(key="performance_confusion_unit").set_value("per_cent").run()
    assert not page.exception and str(page.get("plotly_chart")[0].proto) != counts


def demo_answers(root: Path, *names: str) -> dict[str, Any]:
    """Title -> (predicted class, its probability) of each test row, as written by hand: the runs
    and the mean of them.
    """
    chances = {
        run_title(name): softmax(read_predictions(root / name).of_split("test").logits, 1.2)
        for name in names
    }
    chances["Ensemble"] = np.mean(list(chances.values()), axis=0)
    names_ = ("CNV", "DME", "DRUSEN", "NORMAL")
    return {
        title: [(names_[row.argmax()], float(row.max())) for row in rows]
        for title, rows in chances.items()
    }


def test_predictions_have_one_row_a_scan_with_all_models(root: Path) -> None:
    for seed, name in enumerate(("vgg16", "resnet50", "densenet121")):
        write_run(root, name, seed=seed)
    rows = visit(PREDICTIONS).dataframe[0].value
    answers = demo_answers(root, "vgg16", "resnet50", "densenet121")
    assert len(rows) == 32 and rows["image"].is_unique and set(rows["model"]) == {"Ensemble"}
    models = ["VGG16", "ResNet50", "DenseNet121"]
    for place, row in rows.iterrows():
        labels = [answers[model][place][0] for model in models]
        for model in models:
            label, share = answers[model][place]
            assert row[model] == f"{label} {share:.1%}"
        most = max(labels.count(label) for label in labels)
        assert row["agreement"] == f"{most} of 3"
        assert row["predicted"] == answers["Ensemble"][place][0]
        assert row["confidence"] == pytest.approx(100 * answers["Ensemble"][place][1])
        right = row["predicted"] == row["true"]
        assert row["outcome"] == ("✓ Correct" if right else "✗ Wrong")
    assert set(rows["outcome"]) == {"✓ Correct", "✗ Wrong"} and rows["agreement"].nunique() > 1
    assert not len(rows.select_dtypes("bool").columns), "a box that asks to be ticked"


def test_predictions_filters(root: Path) -> None:
    write_run(root, "vgg16")
    write_run(root, "resnet50", seed=1)
    page = visit(PREDICTIONS)
    assert len(page.dataframe[0].value) == 32
    page.selectbox(key="prediction_model").set_value("VGG16")
    page.selectbox(key="prediction_true").set_value("DME")
    page.selectbox(key="prediction_outcome").set_value("wrong").run()
    rows = page.dataframe[0].value
    assert len(rows) and set(rows["true"]) == {"DME"} and set(rows["model"]) == {"VGG16"}
    assert set(rows["outcome"]) == {"✗ Wrong"} and "VGG16 is wrong on" in said(page)
    page.slider(key="prediction_confidence").set_value((0, 1)).run()
    assert "No scan matches" in said(page) and not page.exception


def test_predictions_by_agreement_and_in_order(root: Path) -> None:
    write_run(root, "vgg16")
    write_run(root, "resnet50", seed=1)
    page = visit(PREDICTIONS)
    page.selectbox(key="prediction_agreement").set_value("some").run()
    split = page.dataframe[0].value
    page.selectbox(key="prediction_agreement").set_value("all").run()
    same = page.dataframe[0].value
    assert set(split["agreement"]) == {"1 of 2"} and set(same["agreement"]) == {"2 of 2"}
    assert len(split) + len(same) == 32 and "The models disagree on 0." in said(page)
    page.selectbox(key="prediction_agreement").set_value("")
    page.selectbox(key="prediction_order").set_value("unsure").run()
    assert page.dataframe[0].value["confidence"].is_monotonic_increasing
    page.selectbox(key="prediction_order").set_value("wrong").run()
    rows = page.dataframe[0].value
    wrong = int((rows["outcome"] == "✗ Wrong").sum())
    assert 0 < wrong < 32 and set(rows["outcome"][:wrong]) == {"✗ Wrong"}
    assert rows["confidence"][:wrong].is_monotonic_decreasing
    page.selectbox(key="prediction_order").set_value("split").run()
    assert page.dataframe[0].value["agreement"][0] == "1 of 2"
    page.selectbox(key="prediction_order").set_value("class").run()
    assert page.dataframe[0].value["true"].is_monotonic_increasing


def test_agreement_is_a_share_of_the_models_that_were_asked(root: Path) -> None:
    for seed, (name, answered) in enumerate((("vgg16", 32), ("resnet50", 24), ("densenet121", 16))):
        folder = write_run(root, name, seed=seed)
        rows = read_predictions(folder)
        last = np.flatnonzero(rows.split == "test")[answered:]
        write_predictions(folder, rows.take(~np.isin(np.arange(len(rows)), last)))
    page = visit(PREDICTIONS)
    page.selectbox(key="prediction_model").set_value("VGG16")
    page.selectbox(key="prediction_order").set_value("split").run()
    said_of = [words.split(" of ") for words in page.dataframe[0].value["agreement"]]
    shares = [int(agree) / int(asked) for agree, asked in said_of]
    assert shares == sorted(shares) and shares[0] < 1
    assert {int(asked) for _, asked in said_of} == {1, 2, 3}
    counts = {}
    for choice in ("some", "all"):
        page.selectbox(key="prediction_agreement").set_value(choice).run()
        counts[choice] = page.dataframe[0].value["agreement"].tolist()
    assert sorted(counts["some"] + counts["all"]) == sorted(
        f"{agree} of {asked}" for agree, asked in said_of if asked != "1"
    )


def test_the_file_of_predictions_is_what_is_shown(root: Path) -> None:
    write_run(root, "vgg16")
    write_run(root, "resnet50", seed=1)
    answers = everything([read_card(root / name) for name in ("vgg16", "resnet50")])
    rows = answers.rows("Ensemble").iloc[[5, 2]]
    lines = list(csv.DictReader(rows_csv(answers, rows).decode().splitlines()))
    assert [line["image"] for line in lines] == rows["image"].tolist()
    expected = demo_answers(root, "vgg16", "resnet50")
    for place, line in zip((5, 2), lines, strict=True):
        for title, stem in (("Ensemble", ""), ("VGG16", "VGG16_"), ("ResNet50", "ResNet50_")):
            label, share = expected[title][place]
            assert line[f"{stem}predicted"] == label
            assert line[f"{stem}confidence"] == f"{share:.3f}"
        assert line["outcome"] == ("right" if line["predicted"] == line["true"] else "wrong")
        assert line["models_asked"] == "2" and line["answer_of"] == "Ensemble"


def test_predictions_have_verdicts_where_a_gate_has_been_fitted(root: Path) -> None:
    for seed, name in enumerate(("vgg16", "resnet50", "densenet121")):
        write_run(root, name, seed=seed)
    assert "verdict" not in visit(PREDICTIONS).dataframe[0].value, "no run has a gate"
    for name in ("vgg16", "resnet50"):
        write_scores(root / name)
    assert "verdict" not in visit(PREDICTIONS).dataframe[0].value, "a member without a gate"
    write_scores(root / "densenet121")
    page = visit(PREDICTIONS)
    cards = [read_card(root / name) for name in ("vgg16", "resnet50", "densenet121")]
    tables = {card.name: read_predictions(card.folder).of_split("test") for card in cards}
    kinds = {"answer": "Answer", "caution": "Caution", "refer": "No answer"}
    for chosen in (cards, *([card] for card in cards)):
        judge = Judge(chosen)
        answers = scored_table(chosen, {card.name: tables[card.name] for card in chosen})
        expected = give_verdicts(answers, judge.rule, judge.sets)
        title = "Ensemble" if len(chosen) > 1 else run_title(chosen[0].name)
        page.selectbox(key="prediction_model").set_value(title).run()
        rows = page.dataframe[0].value
        assert rows["reason"].tolist() == [reasons_words(each) for each in expected]
        assert rows["verdict"].tolist() == [kinds[each.kind] for each in expected]
        assert rows["verdict"].nunique() > 1 and "No answer" in rows["verdict"].tolist()
    page.selectbox(key="prediction_verdict").set_value("refer").run()
    assert set(page.dataframe[0].value["verdict"]) == {"No answer"}
    page.selectbox(key="prediction_verdict").set_value("")
    page.selectbox(key="prediction_order").set_value("verdict").run()
    assert page.dataframe[0].value["verdict"][0] == "No answer"


def test_a_damaged_gate_hides_no_prediction(root: Path) -> None:
    write_scores(write_run(root, "vgg16"))
    (root / "vgg16" / "gate.npz").write_bytes(b"no gate")
    page = visit(PREDICTIONS)
    assert not page.exception and len(page.dataframe[0].value) == 32
    assert "verdict" not in page.dataframe[0].value and escape_markdown("gate.npz") in said(page)


def test_an_upload_of_a_test_scan_is_shown_and_another_file_is_refused(root: Path) -> None:
    write_run(root, "vgg16")
    write_run(root, "resnet50", seed=1)
    page = visit(PREDICTIONS)
    assert any(button.label == "Synthetic CNV 1" for button in page.button)
    page.file_uploader[0].set_value(
        [
            ("renamed.png", picture_bytes("CNV", 0), "image/png"),
            ("other.png", picture_bytes("CNV", 99), "image/png"),
        ]
    ).run()
    assert not page.exception and not page.error
    assert "Files taken: 1. Files that are none of these scans: 1" in said(page)
    assert not any(button.label == "Synthetic CNV 1" for button in page.button)
    pictures = [one for one in page.get("html") if "<figure>" in one.proto.body]
    assert len(pictures) == 1 and "true class CNV" in pictures[0].proto.body
    assert [b.label for b in page.button].count("Open in the viewer") == 1
    page.session_state["prediction_table"] = {"selection": {"rows": [5], "columns": []}}
    page.run()
    assert "Upload the file of this scan to see it." in said(page)
    for model in ("VGG16", "ResNet50"):
        label, share = demo_answers(root, "vgg16", "resnet50")[model][0]
        assert f"{model} {label} {share:.1%}" in said(page), "the answers of all below the picture"


def test_without_data_a_phantom_opens_in_the_viewer(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(root, "vgg16")
    monkeypatch.setattr(st, "switch_page", lambda page: st.session_state.update(gone_to=page))
    page = visit(PREDICTIONS)
    assert "--data DIR" in said(page)
    next(button for button in page.button if button.label == "Synthetic CNV 1").click().run()
    assert page.session_state["gone_to"] == "pages/1_Viewer.py" and page.session_state[
        "open_scan"
    ] == Sample("CNV", 1)


@pytest.mark.parametrize("way", ["variable", "flag"])
def test_with_data_a_click_opens_the_real_scan(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    write_run(root, "vgg16")
    data = write_data_folder(tmp_path / "data")
    (data / "test" / "CNV" / "CNV-4-1.png").write_bytes(b"another content under the same name")
    if way == "variable":
        monkeypatch.setenv("OCT_DATA", str(data))
    else:
        monkeypatch.setattr(sys, "argv", ["streamlit_app.py", "--data", str(data)])
    monkeypatch.setattr(st, "switch_page", lambda page: None)
    page = visit(PREDICTIONS)
    buttons = [button for button in page.button if button.label == "Open in the viewer"]
    assert len(buttons) == 7 and "Not in the data folder" in said(page)
    buttons[0].click().run()
    assert page.session_state["open_scan"].name == "CNV-0-1.png"


def gallery_rows(page: AppTest) -> list[tuple[str, str]]:
    """The HTML of each scan's head and of its row of pictures."""
    bodies = [one.proto.body for one in page.get("html")]
    heads = [body for body in bodies if body.startswith("<h2")]
    return list(zip(heads, [body for body in bodies if "<figure>" in body], strict=True))


def test_gallery_shows_all_models_on_one_scan_in_a_row(root: Path) -> None:
    names = ("vgg16", "resnet50")
    for seed, name in enumerate(names):
        write_run(root, name, weights=True, seed=seed)
    page = visit(GALLERY)
    page.selectbox(key="gallery_choice").set_value("doubtful").run()
    assert not page.exception and not page.error
    rows = gallery_rows(page)
    assert len(rows) == SCANS_PER_PAGE and "Page 1 of 2" in said(page)
    members = [read_card(root / name) for name in names]
    examples = arrange(synthetic_examples(members), "doubtful", "")
    for example, (head, pictures) in zip(examples, rows, strict=False):
        assert example.name in head and f"true class {example.true}" in head
        assert f"{example.confidence:.1%}" in head and 'data-testid="badge"' in head
        assert "because" in head, "no gate, so no plain answer"
        assert pictures.count("<img") == 3, "the scan and one map a model"
        places = [pictures.index(word) for word in (">scan<", ">VGG16<", ">ResNet50<")]
        assert places == sorted(places) and "block5" in pictures and "layer4" in pictures
        for label, share in example.answers:
            mark = "✓ Correct" if label == example.true else "✗ Wrong"
            assert f"{label} {share:.1%} {mark}" in pictures
    page.pills(key="gallery_models").set_value(["resnet50"]).run()
    alone = gallery_rows(page)
    assert all(row.count("<img") == 2 and "VGG16" not in head + row for head, row in alone)
    page.selectbox(key="gallery_depth").set_value("1").run()
    assert all("layer3" in row and "layer4" not in row for _, row in gallery_rows(page))
    page.pills(key="gallery_models").set_value([]).run()
    assert "Choose at least one model" in said(page) and not page.exception


def test_gallery_turns_its_pages_above_and_below_and_starts_anew_with_another_choice(
    root: Path,
) -> None:
    write_run(root, "resnet50", weights=True)
    page = visit(GALLERY)
    page.selectbox(key="gallery_choice").set_value("doubtful").run()
    first = [head for head, _ in gallery_rows(page)]
    assert page.button(key="gallery_top_-1").disabled
    page.button(key="gallery_top_1").click().run()
    second = [head for head, _ in gallery_rows(page)]
    assert "Page 2 of 2" in said(page) and len(first) + len(second) == 12
    assert not set(first) & set(second) and page.button(key="gallery_bottom_1").disabled
    page.button(key="gallery_bottom_-1").click().run()
    assert [head for head, _ in gallery_rows(page)] == first
    page.button(key="gallery_bottom_1").click().run()
    page.selectbox(key="gallery_depth").set_value("1").run()
    assert [head for head, _ in gallery_rows(page)] == first


def test_gallery_arranges_by_what_is_asked() -> None:
    def example(number: int, true: str, label: str, share: float, *votes: str) -> Example:
        verdict = Verdict("answer", label, share)
        answers = tuple((vote, share) for vote in votes or (label,))
        return Example(Sample(true, number), true, verdict, answers)

    right, sure = example(1, "CNV", "CNV", 0.6), example(2, "CNV", "CNV", 0.9)
    other = example(3, "DME", "DME", 0.7, "DME", "CNV")
    wrong = example(4, "DRUSEN", "CNV", 0.8)
    examples = [right, other, wrong, sure]
    assert arrange(examples, "typical", "") == [sure, other, right], "the classes in turn"
    assert arrange(examples, "typical", "CNV") == [sure, right]
    assert arrange(examples, "doubtful", "") == [right, other, wrong, sure]
    assert arrange(examples, "mistakes", "") == [wrong]
    assert arrange(examples, "split", "") == [other]
    assert arrange(examples, "mistakes", "NORMAL") == []


def test_the_gallery_says_what_a_map_of_zeros_means() -> None:
    zero = Explanation("vgg16", "gradcam", "block5", "DME", np.zeros((8, 8), np.float32), False)
    example = Example(Sample("DME", 1), "DME", Verdict("answer", "DME", 0.9), (("DME", 0.9),))
    card = RunCard("vgg16", Path("vgg16"), "done", "vgg16", CLASSES, {}, "ab", 1.0, 1, {})
    picture = np.zeros((8, 8, 3), np.uint8)
    strip = Strip(picture[..., 0], (("block5", picture, caption_of(zero)),))
    with language("ko"):
        assert say("nothing in this layer raises {target}", target="DME") in _row(
            example, strip, [card]
        )
    assert "block5: nothing in this layer raises DME" in _row(example, strip, [card])


def test_gallery_without_weights_or_with_wrong_ones(root: Path) -> None:
    folder = write_run(root, "vgg16", "training")
    assert "No run has weights yet" in said(visit(GALLERY))
    write_run(root, "resnet50", weights=True)
    (root / "resnet50" / "weights.safetensors").write_bytes(b"damaged")
    page = visit(GALLERY)
    assert (
        folder.exists()
        and not page.exception
        and "is not the file of its card" in page.error[0].value
    )


def test_data_and_models(root: Path) -> None:
    write_run(root, "vgg16")
    write_run(root, "resnet50", "training")
    page = visit(DATA)
    assert not page.exception and charts(page) == 2
    assert [one.label for one in page.expander if "·" in one.label] == [
        "VGG16 · finished",
        "ResNet50 · in training",
    ]
    assert any("rscbjbr9sj" in one.value for one in page.code) and any(
        "train_all.sh" in one.value for one in page.code
    )
    assert "CC BY 4.0" in said(page)


def test_gallery_of_the_data_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(root, "resnet50", weights=True)
    monkeypatch.setenv("OCT_DATA", str(write_data_folder(tmp_path / "data", rows=4)))
    page = visit(GALLERY)
    assert (
        not page.exception
        and not page.error
        and page.selectbox(key="gallery_source").value == "test"
    )
    heads = [head for head, _ in gallery_rows(page)]
    assert any(">CNV-0-1.png<" in head for head in heads)
    assert not any("CNV-4-1.png" in head for head in heads), "another content under that name"


def test_choices_survive_a_visit_to_another_page(root: Path) -> None:
    write_run(root, "vgg16")
    write_run(root, "resnet50", seed=1)
    page = visit(PREDICTIONS)
    page.selectbox(key="prediction_outcome").set_value("wrong").run()
    page.switch_page(f"pages/{CURVES}.py").run()
    page.button_group(key="curve_runs").set_value(["resnet50"]).run()
    page.switch_page(f"pages/{PREDICTIONS}.py").run()
    assert page.selectbox(key="prediction_outcome").value == "wrong"
    page.switch_page(f"pages/{CURVES}.py").run()
    assert page.button_group(key="curve_runs").value == ["resnet50"]


@pytest.mark.parametrize(
    ("named", "words"), [("nowhere", "does not exist"), (".", "holds none of these scans")]
)
def test_a_data_folder_of_no_use_is_said_and_phantoms_stand_in(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, words: str
) -> None:
    write_run(root, "vgg16")
    monkeypatch.setenv("OCT_DATA", str(tmp_path / named))
    page = visit(PREDICTIONS)
    assert words in page.warning[0].value and any(
        button.label == "Synthetic CNV 1" for button in page.button
    )
