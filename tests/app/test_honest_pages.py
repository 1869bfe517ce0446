"""Home and Data and models: how to start, what figures hide, a wrong answer, lineage, other
devices.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from demo_runs import write_run

from oct_core.metrics import evaluate_table
from oct_core.runs.evaluations import ExternalSet, external_key, write_external
from oct_core.runs.files import read_card, read_predictions, write_card
from oct_core.runs.lineage import stage_record
from oct_core.trust.wrong_example import FILE, read_example, write_example
from oct_core.types import PredictionTable
from pages.ui.home.honesty import _at_home

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    st.cache_data.clear()
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("OCT_WRONG_EXAMPLE", str(tmp_path / FILE))
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return tmp_path / "checkpoints"


def visit(page: str = "") -> AppTest:
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=90)
    return (app.switch_page(f"pages/{page}.py") if page else app).run()


def data_page() -> AppTest:
    return visit("7_Data_and_models")


def sentences(page: AppTest) -> str:
    return " ".join(one.value for kind in (page.markdown, page.caption) for one in kind)


def bodies(page: AppTest) -> str:
    return " ".join(one.proto.body for one in page.get("html"))


def answer_elsewhere(folder: Path, name: str = "clinic") -> PredictionTable:
    """The DME and NORMAL rows of the run's test part as a set from elsewhere."""
    table = read_predictions(folder).of_split("test")
    table = table.take(np.isin(table.label, [1, 3]))
    given = np.array(table.classes)[table.label]
    table = dataclasses.replace(
        table, given=given, split=np.array([external_key(name)] * len(table))
    )
    card = read_card(folder)
    labels = {"DME": ("DME",), "NORMAL": ("NORMAL",)}
    patients = len(np.unique(table.patient))
    about = ExternalSet(
        name, "2026-11-28", labels, {}, 0, 0, 0, len(table), patients, "manifest",
        card.weights_sha256, card.temperature,
    )  # fmt: skip
    write_external(folder, about, table)
    return table


def test_three_steps_lead_to_pages_by_their_names(root: Path) -> None:
    page = visit()
    assert page.header[0].value == "Three steps to start"
    links = [(link.proto.label, link.proto.page) for link in page.get("page_link")]
    assert [label for label, _ in links[:3]] == ["Viewer", "Gallery", "Performance"]
    assert sum(one.value.startswith(f"**{n}.") for n in (1, 2, 3) for one in page.markdown) == 3


def test_beside_the_auc_stand_the_threshold_the_prevalence_and_other_devices(root: Path) -> None:
    folder = write_run(root, "vgg16")
    elsewhere = answer_elsewhere(folder)
    table = read_predictions(folder).of_split("test")
    called, ill = table.logits.argmax(axis=1), table.label != 3
    found = int((called[ill] != 3).sum())
    right = int((called[~ill] == 3).sum())
    line = next(one.value for one in visit().markdown if "AUC hides" in one.value)
    assert f"{found} of {ill.sum()} diseased" in line and f"{found / ill.sum():.1%}" in line
    assert f"{right} of {(~ill).sum()} normal" in line and f"{ill.mean():.0%} is diseased" in line
    hits = elsewhere.logits.argmax(axis=1) == elsewhere.label
    dme = elsewhere.label == 1
    assert f"(clinic) it recognises {hits[dme].sum()} of {dme.sum()} DME" in line


def test_a_set_that_helped_to_choose_the_recipe_is_said_to_be_so(root: Path) -> None:
    folder = write_run(root, "vgg16")
    answer_elsewhere(folder)
    pages = ("", "7_Data_and_models")
    assert not any("helped choose the recipe" in sentences(visit(page)) for page in pages)
    answer_elsewhere(folder, "external_dev")
    for page in pages:
        assert sentences(visit(page)).count("helped choose the recipe") == 1


def test_a_part_with_few_that_are_ill_is_not_held_against_a_screening(root: Path) -> None:
    rows = read_predictions(write_run(root, "vgg16")).of_split("test")
    few = rows.take((rows.label == 3) | (np.arange(len(rows)) % 13 == 0))
    much_illness, little = (
        _at_home("VGG16", evaluate_table(part, "test", 1.0)) for part in (rows, few)
    )
    assert "far more than in a screening" in much_illness
    assert "AUC hides" in little and "screening" not in little


def test_without_a_set_from_elsewhere_nothing_is_said_of_it(root: Path) -> None:
    write_run(root, "vgg16")
    line = next(one.value for one in visit().markdown if "AUC hides" in one.value)
    assert "other devices" not in line
    (root / "vgg16" / "card.json").unlink()
    assert "AUC hides" not in sentences(visit())


