"""Quick work goes before slow work, with real threads and real, small models."""

from __future__ import annotations

import gc
import threading
import time
import traceback
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from random_runs import scans
from torch import nn

from oct_core.explanations import METHODS, explain
from oct_core.explanations.estimate import measure_pace, runs_of, seconds_of
from oct_core.explanations.pieces import PIECE_ON_CPU
from oct_core.runs.turns import ModelLock, Work, WorkStoppedError, pause, start_work
from oct_core.scans.preprocess import Preprocessing
from oct_core.trust.measure import map_scores
from oct_core.trust.sanity import ModelRun
from oct_core.types import CLASSES, Explanation, RunCard, Scan

SLOW = [name for name in METHODS if METHODS.get(name).slow]


def small_run() -> ModelRun:
    """Two convolutions at 64 px, the second with 64 channels."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, stride=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 64, 3, padding=1, stride=2),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, len(CLASSES)),
    )
    model.eval().requires_grad_(False)
    card = RunCard("small", Path("."), "done", "small", CLASSES, {}, "", 1.5, 1, {})
    prepare = Preprocessing(size=64).prepare
    layers: dict[str, nn.Module] = {"first": model[1], "last": model[3]}

    def inputs(listed: Sequence[Scan]) -> torch.Tensor:
        packed = np.stack([prepare(scan.pixels) for scan in listed])
        return torch.from_numpy(packed)[:, None].float() / 255

    return ModelRun(card, model, ModelLock(), layers, inputs)


@contextmanager
def paced(run: ModelRun, seconds: float) -> Iterator[list[tuple[str, int]]]:
    """Every pass takes so long; gives (thread, scans) of each pass."""
    passes: list[tuple[str, int]] = []

    def wait(_module: object, inputs: tuple[torch.Tensor, ...]) -> None:
        passes.append((threading.current_thread().name, len(inputs[0])))
        time.sleep(seconds)

    handle = run.model.register_forward_pre_hook(wait)
    try:
        yield passes
    finally:
        handle.remove()


def deepest(run: ModelRun) -> str:
    return list(run.layers)[-1]


def slow_map(run: ModelRun, method: str = "scorecam") -> Explanation:
    return explain(scans()[0], run, "CNV", (method,), (deepest(run),))[0][0]


def answer(run: ModelRun) -> torch.Tensor:
    """Quick work."""
    with run.lock, torch.inference_mode():
        logits: torch.Tensor = run.model(run.inputs(scans()[:1]))
        return logits


def test_an_answer_comes_between_two_pieces_of_a_slow_map() -> None:
    run, work = small_run(), Work()
    expected = slow_map(run)
    alone = answer(run)
    with paced(run, 0.02) as passes:
        future = start_work(work, lambda: slow_map(run))
        while work.done < 4:
            time.sleep(0.001)
        before = len(passes)
        between = answer(run)
        slow_meanwhile = sum(name == "slow work" for name, _ in passes[before:])
        assert not future.done() and slow_meanwhile <= 2, "it waited for more than a piece"
        result = future.result(120)
    assert torch.equal(between, alone)
    np.testing.assert_array_equal(result.values, expected.values)
    assert result.evidence and work.done == 64


@pytest.mark.parametrize("method", SLOW)
def test_every_slow_method_pauses_counts_its_passes_and_stops(method: str) -> None:
    run = small_run()
    pace = measure_pace(run, scans()[0])
    layer = deepest(run) if METHODS.get(method).kind == "layer" else "input"
    work = Work(runs_of(METHODS.get(method), pace, layer))
    assert seconds_of(METHODS.get(method), pace, layer) > 0
    with work.follow():
        whole = slow_map(run, method)
    assert work.done >= work.total > 30 and work.done < 1.1 * work.total + 5 and work.share == 1.0
    stopping = Work(work.total)
    stopping.stop()
    with pytest.raises(WorkStoppedError, match="stopped before it was done"), stopping.follow():
        slow_map(run, method)
    assert not run.lock.locked()
    np.testing.assert_array_equal(slow_map(run, method).values, whole.values)


def test_a_stopped_map_ends_within_a_piece() -> None:
    run, work = small_run(), Work()
    with paced(run, 0.02) as passes:
        future = start_work(work, lambda: slow_map(run))
        while work.done < 4:
            time.sleep(0.001)
        work.stop()
        before = len(passes)
        with pytest.raises(WorkStoppedError):
            future.result(60)
        assert len(passes) - before <= 1 and not run.lock.locked()
    assert all(count <= PIECE_ON_CPU for _, count in passes[1:])


def test_measuring_a_map_pauses_and_stops() -> None:
    run, work = small_run(), Work()
    explanation = explain(scans()[0], run, "CNV", ("gradcam",), (deepest(run),))[0][0]
    with work.follow():
        scores = map_scores(run, scans()[0], explanation)
    assert work.done == 32 and scores == map_scores(run, scans()[0], explanation)
    work.stop()
    with pytest.raises(WorkStoppedError), work.follow():
        map_scores(run, scans()[0], explanation)


def test_slow_work_of_many_is_done_in_turn_and_what_waits_can_be_stopped() -> None:
    gate, order = threading.Event(), []
    first, second, third = Work(), Work(), Work()

    def hold() -> None:
        order.append("first")
        gate.wait(30)

    futures = [
        start_work(first, hold),
        start_work(second, lambda: order.append("second")),
        start_work(third, lambda: order.append("third")),
    ]
    second.stop()
    with pytest.raises(WorkStoppedError):
        futures[1].result(30)
    assert order == ["first"] and third.began is None
    gate.set()
    futures[2].result(30)
    assert order == ["first", "third"] and third.began is not None


def test_slow_work_waits_for_quick_work_on_another_model_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("oct_core.runs.turns.PATIENCE", 0.2)
    one, other, took = ModelLock(), ModelLock(), threading.Event()

    def slow() -> None:
        with one.slow():
            took.set()

    with other:
        thread = threading.Thread(target=slow)
        thread.start()
        assert not took.wait(0.05), "the cores are busy"
        assert took.wait(30)
    thread.join()


def test_giving_way_holds_the_lock_again_afterwards() -> None:
    lock, inside = ModelLock(), []

    def quick() -> None:
        with lock:
            inside.append("quick")

    with lock.slow():
        thread = threading.Thread(target=quick)
        thread.start()
        while not inside:
            pause(lock)
        inside.append("slow")
        assert lock.locked()
    thread.join()
    assert inside == ["quick", "slow"] and not lock.locked()


class Held:
    """Something that must not outlive the work on it."""


@pytest.mark.parametrize("stopped", [True, False])
def test_nothing_of_what_failed_or_stopped_is_held_by_its_future(stopped: bool) -> None:
    def start() -> tuple[Future[None], weakref.ref[Held]]:
        held = Held()
        return start_work(work, partial(fail, held)), weakref.ref(held)

    def fail(held: Held) -> None:
        assert held is not None
        if stopped:
            work.stop()
            pause(ModelLock())
        raise KeyError("broken")

    work = Work()
    gc.collect()
    gc.disable()
    try:
        future, alive = start()
        error = future.exception(30)
        until = time.monotonic() + 10
        while alive() is not None and time.monotonic() < until:
            time.sleep(0.01)  # the thread ends
        assert alive() is None, "without the help of the collector"
    finally:
        gc.enable()
    assert isinstance(error, WorkStoppedError if stopped else KeyError)
    assert "in fail" in "".join(traceback.format_tb(error.__traceback__)), "for the log"


def test_the_time_left_follows_the_pace_so_far() -> None:
    work = Work(total=100)
    assert work.seconds_left is None and work.share == 0.0
    work.began, work.done = time.monotonic() - 10, 25
    assert work.seconds_left == pytest.approx(30, abs=1) and work.share == 0.25
