"""The end of a training: its best weights become the run."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oct_core.errors import TrainingError
from oct_core.metrics.calibration import fit_temperature
from oct_core.models.networks import GrayClassifier, build_model
from oct_core.runs.files import WEIGHTS, write_atomically, write_card, write_predictions
from oct_core.runs.predict import logits_of_pack, predict_pack
from oct_core.runs.weights import load_weights
from oct_core.scans.corruptions import CORRUPTIONS, corrupt
from oct_core.training.job import TrainingJob
from oct_core.training.resume import best_file, drop_state
from oct_core.types import CLASSES, Float32Array

_MOST_SCANS, _SEVERITY = 500, 2


def finish(job: TrainingJob, card: dict[str, Any]) -> None:
    """Publish the best weights, reload them from disk, predict validation and test, fit the
    temperature, close the card.
    """
    config, folder = job.config, job.folder
    best = best_file(folder, card["best_epoch"])
    if not best.is_file():
        raise TrainingError("run {run} has no usable epoch; train it anew", run=folder.name)
    write_atomically(folder / WEIGHTS, best.read_bytes())
    card["weights_sha256"] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    model = build_model(config.architecture, len(CLASSES), *config.normalisation, hollow=True)
    load_weights(model, folder / WEIGHTS, card["weights_sha256"])
    table = predict_pack(model.to(job.device), job.pack, job.device)
    write_predictions(folder, table)
    card["temperature"] = round(fit_temperature(*calibration_data(model, job)), 4)
    card["status"] = "done"
    write_card(folder, card)
    drop_state(folder)


def calibration_data(
    model: GrayClassifier, job: TrainingJob
) -> tuple[Float32Array, NDArray[np.int64]]:
    """Logits and labels that the temperature is fitted on: validation scans, clean and under each
    corruption of middle severity.

    On clean scans alone the loss of a network that gets them all right falls for ever as the
    temperature goes to 0, and its answers on other devices are then far too sure.
    """
    rows = job.pack.rows("val")
    if len(rows) > _MOST_SCANS:
        generator = np.random.default_rng(job.config.seed)
        rows = np.sort(generator.choice(rows, _MOST_SCANS, replace=False))
    pixels = np.array(job.pack.pixels[rows])
    parts = [pixels, *(corrupt(pixels, name, _SEVERITY) for name in CORRUPTIONS)]
    logits = np.concatenate([logits_of_pack(model, part, job.device) for part in parts])
    return logits, np.tile(job.pack.labels[rows], len(parts))
