"""The home page: empty, filled and failing."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from demo_runs import write_run

from oct_core.errors import CheckpointError
from oct_core.runs.files import read_card, read_predictions
from pages.ui.app import services

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    st.cache_data.clear()
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return tmp_path / "checkpoints"


def home() -> AppTest:
    return AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=60).run()


def test_without_runs_it_says_how_to_train_and_still_shows_the_classes(root: Path) -> None:
    page = home()
    assert not page.exception and not page.error
    assert "no trained model" in page.info[0].value and "train_all.sh" in page.info[0].value
    assert {"**CNV**", "**DME**", "**DRUSEN**", "**NORMAL**"} <= {
        one.value for one in page.markdown
    }


def test_each_model_has_its_figures_with_interval_and_n(root: Path) -> None:
    folders = [write_run(root, name) for name in ("vgg16", "resnet50", "densenet121")]
    page = home()
    assert (
        not page.exception and [one.label for one in page.metric] == ["Accuracy", "Macro AUC"] * 4
    )
    stored = json.loads((folders[0] / "card.json").read_text())["metrics"]["test"]["accuracy"]
    of_vgg16 = [one for one in page.metric if one.label == "Accuracy"][1]
    assert of_vgg16.value == f"{stored['value']:.3f}"
    assert of_vgg16.delta == f"{stored['low']:.3f} to {stored['high']:.3f}"
    assert sum("32 scans of" in one.value for one in page.caption) == 4


def test_the_ensemble_leads_with_its_own_figures(root: Path) -> None:
    folders = [write_run(root, name, seed=seed) for seed, name in enumerate(("vgg16", "resnet50"))]
    tables = [read_predictions(folder).of_split("test") for folder in folders]
    temperatures = [read_card(folder).temperature for folder in folders]
    shares = [
        np.exp(table.logits / t) / np.exp(table.logits / t).sum(axis=1, keepdims=True)
        for table, t in zip(tables, temperatures, strict=True)
    ]
    right = (shares[0] + shares[1]).argmax(axis=1) == tables[0].label
    page = home()
    assert page.metric[0].value == f"{right.mean():.3f}"
    bodies = [one.proto.body for one in page.get("html") if "oct-lead" not in one.proto.body]
    titles = [name for body in bodies for name in ("Ensemble", "VGG16", "ResNet50") if name in body]
    assert titles == ["Ensemble", "VGG16", "ResNet50"]


def test_of_one_run_there_is_no_ensemble(root: Path) -> None:
    write_run(root, "vgg16")
    assert not any("Ensemble" in one.proto.body for one in home().get("html"))


def test_a_card_without_figures_is_evaluated_from_its_predictions(root: Path) -> None:
    folder = write_run(root, "vgg16")
    card = json.loads((folder / "card.json").read_text())
    expected = card["metrics"].pop("test")["accuracy"]["value"]
    (folder / "card.json").write_text(json.dumps(card))
    assert home().metric[0].value == f"{expected:.3f}"


@pytest.mark.parametrize(
    ("status", "said"), [("training", "Still being trained"), ("failed", "stopped early")]
)
def test_a_run_without_figures_says_why(root: Path, status: str, said: str) -> None:
    write_run(root, "vgg16", status)
    page = home()
    assert not page.metric and any(said in one.value for one in page.info)


def test_a_damaged_card_is_reported_and_hides_no_other(root: Path) -> None:
    write_run(root, "vgg16")
    (root / "broken").mkdir()
    (root / "broken" / "card.json").write_text("{")
    page = home()
    assert not page.exception and len(page.metric) == 2
    assert "broken" in page.warning[0].value


def test_it_says_the_limits_and_once_that_it_is_research(root: Path) -> None:
    page = home()
    assert any("Maps show where, not why" in one.value for one in page.markdown)
    assert sum("not a medical device" in one.proto.body for one in page.get("html")) == 1


def test_the_models_are_loaded_once_in_the_background_while_home_is_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("vgg16", "resnet50"):
        write_run(root, name, weights=True)
    asked: list[str] = []
    finished = threading.Event()

    daemons: list[bool] = []

    def load(folder: str, weights_sha256: str) -> None:
        asked.append(Path(folder).name)
        daemons.append(threading.current_thread().daemon)
        if len(asked) == 2:
            finished.set()
        raise CheckpointError("damaged: the thread leaves this to the page that needs the run")

    monkeypatch.setattr(services, "_warming", threading.Lock())
    monkeypatch.setattr(services, "_load", load)
    assert not home().exception
    assert finished.wait(20)
    home()
    assert asked == ["vgg16", "resnet50"]
    assert daemons == [False, False], (
        "torch aborts a process that ends while a daemon thread loads it"
    )
