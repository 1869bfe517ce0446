"""What the viewer computes: the models at once, and what is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import streamlit as st

from oct_core import predict
from oct_core.errors import OctError
from oct_core.explanations import explain_with_predictions
from oct_core.runs.weights import LoadedRun
from oct_core.scans.phantom import make_phantom
from oct_core.trust.conformal import LEVEL
from oct_core.types import Judgement, Prediction, RunCard, Scan, Verdict
from pages.ui.app.services import get_run, ready_runs
from pages.ui.app.session import Viewer
from pages.ui.viewer import compute as viewer_compute
from pages.ui.viewer.compute import (
    judgements_of,
    predictions_of,
    read_scan_with,
    trios_side_by_side,
)
from pages.ui.viewer.reading import Reading

SCAN = make_phantom("DME", 5, 96, 128).scan


@pytest.fixture(autouse=True)
def demo_runs(demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_resource.clear()
    monkeypatch.setenv("OCT_CHECKPOINTS", str(demo_root))


def test_the_models_asked_at_once_say_what_each_says_alone(
    demo_run: Callable[[str], LoadedRun],
) -> None:
    cards, scans = ready_runs(), [make_phantom("CNV", seed, 96, 128).scan for seed in range(10)]
    found = predictions_of(Viewer(), [*scans, SCAN, scans[0]], cards)
    for place, card in enumerate(cards):
        alone = predict([*scans, SCAN, scans[0]], demo_run(card.name))
        assert [row[place].run for row in found] == [card.name] * 12
        np.testing.assert_allclose(
            [row[place].logits for row in found],
            [one.logits for one in alone],
            rtol=1e-4,
            atol=1e-5,
        )


def test_a_scan_read_before_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    state, cards, other = Viewer(), ready_runs(), make_phantom("CNV", 1, 96, 128).scan
    first = predictions_of(state, [SCAN], cards)
    read: list[int] = []
    monkeypatch.setattr(
        "oct_core.runs.predict.predict",
        lambda scans, run: read.append(len(scans)) or predict(scans, run),
    )
    assert predictions_of(state, [SCAN, other], cards)[0] == first[0] and read == [1] * len(cards)


def readings_for(target: str) -> list[Reading]:
    cards = ready_runs()
    nothing = Prediction("", np.zeros(4, np.float32), np.full(4, 0.25))
    judgement = Judgement(nothing, Verdict("caution", "CNV", 0.25))
    return [Reading(card, judgement, target) for card in cards]


def test_maps_made_side_by_side_are_those_of_the_library_and_stay(
    demo_run: Callable[[str], LoadedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, readings = Viewer(), readings_for("CNV")
    with trios_side_by_side(state, SCAN, readings) as trio_of:
        trios = [trio_of(reading) for reading in readings]
    for reading, maps in zip(readings, trios, strict=True):
        name = reading.card.name
        ((_, expected),) = explain_with_predictions(SCAN, demo_run(name), "CNV", network_size=True)
        assert [(one.run, one.key, one.target) for one in maps] == [
            (name, one.key, "CNV") for one in expected
        ]
        for one, other in zip(maps, expected, strict=True):
            np.testing.assert_allclose(
                one.values,
                other.values,
                rtol=1e-3,
                atol=1e-4 * float(np.abs(other.values).max() + 1e-12),
            )
    assert not state.jobs
    monkeypatch.setattr(
        "oct_core.explanations.explain_with_predictions",
        lambda *_args, **_options: pytest.fail("it is there already"),
    )
    with trios_side_by_side(state, SCAN, readings) as trio_of:
        assert [trio_of(reading) for reading in readings] == trios


@pytest.mark.parametrize("breaks", ["explain_with_predictions", "get_run"])
def test_a_model_that_fails_leaves_the_maps_of_the_others(
    breaks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, *others = readings_for("DME")
    name = failing.card.name

    def explains(scan: object, run: LoadedRun, *args: object, **options: object) -> object:
        if run.card.name == name:
            raise OctError("this one cannot")
        return explain_with_predictions(scan, run, *args, **options)  # type: ignore[arg-type]

    def loads(run: str) -> LoadedRun:
        if run == name:
            raise OctError("this one cannot")
        return get_run(run)

    if breaks == "get_run":
        monkeypatch.setattr(viewer_compute, "get_run", loads)
    else:
        monkeypatch.setattr("oct_core.explanations.explain_with_predictions", explains)
    with trios_side_by_side(Viewer(), SCAN, [failing, *others]) as trio_of:
        with pytest.raises(OctError, match="this one cannot"):
            trio_of(failing)
        assert others and all(len(trio_of(reading)) == 11 for reading in others)


def test_what_an_interrupted_page_began_is_taken_over_and_not_done_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Streamlit stops a script by raising inside it."""
    state, readings, calls = Viewer(), readings_for("CNV"), []
    gate, running = threading.Event(), threading.Semaphore(0)

    def explains(scan: object, run: LoadedRun, *args: object, **options: object) -> object:
        calls.append(run.card.name)
        running.release()
        assert gate.wait(60)
        return explain_with_predictions(scan, run, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("oct_core.explanations.explain_with_predictions", explains)
    with pytest.raises(KeyboardInterrupt), trios_side_by_side(state, SCAN, readings):
        assert running.acquire(timeout=60)
        raise KeyboardInterrupt
    assert state.jobs
    gate.set()
    with trios_side_by_side(state, SCAN, readings) as trio_of:
        assert all(len(trio_of(reading)) == 11 for reading in readings)
    assert sorted(calls) == sorted(reading.card.name for reading in readings) and not state.jobs


def test_what_an_interrupted_page_began_lands_though_nobody_asks_again() -> None:
    state, readings = Viewer(), readings_for("CNV")
    with pytest.raises(KeyboardInterrupt), trios_side_by_side(state, SCAN, readings):
        for job in state.jobs.values():
            job.future.result(60)
        raise KeyboardInterrupt
    assert state.land_jobs() == [] and not state.jobs and len(state.maps) == len(readings)


def test_a_reading_explains_the_class_asked_for_or_its_own(
    demo_run: Callable[[str], LoadedRun],
) -> None:
    state, cards = Viewer(), ready_runs()
    ensemble, *own = read_scan_with(state, SCAN, cards, None, LEVEL)
    alone = [predict([SCAN], demo_run(card.name))[0] for card in cards]
    assert [reading.target for reading in own] == [each.predicted for each in alone]
    np.testing.assert_allclose(
        ensemble.prediction.probabilities,
        sum(each.probabilities for each in alone) / 3,
        rtol=1e-4,
    )
    assert ensemble.target == ensemble.prediction.predicted
    asked = read_scan_with(state, SCAN, cards, "DRUSEN", LEVEL)
    assert {reading.target for reading in asked} == {"DRUSEN"}
    assert [reading.title for reading in asked] == ["Ensemble", "VGG16", "ResNet50", "DenseNet121"]


def test_one_model_is_read_without_an_ensemble() -> None:
    card, *_ = ready_runs()
    [reading] = read_scan_with(Viewer(), SCAN, [card], None, LEVEL)
    assert reading.card is card and not reading.judgement.members


def test_a_verdict_is_made_once_for_a_scan_its_colours_and_a_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state, cards, judged = Viewer(), ready_runs(), []
    real = viewer_compute.judge_of

    def watched(cards: Sequence[RunCard], level: float) -> object:
        judge = real(cards, level)

        def of(scan: Scan, predictions: list[Prediction]) -> Judgement:
            judged.append((scan.colour is not None, level))
            return judge.of(scan, predictions)

        return SimpleNamespace(of=of)

    monkeypatch.setattr(viewer_compute, "judge_of", watched)
    coloured = replace(SCAN, colour=np.ones(SCAN.pixels.shape, bool))
    for level in (0.05, 0.1):
        first, second = judgements_of(state, [SCAN, coloured], cards, level)
        assert "objection" not in [reason.key for reason in first.verdict.reasons]
        assert second.verdict.kind == "refer"
        assert judgements_of(state, [coloured, SCAN], cards, level) == [second, first]
    assert judged == [(False, 0.05), (True, 0.05), (False, 0.1), (True, 0.1)]
    assert len(state.predictions) == len(cards), "no pass of a network more"


def test_progress_of_many_scans_rises_to_the_end() -> None:
    shares: list[float] = []
    scans = [make_phantom("CNV", seed, 96, 128).scan for seed in range(9)]
    predictions_of(Viewer(), scans, ready_runs(), lambda share, _text: shares.append(share))
    assert (
        shares == sorted(shares)
        and shares[0] == 0
        and shares[-1] == 1
        and len(shares) == 2 * len(ready_runs()) + 1
    )
