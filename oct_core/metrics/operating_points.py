"""Operating points: from which probability on a scan counts as a class, chosen on validation and
kept for test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oct_core.errors import MetricError
from oct_core.metrics.checks import check_binary, check_fraction, check_labels, check_probabilities
from oct_core.metrics.classification import (
    confusion_matrix,
    negative_predictive_value,
    precision,
    predictive_values,
    sensitivity,
    specificity,
)
from oct_core.metrics.curves import roc_curve
from oct_core.metrics.intervals import Interval, bootstrap_metrics
from oct_core.metrics.triage import URGENT, urgent_probability
from oct_core.types import CLASSES, FloatArray, IntArray
from oct_core.words import say

URGENT_REFERRAL = "urgent"
"""Beside the classes what can be detected: CNV or DME, by the sum of their probabilities."""


def detectable(classes: Sequence[str] = CLASSES) -> tuple[str, ...]:
    """What a threshold can stand for: each class, and urgent referral where the classes are those
    that it is defined for.
    """
    return (*classes, URGENT_REFERRAL) if tuple(classes) == CLASSES else tuple(classes)


def detection(
    target: str, labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[str] = CLASSES
) -> tuple[NDArray[np.bool_], FloatArray]:
    """Which scans are positive (N,), and their score (N,), 0 to 1, when one of ``detectable`` is to
    be told from the rest.

    labels : (N,). probabilities : (N, K). Raises MetricError for bad arrays or another target.
    """
    truth = check_labels(labels, len(classes))
    scores = check_probabilities(probabilities, len(truth))
    if target not in detectable(classes):
        raise MetricError(
            "expected one of {targets} to detect, got {target!r}; choose one of them",
            targets=", ".join(detectable(classes)),
            target=target,
        )
    if target == URGENT_REFERRAL:
        return np.isin(truth, URGENT), urgent_probability(scores)
    k = list(classes).index(target)
    return truth == k, scores[:, k]


@dataclass(frozen=True)
class OperatingPoint:
    """One class called from a threshold on.

    threshold : a scan is called the class if its probability is >= this, 0 to 1.
    sensitivity, specificity : on the scans it was chosen on. rule : how it was chosen.
    """

    threshold: float
    sensitivity: float
    specificity: float
    rule: str

    def to_dict(self) -> dict[str, float | str]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class ThresholdFigures:
    """What calling a class from a threshold on gives, with intervals by patient.

    threshold : a scan is called positive if its score is >= this. confusion : int64 (2, 2), rows
    the truth, negative first: [[TN, FP], [FN, TP]]. sensitivity, specificity : of those scans.
    ppv, npv : at ``prevalence``, which is the sample's own unless another was chosen.
    """

    threshold: float
    confusion: IntArray
    sensitivity: Interval
    specificity: Interval
    ppv: Interval
    npv: Interval
    prevalence: float


def predictive_intervals(
    sensitivity: Interval, specificity: Interval, prevalence: float
) -> tuple[Interval, Interval]:
    """Positive and negative predictive value where a class has this prevalence, 0 to 1, with
    intervals from those of sensitivity and specificity.

    Both values rise with both rates, so their ends are at both lower and at both upper ends: a
    little wide, since both are seldom off at once. No false alarm among the scans does not make the
    positive value 1 for certain; at a low prevalence it says little. NaN where not defined. Raises
    MetricError as ``predictive_values``.
    """
    hit, passed = (list(vars(interval).values()) for interval in (sensitivity, specificity))
    numbers = np.stack(predictive_values(hit, passed, prevalence))
    numbers[np.isnan(numbers[:, 0])] = np.nan
    positive, negative = (Interval(*row) for row in numbers.tolist())
    return positive, negative


def figures_at_threshold(
    positive: ArrayLike,
    scores: ArrayLike,
    threshold: float,
    patients: ArrayLike,
    prevalence: float | None = None,
    resamples: int = 2000,
) -> ThresholdFigures:
    """Sensitivity, specificity, predictive values and the confusion matrix at any threshold.

    positive : bool (N,). scores : finite (N,). patients : (N,). prevalence : for the predictive
    values, 0 to 1. The seed of the resamples is 0, so that a moving threshold does not shake the
    intervals. A figure whose scans are missing is NaN. Raises MetricError for bad arrays.
    """
    truth, values = check_binary(positive, scores)
    called = (values >= threshold).astype(np.int64)
    labels = truth.astype(np.int64)
    metrics = (sensitivity, specificity, precision, negative_predictive_value)
    intervals = bootstrap_metrics(metrics, labels, np.eye(2)[called], patients, resamples)
    hit, passed, ppv, npv = (intervals[metric.name][1] for metric in metrics)
    if prevalence is not None:
        ppv, npv = predictive_intervals(hit, passed, prevalence)
    return ThresholdFigures(
        threshold=threshold,
        confusion=confusion_matrix(labels, called, 2).astype(np.int64),
        sensitivity=hit,
        specificity=passed,
        ppv=ppv,
        npv=npv,
        prevalence=float(truth.mean()) if prevalence is None else prevalence,
    )


def _between(upper: float, lower: float) -> float:
    """Half way between a score that is called and the next that is not: the same calls, further
    from both.
    """
    middle = (upper + lower) / 2
    return middle if middle > lower else upper


def choose_point(
    positive: ArrayLike, scores: ArrayLike, target_sensitivity: float | None = None
) -> OperatingPoint:
    """The threshold of one class.

    Without a target: at the largest sensitivity + specificity - 1 (Youden 1950). With one: the best
    specificity whose sensitivity is at least the target. Of equals, the highest threshold (fewest
    false alarms). The threshold lies half way to the next lower score. Raises MetricError for bad
    arrays, one-sided truth or a target outside (0, 1).
    """
    curve = roc_curve(positive, scores)
    rate, alarms = curve.true_positive_rate, curve.false_positive_rate
    if target_sensitivity is None:
        # Rounding must not decide between equals: compare at 1e-12.
        at, rule = int(np.argmax(np.round(rate - alarms, 12))), "Youden"
        at = max(at, 1)
    else:
        target = check_fraction(target_sensitivity, say("the target sensitivity"))
        at, rule = int(np.argmax(rate >= target - 1e-12)), f"sensitivity >= {target:g}"
    steps = curve.thresholds
    threshold = (
        _between(float(steps[at]), float(steps[at + 1]))
        if at + 1 < len(steps)
        else float(steps[at])
    )
    return OperatingPoint(threshold, float(rate[at]), float(1 - alarms[at]), rule)


def choose_operating_points(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str] = CLASSES,
    target_sensitivity: float | None = None,
) -> dict[str, OperatingPoint]:
    """A threshold for each class against the rest and for urgent referral (``detectable``), see
    choose_point. Choose on validation scans, never on test scans.

    labels : (N,). probabilities : (N, K). What never (or always) occurs has no point. Raises
    MetricError.
    """
    sides = {
        target: detection(target, labels, probabilities, classes) for target in detectable(classes)
    }
    return {
        target: choose_point(positive, scores, target_sensitivity)
        for target, (positive, scores) in sides.items()
        if positive.any() and not positive.all()
    }
