"""predict: the order, the batch, the temperature, threads; packed scans give what scans give."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

import oct_core
from oct_core.data.pack import Pack
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
