"""The viewer, simulated: empty, with samples, with uploads good and bad, with damaged runs; and
what leaves it.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.runtime.uploaded_file_manager import DeletedFile
from streamlit.testing.v1 import AppTest

from oct_core.explanations import explain_with_predictions
from oct_core.exports import maps_npz
from oct_core.runs.weights import LoadedRun
from oct_core.scans import COLOUR_NOTE
from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES, Explanation, Prediction, RunCard, Scan
from pages.ui.app.session import Bounded, Viewer, fingerprint
from pages.ui.shared.samples import Sample
from pages.ui.viewer import compute as viewer_compute
from pages.ui.viewer import input as viewer_input
from pages.ui.viewer import page as viewer_page
from pages.ui.viewer.compute import in_scan_pixels
from pages.ui.viewer.controls import first_models
from pages.ui.viewer.export import Row, final_figure, overlay_png
from pages.ui.viewer.predictions import small_bars

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def app(demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    st.cache_data.clear()
    st.cache_resource.clear()
    monkeypatch.setenv("OCT_CHECKPOINTS", str(demo_root))
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=120).switch_page(
        "pages/1_Viewer.py"
    )


def png(label: str = "CNV", seed: int = 3) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(make_phantom(label, seed, 96, 128).pixels).save(buffer, "PNG")
    return buffer.getvalue()


def said(page: AppTest) -> str:
    kinds = (
        page.markdown,
        page.caption,
        page.info,
        page.success,
        page.warning,
        page.error,
        page.get("html"),
    )
    return " ".join(
        str(getattr(one, "value", "") or one.proto.body) for kind in kinds for one in kind
    )


def open_sample(page: AppTest) -> AppTest:
    page.run()
    next(button for button in page.button if str(button.key).startswith("open_")).click()
    return page.run()


def test_an_uploader_that_was_emptied_already_is_not_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After an interrupted run the browser sends the old uploader once more: its files are gone
    from the server by then.
    """
    state = Viewer(uploader=1, problems=[(1, "bad.png", "this is no picture")])
    monkeypatch.setattr(viewer_input.st, "session_state", {"viewer_upload_0": [DeletedFile("id")]})
    viewer_input._ingest(state, "viewer_upload_0")
    assert (state.uploader, state.ordered(), len(state.problems)) == (1, [], 1)
    new = SimpleNamespace(name="new.png", file_id="2", getvalue=png)
    monkeypatch.setattr(
        viewer_input.st, "session_state", {"viewer_upload_0": [DeletedFile("id"), new]}
    )
    viewer_input._ingest(state, "viewer_upload_0")
    assert [item.scan.name for item in state.ordered()] == ["new.png"], (
        "dropped there meanwhile, it is not lost"
    )


def test_empty_it_invites_to_open_a_scan(app: AppTest) -> None:
    page = app.run()
    assert not page.exception
    assert "Open a scan to begin" in said(page)
    assert [button.label for button in page.button].count("Open") == len(CLASSES)


def test_empty_it_says_how_well_the_chosen_models_do(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = app.run()
    [chart] = page.get("plotly_chart")
    assert "How well the models do" in [
        one.value for one in page.subheader
    ] and "patients of the test part" in said(page)
    assert all(title in chart.proto.spec for title in ("VGG16", "ResNet50", "DenseNet121"))
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path))
    page = app.run()
    assert (
        not page.exception
        and not page.get("plotly_chart")
        and "patients of the test part" not in said(page)
    )


