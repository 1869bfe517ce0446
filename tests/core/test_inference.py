"""predict: the order, the batch, the temperature, threads; packed scans give what scans give."""

from __future__ import annotations

import operator
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import oct_core
from oct_core.data.pack import Pack
from oct_core.errors import CheckpointError, ScanError
from oct_core.explanations import explain
from oct_core.runs.predict import logits_of_pack, predict
from oct_core.runs.weights import LoadedRun
from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES, Scan

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def run(demo_run: Callable[[str], LoadedRun]) -> LoadedRun:
    return demo_run("densenet121")


@pytest.fixture(scope="module")
def scans() -> list[Scan]:
    sizes = [(64, 64), (120, 200), (300, 90)]
    return [
        make_phantom(label, 60 + index, *size).scan
        for index, (label, size) in enumerate(zip(CLASSES, [*sizes, sizes[0]], strict=True))
    ]


def test_probabilities_are_the_tempered_softmax_written_out(
    run: LoadedRun, scans: list[Scan]
) -> None:
    warm = replace(run, card=replace(run.card, temperature=2.5))
    for prediction in predict(scans, warm):
        assert (
            prediction.logits.dtype == np.float32 and prediction.probabilities.dtype == np.float64
        )
        weights = [np.exp(float(logit) / 2.5) for logit in prediction.logits]
        np.testing.assert_allclose(
            prediction.probabilities, [weight / sum(weights) for weight in weights], rtol=1e-12
        )
        assert prediction.run == "densenet121" and prediction.classes == CLASSES
        assert prediction.predicted == CLASSES[int(np.argmax(prediction.logits))]
        assert prediction.confidence == prediction.probabilities.max()


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_the_batch_changes_neither_order_nor_logits(
    run: LoadedRun, scans: list[Scan], batch_size: int
) -> None:
    alone = np.stack([predict([scan], run)[0].logits for scan in scans])
    together = np.stack([prediction.logits for prediction in predict(scans, run, batch_size)])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert len({row.tobytes() for row in np.round(alone, 4)}) == len(scans), (
        "the scans differ, so the order shows"
    )


def test_no_scans_give_no_predictions(run: LoadedRun) -> None:
    assert predict([], run) == []


def test_the_public_name_is_the_same_function() -> None:
    assert oct_core.predict is predict


def test_threads_share_a_run(run: LoadedRun, scans: list[Scan]) -> None:
    expected = [prediction.logits for prediction in predict(scans, run)]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: predict(scans, run), range(6)):
            np.testing.assert_array_equal([prediction.logits for prediction in found], expected)
    assert not run.lock.locked()


def test_the_lock_is_given_back_after_an_error(
    run: LoadedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.model, "forward", lambda gray: gray.no_such_thing)
    with pytest.raises(AttributeError):
        predict([make_phantom("CNV", 1, 64, 64).scan], run)
    assert not run.lock.locked()


def test_packed_scans_give_the_logits_of_the_scans(run: LoadedRun, scans: list[Scan]) -> None:
    packed = np.stack([run.preprocessing.prepare(scan.pixels) for scan in scans])
    found = logits_of_pack(run.model, packed, torch.device("cpu"), batch_size=3)
    assert found.shape == (4, 4) and found.dtype == np.float32
    np.testing.assert_allclose(
        found, [prediction.logits for prediction in predict(scans, run)], atol=1e-4
    )


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_model_is_restored_also_after_an_error(
    run: LoadedRun, tiny_pack: Pack, training: bool
) -> None:
    run.model.train(training)
    try:
        logits_of_pack(run.model, tiny_pack.pixels[:2], torch.device("cpu"))
        assert run.model.training is training
        with pytest.raises(TypeError):
            logits_of_pack(run.model, np.array([object()]), torch.device("cpu"))
        assert run.model.training is training
    finally:
        run.model.eval()


NO_SCANS: list[tuple[Any, str]] = [
    (Path("scan.png"), r"got the path 'scan.png'; read it first: read_scan\('scan.png'\)"),
    ("scan.png", "got the path 'scan.png'"),
    (np.zeros((64, 64), np.uint8), r"got an array uint8 \(64, 64\); .* Scan\(pixels\)"),
    (b"\x89PNG", "got bytes; read them first"),
    (None, "got NoneType; read_scan makes one of a file"),
    (make_phantom("CNV", 1, 64, 64), "got Phantom"),
]


@pytest.mark.parametrize(("given", "message"), NO_SCANS)
@pytest.mark.parametrize("listed", [False, True])
def test_what_is_no_scan_is_refused_in_words(
    run: LoadedRun, given: Any, message: str, listed: bool
) -> None:
    for ask in (predict, explain):
        with pytest.raises(ScanError, match=f"expected a Scan, {message}"):
            ask([given] if listed else given, run)


def test_pixels_that_are_no_gray_picture_are_refused(run: LoadedRun) -> None:
    with pytest.raises(ScanError, match=r"expected a gray uint8 picture .*, got uint8 \(9, 9, 3\)"):
        predict(Scan(np.zeros((9, 9, 3), np.uint8)), run)


def test_one_scan_is_taken_for_a_list_of_one(run: LoadedRun, scans: list[Scan]) -> None:
    [alone], [listed] = predict(scans[0], run), predict([scans[0]], run)
    np.testing.assert_array_equal(alone.logits, listed.logits)


@pytest.mark.parametrize("part", ["model", "model.backbone.features.norm5"])
def test_a_model_in_training_mode_is_refused_and_learns_nothing(
    run: LoadedRun, scans: list[Scan], part: str
) -> None:
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    operator.attrgetter(part)(run).train()
    try:
        with pytest.raises(CheckpointError, match=r"in training mode; call model\.eval\(\)"):
            predict(scans, run)
    finally:
        run.model.eval()
    assert all(torch.equal(tensor, before[name]) for name, tensor in run.model.state_dict().items())


def test_half_precision_answers_and_explains_nearly_the_same(
    demo_run: Callable[[str], LoadedRun], scans: list[Scan]
) -> None:
    own = demo_run("densenet121")
    expected, maps = predict(scans, own), explain(scans, own, methods=["gradcam"])
    own.model.half()
    for found, whole in zip(predict(scans, own), expected, strict=True):
        assert found.logits.dtype == np.float32
        np.testing.assert_allclose(found.probabilities, whole.probabilities, atol=0.02)
    for found, whole in zip(explain(scans, own, methods=["gradcam"]), maps, strict=True):
        assert [one.key for one in found] == [one.key for one in whole]
        assert all(one.values.dtype == np.float32 for one in found)


def test_a_run_that_is_not_loaded_is_refused_in_words(run: LoadedRun, scans: list[Scan]) -> None:
    for given in ("densenet121", Path("densenet121"), run.card):
        for ask in (predict, explain):
            with pytest.raises(
                CheckpointError, match=r"got \w+; load it first: load_run\('densenet121'\)"
            ):
                ask(scans, given)  # type: ignore[arg-type]
