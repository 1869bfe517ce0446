"""The verdict in the viewer: its line, what undoes a change of the scan, and where else it
stands.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from oct_core.reasons import REASONS
from oct_core.runs.ensemble import mean_prediction
from oct_core.scans import CHANGES, turn
from oct_core.scans.colour import paint_falsely
from oct_core.scans.phantom import make_phantom
from oct_core.trust.verdict import VerdictRule
from oct_core.types import GateScores, Judgement, Prediction, Reason, RunCard, Scan, Verdict
from pages.ui.app.session import Item, Viewer
from pages.ui.viewer import compute as viewer_compute
from pages.ui.viewer import page as viewer_page
from pages.ui.viewer import verdict as viewer_verdict
from pages.ui.viewer.verdict import LEVELS, MENDS

SCORES = GateScores(0.25, 1.75, 0.5)
UPRIGHT = make_phantom("CNV", 3, 96, 128).pixels
CHANGED = {
    "upside down": UPRIGHT[::-1],
    "turned left": np.rot90(UPRIGHT),
    "turned right": np.rot90(UPRIGHT, -1),
    "inverted": 255 - UPRIGHT,
    "false colour": paint_falsely(UPRIGHT, "rainbow"),
}


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class Sayer:
    """Stands for the judge: gives the verdict that a test says on what the page has read."""

    says: Callable[[Scan], tuple[str, tuple[Reason, ...]]]
    level: float
    rule: VerdictRule = field(default_factory=VerdictRule)
    sets: None = None
    problems: tuple[str, ...] = ()

    def of(self, scan: Scan, predictions: Sequence[Prediction]) -> Judgement:
        members = tuple(self._judge(scan, each) for each in predictions)
        if len(members) == 1:
            return members[0]
        whole = self._judge(scan, mean_prediction(predictions))
        return Judgement(whole.prediction, whole.verdict, whole.scores, members)

    def _judge(self, scan: Scan, prediction: Prediction) -> Judgement:
        kind, reasons = self.says(scan)
        label, probability = prediction.predicted, prediction.confidence
        return Judgement(prediction, Verdict(kind, label, probability, reasons, (label,)), SCORES)


def answer_dme(
    state: Viewer, scans: Sequence[Scan], cards: Sequence[RunCard], progress: object = None
) -> list[list[Prediction]]:
    """What every model says of everything."""
    shares = np.array([0.1, 0.7, 0.1, 0.1])
    return [[Prediction(card.name, np.log(shares), shares) for card in cards] for _ in scans]


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[float]]:
    """Has the page say what a function of the scan says; returns the levels asked for."""

    def install(says: Callable[[Scan], tuple[str, tuple[Reason, ...]]]) -> list[float]:
        levels: list[float] = []

        def judge_of(cards: Sequence[RunCard], level: float) -> Sayer:
            levels.append(level)
            return Sayer(says, level)

        for module in (viewer_compute, viewer_verdict):
            monkeypatch.setattr(module, "judge_of", judge_of)
        # Networks and maps are no part of what is tested here.
        monkeypatch.setattr(viewer_compute, "predictions_of", answer_dme)
        monkeypatch.setattr(viewer_page, "get_run", lambda name: None)
        monkeypatch.setattr(viewer_page, "_maps", lambda *args: [])
        return levels

    return install


def upload(page: AppTest, *pictures: np.ndarray) -> AppTest:
    page.run()
    files = [(f"{place}.png", png(pixels), "image/png") for place, pixels in enumerate(pictures)]
    return page.get("file_uploader")[0].set_value(files).run()


def html_of(page: AppTest, part: str) -> list[str]:
    """The HTML blocks with that in them, top to bottom."""
    return [body for one in page.get("html") if part in (body := str(one.proto.body))]


def verdict_of(page: AppTest) -> str:
    [body] = html_of(page, 'data-testid="verdict"')
    return body


@pytest.mark.parametrize(
    ("kind", "title"),
    [("answer", "Answer: "), ("caution", "Caution: "), ("refer", "No answer: show it to a person")],
)
def test_the_line_says_what_the_verdict_is_and_why(
    app: AppTest, judged: Callable[[Any], list[float]], kind: str, title: str
) -> None:
    reasons = () if kind == "answer" else (Reason("bscan"), Reason("familiar"))
    judged(lambda scan: (kind, reasons))
    page = upload(app, UPRIGHT)
    assert not page.exception and not page.error
    line = verdict_of(page)
    assert f"<b>{title}" in line and f"oct-{kind}" in line
    assert ("✓" in line) == (kind == "answer"), "no green tick but for an answer"
    assert not page.success, "nor any other green box"
    words = "; ".join(REASONS[reason.key] for reason in reasons)
    assert (words[:1].upper() + words[1:]) in line
    [cards] = html_of(page, 'data-testid="prediction-')
    order = [
        cards.index(f'data-testid="prediction-{name}"')
        for name in ("ensemble", "vgg16", "resnet50", "densenet121")
    ]
    assert order == sorted(order), "the ensemble leads"
    assert ("oct-refer" in cards) == (kind == "refer"), "gray without an answer"
    blocks = [str(one.proto.body) for one in page.get("html")]
    assert blocks.index(line) < blocks.index(cards)


def test_every_change_of_a_scan_has_its_mend() -> None:
    assert set(MENDS) == set(CHANGES) == set(CHANGED) and set(MENDS) <= set(REASONS)


@pytest.mark.parametrize("change", CHANGED)
def test_one_click_undoes_a_change_and_the_verdict_follows(
    app: AppTest, judged: Callable[[Any], list[float]], change: str
) -> None:
    def says(scan: Scan) -> tuple[str, tuple[Reason, ...]]:
        right = scan.colour is None
        if change != "false colour":
            right = scan.pixels.shape == UPRIGHT.shape and bool((scan.pixels == UPRIGHT).all())
        return ("answer", ()) if right else ("refer", (Reason(change),))

    judged(says)
    page = upload(app, CHANGED[change])
    item = page.session_state["viewer"].item()
    before = item.view()
    assert "oct-refer" in verdict_of(page)
    button = page.button(key=f"mend_{change}_{item.id}")
    assert button.label == MENDS[change].title
    button.click().run()
    assert not page.exception and not page.error
    assert "oct-answer" in verdict_of(page)
    assert not [one for one in page.button if str(one.key).startswith("mend_")]
    notes = set(item.view().notes) - set(before.notes)
    assert notes and notes <= {one.value for one in page.caption}, "the notes tell of it"
    page.run()
    assert "oct-answer" in verdict_of(page), "and it stays so"


def test_invert_switched_on_by_mistake_is_switched_off(
    app: AppTest, judged: Callable[[Any], list[float]]
) -> None:
    judged(
        lambda scan: (
            ("answer", ())
            if scan.pixels.mean() < 128
            else ("refer", (Reason("inverted"), Reason("familiar")))
        )
    )
    page = upload(app, UPRIGHT)
    item = page.session_state["viewer"].item()
    page.toggle(key=f"invert_{item.id}").set_value(True).run()
    button = page.button(key=f"mend_inverted_{item.id}")
    assert button.label == "Switch invert off"
    button.click().run()
    assert "oct-answer" in verdict_of(page)
    assert not page.toggle(key=f"invert_{item.id}").value and not item.invert


@pytest.mark.parametrize(
    "mends", [["upside down"], ["turned left"], ["turned right"] * 2, [*MENDS]]
)
def test_a_box_keeps_what_is_in_it_when_the_scan_is_turned(mends: list[str]) -> None:
    pixels = make_phantom("DME", 5, 96, 128).pixels
    item, bare = Item(Scan(pixels), 1), Item(Scan(pixels), 1)
    item.box = (10, 20, 90, 70)
    part = Item(Scan(pixels[20:70, 10:90]), 1)
    for each in (item, bare, part):
        for mend in mends:
            MENDS[mend].apply(each)
    np.testing.assert_array_equal(item.view().pixels, part.view().pixels)
    assert item.view().pixels.shape != bare.view().pixels.shape


def test_turns_add_up() -> None:
    scan = make_phantom("DME", 5, 96, 128).scan
    expected = scan
    item = Item(scan, 1)
    for step in "rroror":
        if step == "r":
            item.turn_right()
        else:
            item.turn_over()
        expected = turn(expected, "right" if step == "r" else "over")
        np.testing.assert_array_equal(item.view().pixels, expected.pixels)


def test_the_rule_is_printed_in_full_and_its_level_is_the_persons(
    app: AppTest, judged: Callable[[Any], list[float]]
) -> None:
    levels = judged(lambda scan: ("caution", (Reason("familiar"),)))
    page = upload(app, UPRIGHT)
    assert set(levels) == {0.05}
    [panel] = [one for one in page.expander if one.label == "How this verdict is made"]
    text = " ".join(one.value for one in panel.markdown)
    assert all(line in text for line in VerdictRule().describe())
    assert "1.75" in text.replace("\\", "")
    level = page.select_slider(key="viewer_level")
    assert list(level.options) == [f"{one:.0%}" for one in LEVELS]
    levels.clear()
    level.set_value(0.1).run()
    assert not page.exception and set(levels) == {0.1}


def test_what_the_guarantee_is_worth_is_said(app: AppTest) -> None:
    """Of the demo runs, whose validation part holds two scans of each class."""
    page = upload(app, UPRIGHT)
    [panel] = [one for one in page.expander if one.label == "How this verdict is made"]
    text = " ".join(one.value for one in panel.markdown)
    assert "CNV: with 2 validation scans no level of 5% can be kept" in text


def test_of_one_model_alone_the_verdict_is_its_own(app: AppTest) -> None:
    page = upload(app, UPRIGHT)
    page.multiselect(key="viewer_models").set_value(["resnet50"]).run()
    assert not page.exception and not page.error
    [cards] = html_of(page, 'data-testid="prediction-')
    assert cards.count('data-testid="prediction-') == 1 and "prediction-resnet50" in cards
    assert "oct-caution" in verdict_of(page)
    page.multiselect(key="viewer_models").set_value([]).run()
    assert not page.exception and not html_of(page, 'data-testid="verdict"')


def test_every_thumbnail_and_every_row_has_its_verdict(
    app: AppTest, judged: Callable[[Any], list[float]]
) -> None:
    judged(
        lambda scan: (
            ("answer", ()) if (scan.pixels == UPRIGHT).all() else ("refer", (Reason("bscan"),))
        )
    )
    noise = np.random.default_rng(0).integers(0, 256, UPRIGHT.shape).astype(np.uint8)
    page = upload(app, UPRIGHT, noise)
    assert not page.exception and not page.error
    badges = html_of(page, 'data-testid="badge"')
    assert ["No answer" in one for one in badges] == [False, True]
    assert "✓" in badges[0] and REASONS["bscan"] in badges[1]
    table = page.dataframe[0].value
    assert list(table["run"]) == ["Ensemble", "VGG16", "ResNet50", "DenseNet121"] * 2
    assert list(table["verdict"]) == ["Answer"] * 4 + ["No answer"] * 4
    assert list(table["reason"]) == [""] * 4 + [REASONS["bscan"]] * 4
    assert list(table["gate_upright"]) == [1.75] * 8


def test_a_hidden_answer_hides_its_verdict_everywhere(
    app: AppTest, judged: Callable[[Any], list[float]]
) -> None:
    judged(lambda scan: ("answer", ()))
    page = upload(app, UPRIGHT)
    sample = page.selectbox(key="viewer_sample").options[0]
    page.selectbox(key="viewer_sample").select(sample).run()
    assert len(html_of(page, 'data-testid="badge"')) == 2 and len(page.dataframe[0].value) == 8
    page.toggle(key="viewer_hide_answer").set_value(True).run()
    assert not page.exception
    assert not html_of(page, 'data-testid="verdict"')
    assert len(html_of(page, 'data-testid="badge"')) == 1 and len(page.dataframe[0].value) == 4
