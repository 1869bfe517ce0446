"""The rows of history.csv and steps.csv: of an epoch, and cut back to the last finished one."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from oct_core.data.pack import Pack
from oct_core.metrics.calibration import softmax
from oct_core.metrics.curves import macro_auc
from oct_core.runs.files import write_atomically
from oct_core.training.loop import EpochResult
from oct_core.types import CLASSES, SENSITIVITY, Float32Array, IntArray


def history_row(
    epoch: int, result: EpochResult, pack: Pack, logits: Float32Array
) -> dict[str, float]:
    """One epoch as a row of history.csv. logits : (N, classes) of the validation part."""
    labels = pack.labels[pack.rows("val")]
    probabilities = softmax(logits, 1.0)
    return {
        "epoch": epoch + 1,
        "train_loss": result.loss,
        "train_accuracy": result.accuracy,
        "val_loss": float(
            -np.log(probabilities[np.arange(len(labels)), labels].clip(1e-12)).mean()
        ),
        "val_accuracy": float((logits.argmax(1) == labels).mean()),
        "val_auc": float(macro_auc(labels, probabilities)),
        "learning_rate": result.learning_rate,
        "seconds": result.seconds,
        "images_per_second": result.images_per_second,
        **_sensitivities(labels, logits.argmax(1)),
    }


def _sensitivities(labels: IntArray, called: IntArray) -> dict[str, float]:
    """``val_sensitivity_CNV`` and so on: the share of the class's scans that are called so, NaN of
    a class without a scan.
    """
    return {
        f"{SENSITIVITY}{name}": float((called[labels == index] == index).mean())
        if (labels == index).any()
        else math.nan
        for index, name in enumerate(CLASSES)
    }


def cut_rows(path: Path, column: str, last: int) -> None:
    """Drop the rows after ``last``: they belong to an epoch that was not finished and is trained
    again.
    """
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    header = lines[0] if lines else []
    rows = [
        row
        for row in lines[1:]
        if len(row) == len(header) and float(row[header.index(column)]) <= last
    ]
    if rows:
        write_atomically(
            path, ("\n".join(",".join(row) for row in [header, *rows]) + "\n").encode()
        )
    else:
        path.unlink()