def test_without_models_it_says_how_to_train(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_damaged_run_is_one_sentence_and_the_others_answer(
    app: AppTest, demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    uploader.set_value(
        [("scan_of_mister_x.png", png(), "image/png"), ("bad.png", b"hello", "image/png")]
    ).run()
    assert not page.exception
    assert any("this is not a PNG" in error.value for error in page.error)
    assert "VGG16" in said(page)
    page.toggle(key="viewer_hide_names").set_value(True).run()
    assert "mister" not in said(page)


def test_hiding_the_answer_hides_the_class_and_what_the_models_say_until_asked(
    app: AppTest,
) -> None:
    page = open_sample(app)
    page.toggle(key="viewer_hide_answer").set_value(True).run()
    assert not any(
        name in said(page).replace("oct-", "")
        for name in ("drawn as", "agree", "maps for", *(f"Synthetic {label}" for label in CLASSES))
    )
    assert not page.get("plotly_chart")
    next(one for one in page.toggle if str(one.key).startswith("reveal_")).set_value(True).run()
    assert "drawn as CNV" in said(page) and "maps for" in said(page)


def test_a_sample_handed_over_by_another_page_is_that_sample(app: AppTest) -> None:
    app.session_state["open_scan"] = Sample("DME", 2)
    page = app.run()
    assert "Synthetic DME 2" in said(page) and "drawn as DME" in said(page)
    page.session_state["open_scan"] = Sample("DME", 2)
    page.run()
    assert len(page.session_state["viewer"].ordered()) == 1, "opened once"


def test_a_box_too_small_to_be_read_keeps_the_last_good_one(app: AppTest) -> None:
    page = open_sample(app)
    item = page.session_state["viewer"].item()
    page.toggle(key=f"crop_{item.id}").set_value(True).run()
    page.slider(key=f"columns_{item.id}_0").set_value((100, 300)).run()
    assert item.view().pixels.shape == (496, 200)
    page.slider(key=f"columns_{item.id}_0").set_value((100, 108)).run()
    assert (
        "at least 32 pixels" in said(page)
        and item.view().pixels.shape == (496, 200)
        and "maps for" in said(page)
    )


def test_the_doubt_is_about_the_scan_as_it_is_read() -> None:
    white = Scan(255 - make_phantom("NORMAL", 3, 128, 160).pixels)
    item = Viewer().open(white)
    assert "switch on invert" in (item.objection(item.view()) or "")
    item.invert = True
    assert item.objection(item.view()) is None
    coloured = Viewer().open(Scan(make_phantom("NORMAL", 3, 128, 160).pixels, notes=(COLOUR_NOTE,)))
    coloured.box = (0, 0, 160, 128)
    assert "in colour" in (coloured.objection(coloured.view()) or ""), (
        "a box around everything cuts nothing off"
    )
    coloured.box = (4, 0, 160, 128)
    assert coloured.objection(coloured.view()) is None


def test_a_method_that_fails_leaves_the_other_maps(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = viewer_page.one_map

    def fails(
        state: Viewer, scan: Scan, card: RunCard, target: str, method: str, layer: str
    ) -> Explanation:
        if method == "eigencam":
            raise RuntimeError("it does not converge")
        return real(state, scan, card, target, method, layer)

    monkeypatch.setattr(viewer_page, "one_map", fails)
    page = open_sample(app)
    page.multiselect(key="viewer_methods").set_value(["gradcam", "eigencam", "hirescam"]).run()
    assert (
        len(page.error) == 3
        and said(page).count("<b>HiResCAM</b>") == 3
        and said(page).count("<b>Grad-CAM</b>") == 15
    )


def test_of_many_runs_one_of_each_architecture_is_compared_at_first() -> None:
    def card(name: str, architecture: str) -> RunCard:
        return RunCard(name, Path(name), "done", architecture, CLASSES, {}, "sha", 1.0, 1, {})

    many = [
        card("vgg16", "vgg16"),
        card("a-resnet50", "resnet50"),
        card("a-vgg16", "vgg16"),
        card("b-resnet50", "resnet50"),
    ]
    assert first_models(many) == ["vgg16", "b-resnet50"]


@pytest.mark.parametrize("name", ["bad (Anna): Mueller.png", "*Mueller*.png"])
def test_a_hidden_name_is_not_in_the_sentence_about_a_refused_file(app: AppTest, name: str) -> None:
    app.session_state["viewer"] = Viewer(problems=[(1, name, "this is no picture")])
    page = app.run()
    assert "Mueller" in said(page)
    page.toggle(key="viewer_hide_names").set_value(True).run()
    assert "Mueller" not in said(page) and "File 1: this is no picture" in said(page)


def test_what_leaves_holds_no_metadata(
    demo_run: Callable[[str], LoadedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = Scan(make_phantom("DME", 4, 96, 160).pixels, name="Secret Name.png")
    run = demo_run("densenet121")
    [(prediction, maps)] = explain_with_predictions(scan, run)
    [(_, small)] = explain_with_predictions(scan, run, network_size=True)
    monkeypatch.setattr(viewer_compute, "get_run", lambda name: run)
    cams = [each for each in maps if each.method == "gradcam"]
    whole = final_figure(
        scan, [Row(run.card, prediction, "DME", cams, [1.0] * 5)], "All agree", 0.5, "viridis"
    )
    one = overlay_png(scan, maps[0], 0.5, "viridis", 1.0)
    raw = maps_npz(run.card, prediction, in_scan_pixels(scan, small))
    for data in (whole, one):
        assert b"Secret" not in data and Image.open(io.BytesIO(data)).info == {}
    assert Image.open(io.BytesIO(one)).size == (160, 96)
    assert Image.open(io.BytesIO(whole)).info.keys().isdisjoint({"exif", "Comment", "Title"})
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        assert sum("/" in key for key in arrays) == len(maps)
        meta = json.loads(str(arrays["meta"]))
        assert meta["weights_sha256"] == run.card.weights_sha256 and "Secret" not in json.dumps(
            meta
        )
        assert {"signed", "minimum", "maximum", "evidence", "target"} <= set(
            meta["maps"]["gradcam/stem"]
        ) and "torch" in meta["versions"]
        for each in maps:  # as the command line gives them
            np.testing.assert_allclose(arrays[each.key], each.values, rtol=1e-4, atol=1e-6)


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
    numbers = [
        int(found.group())
        for item in state.ordered()
        if (found := re.search(r"\d+", str(item.number)))
    ]
    assert len(numbers) <= 64
    assert max(numbers) == 70
    assert state.crowded_out == 6
    state.close_all()
    assert state.crowded_out == 0


def test_scans_that_had_to_go_are_told_of(app: AppTest) -> None:
    page = open_sample(app)
    page.session_state["viewer"].crowded_out = 2
    assert "The 2 scans opened first were closed to make room: at most 64" in said(page.run())


def test_the_colours_of_the_chosen_methods_are_explained(app: AppTest) -> None:
    page = open_sample(app)
    assert "CAM: 0" in said(page) and "against the class" in said(page)
    page.multiselect(key="viewer_methods").set_value(["guided_backprop"]).run()
    assert "CAM: 0" not in said(page) and "against the class" in said(page)


def test_a_closed_scan_leaves_no_maps_behind() -> None:
    state, scans = Viewer(), [Scan(np.full((40, 40), value, np.uint8)) for value in (1, 2)]
    items = [state.open(scan) for scan in scans]
    items[0].invert = True
    for item in items:
        state.maps.put(f"run|hash|{fingerprint(item.view())}|CNV", [])
        state.predictions.put(f"run|hash|{fingerprint(item.view())}", None)  # type: ignore[arg-type]
    state.close(items[0])
    assert len(state.maps) == len(state.predictions) == 1
    assert (
        state.predictions.get(f"run|hash|{fingerprint(scans[1])}") is None
        and state.maps.get(f"run|hash|{fingerprint(scans[1])}|CNV") == []
    )


def test_a_bar_of_a_probability_near_0_has_a_width_and_its_number() -> None:
    """plotly leaves out the number of a bar that has no width."""
    probabilities = np.array([0.9997, 0.0003, 1e-9, 0.0])
    [bars] = small_bars(Prediction("vgg16", np.zeros(4, np.float32), probabilities)).data
    assert min(bars.x) == 0.002 and bars.x[0] == 0.9997
    np.testing.assert_array_equal(bars.customdata, probabilities)
    assert list(bars.text) == ["100%", "0%", "0%", "0%"] and "customdata:.4f" in bars.hovertemplate
