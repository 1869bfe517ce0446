"""What the viewer computes: the models at once, what is kept, and what is not begun any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import streamlit as st

from oct_core import explain, predict
from oct_core.checkpoints import LoadedRun
from oct_core.errors import OctError
from oct_core.phantom import make_phantom
from oct_core.side_by_side import AT_ONCE, submit
from pages.ui import viewer_compute
from pages.ui.services import ready_runs
from pages.ui.session import Viewer
from pages.ui.viewer_compute import cancelled_at_the_end, predictions_of, trio_ahead

SCAN = make_phantom("DME", 5, 96, 128).scan


@pytest.fixture(autouse=True)
def demo_runs(demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_resource.clear()
    monkeypatch.setenv("OCT_CHECKPOINTS", str(demo_root))


def test_the_models_asked_at_once_say_what_each_says_alone(demo_run: Callable[[str], LoadedRun]) -> None:
    cards, scans = ready_runs(), [make_phantom("CNV", seed, 96, 128).scan for seed in range(10)]
    found = predictions_of(Viewer(), [*scans, SCAN, scans[0]], cards)
    for place, card in enumerate(cards):
        alone = predict([*scans, SCAN, scans[0]], demo_run(card.name))
        assert [row[place].run for row in found] == [card.name] * 12
        np.testing.assert_allclose([row[place].logits for row in found], [one.logits for one in alone], rtol=1e-4, atol=1e-5)


def test_maps_begun_ahead_are_those_of_the_library_and_are_kept(demo_run: Callable[[str], LoadedRun], monkeypatch: pytest.MonkeyPatch) -> None:
    state, wanted = Viewer(), [(card, "CNV") for card in ready_runs()]
    with trio_ahead(state, SCAN, wanted) as trio_of:
        found = [trio_of(card, target) for card, target in wanted]
    for (card, target), maps in zip(wanted, found, strict=True):
        expected = {one.key: one.values for one in explain(SCAN, demo_run(card.name), target)[0]}
        assert {one.key for one in maps} == set(expected) and {one.target for one in maps} == {"CNV"}
        deepest = maps[0]
        assert deepest.evidence == bool(expected[deepest.key].any())
    monkeypatch.setattr("oct_core.explanations.explain_with_predictions", lambda *_args, **_options: pytest.fail("it was kept"))
    with trio_ahead(state, SCAN, wanted) as trio_of:
        assert [trio_of(card, target) for card, target in wanted] == found


def test_a_model_that_fails_leaves_the_maps_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from oct_core.explanations import explain_with_predictions

    def one_fails(scan: object, run: LoadedRun, *args: object, **options: object) -> object:
        if run.card.name == failing.name:
            raise OctError("this one cannot")
        return explain_with_predictions(scan, run, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("oct_core.explanations.explain_with_predictions", one_fails)
    failing, *others = ready_runs()
    with trio_ahead(Viewer(), SCAN, [(card, "DME") for card in (failing, *others)]) as trio_of:
        with pytest.raises(OctError, match="this one cannot"):
            trio_of(failing, "DME")
        assert all(len(trio_of(card, "DME")) == 11 for card in others)


def test_what_is_not_begun_when_the_person_goes_on_is_not_begun_any_more() -> None:
    gate, begun = threading.Event(), []
    busy = [submit(gate.wait, 30) for _ in range(AT_ONCE)]
    waiting = submit(begun.append, "too late")
    with pytest.raises(OctError), cancelled_at_the_end([waiting]):
        raise OctError("the person went on")
    gate.set()
    assert all(future.result() for future in busy) and waiting.cancelled() and begun == []


def test_progress_of_many_scans_rises_to_the_end() -> None:
    shares: list[float] = []
    scans = [make_phantom("CNV", seed, 96, 128).scan for seed in range(9)]
    viewer_compute.predictions_of(Viewer(), scans, ready_runs(), lambda share, _text: shares.append(share))
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1 and len(shares) == 2 * len(ready_runs()) + 1
