"""The viewer, simulated: empty, with samples, with uploads good and bad, with damaged runs; and what leaves it."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.runtime.uploaded_file_manager import DeletedFile
from streamlit.testing.v1 import AppTest

from oct_core.checkpoints import LoadedRun
from oct_core.explanations import explain_with_predictions
from oct_core.phantom import make_phantom
from oct_core.types import CLASSES, Scan
from pages.ui import viewer_input
from pages.ui.export import Row, final_figure, overlay_png, raw_npz
from pages.ui.session import Bounded, Viewer, fingerprint

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def app(demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    st.cache_data.clear()
    st.cache_resource.clear()
    monkeypatch.setenv("OCT_CHECKPOINTS", str(demo_root))
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=120).switch_page("pages/1_Viewer.py")


def png(label: str = "CNV", seed: int = 3) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(make_phantom(label, seed, 96, 128).pixels).save(buffer, "PNG")
    return buffer.getvalue()


def said(page: AppTest) -> str:
    kinds = (page.markdown, page.caption, page.info, page.success, page.warning, page.error, page.get("html"))
    return " ".join(str(getattr(one, "value", "") or one.proto.body) for kind in kinds for one in kind)


def open_sample(page: AppTest) -> AppTest:
    page.run()
    next(button for button in page.button if str(button.key).startswith("open_")).click()
    return page.run()


def test_an_uploader_that_was_emptied_already_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an interrupted run the browser sends the old uploader once more: its files are gone from the server by then."""
    state = Viewer(uploader=1, problems=["File 1 (bad.png): this is no picture"])
    deleted = DeletedFile("id")
    monkeypatch.setattr(viewer_input.st, "session_state", {"viewer_upload_0": [deleted]})
    viewer_input._ingest(state, "viewer_upload_0")
    assert (state.uploader, state.ordered(), len(state.problems)) == (1, [], 1)


def test_empty_it_invites_to_open_a_scan(app: AppTest) -> None:
    page = app.run()
    assert not page.exception
    assert "Open a scan to begin" in said(page)
    assert [button.label for button in page.button].count("Open") == len(CLASSES)


def test_without_models_it_says_how_to_train(app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path))
    page = open_sample(app)
    assert not page.exception
    assert "train_all.sh" in said(page)


def test_a_sample_is_read_by_three_models_with_maps(app: AppTest) -> None:
    page = open_sample(app)
    assert not page.exception
    assert not page.error
    text = said(page)
    for title in ("VGG16", "ResNet50", "DenseNet121"):
        assert title in text
    assert text.count("data:image/jpeg") >= 3 * (5 + 5 + 1)
    assert "research" in text.lower()


def test_the_target_class_changes_what_is_explained(app: AppTest) -> None:
    page = open_sample(app)
    page.selectbox(key="viewer_target").set_value("DRUSEN").run()
    assert not page.exception
    assert "DRUSEN" in said(page)


def test_measuring_a_map_gives_scores_and_a_verdict(app: AppTest) -> None:
    page = open_sample(app)
    page.button(key="measure_map").click().run()
    assert not page.exception
    assert {metric.label for metric in page.metric} >= {"Deletion", "Insertion", "On the retina"}
    assert "keeps a rank correlation of" in said(page) and "beyond ±" in said(page)


def test_a_damaged_run_is_one_sentence_and_the_others_answer(app: AppTest, demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(demo_root, tmp_path / "runs")
    (tmp_path / "runs" / "vgg16" / "weights.safetensors").write_bytes(b"not the weights")
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "runs"))
    page = open_sample(app)
    assert not page.exception
    assert "is left out" in page.error[0].value
    assert "DenseNet121" in said(page)


def test_uploads_good_and_bad(app: AppTest) -> None:
    page = app.run()
    uploader = page.get("file_uploader")[0]
    uploader.set_value([("scan_of_mister_x.png", png(), "image/png"), ("bad.png", b"hello", "image/png")]).run()
    assert not page.exception
    assert any("this is not a PNG" in error.value for error in page.error)
    assert "VGG16" in said(page)
    page.toggle(key="viewer_hide_names").set_value(True).run()
    assert "mister" not in said(page)


def test_hiding_the_answer_hides_the_label(app: AppTest) -> None:
    page = open_sample(app)
    page.toggle(key="viewer_hide_answer").set_value(True).run()
    shown = [one.value for one in page.caption]
    assert not any("drawn as" in text for text in shown)


def test_what_leaves_holds_no_metadata(demo_run: Callable[[str], LoadedRun]) -> None:
    scan = Scan(make_phantom("DME", 4, 96, 160).pixels, name="Secret Name.png")
    run = demo_run("densenet121")
    [(prediction, maps)] = explain_with_predictions(scan, run)
    cams = [each for each in maps if each.method == "gradcam"]
    whole = final_figure(scan, [Row(run.card, prediction, "DME", cams, [1.0] * 5)], "All agree", 0.5, "viridis")
    one = overlay_png(scan, maps[0], 0.5, "viridis", 1.0)
    raw = raw_npz(run.card, prediction, maps)
    for data in (whole, one, raw):
        assert b"Secret" not in data
    assert Image.open(io.BytesIO(one)).size == (160, 96)
    assert Image.open(io.BytesIO(whole)).info.keys().isdisjoint({"exif", "Comment", "Title"})
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        assert sum("/" in key for key in arrays) == len(maps)
        assert json.loads(str(arrays["meta"]))["weights_sha256"] == run.card.weights_sha256
        assert np.array_equal(arrays["gradcam/stem"], cams[0].values)


def test_the_session_store_is_bounded_and_keyed_by_pixels() -> None:
    store = Bounded[bytes](3, 100, len)
    for number in range(5):
        store.put(str(number), b"x" * 10)
    assert store.get("0") is None
    assert store.get("4") is not None
    store.put("big", b"x" * 99)
    assert store.get("4") is None
    first = Scan(np.zeros((40, 50), np.uint8), name="a")
    assert fingerprint(first) == fingerprint(Scan(first.pixels.copy(), name="b"))
    assert fingerprint(first) != fingerprint(Scan(np.zeros((50, 40), np.uint8)))


def test_many_scans_stay_within_the_bound() -> None:
    state = Viewer()
    for seed in range(70):
        state.open(Scan(np.full((40, 40), seed, np.uint8)))
    numbers = [int(found.group()) for item in state.ordered() if (found := re.search(r"\d+", str(item.number)))]
    assert len(numbers) <= 64
    assert max(numbers) == 70
