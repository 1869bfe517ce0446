"""Numbers and rows as people read them: intervals, shares, durations, data frames."""

from __future__ import annotations

from typing import Any, Protocol

import pandas as pd

from oct_core.metrics.summary import Evaluation
from oct_core.types import CLASSES, FloatArray, PredictionTable
from oct_core.words import say


class Bounded(Protocol):
    """A value with its 95% interval."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def interval_text(interval: Bounded, digits: int = 3) -> str:
    """``0.972 (0.951 to 0.988)``; "not defined" for NaN, "no interval" where there is none."""
    if interval.value != interval.value:
        return say("not defined")
    if interval.low != interval.low:
        return say(
            "{interval_value:.{digits}f} (no interval)",
            interval_value=interval.value,
            digits=digits,
        )
    return f"{interval.value:.{digits}f} ({interval.low:.{digits}f} to {interval.high:.{digits}f})"


def sample_text(evaluation: Evaluation) -> str:
    """``248 scans of 160 patients``."""
    return say(
        "{n_scans} scans of {n_patients} patients",
        n_scans=evaluation.n_scans,
        n_patients=evaluation.n_patients,
    )


def duration_text(seconds: float) -> str:
    """Seconds as ``42 s``, ``12 min`` or ``3 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def headline_frame(evaluations: dict[str, Evaluation]) -> pd.DataFrame:
    """One row a model: accuracy, balanced accuracy, macro AUC, calibration."""
    rows = [
        {
            "model": name,
            "scans": scores.n_scans,
            "patients": scores.n_patients,
            "accuracy": interval_text(scores.accuracy),
            say("balanced accuracy"): interval_text(scores.balanced_accuracy),
            say("macro AUC"): interval_text(scores.macro_auc),
            say("calibration error (ECE)"): f"{scores.ece:.3f}",
            say("Brier score"): f"{scores.brier:.3f}",
            "log-loss": f"{scores.log_loss:.3f}",
        }
        for name, scores in evaluations.items()
    ]
    return pd.DataFrame(rows)


def prediction_frame(model: str, table: PredictionTable, probabilities: FloatArray) -> pd.DataFrame:
    """One row a scan: what it is, what the model says, and the four probabilities."""
    predicted = probabilities.argmax(axis=1)
    columns: dict[str, Any] = {
        "image": table.image,
        "patient": table.patient,
        "model": model,
        "true": [table.classes[index] for index in table.label],
        "predicted": [table.classes[index] for index in predicted],
        "right": predicted == table.label,
        "confidence": probabilities.max(axis=1),
        "p(true)": probabilities[range(len(table)), table.label],
    }
    columns |= {f"p({name})": probabilities[:, index] for index, name in enumerate(CLASSES)}
    return pd.DataFrame(columns | {"sha256": table.sha256})


def class_frame(evaluations: dict[str, Evaluation]) -> pd.DataFrame:
    """One row a model and class: sensitivity and specificity with intervals."""
    rows = [
        {
            "model": name,
            "class": label,
            "scans": int(scores.confusion[index].sum()),
            "sensitivity": interval_text(scores.sensitivity[label]),
            "specificity": interval_text(scores.specificity[label]),
        }
        for name, scores in evaluations.items()
        for index, label in enumerate(scores.classes)
    ]
    return pd.DataFrame(rows)


def auc_frame(evaluations: dict[str, Evaluation], field: str) -> pd.DataFrame:
    """One row a class or pair, one column a model. field : "auc" (with the macro average) or
    "auc_pairs".
    """
    columns = {
        name: {key: interval_text(one) for key, one in getattr(scores, field).items()}
        for name, scores in evaluations.items()
    }
    if field == "auc":
        for name, scores in evaluations.items():
            columns[name]["macro average"] = interval_text(scores.macro_auc)
    frame = pd.DataFrame(columns)
    frame.insert(0, "class" if field == "auc" else "pair", frame.index)
    return frame
