"""Everything measured about a run on one split, with intervals: what the card stores and the pages
draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from oct_core.errors import MetricError
from oct_core.metrics.calibration import brier_score, expected_calibration_error, log_loss, softmax
from oct_core.metrics.classification import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    sensitivity,
    specificity,
)
from oct_core.metrics.curves import auc_one_vs_one, auc_one_vs_rest, macro_auc, pair_names
from oct_core.metrics.intervals import LEVEL, Interval, bootstrap_metrics
from oct_core.types import IntArray, PredictionTable

_SCALARS = ("accuracy", "balanced_accuracy", "macro_auc")
_TABLES = ("sensitivity", "specificity", "auc", "auc_pairs")
_NUMBERS = ("ece", "brier", "log_loss")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of one run on one split.

    split : "val" or "test". classes : their order everywhere. n_scans, n_patients : what the
    figures rest on.
    temperature : the one the logits were divided by. resamples : bootstrap by patient behind each
    interval (95%).
    accuracy, balanced_accuracy, macro_auc : 0 to 1. sensitivity, specificity, auc : by class, auc
    against the rest.
    auc_pairs : by "CNV vs DME" ..., Hand & Till. confusion : int64 (K, K), rows are the truth.
    ece : 0 to 1. brier : 0 to 2. log_loss : nats. A figure that is not defined is NaN.
    """

    split: str
    classes: tuple[str, ...]
    n_scans: int
    n_patients: int
    temperature: float
    resamples: int
    accuracy: Interval
    balanced_accuracy: Interval
    macro_auc: Interval
    sensitivity: dict[str, Interval]
    specificity: dict[str, Interval]
    auc: dict[str, Interval]
    auc_pairs: dict[str, Interval]
    confusion: IntArray
    ece: float
    brier: float
    log_loss: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON: plain lists, dicts and numbers, None for NaN."""
        data = dict(vars(self))
        data.update(classes=list(self.classes), confusion=self.confusion.tolist(), level=LEVEL)
        data.update({name: data[name].to_dict() for name in _SCALARS})
        data.update(
            {name: {key: cell.to_dict() for key, cell in data[name].items()} for name in _TABLES}
        )
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Evaluation:
        """The reverse of to_dict; raises MetricError for a missing or broken field."""
        try:
            fields = {name: data[name] for name in cls.__dataclass_fields__}
            fields.update(
                classes=tuple(data["classes"]),
                confusion=np.asarray(data["confusion"], dtype=np.int64),
            )
            fields.update({name: Interval.from_dict(data[name]) for name in _SCALARS})
            fields.update(
                {
                    name: {key: Interval.from_dict(cell) for key, cell in data[name].items()}
                    for name in _TABLES
                }
            )
            fields.update({name: float(data[name]) for name in _NUMBERS})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MetricError(
                "expected an evaluation as to_dict writes it, got one with a bad field "
                "({error}); evaluate the run again",
                error=error,
            ) from error
        return cls(**fields)


def evaluate_table(
    table: PredictionTable,
    split: str,
    temperature: float = 1.0,
    resamples: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Measure the rows of one split.

    table : predictions.csv in memory. split : "val" or "test". temperature : fitted on validation,
    > 0. Raises MetricError if the split has no row or a logit is not finite. 2000 resamples of 200
    scans take well under 2 s.
    """
    rows = table.of_split(split)
    if not len(rows):
        have = ", ".join(sorted(set(table.split.tolist()))) or "none"
        raise MetricError(
            "expected predictions of the split {split!r}, got none; the table has: {have}",
            split=split,
            have=have,
        )
    probabilities = softmax(rows.logits, temperature)
    metrics = [
        accuracy,
        balanced_accuracy,
        macro_auc,
        sensitivity,
        specificity,
        auc_one_vs_rest,
        auc_one_vs_one,
    ]
    found = bootstrap_metrics(metrics, rows.label, probabilities, rows.patient, resamples, seed)
    by_class = {
        name: dict(zip(rows.classes, found[name], strict=True))
        for name in ("sensitivity", "specificity", "auc_one_vs_rest")
    }
    return Evaluation(
        split=split,
        classes=rows.classes,
        n_scans=len(rows),
        n_patients=len(np.unique(rows.patient)),
        temperature=temperature,
        resamples=resamples,
        accuracy=found["accuracy"][0],
        balanced_accuracy=found["balanced_accuracy"][0],
        macro_auc=found["macro_auc"][0],
        sensitivity=by_class["sensitivity"],
        specificity=by_class["specificity"],
        auc=by_class["auc_one_vs_rest"],
        auc_pairs=dict(zip(pair_names(rows.classes), found["auc_one_vs_one"], strict=True)),
        confusion=confusion_matrix(
            rows.label, probabilities.argmax(axis=1), len(rows.classes)
        ).astype(np.int64),
        ece=float(expected_calibration_error(rows.label, probabilities)),
        brier=float(brier_score(rows.label, probabilities)),
        log_loss=float(log_loss(rows.label, probabilities)),
    )
