"""The page Explanations: empty, filled with a report that the real code made of a tiny run, and
failing.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from oct_core.runs.weights import load_runs
from oct_core.scans.phantom import make_phantom
from oct_core.trust import report as report_module
from oct_core.trust.lights import light_of
from oct_core.trust.report import ReportOptions, write_report
from oct_core.trust.report_file import read_report

sys.path.insert(0, str(Path(__file__).resolve().parent))
from demo_runs import write_run

from pages.ui.shared.markdown import escape_markdown

REPOSITORY = Path(__file__).resolve().parents[2]
RUN = "resnet50"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with checkpoints/ and explanations.json, measured on two small phantoms with one
    further method.
    """
    folder = tmp_path_factory.mktemp("report")
    write_run(folder / "checkpoints", RUN, weights=True)
    options = ReportOptions(
        phantoms=2, validation=0, wider=1, steps=1, resamples=20, height=64, width=64
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_module, "wider_methods", lambda: ["hirescam"])
        root = folder / "checkpoints"
        write_report(folder / "explanations.json", load_runs(root=root), options=options, root=root)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    st.cache_data.clear()
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("OCT_REPORT", str(tmp_path / "explanations.json"))
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return tmp_path


@pytest.fixture
def filled(folder: Path, measured: Path) -> Path:
    shutil.copytree(measured, folder, dirs_exist_ok=True)
    return folder


def visit() -> AppTest:
    return (
        AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=240)
        .switch_page("pages/6_Explanations.py")
        .run()
    )


def said(page: AppTest) -> str:
    return " ".join(
        one.value
        for kind in (page.info, page.warning, page.caption, page.markdown, page.error)
        for one in kind
    )


def change(folder: Path, **parts: Any) -> None:
    path = folder / "explanations.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | parts))


def test_without_a_report_the_page_says_how_to_make_one(folder: Path) -> None:
    write_run(folder / "checkpoints", RUN)
    page = visit()
    assert not page.exception and not page.error and not page.get("plotly_chart")
    assert "explain-report --data DATA" in said(page) and "Is it faithful?" in said(page)


def test_filled(filled: Path) -> None:
    page = visit()
    assert not page.exception and not page.error and not page.warning
    report = read_report(filled / "explanations.json")
    assert report is not None
    assert [one.value for one in page.metric][:3] == ["2", "0", "1"]
    assert "synthetic scans only" in said(page) and len(page.get("plotly_chart")) == 5
    words = {
        row["verdict"] for row in report.raw["verdicts"] if row["layer"] in ("layer4", "input")
    }
    assert len(words) >= 1 and all(any(one in two.value for two in page.markdown) for one in words)
    assert len(page.dataframe[-1].value) == len(report.rows) + 2 * len(report.raw["sanity"]), (
        "the whole table"
    )
    baselines = {"Random map", "Centred Gaussian", "Image gradient"}
    for column, table in (("map", page.dataframe[0].value), ("method", page.dataframe[1].value)):
        assert baselines | {"Grad-CAM"} <= set(table[column]), "a table without its baselines"
    assert any("HiResCAM" in set(one.value.get("method", [])) for one in page.dataframe)


def test_the_top_says_of_each_method_how_far_it_may_be_trusted(filled: Path) -> None:
    page = visit()
    report = read_report(filled / "explanations.json")
    assert report is not None
    lights = [one.proto.body for one in page.get("html") if "oct-light" in one.proto.body]
    methods = ("gradcam", "guided_backprop", "guided_gradcam", "hirescam")
    assert len(lights) == len(methods)
    for method, drawn in zip(methods, lights, strict=True):
        light = light_of(report, method)
        assert f"<b>{light.word}</b>" in drawn
        assert all(escape_markdown(sentence) in said(page) for sentence in light.sentences)
    assert "It has no map of its own" in said(page)
    assert page.header[0].value == "How far each map may be trusted"
    methods_left = "Not measured at all: Grad-CAM++"
    assert methods_left in said(page).replace("\\", "")


