"""Run folders for the page tests: full files, random weights, scores that look like a trained
model's.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from oct_core.metrics.summary import evaluate_table
from oct_core.models.networks import build_model
from oct_core.runs.files import (
    append_rows,
    read_predictions,
    write_atomically,
    write_card,
    write_predictions,
)
from oct_core.runs.weights import weights_bytes
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import Preprocessing
from oct_core.trust.gate import Gate, write_gate
from oct_core.types import CLASSES, PredictionTable

SIZE = 64
EPOCHS = 8


def picture_bytes(label: str, seed: int) -> bytes:
    """A phantom as PNG: what a data folder of the tests holds."""
    stream = io.BytesIO()
    Image.fromarray(make_phantom(label, seed, 96, 100).pixels).save(stream, "PNG")
    return stream.getvalue()


def write_data_folder(root: Path, rows: int = 8) -> Path:
    """The pictures of the first test rows of every demo run, under test/<class>/."""
    for row in range(rows):
        label = CLASSES[row % 4]
        path = root / "test" / label / f"{label}-{row}-1.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_bytes(label, row))
    return root


def table(seed: int, rows: int = 48) -> PredictionTable:
    """Validation and test rows, mostly right; every third patient has two scans."""
    random = np.random.default_rng(seed)
    label = np.arange(rows) % 4
    logits = random.normal(0, 1, (rows, 4)) + 2.2 * np.eye(4)[label]
    digests = [
        hashlib.sha256(picture_bytes(CLASSES[row % 4], row)).hexdigest()
        if row < 8
        else f"{row:064x}"
        for row in range(rows)
    ]
    return PredictionTable(
        split=np.array(["test" if row < rows * 2 // 3 else "val" for row in range(rows)]),
        image=np.array([f"{CLASSES[row % 4]}-{row}-1.png" for row in range(rows)]),
        sha256=np.array(digests),
        patient=np.array([str(row - (row % 3 == 1)) for row in range(rows)]),
        label=label.astype(np.int64),
        logits=logits.astype(np.float32),
    )


def architecture_of(name: str) -> str:
    """The architecture that the name of a demo run holds."""
    return next(key for key in ("vgg16", "resnet50", "densenet121") if key in name)


def card(
    name: str, status: str, weights_sha256: str, predictions: PredictionTable
) -> dict[str, Any]:
    """A card with every key of the contract."""
    counts = {
        split: {
            label: {"images": base + 3 * place, "patients": base}
            for place, label in enumerate(CLASSES)
        }
        for split, base in (("train", 90), ("val", 12), ("test", 16))
    }
    return {
        "schema": 1,
        "name": name,
        "status": status,
        "architecture": architecture_of(name),
        "classes": list(CLASSES),
        "preprocessing": Preprocessing(size=SIZE).to_dict(),
        "weights_sha256": weights_sha256,
        "initialisation": "random",
        "data": {"manifest_sha256": "ab" * 32, "counts": counts},
        "training": {"epochs": EPOCHS + 4, "batch_size": 16},
        "versions": {"torch": "2.11", "numpy": "2.4"},
        "git_commit": "0123456789abcdef",
        "device": "cpu",
        "wall_seconds": 1234.5,
        "best_epoch": 6 if status == "done" else None,
        "temperature": 1.2,
        "operating_points": {},
        "metrics": {"test": evaluate_table(predictions, "test", 1.2, resamples=50).to_dict()}
        if status == "done"
        else {},
        "intended_use": "Research and teaching.",
        "limits": "Random weights, made for tests.",
        "licence": "MIT",
    }


def write_record(folder: Path, seed: int, epochs: int = EPOCHS) -> None:
    """history.csv and steps.csv of a training that goes well."""
    random = np.random.default_rng(seed)
    for epoch in range(1, epochs + 1):
        fall = float(np.exp(-epoch / 4) + random.normal(0, 0.01))
        row = {
            "epoch": epoch,
            "train_loss": 1.2 * fall,
            "train_accuracy": 1 - 0.6 * fall,
            "val_loss": 1.3 * fall + 0.05,
        }
        row |= {
            "val_accuracy": 0.97 - 0.6 * fall,
            "val_auc": 0.995 - 0.2 * fall,
            "learning_rate": 1e-3 * np.cos(epoch / epochs),
        }
        append_rows(folder / "history.csv", [row | {"seconds": 30.0, "images_per_second": 25.0}])
    for step in range(0, 20 * epochs, 5):
        fall = float(np.exp(-step / 80) + random.normal(0, 0.05))
        row = {
            "step": step,
            "epoch": step // 20 + 1,
            "loss": 1.2 * fall,
            "accuracy": 1 - 0.6 * fall,
        }
        append_rows(folder / "steps.csv", [row | {"learning_rate": 1e-3 * np.cos(step / 160)}])


def write_scores(folder: Path) -> None:
    """A gate for a demo run, and its scores in the answers: each seventh test scan is none."""
    gate = Gate(**{field.name: np.zeros((3, 2), np.float32) for field in dataclasses.fields(Gate)})
    answers = read_predictions(folder)
    scores = np.repeat(np.linspace(0, 1, len(answers))[:, None], 3, axis=1)
    scores[np.flatnonzero(answers.split == "test")[::7], 0] = 9
    write_predictions(folder, dataclasses.replace(answers, gate=scores))
    raw = json.loads((folder / "card.json").read_text())
    digest = write_gate(folder, gate)
    raw["gate"] = {"sha256": digest, "weights_sha256": raw["weights_sha256"]}
    write_card(folder, raw)


def write_run(
    root: Path, name: str, status: str = "done", weights: bool = False, seed: int = 0
) -> Path:
    """A run folder. A run in training has its card, history and steps; a done one also its
    predictions.
    """
    folder = root / name
    folder.mkdir(parents=True)
    predictions, digest = table(seed), ""
    if weights:
        torch.manual_seed(seed)
        preprocessing = Preprocessing(size=SIZE)
        architecture = architecture_of(name)
        data = weights_bytes(
            build_model(architecture, len(CLASSES), preprocessing.mean, preprocessing.std)
        )
        write_atomically(folder / "weights.safetensors", data)
        digest = hashlib.sha256(data).hexdigest()
    write_card(folder, card(name, status, digest, predictions))
    write_record(folder, seed)
    if status == "done":
        write_predictions(folder, predictions)
    return folder
