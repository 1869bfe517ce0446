"""What a gate reads of a network: averages taken while it answers, and nothing left behind."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from random_runs import SIZE, fingerprint, random_run, scans
from torch import Tensor, nn

from oct_core.models.catalog import ARCHITECTURES
from oct_core.models.features import DEPTH, answer_with_features
from oct_core.runs.predict import answers_of_pack

torch.set_num_threads(1)


def pixels(count: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE)).astype(np.uint8)


def outputs_by_hand(name: str, gray: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The logits of a plain pass and what the deepest layers gave in it."""
    run = random_run(name)
    kept: list[Tensor] = []
    deepest = list(run.layers.values())[-DEPTH:]
    handles = [
        layer.register_forward_hook(lambda module, given, output: kept.append(output.clone()))
        for layer in deepest
    ]
    with torch.inference_mode():
        logits = run.model(gray)
    for handle in handles:
        handle.remove()
    return logits, kept


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_features_are_the_spatial_means_of_the_deepest_layers(name: str) -> None:
    run = random_run(name)
    before = fingerprint(run.model)
    logits, features = answers_of_pack(run, pixels())
    assert fingerprint(run.model) == before, "hooks or modes were left behind"
    gray = torch.from_numpy(pixels())[:, None].float() / 255
    plain, kept = outputs_by_hand(name, gray)
    np.testing.assert_array_equal(logits, plain.numpy())
    width = sum(each.shape[1] for each in kept)
    assert features.shape == (3, width) and features.dtype == np.float32
    for scan in range(3):
        expected = [float(channel.mean()) for each in kept for channel in each[scan]]
        np.testing.assert_allclose(features[scan], expected, rtol=1e-4, atol=1e-6)


def test_a_prediction_carries_the_features_of_its_own_scan() -> None:
    run = random_run("densenet121")
    predictions = run.predict(list(scans()))
    packed = np.stack([run.preprocessing.prepare(scan.pixels) for scan in scans()])
    logits, features = answers_of_pack(run, packed, batch_size=1)
    for place, prediction in enumerate(predictions):
        assert prediction.features is not None
        np.testing.assert_allclose(prediction.logits, logits[place], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(prediction.features, features[place], rtol=1e-3, atol=1e-4)


class Halting(nn.Module):
    """Two convolutions; while it answers, somebody else asks it something."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 2, 3)
        self.someone_else: Tensor | None = None

    def forward(self, gray: Tensor) -> Tensor:
        answer = self.second(self.first(gray)).mean((2, 3))
        other, self.someone_else = self.someone_else, None
        if other is not None:
            thread = threading.Thread(target=self, args=(other,))
            thread.start()
            thread.join()
        return answer


def test_the_pass_of_another_thread_is_not_looked_at() -> None:
    model = Halting().requires_grad_(False)
    layers = {"first": model.first, "second": model.second}
    ours, theirs = torch.rand(1, 1, 8, 8), torch.rand(4, 1, 8, 8)
    _, alone = answer_with_features(model, layers, ours)
    model.someone_else = theirs
    _, beside = answer_with_features(model, layers, ours)
    assert model.someone_else is None, "the other thread was never asked"
    np.testing.assert_array_equal(alone, beside)


def test_hooks_are_removed_when_the_pass_fails() -> None:
    run = random_run("resnet50")
    before = fingerprint(run.model)
    with pytest.raises(RuntimeError), torch.inference_mode():
        answer_with_features(run.model, run.layers, torch.zeros(1, 5, 2, 2))
    assert fingerprint(run.model) == before