def test_a_light_changes_with_the_report(filled: Path) -> None:
    raw = json.loads((filled / "explanations.json").read_text())
    sanity = [row | {"rank_correlation": {"value": 0.9}} for row in raw["sanity"]]
    change(filled, sanity=sanity)
    page = visit()
    lights = [one.proto.body for one in page.get("html") if "oct-light" in one.proto.body]
    assert ["Do not rely on it" in light for light in lights[:3]] == [True, True, True]
    change(filled, sanity=[])
    page = visit()
    assert "Whether it follows what the network learned was not measured" in said(page)


def test_the_headings_go_down_one_step_at_a_time(filled: Path) -> None:
    page = visit()
    assert len(page.title) == 1 and page.header and page.subheader
    assert not [one.value for one in page.markdown if one.value.startswith("#")]


def test_another_measure_is_drawn_and_defined(filled: Path) -> None:
    page = visit()
    page.selectbox(key="report_measure").set_value("road").run()
    headings = [one.value for one in page.subheader]
    assert not page.exception and "ROAD by layer (higher is better)" in headings
    assert "ROAD" in str(page.get("plotly_chart")[0].proto)
    assert escape_markdown("arXiv:2202.00449") in said(page) and "Higher is better" in said(page)


def test_the_table_is_filtered(filled: Path) -> None:
    page = visit()
    page.multiselect(key="report_table_measure").set_value(["energy"]).run()
    assert not page.exception and set(page.dataframe[-1].value["measure"]) <= {"energy"}


def test_the_maps_of_the_cascade_are_drawn_on_demand_and_kept(filled: Path) -> None:
    page = visit()
    page.button(key="strip_draw").click().run()
    assert not page.exception and not page.error
    strips = [
        one.proto.body
        for one in page.get("html")
        if "oct-maps" in one.proto.body and "<figure>" in one.proto.body
    ]
    assert (
        len(strips) == 1
        and strips[0].count("<img") == 7
        and "random: head" in strips[0]
        and "similarity" in strips[0]
    )
    page.run()
    assert any("<figure>" in one.proto.body for one in page.get("html")), "kept in the session"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "got a damaged file"),
        ("[1]", "another JSON file"),
        ('{"schema": 99}', "got 99"),
        ('{"schema": 3, "rows": 3}', "missing or of another form: complete"),
    ],
)
def test_a_damaged_or_foreign_report_is_a_sentence(folder: Path, text: str, message: str) -> None:
    write_run(folder / "checkpoints", RUN)
    (folder / "explanations.json").write_text(text)
    page = visit()
    assert (
        not page.exception
        and escape_markdown(message) in page.error[0].value
        and escape_markdown("explain-report") in page.error[0].value
    )
    assert str(folder) not in page.error[0].value


def test_other_weights_and_a_part_of_a_report_are_said(filled: Path) -> None:
    raw = json.loads((filled / "explanations.json").read_text())
    runs = {RUN: raw["runs"][RUN] | {"weights_sha256": "0" * 64}}
    change(filled, runs=runs, complete=False, tasks={"done": 1, "planned": 9})
    page = visit()
    assert not page.exception and not page.error
    assert "1 of 9 tasks" in page.warning[0].value and "other weights" in page.warning[1].value


def test_a_report_that_has_just_begun_shows_what_there_is(filled: Path) -> None:
    change(filled, rows=[], sanity=[], verdicts=[], right={}, complete=False)
    page = visit()
    assert not page.exception and not page.error and "has not been measured yet" in said(page)


def test_runs_that_are_gone_or_new_are_named(filled: Path) -> None:
    shutil.move(filled / "checkpoints" / RUN, filled / "elsewhere")
    write_run(filled / "checkpoints", "vgg16")
    page = visit()
    assert not page.exception and not page.error
    assert "not installed here: ResNet50" in said(page) and "not measured yet: VGG16" in said(page)


def test_the_viewer_says_beside_a_map_what_was_measured_of_these_weights(filled: Path) -> None:
    page = AppTest.from_file(str(REPOSITORY / "pages" / "1_Viewer.py"), default_timeout=240)
    page.session_state["open_scan"] = make_phantom("CNV", 3, 64, 64).scan
    page.run()
    words = "Measured on this model (page Explanations)"
    assert not page.exception and any(words in one.value for one in page.caption)
    runs = json.loads((filled / "explanations.json").read_text())["runs"]
    change(
        filled, runs={name: about | {"weights_sha256": "0" * 64} for name, about in runs.items()}
    )
    assert not any(words in one.value for one in page.run().caption)
