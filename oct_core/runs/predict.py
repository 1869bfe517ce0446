"""Scans -> predictions, packed scans -> logits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from oct_core.data.pack import Pack
from oct_core.models.device import upload
from oct_core.models.features import answer_with_features
from oct_core.models.networks import GrayClassifier
from oct_core.models.precision import multiplied_in
from oct_core.runs.predictor import Predictor, check_loaded
from oct_core.runs.weights import LoadedRun
from oct_core.scans.checks import as_scans
from oct_core.types import Float32Array, IntArray, Prediction, PredictionTable, Scan


def predict(scans: Scan | Sequence[Scan], run: Predictor, batch_size: int = 16) -> list[Prediction]:
    """One Prediction a scan, in order.

    scans : one or a list, of any sizes. run : a loaded run, or another Predictor; it is asked
    ``batch_size`` scans at a time. Raises ScanError for what is no scan, CheckpointError for a
    run that is not loaded or whose model is in training mode.
    """
    check_loaded(run)
    listed = as_scans(scans)
    return [
        prediction
        for start in range(0, len(listed), batch_size)
        for prediction in run.predict(listed[start : start + batch_size])
    ]


def _at_once(device: torch.device) -> int:
    """Scans a pass: what fills a GPU; on a CPU more would only take memory (VGG16 at 224 px keeps
    26 MB a scan).
    """
    return 16 if device.type == "cpu" else 128


def logits_of_pack(
    model: GrayClassifier,
    pixels: NDArray[np.uint8],
    device: torch.device,
    batch_size: int | None = None,
    rows: IntArray | None = None,
    precision: str = "float32",
) -> Float32Array:
    """float32 (N, classes): raw logits of packed scans, uint8 (N, S, S), or of those of its rows
    that are given, at least one: a part of a pack is never copied as a whole. The model's mode is
    restored.
    """
    was_training = model.training
    model.eval()
    rows = np.arange(len(pixels)) if rows is None else rows
    size = batch_size or _at_once(device)
    logits = []  # not before the end: a GPU would wait for each batch to arrive
    try:
        with torch.inference_mode(), multiplied_in(precision, device):
            for start in range(0, len(rows), size):
                batch = upload(pixels[rows[start : start + size]], device)
                logits.append(model(batch[:, None].float() / 255.0).float())
    finally:
        model.train(was_training)
    return torch.cat(logits).cpu().numpy()


def answers_of_pack(
    run: LoadedRun, pixels: NDArray[np.uint8], batch_size: int | None = None
) -> tuple[Float32Array, Float32Array]:
    """Logits float32 (N, classes) and features (N, D) of packed scans, uint8 (N, S, S), N at least
    1; holds the run's lock a batch at a time.
    """
    size = batch_size or _at_once(run.device)
    rows = []
    for start in range(0, len(pixels), size):
        batch = torch.from_numpy(np.array(pixels[start : start + size])).to(run.device)
        with run.lock, torch.inference_mode():
            gray = batch[:, None].float().div_(255.0)
            rows.append(answer_with_features(run.model, run.layers, gray))
    logits, features = (torch.cat(part).cpu().numpy() for part in zip(*rows, strict=True))
    return logits, features


def predict_pack(model: GrayClassifier, pack: Pack, device: torch.device) -> PredictionTable:
    """Logits of the validation and test parts of a pack."""
    rows = np.concatenate([pack.rows("val"), pack.rows("test")])
    records = [pack.records[row] for row in rows]
    return PredictionTable(
        np.array([record.split for record in records], dtype=np.str_),
        np.array([Path(record.path).name for record in records], dtype=np.str_),
        np.array([record.sha256 for record in records], dtype=np.str_),
        np.array([record.patient for record in records], dtype=np.str_),
        pack.labels[rows],
        logits_of_pack(model, pack.pixels, device, rows=rows),
    )
