"""The end of a training: its best weights become the run."""

from __future__ import annotations

import hashlib
from typing import Any

from oct_core.errors import TrainingError
from oct_core.metrics.calibration import fit_temperature
from oct_core.models.networks import build_model
from oct_core.runs.files import WEIGHTS, write_atomically, write_card, write_predictions
from oct_core.runs.predict import predict_pack
from oct_core.runs.weights import load_weights
from oct_core.training.job import TrainingJob
from oct_core.training.resume import best_file, drop_state
from oct_core.types import CLASSES


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
    val = table.of_split("val")
    card["temperature"] = round(float(fit_temperature(val.logits, val.label)), 4)
    card["status"] = "done"
    write_card(folder, card)
    drop_state(folder)
