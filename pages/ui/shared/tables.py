"""Numbers and rows as people read them: intervals, durations, data frames.

The columns of a frame have stable names; ``show_table`` puts their titles over them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from oct_core.exports import table_csv
from oct_core.figures.charts import curve_title
from oct_core.metrics import METRICS
from oct_core.metrics.intervals import Interval
from oct_core.metrics.summary import ALL, Evaluation
from oct_core.types import CLASSES, FloatArray, PredictionTable
from oct_core.words import message, say, say_count
from pages.ui.shared.files import file_stem, offer_file

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
    "data": message("Data"),
    "image": message("Image"),
    "patient": message("Patient"),
    "true": message("True class"),
    "predicted": message("Predicted class"),
    "right": message("Correct"),
    "confidence": message("Confidence"),
    "p(true)": message("p(true class)"),
    "verdict": message("Verdict"),
    "reason": message("Reason"),
    "class": message("Class"),
    "pair": message("Pair"),
    "sensitivity": message("Sensitivity"),
    "specificity": message("Specificity"),
    "corruption": message("Corruption"),
    "input": message("Input"),
    "family": message("Kind"),
    "auroc": message("AUROC"),
    "noticed": message("Noticed"),
    "grade": message("Grade"),
    "answer": message("Answered"),
    "caution": message("Caution"),
    "refer": message("No answer"),
    "answered_share": message("Share answered"),
    "wrong": message("Wrong among the answered"),
    "risk": message("Share wrong"),
    "missed": message("Diseased answered NORMAL"),
    "missed_share": message("Share of the diseased"),
    "area": message("Area under risk and coverage"),
    "predictor": message("Model"),
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


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval: words in a table, numbers in a file.

    text : ``0.972 (0.951 to 0.988)``, or why there is none.
    """

    interval: Interval
    text: str


Cell = Estimate | str | int | float
Rows = Sequence[Mapping[str, Cell]]
"""A table: the same columns in each row."""


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


def show_rows(rows: Rows, alt: str, name: str, *, upright: bool = False, **options: Any) -> None:
    """A table and a button for it as CSV. name : what the file is called. upright : each row is
    shown as a column, under its first cell, as narrow pages need it; the file keeps rows.
    """
    shown = [{key: _shown(cell) for key, cell in row.items()} for row in rows]
    frame = _upright(shown) if upright and shown else pd.DataFrame(shown)
    show_table(frame, alt, **options)
    offer_table(partial(rows_csv, rows), name)


def _upright(rows: Sequence[Mapping[str, str | int | float]]) -> pd.DataFrame:
    """A column a row, under its first cell, and a row a figure."""
    first, *others = rows[0]
    figures = [say(COLUMNS.get(key, key)) for key in others]
    columns = {str(row[first]): [str(row[key]) for key in others] for row in rows}
    return pd.DataFrame({"measure": figures} | columns)


def offer_table(make: Callable[[], bytes], name: str) -> None:
    """The button for a table as CSV."""
    stem = file_stem(name)
    offer_file(say("Table (CSV)"), make, f"{stem}.csv", "text/csv", f"csv_{stem}")


def _shown(cell: Cell) -> str | int | float:
    return cell.text if isinstance(cell, Estimate) else cell


def rows_csv(rows: Rows) -> bytes:
    """The table with every figure in three columns, ``accuracy``, ``accuracy_low`` and
    ``accuracy_high``, empty where it is not defined; ``accuracy_note`` then says why.
    """
    columns: list[str] = []
    lines: list[dict[str, object]] = []
    for row in rows:
        line: dict[str, object] = {}
        for key, cell in row.items():
            line |= _numbers(key, cell) if isinstance(cell, Estimate) else {key: cell}
        lines.append(line)
        columns += [key for key in line if key not in columns]
    return table_csv(columns, ([line.get(key) for key in columns] for line in lines))


def _numbers(key: str, cell: Estimate) -> dict[str, object]:
    ends = (cell.interval.value, cell.interval.low, cell.interval.high)
    numbers: dict[str, object] = {
        name: None if math.isnan(number) else number
        for name, number in zip((key, f"{key}_low", f"{key}_high"), ends, strict=True)
    }
    return numbers | ({f"{key}_note": cell.text} if math.isnan(ends[1]) else {})


def estimate(scores: Evaluation, name: str, cell: str = ALL) -> Estimate:
    """A figure of an evaluation."""
    return Estimate(scores.intervals(name)[cell], scores.describe(name, cell))


def headline_rows(evaluations: Mapping[str, Evaluation]) -> Rows:
    """One row a model: accuracy, balanced accuracy, macro AUC, calibration."""
    figures = {
        "accuracy": "accuracy",
        "balanced_accuracy": "balanced_accuracy",
        "macro_auc": "macro_auc",
        "ece": "expected_calibration_error",
        "brier": "brier_score",
        "log_loss": "log_loss",
    }
    return [
        {"model": name} | {key: estimate(scores, metric) for key, metric in figures.items()}
        for name, scores in evaluations.items()
    ]


PREDICTION_COLUMNS = [
    *("image", "patient", "model", "true", "predicted", "right", "confidence", "p(true)"),
    *(f"p({name})" for name in CLASSES),
    "sha256",
]
"""Of ``prediction_frame``, for the classes that the runs here have."""


def prediction_frame(model: str, table: PredictionTable, probabilities: FloatArray) -> pd.DataFrame:
    """One row a scan: what it is, what the model says, and the probability of each class."""
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
    columns |= {f"p({name})": probabilities[:, index] for index, name in enumerate(table.classes)}
    return pd.DataFrame(columns | {"sha256": table.sha256})


def class_rows(evaluations: Mapping[str, Evaluation]) -> Rows:
    """One row a model and class: sensitivity and specificity with intervals."""
    return [
        {
            "model": name,
            "class": label,
            "scans": int(scores.confusion[index].sum()),
            "sensitivity": estimate(scores, "sensitivity", label),
            "specificity": estimate(scores, "specificity", label),
        }
        for name, scores in evaluations.items()
        for index, label in enumerate(scores.classes)
    ]


def figure_rows(evaluations: Mapping[str, Evaluation]) -> Rows:
    """One row a figure of the registry, and class or pair; one column a model."""
    rows: list[dict[str, Cell]] = []
    for name in METRICS:
        title = say(METRICS.get(name).title)
        cells = {cell: None for scores in evaluations.values() for cell in scores.intervals(name)}
        for cell in cells:
            label = (
                title
                if cell == ALL
                else say("{title}, {cell}", title=title, cell=curve_title(cell))
            )
            row: dict[str, Cell] = {"figure": label}
            for model, scores in evaluations.items():
                known = cell in scores.intervals(name)
                row[model] = estimate(scores, name, cell) if known else "–"
            rows.append(row)
    return rows
