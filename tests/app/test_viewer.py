"""The viewer, simulated: empty, with samples, with uploads good and bad, with damaged runs; and
what leaves it.
"""

from __future__ import annotations

import gc
import io
import json
import re
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.runtime.uploaded_file_manager import DeletedFile
from streamlit.testing.v1 import AppTest

from oct_core import explanations
from oct_core.explanations import explain_with_predictions
from oct_core.exports import maps_npz
from oct_core.figures.final_figure import FigureRow, final_figure, overlay_png
from oct_core.runs.turns import ModelLock, Work, WorkStoppedError, pause
from oct_core.runs.weights import LoadedRun
from oct_core.scans.likeness import find_objection
from oct_core.scans.phantom import make_phantom
from oct_core.trust.judge import Judge
from oct_core.types import CLASSES, Explanation, Prediction, RunCard, Scan
from oct_core.words import RESEARCH_LINE, say
from pages.ui.app.session import MAX_SCANS, Bounded, Job, Viewer, fingerprint
from pages.ui.shared.run_data import one_of_each
from pages.ui.shared.samples import Sample
from pages.ui.viewer import compute as viewer_compute
from pages.ui.viewer import input as viewer_input
from pages.ui.viewer import page as viewer_page
from pages.ui.viewer.compute import in_scan_pixels
from pages.ui.viewer.predictions import bars
from pages.ui.viewer.reading import Reading


def png(label: str = "CNV", seed: int = 3) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(make_phantom(label, seed, 96, 128).pixels).save(buffer, "PNG")
    return buffer.getvalue()


def said(page: AppTest) -> str:
    kinds = (
        page.header,
        page.subheader,
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
        one.value for one in page.header
    ] and "whom the models never saw" in said(page)
    assert all(title in chart.proto.spec for title in ("VGG16", "ResNet50", "DenseNet121"))
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path))
    page = app.run()
    assert (
        not page.exception
        and not page.get("plotly_chart")
        and "whom the models never saw" not in said(page)
    )


def test_without_models_it_says_how_to_train(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path))
    page = open_sample(app)
    assert not page.exception
    assert "train_all.sh" in said(page)


def maps_by_target(page: AppTest) -> dict[str, dict[str, str]]:
    """Target class -> which map (the words on it, without target and maximum) -> its picture."""
    pictures: dict[str, dict[str, str]] = {}
    for source, words in re.findall(r'<img src="([^"]+)" alt="([^"]*)"', said(page)):
        if named := re.fullmatch(r"(.+), target (\w+)(?:, .*)?", words):
            pictures.setdefault(named[2], {})[named[1]] = source
    return pictures


def models_with_maps(page: AppTest) -> set[str]:
    """Titles of the models whose maps are on the page."""
    return {name.rsplit(", ", 1)[1] for maps in maps_by_target(page).values() for name in maps}


def test_a_sample_is_read_by_three_models_with_maps(app: AppTest) -> None:
    page = open_sample(app)
    assert not page.exception
    assert not page.error
    assert models_with_maps(page) == {"VGG16", "ResNet50", "DenseNet121"}
    text = said(page)
    assert text.count("data:image/jpeg") == 1 + 3 + 3 * 5 + 1, "scan, deepest, layers, one in full"
    page.segmented_control(key="viewer_shown_model").set_value("resnet50").run()
    assert said(page).count("data:image/jpeg") == 1 + 3 + 5 + 5 + 1 + 1, "all methods of one model"
    page.segmented_control(key="viewer_shown_model").set_value("all").run()
    page.segmented_control(key="viewer_shown_method").set_value("guided_backprop").run()
    assert said(page).count("data:image/jpeg") == 1 + 3 + 3 + 1, (
        "of each model one, beside the others"
    )
    assert said(page).count("Guided maps look sharp") == 1
    assert text.count(say(RESEARCH_LINE)) == 1


def test_the_target_class_changes_what_is_explained(app: AppTest) -> None:
    page = open_sample(app)
    before = maps_by_target(page)
    assert before and "DRUSEN" not in before, "choose a sample that no model takes for drusen"
    page.selectbox(key="viewer_target").set_value("DRUSEN").run()
    assert not page.exception
    after = maps_by_target(page)
    assert list(after) == ["DRUSEN"]
    earlier = {name: source for maps in before.values() for name, source in maps.items()}
    assert set(after["DRUSEN"]) == set(earlier) and len(earlier) > 3
    changed = [name for name in earlier if after["DRUSEN"][name] != earlier[name]]
    assert len(changed) > len(earlier) / 2