def test_a_wrong_answer_is_shown_with_the_weights_that_gave_it_alone(root: Path) -> None:
    folder = write_run(root, "vgg16", weights=True)
    stored = read_example(REPOSITORY / "reports" / FILE)
    assert stored is not None
    digest = read_card(folder).weights_sha256
    own = dataclasses.replace(stored, weights={"vgg16": digest}, called={"vgg16": "DRUSEN"})
    path = root.parent / FILE
    write_example(path, own)
    page = visit()
    assert not page.exception and not page.error
    assert "What a wrong answer looks like" in [one.value for one in page.header]
    shown = next(one.proto.body for one in page.get("html") if "wrong-example" in one.proto.body)
    assert f"Caution: {own.verdict.label}, {own.verdict.probability:.1%}" in shown
    assert f"It shows **{own.picture.label}**" in sentences(page)
    assert f"Of {own.tried} synthetic scans" in sentences(page)
    assert "The caution and its reasons tell you; the class is wrong." in sentences(page)
    write_example(path, dataclasses.replace(own, weights={"vgg16": "0" * 64}))
    assert "wrong-example" not in bodies(visit())
    path.write_text("{")
    page = visit()
    assert "benchmarks/wrong" in page.error[0].value and "Limits" in page.header[-1].value


def test_the_lineage_goes_from_the_first_weights_to_the_last(root: Path) -> None:
    first = write_run(root, "vgg16", weights=True)
    second = write_run(root, "my-vgg16", weights=True, seed=1)
    raw = json.loads((second / "card.json").read_text())
    raw["earlier_stages"] = [stage_record(read_card(first))]
    raw["training"] |= {"teachers": ["<i>t:0123456789ab"], "phantoms_per_class": 2}
    write_card(second, raw)
    page = data_page()
    assert not page.exception and not page.error
    own = next(one.proto.body for one in page.get("html") if "Run: my-vgg16" in one.proto.body)
    texts = (
        "Initial weights",
        "random weights",
        "Training, stage 1",
        "Run: vgg16",
        "Training, stage 2",
        "Run: my-vgg16",
        "Learned: 378 scans and 8 phantoms",
        "Training part: 378 scans (CNV 90, DME 93, DRUSEN 96, NORMAL 99)",
        "Teacher models",
        "Weights of this run",
        raw["weights_sha256"][:16],
    )
    assert [text for text in texts if text not in own] == [], own
    places = [own.rindex(text) for text in texts]
    assert places == sorted(places) and own.count(f"<code>{'ab' * 8}</code>") == 2
    assert "&lt;i&gt;t" in own and "<i>t" not in own


def test_initial_weights_have_their_source_and_licence(root: Path) -> None:
    folder = write_run(root, "vgg16")
    raw = json.loads((folder / "card.json").read_text())
    shipped = json.loads((REPOSITORY / "checkpoints" / "vgg16" / "card.json").read_text())
    keys = ("initialisation", "initial_weights_sha256")
    write_card(folder, raw | {key: shipped[key] for key in keys})
    assert "Source: Simonyan and Zisserman 2014" in bodies(data_page())
    assert "Licence: CC BY 4.0" in bodies(data_page())
    write_card(folder, raw | {"initialisation": "mine.safetensors"})
    assert "Source: not recorded" in bodies(data_page())


def test_home_and_other_devices_stand_in_one_table(root: Path) -> None:
    folders = [write_run(root, name, seed=k) for k, name in enumerate(("vgg16", "resnet50"))]
    elsewhere = [answer_elsewhere(folder) for folder in folders]
    page = data_page()
    assert not page.exception and not page.error
    frame = next(one.value for one in page.dataframe if "data" in one.value.columns)
    assert list(frame["model"]) == ["Ensemble"] * 2 + ["VGG16"] * 2 + ["ResNet50"] * 2
    assert list(frame["data"][:2]) == ["Test part (held out)", "External set: clinic"]
    row = frame.iloc[3]
    table = elsewhere[0]
    card = read_card(folders[0])
    scores = evaluate_table(table, external_key("clinic"), card.temperature)
    assert row["accuracy"] == scores.describe("accuracy")
    dme = table.label == 1
    share = scores.intervals("sensitivity")["DME"]
    assert row["DME recognised"].startswith(f"{share.value:.3f} (")
    assert row["DME recognised"].endswith(f"n {dme.sum()}")
    assert row["CNV recognised"] == "–" and frame.iloc[2]["CNV recognised"] != "–"
    assert row["scans"] == len(table) and row["patients"] == len(np.unique(table.patient))


def test_without_a_set_from_elsewhere_the_table_says_how_to_make_one(root: Path) -> None:
    write_run(root, "vgg16")
    assert "--labelled FOLDER" in sentences(data_page())
    write_run(root, "resnet50", "training")
    (root / "vgg16" / "card.json").unlink()
    assert any("No run has answered" in one.value for one in data_page().info)


@pytest.mark.parametrize("name", ["", "7_Data_and_models"])
def test_no_level_of_headings_is_left_out(root: Path, name: str) -> None:
    write_run(root, "vgg16")
    page = visit(name)
    assert len(page.title) == 1 and len(page.header) >= 4
    assert not any(re.match("#+ ", one.value) for one in page.markdown)
    levels = [
        int(one.proto.tag[1])
        for one in page.main
        if getattr(getattr(one, "proto", None), "tag", "").startswith("h")
    ]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
