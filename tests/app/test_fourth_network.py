"""One more network is one entry in the catalog, one builder and one recipe: EfficientNet-B0, added
by this test alone, is trained, explained, listed, coloured and titled everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest
from torch import nn
from torchvision import models

from oct_core.cli import main
from oct_core.data.pack import Pack
from oct_core.errors import ExplanationError
from oct_core.evaluation import evaluate_run
from oct_core.explanations import activations_of, explain, methods_for
from oct_core.models.catalog import ARCHITECTURES, Architecture, run_title
from oct_core.models.networks import BUILDERS
from oct_core.runs.files import list_runs, read_card
from oct_core.runs.weights import LoadedRun, load_run
from oct_core.scans.phantom import make_phantom
from oct_core.training.config import TrainingConfig
from oct_core.training.job import TrainingJob
from oct_core.training.recipes import RECIPES, recipe
from oct_core.training.run import train_run
from oct_core.trust import report as report_module
from oct_core.trust.report import ReportOptions, write_report

NAME, TITLE, COLOUR = "efficientnet_b0", "EfficientNet-B0", "#6A51A3"
REPOSITORY = Path(__file__).resolve().parents[2]
GUIDED = {"guided_backprop", "guided_gradcam"}
ENTRY = Architecture(
    NAME,
    TITLE,
    "Tan and Le 2019",
    "1905.11946",
    "Inverted bottlenecks, scaled in depth, width and size together.",
    {"stem": "features.0", "stage3": "features.3", "stage5": "features.5", "last": "features.8"},
    "classifier",
    COLOUR,
    ("SiLU", "Sigmoid"),
)


def build(classes: int) -> nn.Module:
    network: nn.Module = models.efficientnet_b0(weights=None, num_classes=classes)
    return network


@pytest.fixture(scope="module")
def registered() -> Iterator[None]:
    """The three lines that a new network takes, taken back at the end."""
    with pytest.MonkeyPatch.context() as patch:
        for registry in (ARCHITECTURES, BUILDERS, RECIPES):
            patch.setattr(registry, "_entries", dict(registry._entries))
        ARCHITECTURES.add(NAME, ENTRY)
        BUILDERS.add(NAME, build)
        RECIPES.add(NAME, TrainingConfig(NAME, epochs=1, batch_size=8))
        yield
    assert NAME not in ARCHITECTURES and NAME not in BUILDERS and NAME not in RECIPES


@pytest.fixture(scope="module")
def folder(registered: None, tiny_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run, trained for one epoch, and a small report on its maps."""
    folder = tmp_path_factory.mktemp("fourth")
    config = recipe(NAME, initialisation="random", epochs=1, batch_size=8)
    train_run(TrainingJob(config, tiny_pack, folder / NAME, torch.device("cpu")))
    evaluate_run(folder / NAME)
    small = ReportOptions(
        phantoms=1, validation=0, wider=1, steps=1, resamples=20, height=64, width=64
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_module, "wider_methods", lambda: [])
        report = folder / "explanations.json"
        write_report(report, [load_run(NAME, root=folder)], options=small, root=folder)
    return folder


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedRun:
    """The run, where the pages and the command line look for it."""
    st.cache_data.clear()
    monkeypatch.setenv("OCT_CHECKPOINTS", str(folder))
    monkeypatch.setenv("OCT_REPORT", str(folder / "explanations.json"))
    monkeypatch.delenv("OCT_DATA", raising=False)
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return load_run(NAME)