def wait_for_jobs(page: AppTest) -> AppTest:
    """Run the page again until its slow work is done."""
    until = time.monotonic() + 120
    while page.session_state["viewer"].jobs and time.monotonic() < until:
        for job in list(page.session_state["viewer"].jobs.values()):
            job.future.exception(120)
        page.run()
    return page


def test_measuring_a_map_gives_scores_and_a_verdict(app: AppTest) -> None:
    page = open_sample(app)
    for name in ("vgg16", "resnet50", "densenet121"):  # of random weights a map may be zero
        page.segmented_control(key="detail_model").set_value(name).run()
        if not page.button(key="measure_map").disabled:
            break
    assert "Takes about" in said(page)
    page.button(key="measure_map").click().run()
    assert not page.exception
    wait_for_jobs(page)
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
    assert models_with_maps(page) == {"ResNet50", "DenseNet121"}


def test_uploads_good_and_bad(app: AppTest) -> None:
    page = app.run()
    uploader = page.get("file_uploader")[0]
    uploader.set_value(
        [("scan_of_mister_x.png", png(), "image/png"), ("bad.png", b"hello", "image/png")]
    ).run()
    assert not page.exception
    assert any("this is not a PNG" in error.value for error in page.error)
    assert models_with_maps(page) == {"VGG16", "ResNet50", "DenseNet121"}
    assert "mister" in said(page)
    page.toggle(key="viewer_hide_names").set_value(True).run()
    assert "mister" not in said(page)


def test_hiding_the_answer_hides_the_class_and_what_the_models_say_until_asked(
    app: AppTest,
) -> None:
    page = open_sample(app)
    page.toggle(key="viewer_hide_answer").set_value(True).run()
    assert not any(
        name in said(page).replace("oct-", "")
        for name in ("drawn as", "agree", *(f"Synthetic {label}" for label in CLASSES))
    )
    assert not models_with_maps(page)
    assert not page.get("plotly_chart")
    next(one for one in page.toggle if str(one.key).startswith("reveal_")).set_value(True).run()
    assert "drawn as CNV" in said(page) and models_with_maps(page)


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
        and models_with_maps(page)
    )


def test_the_doubt_is_about_the_scan_as_it_is_read() -> None:
    white = Scan(255 - make_phantom("NORMAL", 3, 128, 160).pixels)
    item = Viewer().open(white)
    assert find_objection(item.view()) is not None
    item.invert = True
    assert find_objection(item.view()) is None


def test_colour_counts_inside_the_box_alone() -> None:
    gray = make_phantom("NORMAL", 3, 128, 160)
    colour = np.zeros((128, 320), bool)
    colour[:, 160:] = True
    item = Viewer().open(Scan(np.hstack([gray.pixels, gray.pixels]), colour=colour))
    assert "in colour" in (find_objection(item.view()) or "")
    item.box = (0, 0, 160, 128)
    assert find_objection(item.view()) is None, "the gray scan beside the coloured panel"
    item.box = (164, 0, 320, 128)
    assert "in colour" in (find_objection(item.view()) or ""), "a cut takes no colour away"
    item.luminance = True
    assert find_objection(item.view()) is None


