"""Scans -> predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oct_core.metrics.calibration import softmax
from oct_core.models.networks import GrayClassifier
from oct_core.runs.weights import LoadedRun
from oct_core.types import Float32Array, Prediction, Scan


def predict(scans: Sequence[Scan], run: LoadedRun, batch_size: int = 16) -> list[Prediction]:
    """One Prediction a scan, in order. Scans may differ in size. Takes the run's lock."""
    predictions = []
    for start in range(0, len(scans), batch_size):
        batch = run.inputs(scans[start : start + batch_size])
        with run.lock, torch.inference_mode():
            logits = run.model(batch)
        predictions += [as_prediction(run, row) for row in logits]
    return predictions


def as_prediction(run: LoadedRun, logits: Tensor) -> Prediction:
    """The Prediction of one scan's logits (classes,)."""
    row = logits.detach().float().cpu().numpy()
    return Prediction(
        run.card.name, row, softmax(row[None], run.card.temperature)[0], run.card.classes
    )


def logits_of_pack(
    model: GrayClassifier, pixels: NDArray[np.uint8], device: torch.device, batch_size: int = 64
) -> Float32Array:
    """float32 (N, classes): raw logits of packed scans, uint8 (N, S, S). The model's mode is
    restored.
    """
    was_training = model.training
    model.eval()
    rows = []
    try:
        with torch.inference_mode():
            for start in range(0, len(pixels), batch_size):
                batch = torch.from_numpy(np.array(pixels[start : start + batch_size])).to(device)
                rows.append(model(batch[:, None].float() / 255.0).float().cpu().numpy())
    finally:
        model.train(was_training)
    return np.concatenate(rows).astype(np.float32)
