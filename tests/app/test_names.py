"""Names of runs, patients and files that look like Markdown or HTML appear as they are."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from demo_runs import picture_bytes, table, write_run
from test_made_up_language import texts_of

from oct_core.runs.files import write_predictions
from oct_core.runs.weights import load_runs
from oct_core.trust import report as report_module
from oct_core.trust.report import ReportOptions, write_report

REPOSITORY = Path(__file__).resolve().parents[2]
WILD = "**x** [a](b) :red[c] <i>d</i>"
RUN = WILD.replace("/", "|") + " resnet50"
IMAGE = WILD.replace("/", "|") + ".png"
# Streamlit shows these as plain text; all other texts are Markdown. HTML and plotly have tests of
# their own.
PLAIN = {
    "selectbox",
    "multiselect",
    "arrow_data_frame",
    "dataframe",
    "imgs",
    "html",
    "plotly_chart",
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run, a report on its maps, and a data folder; every name is WILD."""
    folder = tmp_path_factory.mktemp("names")
    root = folder / "checkpoints"
    run = write_run(root, RUN, weights=True)
    rows = table(0)
    image, patient = rows.image.astype("<U64"), rows.patient.astype("<U64")
    image[0], patient[0] = IMAGE, WILD
    write_predictions(run, dataclasses.replace(rows, image=np.array(image), patient=patient))
    (folder / "data").mkdir()
    (folder / "data" / IMAGE).write_bytes(picture_bytes("CNV", 0))
    options = ReportOptions(
        phantoms=2, validation=0, wider=1, steps=1, resamples=20, height=64, width=64
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_module, "wider_methods", lambda: [])
        write_report(folder / "explanations.json", load_runs(root=root), options=options, root=root)
    (root / WILD.replace("/", "|")).mkdir()
    (root / WILD.replace("/", "|") / "card.json").write_text('{"schema": 99}')
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: Path) -> Path:
    st.cache_data.clear()
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("OCT_REPORT", str(tmp_path / "explanations.json"))
    monkeypatch.setenv("OCT_DATA", str(tmp_path / "data"))
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return tmp_path


def as_read(markdown: str) -> str:
    """What a person sees of escaped Markdown."""
    return re.sub(r"\\(.)", r"\1", markdown).replace("\u2060", "")


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("", 2),
        ("2_Training_curves", 10),
        ("3_Performance", 10),
        ("4_Predictions", 3),
        ("5_Gallery", 3),
        ("6_Explanations", 10),
        ("7_Data_and_models", 3),
    ],
)
def test_a_name_that_looks_like_markup_appears_as_it_is(
    folder: Path, name: str, least: int
) -> None:
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=240)
    page = (app.switch_page(f"pages/{name}.py") if name else app).run()
    assert not page.exception and not page.error
    texts = [(kind, text) for kind, text in texts_of(page) if "[a]" in as_read(text)]
    assert len(texts) >= least
    assert name != "5_Gallery" or any(IMAGE in as_read(text) for _, text in texts)
    for kind, text in texts:
        if kind not in PLAIN:
            bare = re.sub(r"\\.", "", text)
            assert not re.search(r"\*\*x\*\*|\[a\]|:red\[|<i>", bare), (kind, text)


def test_html_of_home_is_escaped(folder: Path) -> None:
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=90).run()
    bodies = [one.proto.body for one in app.get("html") if "[a]" in one.proto.body]
    assert bodies and all("&lt;i&gt;" in body and "<i>" not in body for body in bodies)


def test_plotly_reads_no_html_in_names(folder: Path) -> None:
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=90)
    page = app.switch_page("pages/2_Training_curves.py").run()
    for chart in page.get("plotly_chart"):
        spec = json.loads(chart.proto.spec)
        names = [trace["name"] for trace in spec["data"] if "[a]" in trace["name"]]
        assert names and all("&lt;i&gt;" in name and "<i>" not in name for name in names)