def test_a_method_that_fails_leaves_the_other_maps(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = viewer_page.make_map

    def fails(state: Viewer, scan: Scan, reading: Reading, method: str, layer: str) -> Explanation:
        if method == "eigencam":
            raise RuntimeError("it does not converge")
        return real(state, scan, reading, method, layer)

    monkeypatch.setattr(viewer_page, "make_map", fails)
    page = open_sample(app)
    page.multiselect(key="viewer_methods").set_value(["gradcam", "eigencam", "hirescam"]).run()
    assert len(page.error) == 3 and said(page).count("<b>Grad-CAM</b>") == 15 + 3
    page.segmented_control(key="viewer_shown_method").set_value("hirescam").run()
    assert said(page).count("<b>HiResCAM</b>") == 3 and len(page.error) == 3


def test_of_many_runs_one_of_each_architecture_is_compared_at_first() -> None:
    def card(name: str, architecture: str) -> RunCard:
        return RunCard(name, Path(name), "done", architecture, CLASSES, {}, "sha", 1.0, 1, {})

    many = [
        card("vgg16", "vgg16"),
        card("a-resnet50", "resnet50"),
        card("a-vgg16", "vgg16"),
        card("b-resnet50", "resnet50"),
    ]
    assert [each.name for each in one_of_each(many)] == ["vgg16", "b-resnet50"]


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
    judgement = Judge([run.card]).of(scan, [prediction])
    row = FigureRow(run.card, "DenseNet121", "#009E73", prediction, "DME", cams, [1.0] * 5)
    whole = final_figure(scan, [row], judgement, 0.5, "viridis")
    one = overlay_png(scan, maps[0], 0.5, "viridis", 1.0)
    raw = maps_npz(run.card, judgement, in_scan_pixels(scan, small))
    for data in (whole, one):
        assert b"Secret" not in data and Image.open(io.BytesIO(data)).info.keys() <= {"dpi"}
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


WILD = "**x** [a](http://b) :red[c] $d$ <b>.png"


def as_read(markdown: str) -> str:
    """What a person sees of escaped Markdown; what is not escaped is still there as syntax."""
    return re.sub(r"\\(.)", "\\1", markdown).replace("\u2060", "")


def test_a_file_name_that_is_markdown_appears_as_it_is_everywhere(app: AppTest) -> None:
    page = app.run()
    page.get("file_uploader")[0].set_value(
        [
            (WILD, png(), "image/png"),
            ("2.png", png("DME"), "image/png"),
            ("bad" + WILD, b"no picture", "image/png"),
        ]
    ).run()
    show_first = next(button for button in page.button if str(button.key).startswith("show_"))
    show_first.click().run()
    assert not page.exception
    texts = [str(one.value) for kind in (page.markdown, page.error) for one in kind]
    for button in page.button:
        texts += [button.label, button.help]
    texts = [text for text in texts if text and "http" in text.replace("\\", "")]
    assert len(texts) == 3, "the heading, the error, the help of the thumbnail"
    for text in texts:
        bare = re.sub(r"\\.", "", text)
        assert WILD in as_read(text)
        assert "[" not in bare and "<" not in bare and "$" not in bare and ":red" not in bare
    thumbnail = next(button for button in page.button if button.key == show_first.key)
    assert as_read(thumbnail.label) == f"{WILD[:8]}…{WILD[-8:]}" and "\\<b\\>" in thumbnail.label
    html = " ".join(str(one.proto.body) for one in page.get("html"))
    assert "[a](http://b)" in html and "<b>.png" not in html


def choose_slow_method(page: AppTest, methods: list[str]) -> AppTest:
    page.multiselect(key="viewer_methods").set_value(methods).run()
    assert not page.exception
    return page


def test_a_slow_map_is_estimated_made_beside_the_page_and_drawn(app: AppTest) -> None:
    page = choose_slow_method(open_sample(app), ["gradcam", "ablationcam"])
    assert "Ablation-CAM of VGG16 at block5: the model has to run 512 times" in as_read(said(page))
    assert "<b>Ablation-CAM</b>" not in said(page) and not page.session_state["viewer"].jobs
    page.button(key="start_grid_resnet50_ablationcam").click().run()
    page.button(key="start_grid_densenet121_ablationcam").click().run()
    wait_for_jobs(page)
    assert not page.exception and not page.error
    page.segmented_control(key="viewer_shown_method").set_value("ablationcam").run()
    assert said(page).count("<b>Ablation-CAM</b>") == 2
    keys = [str(button.key) for button in page.button]
    assert "start_grid_vgg16_ablationcam" in keys and "start_grid_resnet50_ablationcam" not in keys


def test_a_slow_map_can_be_stopped_and_answers_come_meanwhile(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = choose_slow_method(open_sample(app), ["gradcam", "ablationcam"])
    assert "All 3 slow maps below, one after the other: about" in said(page)
    go_on, began = threading.Event(), threading.Event()
    real = explanations.explain_with_predictions

    def explains(scan: object, *args: Any, **options: Any) -> object:
        if options.get("methods") == ("ablationcam",):
            began.set()
            while not go_on.wait(0.01):
                check_work()
        return real(scan, *args, **options)

    monkeypatch.setattr(explanations, "explain_with_predictions", explains)
    page.button(key="start_all_grid").click().run()
    assert began.wait(60) and len(page.session_state["viewer"].jobs) == 3
    job, *others = page.session_state["viewer"].jobs.values()
    assert "slow computation" in said(page) and "being made" in said(page)
    page.get("file_uploader")[0].set_value([("next.png", png("DME"), "image/png")]).run()
    assert not page.exception and said(page).count('data-testid="prediction-') == 4
    assert not job.future.done(), "it goes on, whatever the person looks at"
    page.button(key="stop_0").click().run()
    assert isinstance(job.future.exception(60), WorkStoppedError)
    page.button(key="stop_all").click().run()
    assert all(other.future.cancelled() or other.future.exception(60) for other in others)
    assert not page.session_state["viewer"].jobs and "slow computation" not in said(page.run())
    assert not page.exception and not page.error


def check_work() -> None:
    pause(ModelLock())


def test_closing_a_scan_or_the_session_stops_its_slow_work() -> None:
    state, works = Viewer(), []
    for value in (1, 2):
        item = state.open(Scan(np.full((40, 40), value, np.uint8)))
        work, future = Work(), Future[None]()
        future.set_running_or_notify_cancel()
        prints = frozenset([fingerprint(item.view())])
        state.jobs[str(value)] = Job("map", prints, future, state.maps.values().append, work)
        works.append(work)
    state.close(state.ordered()[0])
    assert [work.stopped for work in works] == [True, False] and list(state.jobs) == ["2"]
    del state, item
    gc.collect()
    assert works[1].stopped, "nobody is left to see its result"


def test_a_device_that_is_not_there_is_said_once(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCT_DEVICE", "nonsense")
    page = open_sample(app)
    assert not page.exception
    assert [as_read(error.value) for error in page.error] == [
        "no device is called 'nonsense'; there are: cuda, mps, cpu (--device or OCT_DEVICE)"
    ]


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


class Nothing(list[Explanation]):
    """Stands for maps, a prediction and a judgement of no size."""

    features, rows = None, ()


def test_a_closed_scan_leaves_nothing_of_any_reading_behind() -> None:
    """Also of crops and inversions that were looked at before; what an open scan needs stays."""
    pixels = make_phantom("CNV", 1, 96, 128).pixels
    state = Viewer()
    first, same, other = (state.open(Scan(each)) for each in (pixels, pixels.copy(), pixels[:64]))
    views = [first.view(), same.view(), other.view()]
    first.invert = True
    views.append(first.view())
    first.box = (0, 0, 64, 64)
    views.append(first.view())
    stores = (state.maps, state.predictions, state.judgements, state.measurements)
    for view in views:
        for store in stores:
            store.put(f"run|hash|{fingerprint(view)}|CNV", Nothing())  # type: ignore[arg-type]
    assert [len(store) for store in stores] == [4, 4, 4, 4]
    state.close(first)
    for store in stores:
        assert len(store) == 2, "its inversion and its crop are gone"
        assert store.get(f"run|hash|{fingerprint(same.view())}|CNV") == []
        assert store.get(f"run|hash|{fingerprint(other.view())}|CNV") == []
    state.close(same)
    state.close(other)
    assert [len(store) for store in stores] == [0, 0, 0, 0]


def test_a_scan_that_had_to_make_room_leaves_nothing_behind() -> None:
    state = Viewer()
    scan = Scan(np.zeros((40, 40), np.uint8))
    item = state.open(scan)
    state.maps.put(f"run|hash|{fingerprint(item.view())}", [])
    for value in range(MAX_SCANS):
        state.open(Scan(np.full((40, 40), value + 1, np.uint8)))
    assert state.crowded_out == 1 and len(state.maps) == 0


def test_a_bar_of_a_probability_near_0_has_its_number_and_is_read_aloud() -> None:
    probabilities = np.array([0.9997, 0.0003, 1e-9, 0.0])
    drawn = bars(Prediction("vgg16", np.zeros(4, np.float32), probabilities))
    assert re.findall(r"<span>([\d.]+%)</span>", drawn) == ["100.0%", "0.0%", "0.0%", "0.0%"]
    assert re.findall(r'title="([\d.]+)"', drawn) == ["0.9997", "0.0003", "0.0000", "0.0000"]
    assert 'aria-label="Class probabilities: CNV 100.0%, DME 0.0%,' in drawn
