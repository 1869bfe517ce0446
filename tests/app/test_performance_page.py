"""Performance on every choice of data, and on sets in which classes or patients are missing."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from demo_runs import table, write_run, write_scores
from streamlit.testing.v1 import AppTest

from oct_core.runs.evaluations import (
    ExternalSet,
    corrupted_key,
    read_scored,
    write_corrupted,
    write_external,
)
from oct_core.runs.files import read_card
from oct_core.scans.corruptions import CORRUPTIONS, SEVERITIES
from oct_core.types import PredictionTable
from pages.ui.performance import data

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs with external sets: DME and NORMAL only, one patient, all right, all wrong."""
    st.cache_data.clear()
    st.cache_resource.clear()
    folder = tmp_path / "checkpoints"
    monkeypatch.setenv("OCT_CHECKPOINTS", str(folder))
    monkeypatch.delenv("OCT_DATA", raising=False)
    monkeypatch.syspath_prepend(str(REPOSITORY))
    for seed, name in enumerate(("vgg16", "resnet50")):
        run = write_run(folder, name, seed=seed)
        test = table(seed).of_split("test")
        one = test.take(np.array([0]))
        sets = {
            "two": test.take(np.flatnonzero(np.isin(test.label, [1, 3]))),
            "one": one,
            "wrong": _with_logits(test, np.roll(np.eye(4), 1, axis=1)[test.label] * 5),
            "right": _with_logits(test, np.eye(4)[test.label] * 5),
        }
        for key, rows in sets.items():
            there = dataclasses.replace(rows, split=np.full(len(rows), f"external/{key}"))
            write_external(run, _about(key, rows, read_card(run).weights_sha256), there)
        write_corrupted(run, _corrupted(table(seed).of_split("val"), seed))
    return folder


def _corrupted(rows: PredictionTable, seed: int) -> PredictionTable:
    """The rows once for each corruption and grade, with answers that get worse by grade."""
    random = np.random.default_rng(seed)
    split, logits = [], []
    for name in CORRUPTIONS:
        for grade in SEVERITIES:
            split += [corrupted_key(name, grade)] * len(rows)
            logits.append(rows.logits + grade * random.normal(0, 1, rows.logits.shape))
    many = rows.take(np.tile(np.arange(len(rows)), len(logits)))
    answers = np.concatenate(logits).astype(np.float32)
    return dataclasses.replace(many, split=np.array(split), logits=answers)


def _with_logits(rows: PredictionTable, logits: np.ndarray) -> PredictionTable:
    return PredictionTable(
        rows.split, rows.image, rows.sha256, rows.patient, rows.label, logits.astype(np.float32)
    )


def _about(name: str, rows: PredictionTable, weights: str) -> ExternalSet:
    labels = {label: (label,) for label in rows.classes}
    count, patients = len(rows), len(set(rows.patient))
    return ExternalSet(
        name, "2026-11-28", labels, {}, 0, 0, 0, count, patients, "files", weights, 1.2
    )


def visit(key: str) -> AppTest:
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=90)
    page = app.switch_page("pages/3_Performance.py").run()
    return page.selectbox(key="performance_data").set_value(key).run()


@pytest.mark.parametrize(
    "data",
    [
        *("val", "test", "external/two", "external/one", "external/right", "external/wrong"),
        *("corrupted", "corrupted/blur/2"),
    ],
)
def test_every_tab_on_every_choice_of_data(root: Path, data: str) -> None:
    page = visit(data)
    assert not page.exception and not page.error, [
        one.value for one in (*page.exception, *page.error)
    ]
    assert list(page.dataframe[0].value)[1] == "Ensemble"
    for part in page.dataframe:
        cells = part.value.astype(str).to_numpy().ravel()
        assert not [cell for cell in cells if "nan" in cell.lower().split()], cells
    for kind in (page.info, page.warning, page.caption, page.markdown, page.metric):
        assert not [one.value for one in kind if "nan" in str(one.value).lower().split()]


def test_only_the_open_tab_is_computed(root: Path, only_the_open_tab: None) -> None:
    page = visit("test")
    assert "Sensitivity and specificity by class" in titles(page)
    assert not {"Risk over coverage", "Verdicts"} & titles(page)
    page.session_state["performance_tab_Confusion"] = "Verdicts"
    page.run()
    assert not page.exception and {"Risk over coverage", "Verdicts"} <= titles(page)
    assert "Sensitivity and specificity by class" not in titles(page)


