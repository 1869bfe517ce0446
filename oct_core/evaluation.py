"""run -> what is known of it: metrics with intervals, operating points, accuracy under corruption
and on fresh phantoms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oct_core.data.manifest import manifest_sha256
from oct_core.data.pack import Pack
from oct_core.errors import DataError
from oct_core.metrics.calibration import softmax
from oct_core.metrics.operating_points import choose_operating_points
from oct_core.metrics.summary import Evaluation, evaluate_table
from oct_core.runs.files import read_card, read_predictions, write_card, write_predictions
from oct_core.runs.predict import logits_of_pack, predict_pack
from oct_core.runs.predictor import Predictor
from oct_core.runs.weights import LoadedRun, load_run
from oct_core.scans.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES

FRESH_PHANTOM_SEED = 2_000_000
"""Fresh phantoms count up from here; no training and no sample uses these seeds."""


def evaluate_run(
    folder: Path,
    pack: Pack | None = None,
    device: str | torch.device = "cpu",
    progress: Callable[[str], None] = lambda what: None,
    splits: Sequence[str] = ("val", "test"),
) -> dict[str, Evaluation]:
    """Measure a finished run on some of its parts, and write the figures into its card; those of
    the other parts stay as they are.

    Without a pack the figures come from predictions.csv. With one, the predictions are made anew
    from the weights on disk, and the card also gains accuracy under graded corruptions (on
    validation scans) and on fresh phantoms. Raises DataError if the pack is not what the run was
    trained on, CheckpointError if the run is not finished.
    """
    card = read_card(folder)
    raw = dict(card.raw)
    if pack is not None:
        run = load_run(folder, device)
        _refuse_other_data(raw, pack)
        progress("predicting validation and test scans")
        write_predictions(folder, predict_pack(run.model, pack, run.device))
        progress("measuring graded corruptions and fresh phantoms")
        raw["robustness"] = corruption_accuracy(run, pack)
        raw["phantoms"] = phantom_accuracy(run)
    progress("computing intervals by patient")
    table = read_predictions(folder)
    evaluations = {split: evaluate_table(table, split, card.temperature) for split in splits}
    val = table.of_split("val")
    points = choose_operating_points(val.label, softmax(val.logits, card.temperature), card.classes)
    raw["operating_points"] = {name: point.to_dict() for name, point in points.items()}
    raw["metrics"] = {
        **raw.get("metrics", {}),
        **{split: evaluation.to_dict() for split, evaluation in evaluations.items()},
    }
    write_card(folder, raw)
    return evaluations


def _refuse_other_data(raw: dict[str, Any], pack: Pack) -> None:
    trained_on, preprocessing = raw["data"]["manifest_sha256"], raw["preprocessing"]
    form = (preprocessing["size"], preprocessing.get("version", 1))
    if manifest_sha256(pack.records) != trained_on or (
        form != (pack.size, pack.preprocessing_version)
    ):
        raise DataError(
            "{folder} is not the data of this run (manifest {trained_on}, {size} px, "
            "preprocessing version {version}); give the prepared folder it was trained on, or "
            "leave --data out",
            folder=pack.folder,
            trained_on=trained_on[:12],
            size=form[0],
            version=form[1],
        )


def corruption_accuracy(run: LoadedRun, pack: Pack) -> dict[str, Any]:
    """Accuracy on the validation part, clean and under each corruption at each severity, 0 to 1,
    and the mean of them.
    """
    rows = pack.rows("val")
    pixels, labels = np.array(pack.pixels[rows]), pack.labels[rows]

    def accuracy(changed: np.ndarray[Any, np.dtype[np.uint8]]) -> float:
        with run.lock:
            logits = logits_of_pack(run.model, changed, run.device)
        return float((logits.argmax(1) == labels).mean())

    by_name = {
        name: [accuracy(corrupt(pixels, name, severity)) for severity in SEVERITIES]
        for name in CORRUPTIONS
    }
    mean = float(np.mean(list(by_name.values())))
    return {
        "split": "val",
        "n": len(rows),
        "clean": accuracy(pixels),
        "mean_corrupted": mean,
        "accuracy": by_name,
    }


def phantom_accuracy(run: Predictor, per_class: int = 25) -> dict[str, Any]:
    """Accuracy on phantoms of seeds that nothing else uses: n in all, and by class."""
    right = {}
    for label in CLASSES:
        scans = [make_phantom(label, FRESH_PHANTOM_SEED + seed).scan for seed in range(per_class)]
        right[label] = sum(prediction.predicted == label for prediction in run.predict(scans))
    total = per_class * len(CLASSES)
    return {
        "n": total,
        "accuracy": sum(right.values()) / total,
        "by_class": {label: count / per_class for label, count in right.items()},
    }