def test_it_is_trained_listed_and_titled(
    run: LoadedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    card = read_card(run.card.folder)
    assert (card.status, card.architecture) == ("done", NAME)
    assert {"val", "test"} <= set(card.raw["metrics"]) and card.best_epoch is not None
    assert [each.name for each in list_runs()] == [NAME]
    assert run_title(NAME, NAME) == TITLE and run_title(NAME, "mine") == f"{TITLE} (mine)"
    assert main(["runs"]) == 0 and NAME in capsys.readouterr().out


def test_a_gate_reads_the_averages_of_its_deepest_layers(run: LoadedRun) -> None:
    scan = make_phantom("DME", 4, 96, 128).scan
    kept: list[torch.Tensor] = []
    handles = [
        run.layers[name].register_forward_hook(lambda module, given, out: kept.append(out))
        for name in list(ENTRY.layers)[-2:]
    ]
    with torch.inference_mode():
        run.model(run.inputs([scan]))
    for handle in handles:
        handle.remove()
    [prediction] = run.predict(scan)
    expected = np.concatenate([each.numpy().mean((0, 2, 3)) for each in kept])
    assert prediction.features is not None
    np.testing.assert_allclose(prediction.features, expected, rtol=1e-3, atol=1e-5)


def test_it_is_explained_by_grad_cam_at_its_layers_and_not_by_guided_maps(run: LoadedRun) -> None:
    scan = make_phantom("CNV", 3, 96, 128).scan
    (maps,) = explain(scan, run, methods=["gradcam"])
    assert [each.layer for each in maps] == list(ENTRY.layers)
    assert all(each.values.shape == (96, 128) and each.values.min() >= 0 for each in maps)
    assert any(each.evidence for each in maps)
    assert activations_of(run.model) == ENTRY.activations
    assert set(methods_for("vgg16")) - set(methods_for(NAME)) == GUIDED
    for method in GUIDED:
        with pytest.raises(ExplanationError, match=r"has SiLU, Sigmoid: use [A-Z]"):
            explain(scan, run, methods=[method])


def test_the_command_line_explains_with_what_holds_and_says_the_rest(
    run: LoadedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(make_phantom("CNV", 3, 96, 128).pixels).save(tmp_path / "scan.png")
    options = [
        "explain",
        str(tmp_path / "scan.png"),
        "--run",
        NAME,
        "--out",
        str(tmp_path / "maps"),
    ]
    assert main([*options, "--device", "cpu"]) == 0
    written = np.load(tmp_path / "maps" / f"scan_{NAME}.npz")
    assert {f"gradcam/{layer}" for layer in ENTRY.layers} <= set(written.files)
    assert not any(name.startswith("guided") for name in written.files)
    assert "Guided backpropagation, Guided Grad-CAM" in capsys.readouterr().err
    assert main([*options, "--method", "guided_backprop"]) == 1
    assert "Guided backpropagation holds only for" in capsys.readouterr().err


def test_the_report_records_what_it_skipped(run: LoadedRun, folder: Path) -> None:
    raw = json.loads((folder / "explanations.json").read_text())
    assert {(row["run"], row["method"]) for row in raw["skipped"]} == {
        (NAME, method) for method in GUIDED
    }
    assert all("SiLU, Sigmoid" in row["reason"] for row in raw["skipped"])
    measured = {row["method"] for row in raw["rows"]}
    assert "gradcam" in measured and not measured & GUIDED


def visit(page: str) -> AppTest:
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=120)
    return (app.switch_page(f"pages/{page}.py") if page else app).run()


def everything(page: AppTest) -> str:
    """Every text, table, chart and label of a page."""
    elements = [element.proto for element in page.main] + [each.proto for each in page.sidebar]
    tables = [each.value.to_csv() for each in page.dataframe]
    return " ".join([*map(str, elements), *tables])


@pytest.mark.parametrize(
    ("page", "coloured"),
    [
        ("", True),
        ("2_Training_curves", True),
        ("3_Performance", True),
        ("4_Predictions", False),
        ("5_Gallery", False),
        ("6_Explanations", True),
        ("7_Data_and_models", False),
    ],
)
def test_every_page_titles_and_colours_it(run: LoadedRun, page: str, coloured: bool) -> None:
    """Where a page has no colour by run, it has the title alone."""
    at = visit(page)
    assert not at.exception and not at.error
    text = everything(at)
    assert TITLE in text
    if coloured:
        assert COLOUR in text
    if page == "":
        assert ENTRY.blurb in text
    if page == "7_Data_and_models":
        assert f"https://arxiv.org/abs/{ENTRY.arxiv}" in text
    if page == "5_Gallery":
        assert ENTRY.last_layer in text
        assert len(at.selectbox(key="gallery_depth").options) == len(ENTRY.layers)


def test_the_viewer_titles_colours_and_explains_it(run: LoadedRun) -> None:
    st.cache_resource.clear()
    page = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=120)
    page.switch_page("pages/1_Viewer.py")
    page.session_state["open_scan"] = make_phantom("CNV", 3, 64, 64).scan
    page.run()
    assert not page.exception and not page.error
    text = everything(page)
    assert TITLE in text and COLOUR in text
    assert all(f"Grad-CAM</b> · {layer}" in text for layer in ENTRY.layers)
    offered = page.multiselect(key="viewer_methods").options
    assert "Grad-CAM" in offered and not any("Guided" in title for title in offered)
