"""For all tests of pages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from demo_runs import write_run

from oct_core.runs.weights import load_runs
from oct_core.trust import report as report_module
from oct_core.trust.report import ReportOptions, write_report

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def app(demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The viewer on the tiny runs, not opened yet; nothing cached."""
    st.cache_data.clear()
    st.cache_resource.clear()
    monkeypatch.setenv("OCT_CHECKPOINTS", str(demo_root))
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=120).switch_page(
        "pages/1_Viewer.py"
    )


@pytest.fixture
def only_the_open_tab() -> None:
    """A test that asks for this sees the tabs as a visitor does."""


@pytest.fixture(autouse=True)
def every_tab_drawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages draw all their tabs, not only the open one, so that one visit sees everything."""
    if "only_the_open_tab" in request.fixturenames:
        return
    tabs = st.tabs

    def draw_all(names: list[str], **options: Any) -> Any:
        return tabs(names, **{key: value for key, value in options.items() if key != "on_change"})

    monkeypatch.setattr(st, "tabs", draw_all)


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, one in training, one that stopped, one that is damaged, and a
    report on the maps of the first.
    """
    folder = tmp_path_factory.mktemp("measured")
    root = folder / "checkpoints"
    write_run(root, "resnet50", weights=True)
    options = ReportOptions(
        phantoms=4, validation=0, wider=1, steps=1, resamples=20, height=64, width=64
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_module, "wider_methods", lambda: ["hirescam"])
        write_report(folder / "explanations.json", load_runs(root=root), options=options, root=root)
    write_run(root, "mine-vgg16", "training")
    write_run(root, "mine-densenet121", "failed")
    (root / "damaged").mkdir()
    (root / "damaged" / "card.json").write_text('{"schema": 99}')
    return folder
