"""Training curves: stages, why losses differ, the x axis, sensitivity by class."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from demo_runs import EPOCHS, write_run

from oct_core.runs.files import read_card, read_history, write_card
from oct_core.runs.lineage import stage_record
from oct_core.types import CLASSES

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = {
    "epochs": EPOCHS,
    "augmentation": 0.7,
    "styles": 0.0,
    "lesions": 0.3,
    "label_smoothing": 0.05,
    "phantoms_per_class": 25,
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    st.cache_data.clear()
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return tmp_path / "checkpoints"


def visit() -> AppTest:
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=90)
    return app.switch_page("pages/2_Training_curves.py").run()


def texts(page: AppTest) -> str:
    return "\n".join(one.value for kind in (page.markdown, page.info, page.caption) for one in kind)


def figures(page: AppTest) -> dict[str, Any]:
    specs = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    return {spec["layout"]["title"]["text"]: spec for spec in specs}


def numbers(values: Any) -> np.ndarray:
    """As plotly writes them."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return np.array(values, float)


def change(folder: Path, **values: Any) -> None:
    raw = json.loads((folder / "card.json").read_text())
    write_card(folder, raw | values)


def set_losses(folder: Path, train: float, val: float) -> None:
    """Of the epoch that was saved."""
    columns = read_history(folder)
    row = list(columns["epoch"]).index(6)
    columns["train_loss"][row], columns["val_loss"][row] = train, val
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(map(str, values)) for values in rows)]
    (folder / "history.csv").write_text("\n".join(lines) + "\n")


def add_sensitivities(folder: Path) -> None:
    lines = (folder / "history.csv").read_text().splitlines()
    head = ",".join(f"val_sensitivity_{name}" for name in CLASSES)
    rows = [f"{line},{k / 10},0.5,1,nan" for k, line in enumerate(lines[1:])]
    (folder / "history.csv").write_text("\n".join([f"{lines[0]},{head}", *rows]) + "\n")


def test_the_first_weights_and_the_stages_of_a_run_are_named_and_drawn(root: Path) -> None:
    first = write_run(root, "resnet50")
    change(first, training=SETTINGS)
    second = write_run(root, "my-resnet50", seed=1)
    change(
        second,
        training=SETTINGS | {"teachers": ["vgg16:0123456789ab"]},
        initialisation="weights.safetensors",
        earlier_stages=[stage_record(read_card(first))],
    )
    page = visit()
    lines = next(one.value for one in page.markdown if "stage 1" in one.value).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("1. Starts from random weights.") and "**resnet50**" in lines[0]
    assert lines[1].startswith("2. Starts from the weights of stage 1.")
    assert "answers of vgg16" in lines[1] and "100 phantoms" in lines[1]
    for number, line in enumerate(lines, start=1):
        assert f"Epoch 6 of stage {number} was saved" in line
    why = {one.value.splitlines()[0] for one in page.markdown if "Epoch" in one.value}
    assert any(" Epoch 6 of stage 2: training" in one.value for one in page.markdown), why
    assert any(" Epoch 6: training" in one.value for one in page.markdown), why
    loss = figures(page)["Loss by epoch"]
    own = [
        trace
        for trace in loss["data"]
        if trace["name"].startswith("ResNet50 (my-resnet50), validation")
    ]
    assert len(numbers(own[0]["y"])) == 2 * EPOCHS + 1 and len(loss["layout"]["shapes"]) == 1
    assert any(f"best epoch {EPOCHS + 6}" in trace["name"] for trace in loss["data"])


