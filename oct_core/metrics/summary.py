"""Everything measured about a run on one split, with intervals: what the card stores and the pages
draw.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oct_core.errors import MetricError
from oct_core.metrics.base import METRICS
from oct_core.metrics.calibration import brier_score, expected_calibration_error, log_loss
from oct_core.metrics.classification import confusion_counts, confusion_matrix
from oct_core.metrics.curves import pair_names
from oct_core.metrics.intervals import LEVEL, Interval, bootstrap_metrics, interval_text
from oct_core.metrics.merging import called_groups, measurable
from oct_core.metrics.undefined import reason_undefined
from oct_core.types import CLASSES, FloatArray, IntArray, PredictionTable
from oct_core.words import say

_SCALARS = ("accuracy", "balanced_accuracy", "macro_auc")
_TABLES = ("sensitivity", "specificity", "auc", "auc_pairs")
_NUMBERS = ("ece", "brier", "log_loss")
_FIELDS = {
    **{name: name for name in (*_SCALARS, "sensitivity", "specificity")},
    "auc_one_vs_rest": "auc",
    "auc_one_vs_one": "auc_pairs",
}
"""Metrics that have a field of their own in every card; all others are in ``figures``."""
ALL = "all"
"""The cell of a metric that is one number."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of one run on one split.

    split : "val", "test", "external/NAME" ... classes : their order everywhere; merged as the
    labels are where those are coarser. n_scans, n_patients : what the figures rest on.
    temperature : the one the logits were divided by. resamples : bootstrap by patient behind each
    interval (95%).
    accuracy, balanced_accuracy, macro_auc : 0 to 1. sensitivity, specificity, auc : by class, auc
    against the rest.
    auc_pairs : by "CNV vs DME" ..., Hand & Till. confusion : int64 (K, K), rows are the truth.
    ece : 0 to 1. brier : 0 to 2. log_loss : nats. A figure that is not defined is NaN.
    figures : the other metrics of the registry by name, then by "all", class or pair; those of
    ece, brier and log_loss with their intervals too. Empty in cards of older versions.
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
    figures: dict[str, dict[str, Interval]] = field(default_factory=dict)

    def intervals(self, name: str) -> dict[str, Interval]:
        """A metric of the registry by "all", class or pair; empty if this card does not have it."""
        if name not in _FIELDS:
            return self.figures.get(name, {})
        value = getattr(self, _FIELDS[name])
        return {ALL: value} if isinstance(value, Interval) else value

    def describe(self, name: str, cell: str = ALL) -> str:
        """A figure as a table shows it: "0.931 (0.904 to 0.957)", "not defined: no NORMAL", or ""
        if this card does not have it.
        """
        cells = self.intervals(name)
        if cell not in cells:
            return ""
        reason = reason_undefined(
            METRICS.get(name), self.confusion, self.classes, list(cells).index(cell)
        )
        return reason or interval_text(cells[cell], patients=self.n_patients)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: plain lists, dicts and numbers, None for NaN."""
        data = dict(vars(self))
        data.update(classes=list(self.classes), confusion=self.confusion.tolist(), level=LEVEL)
        data.update({name: data[name].to_dict() for name in _SCALARS})
        data.update({name: _cells_to_dict(data[name]) for name in _TABLES})
        data["figures"] = {name: _cells_to_dict(cells) for name, cells in self.figures.items()}
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Evaluation:
        """The reverse of to_dict, cards without ``figures`` included; raises MetricError for a
        missing or broken field.
        """
        try:
            fields = {name: data[name] for name in cls.__dataclass_fields__ if name != "figures"}
            fields.update(
                classes=tuple(data["classes"]),
                confusion=np.asarray(data["confusion"], dtype=np.int64),
            )
            fields.update({name: Interval.from_dict(data[name]) for name in _SCALARS})
            fields.update({name: _cells_from_dict(data[name]) for name in _TABLES})
            figures = data.get("figures", {})
            fields["figures"] = {name: _cells_from_dict(cells) for name, cells in figures.items()}
            fields.update({name: float(data[name]) for name in _NUMBERS})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MetricError(
                "expected an evaluation as to_dict writes it, got one with a bad field "
                "({error}); evaluate the run again",
                error=error,
            ) from error
        return cls(**fields)


def _cells_to_dict(cells: dict[str, Interval]) -> dict[str, Any]:
    return {key: cell.to_dict() for key, cell in cells.items()}


def _cells_from_dict(data: dict[str, Any]) -> dict[str, Interval]:
    return {key: Interval.from_dict(cell) for key, cell in data.items()}


def _measure(
    rows: PredictionTable,
    called: IntArray,
    probabilities: FloatArray,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Interval]]:
    """Every metric of the registry that these classes allow, by name and then by cell: those of
    the confusion matrix from the answers ``called`` (N,), the others from the probabilities. Both
    at once where the answer is the group with the highest probability, as it is without merging.
    """
    metrics = [
        metric
        for metric in map(METRICS.get, METRICS)
        if rows.classes == CLASSES or not metric.by_name
    ]
    sides = {True: np.eye(len(rows.classes))[called], False: probabilities}
    if (called == probabilities.argmax(axis=1)).all():
        sides[True] = probabilities
    intervals: dict[str, list[Interval]] = {}
    for scores in {id(scores): scores for scores in sides.values()}.values():
        group = [metric for metric in metrics if sides[metric.basis is confusion_counts] is scores]
        intervals |= bootstrap_metrics(group, rows.label, scores, rows.patient, resamples, seed)
    keys = {"scalar": [ALL], "class": rows.classes, "pair": pair_names(rows.classes)}
    return {
        metric.name: dict(zip(keys[metric.kind], intervals[metric.name], strict=True))
        for metric in metrics
    }


def evaluate_table(
    table: PredictionTable,
    split: str,
    temperature: float = 1.0,
    resamples: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Measure the rows of one split: every metric of the registry (costs and triage only where the
    classes are the four that they know).

    table : predictions.csv in memory. split : "val", "test" or another that the table has, with all
    that are below it. temperature : fitted on validation, > 0. Labels that are coarser than the
    classes merge these: an answer is right if its label may stand for it, areas and calibration are
    those of the summed probabilities (``oct_core.metrics.merging``). Raises MetricError if the
    split has no row, a logit is not finite, or labels overlap. 2000 resamples of 200 scans take
    well under 2 s.
    """
    rows = table.of_split(split)
    if not len(rows):
        have = ", ".join(sorted(set(table.split.tolist()))) or say("none")
        raise MetricError(
            "expected predictions of the split {split!r}, got none; the table has: {have}",
            split=split,
            have=have,
        )
    called, probabilities = called_groups(rows, temperature)
    rows, _ = measurable(rows, temperature)
    figures = _measure(rows, called, probabilities, resamples, seed)
    confusion = confusion_matrix(rows.label, called, len(rows.classes))
    return Evaluation(
        split=split,
        classes=rows.classes,
        n_scans=len(rows),
        n_patients=len(np.unique(rows.patient)),
        temperature=temperature,
        resamples=resamples,
        accuracy=figures["accuracy"][ALL],
        balanced_accuracy=figures["balanced_accuracy"][ALL],
        macro_auc=figures["macro_auc"][ALL],
        sensitivity=figures["sensitivity"],
        specificity=figures["specificity"],
        auc=figures["auc_one_vs_rest"],
        auc_pairs=figures["auc_one_vs_one"],
        confusion=confusion.astype(np.int64),
        ece=figures[expected_calibration_error.name][ALL].value,
        brier=figures[brier_score.name][ALL].value,
        log_loss=figures[log_loss.name][ALL].value,
        figures={name: cells for name, cells in figures.items() if name not in _FIELDS},
    )