def titles(page: AppTest) -> set[str]:
    """Of the charts."""
    specs = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    return {spec["layout"]["title"]["text"] for spec in specs}


def test_a_cell_is_chosen_without_a_mouse(root: Path) -> None:
    page = visit("test")
    choice = page.selectbox(key="performance_cell")
    assert choice.value is None and not page.header[0].value.startswith("Ensemble:")
    counts = [int(words.split(": ")[1].split(" of ")[0]) for words in choice.options]
    assert counts[0] > 0 and counts[-1] == 0, "cells with scans come first"
    words = choice.options[0]
    title, of, _, true, _, predicted = words.replace(":", "").split()
    choice.set_value((title, true, predicted)).run()
    assert not page.exception
    scans = "scan" if of == "1" else "scans"
    assert page.header[0].value == f"{title}: {of} {scans} of {true} called {predicted}"


def test_a_class_that_is_missing_is_named(root: Path) -> None:
    page = visit("external/two")
    further = next(part.value for part in page.dataframe if "figure" in part.value.columns)
    assert "not defined: no CNV" in further["VGG16"].tolist()
    page.selectbox(key="performance_operating_target").set_value("CNV").run()
    assert not page.exception and not page.metric
    assert any("no CNV" in one.value for one in page.info)


def test_answers_of_other_weights_are_not_called_a_choice_of_no_model(root: Path) -> None:
    for run in sorted(root.iterdir()):
        card = read_card(run)
        rows = read_scored(card, "external/two")
        write_external(run, _about("two", rows, "other weights"), rows)
    page = visit("external/two")
    shown = " ".join(one.value for one in (*page.info, *page.warning))
    assert not page.exception and not page.error
    assert "other weights" in shown and "None of these models has answers" in shown
    assert "Select at least one model" not in shown
    page.pills(key="performance_runs").set_value([]).run()
    assert any("Select at least one model" in one.value for one in page.info)


def test_a_source_is_another_one_when_any_file_behind_it_changes(root: Path) -> None:
    card = read_card(root / "vgg16")
    names = ("predictions.csv", "card.json", "corrupted.csv", "external/two.csv")
    (card.folder / "gate.npz").touch()
    for name in (*names, "external/two.json", "gate.npz"):
        before = data.source_of("VGG16", [card], "test")
        assert before == data.source_of("VGG16", [card], "test")
        os.utime(card.folder / name, ns=(1, len(name)))
        assert before != data.source_of("VGG16", [card], "test"), name


def test_what_a_gate_notices_in_families_known_or_not(root: Path) -> None:
    found = {"name": "a fundus photograph", "n": 7, "auroc": 0.99, "noticed": 0.5}
    for name, gate in (("vgg16", {"detection": [found | {"family": "new"}]}), ("resnet50", {})):
        write_scores(root / name)
        card = json.loads((root / name / "card.json").read_text())
        card["gate"] |= gate
        (root / name / "card.json").write_text(json.dumps(card))
    page = visit("test")
    assert not page.exception and not page.error
    [rows] = [part.value for part in page.dataframe if "family" in part.value.columns]
    assert rows[["model", "family", "auroc"]].to_numpy().tolist() == [["VGG16", "new", "0.990"]]
    page.pills(key="performance_runs").set_value(["resnet50"]).run()
    assert any("The card of no gate says" in one.value for one in page.info)


def test_a_run_without_the_class_is_named_and_the_others_are_drawn(root: Path) -> None:
    run = root / "vgg16"
    rows = table(0).of_split("test")
    there = dataclasses.replace(rows, split=np.full(len(rows), "external/two"))
    write_external(run, _about("two", rows, read_card(run).weights_sha256), there)
    page = visit("external/two")
    for tab in ("curves", "operating"):
        page.selectbox(key=f"performance_{tab}_target").set_value("CNV").run()
    assert not page.exception and not page.error
    said = "Ensemble, ResNet50: Not defined: this data has no CNV."
    assert next(one.value for one in page.info if "CNV" in one.value) == said
    specs = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    for title in ("ROC: CNV against the rest", "Decision curve of CNV"):
        [drawn] = [spec for spec in specs if spec["layout"]["title"]["text"] == title]
        names = " ".join(trace.get("name", "") for trace in drawn["data"])
        assert "VGG16" in names and "ResNet50" not in names and "Ensemble" not in names