@pytest.mark.parametrize(
    ("train", "settings", "said", "unsaid"),
    [
        (0.9, SETTINGS, "augmentation 0.7), drawn lesions, smoothed labels (0.05), dropout", "two"),
        (0.9, {"epochs": 4, "widening": 0.2}, "harder: two scans in one, dropout", "smoothed"),
        (0.1, SETTINGS, "knows its training scans best", "harder"),
    ],
)
def test_why_the_losses_differ_is_said_from_the_runs_own_settings(
    root: Path, train: float, settings: dict[str, Any], said: str, unsaid: str
) -> None:
    folder = write_run(root, "vgg16")
    change(folder, training=settings)
    set_losses(folder, train, 0.3)
    line = next(one.value for one in visit().markdown if one.value.startswith("- **VGG16.**"))
    assert f"Epoch 6: training {train:.3f}, validation 0.300." in line
    assert said in line and unsaid not in line


def test_a_network_without_dropout_is_not_said_to_drop(root: Path) -> None:
    folder = write_run(root, "resnet50")
    change(folder, training={"epochs": 4})
    set_losses(folder, 0.9, 0.3)
    assert "No setting makes training harder" in texts(visit())


def test_curves_by_time(root: Path) -> None:
    write_run(root, "vgg16")
    page = visit()
    by_epoch = figures(page)["Loss by epoch"]
    assert by_epoch["layout"]["xaxis"]["title"]["text"] == "Epoch"
    page.segmented_control(key="curve_axis").set_value("time").run()
    by_time = figures(page)["Loss by epoch"]
    assert by_time["layout"]["xaxis"]["title"]["text"] == "Minutes of training"
    # 30 s an epoch
    np.testing.assert_allclose(numbers(by_time["data"][0]["x"]), np.arange(1, EPOCHS + 1) / 2)
    assert figures(page)["Learning rate"]


def test_a_run_without_times_has_them_all_by_epoch_and_says_so(root: Path) -> None:
    write_run(root, "vgg16")
    folder = write_run(root, "resnet50")
    text = (folder / "history.csv").read_text().replace("seconds", "older", 1)
    (folder / "history.csv").write_text(text)
    page = visit()
    page.segmented_control(key="curve_axis").set_value("time").run()
    assert not page.exception and not page.error
    assert figures(page)["Loss by epoch"]["layout"]["xaxis"]["title"]["text"] == "Epoch"
    assert "no times on record" in texts(page)


def test_sensitivity_by_class_where_it_is_recorded_and_its_lack_is_said(root: Path) -> None:
    write_run(root, "vgg16")
    add_sensitivities(write_run(root, "resnet50"))
    page = visit()
    assert not page.exception and not page.error
    drawn = [title for title in figures(page) if title.startswith("Sensitivity by class")]
    assert drawn == ["Sensitivity by class: ResNet50"]
    lines = {trace["name"]: trace for trace in figures(page)[drawn[0]]["data"] if "y" in trace}
    assert set(CLASSES) <= set(lines)
    lacking = next(one.value for one in page.info if "on record" in one.value)
    assert "VGG16" in lacking and "ResNet50" not in lacking


def test_a_new_stage_on_an_old_one_keeps_its_sensitivities(root: Path) -> None:
    first, second = write_run(root, "resnet50"), write_run(root, "my-resnet50", seed=1)
    add_sensitivities(second)
    change(second, earlier_stages=[stage_record(read_card(first))])
    page = visit()
    assert not page.exception and not page.error
    drawn = [title for title in figures(page) if title.startswith("Sensitivity by class")]
    assert drawn == ["Sensitivity by class: ResNet50 (my-resnet50)"]
    traces = [trace for trace in figures(page)[drawn[0]]["data"] if trace["name"] == "CNV"]
    shares = max((numbers(trace["y"]) for trace in traces if "y" in trace), key=len)
    assert len(shares) == 2 * EPOCHS + 1 and np.isnan(shares[: EPOCHS + 1]).all()
    assert shares[EPOCHS + 2] == 0.1


def test_headings_follow_each_other(root: Path) -> None:
    write_run(root, "vgg16")
    page = visit()
    assert [one.value for one in page.title] == ["Training curves"]
    assert [one.value for one in page.header] == ["How each run was trained"]
    assert not page.subheader
