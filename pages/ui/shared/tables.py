"""Numbers and rows as people read them: intervals, durations, data frames.

The columns of a frame have stable names; ``show_table`` puts their titles over them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from oct_core.figures.charts.performance import curve_title
from oct_core.metrics import METRICS
from oct_core.metrics.curves import MACRO
from oct_core.metrics.intervals import interval_text
from oct_core.metrics.summary import ALL, Evaluation
from oct_core.types import CLASSES, FloatArray, PredictionTable
from oct_core.words import message, say, say_count

STATUSES = {
    "training": message("in training"),
    "done": message("finished"),
    "failed": message("stopped early"),
}
"""Status in a run card -> what a person reads."""
COLUMNS = {
    "model": message("Model"),
    "status": message("Status"),
    "epochs": message("Epochs"),
    "epoch": message("Epoch"),
    "train_loss": message("Training loss"),
    "val_loss": message("Validation loss"),
    "train_accuracy": message("Training accuracy"),
    "val_accuracy": message("Validation accuracy"),
    "val_auc": message("Validation AUC"),
    "images_per_second": message("Scans per second"),
    "time": message("Time"),
    "scans": message("Scans"),
    "patients": message("Patients"),
    "accuracy": message("Accuracy"),
    "balanced_accuracy": message("Balanced accuracy"),
    "macro_auc": message("Macro AUC"),
    "ece": message("Calibration error (ECE)"),
    "brier": message("Brier score"),
    "log_loss": message("Log loss"),
    "classwise_ece": message("Classwise calibration error"),
    "temperature": message("Temperature"),
    "figure": message("Figure"),
    "accuracy_difference": message("Difference of accuracy"),
    "auc_difference": message("Difference of macro AUC"),
    "mcnemar": message("McNemar's test"),
    "mcnemar_holm": message("McNemar's, after Holm"),
    "delong": message("DeLong's test"),
    "delong_holm": message("DeLong's, after Holm"),
    "image": message("Image"),
    "patient": message("Patient"),
    "true": message("True class"),
    "predicted": message("Predicted class"),
    "right": message("Correct"),
    "confidence": message("Confidence"),
    "p(true)": message("p(true class)"),
    "class": message("Class"),
    "pair": message("Pair"),
    "sensitivity": message("Sensitivity"),
    "specificity": message("Specificity"),
    "map": message("Map"),
    "method": message("Method"),
    "kind": message("Part of the report"),
    "run": message("Run"),
    "layer": message("Layer"),
    "source": message("Scans"),
    "random_to": message("Random down to"),
    "measure": message("Measure"),
    "n": message("Maps"),
    "value": message("Value"),
    "low": message("Low"),
    "high": message("High"),
}
"""Column of a frame -> its title; other columns (models, classes) are titles themselves."""


def sample_text(evaluation: Evaluation) -> str:
    """``248 scans of 160 patients``."""
    scans = say_count("{count} scan", "{count} scans", evaluation.n_scans)
    patients = say_count("{count} patient", "{count} patients", evaluation.n_patients)
    return say("{scans} of {patients}", scans=scans, patients=patients)


def duration_text(seconds: float) -> str:
    """Seconds as ``42 s``, ``12 min`` or ``3 h 05 min``."""
    if seconds < 60:
        return say("{seconds:.0f} s", seconds=seconds)
    minutes = round(seconds / 60)
    if minutes < 60:
        return say("{minutes} min", minutes=minutes)
    return say("{hours} h {minutes:02d} min", hours=minutes // 60, minutes=minutes % 60)


def column_titles(frame: pd.DataFrame) -> dict[str, Any]:
    """A column_config with the title of every column that has one."""
    return {
        name: st.column_config.Column(label=say(COLUMNS[name]))
        for name in map(str, frame.columns)
        if name in COLUMNS
    }


def show_table(
    frame: pd.DataFrame, alt: str, config: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """A data frame as wide as its place, with a title over each column; ``config`` overrides
    single columns. Returns what st.dataframe returns.
    """
    columns = column_titles(frame) | dict(config or {})
    return st.dataframe(
        frame, hide_index=True, width="stretch", column_config=columns, alt=alt, **options
    )


def headline_frame(evaluations: dict[str, Evaluation]) -> pd.DataFrame:
    """One row a model: accuracy, balanced accuracy, macro AUC, calibration."""
    rows = [
        {
            "model": name,
            "scans": scores.n_scans,
            "patients": scores.n_patients,
            "accuracy": interval_text(scores.accuracy, patients=scores.n_patients),
            "balanced_accuracy": interval_text(
                scores.balanced_accuracy, patients=scores.n_patients
            ),
            "macro_auc": interval_text(scores.macro_auc, patients=scores.n_patients),
            "ece": f"{scores.ece:.3f}",
            "brier": f"{scores.brier:.3f}",
            "log_loss": f"{scores.log_loss:.3f}",
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
        name: {key: interval_text(interval) for key, interval in getattr(scores, field).items()}
        for name, scores in evaluations.items()
    }
    if field == "auc":
        for name, scores in evaluations.items():
            columns[name][MACRO] = interval_text(scores.macro_auc, patients=scores.n_patients)
    frame = pd.DataFrame(columns)
    frame.insert(0, "class" if field == "auc" else "pair", list(map(curve_title, frame.index)))
    return frame


def further_frame(evaluations: dict[str, Evaluation]) -> pd.DataFrame:
    """One row a metric that has no place in the other tables, and class; one column a model."""
    first = next(iter(evaluations.values()))
    rows = []
    for name in first.figures:
        title = say(METRICS.get(name).title)
        for cell in first.intervals(name):
            label = title if cell == ALL else say("{title}, {cell}", title=title, cell=cell)
            cells = {model: scores.describe(name, cell) for model, scores in evaluations.items()}
            rows.append({"figure": label} | cells)
    return pd.DataFrame(rows)
