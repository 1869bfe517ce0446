"""Operating points: from which probability on a scan counts as a class, chosen on validation and
kept for test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from oct_core.errors import MetricError
from oct_core.metrics.checks import check_binary, check_fraction, check_labels, check_probabilities
from oct_core.metrics.curves import roc_curve
from oct_core.types import CLASSES


@dataclass(frozen=True)
class OperatingPoint:
    """One class called from a threshold on.

    threshold : a scan is called the class if its probability is >= this, 0 to 1.
    sensitivity, specificity : on the scans it was chosen (or measured) on. rule : how it was
    chosen.
    """

    threshold: float
    sensitivity: float
    specificity: float
    rule: str

    def to_dict(self) -> dict[str, float | str]:
        """For JSON."""
        return asdict(self)


def at_threshold(positive: ArrayLike, scores: ArrayLike, threshold: float) -> tuple[float, float]:
    """Sensitivity and specificity of calling scores >= threshold positive; NaN for a side without
    scans.

    positive : bool (N,). scores : finite (N,). Raises MetricError for bad arrays.
    """
    truth, values = check_binary(positive, scores)
    called = values >= threshold
    hits, passes = called[truth], ~called[~truth]
    return (
        float(hits.mean()) if hits.size else float("nan"),
        float(passes.mean()) if passes.size else float("nan"),
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
        target = check_fraction(target_sensitivity, "the target sensitivity")
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
    """A threshold for each class against the rest, see choose_point. Choose on validation scans,
    never on test scans.

    labels : (N,). probabilities : (N, K). A class that never (or always) occurs has no point.
    Raises MetricError.
    """
    truth, scores = (
        check_labels(labels, len(classes)),
        check_probabilities(probabilities, len(np.asarray(labels))),
    )
    both = [k for k in range(len(classes)) if 0 < np.count_nonzero(truth == k) < len(truth)]
    return {classes[k]: choose_point(truth == k, scores[:, k], target_sensitivity) for k in both}


def measure_operating_points(
    points: Mapping[str, OperatingPoint],
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str] = CLASSES,
) -> dict[str, OperatingPoint]:
    """The same thresholds with sensitivity and specificity on other scans (the test part).

    Raises MetricError for bad arrays or a class that is not among ``classes``.
    """
    truth, scores = (
        check_labels(labels, len(classes)),
        check_probabilities(probabilities, len(np.asarray(labels))),
    )
    measured = {}
    for name, point in points.items():
        if name not in classes:
            raise MetricError(
                "expected operating points of {classes}, got one of {name!r}; use points of the "
                "same run",
                classes=", ".join(classes),
                name=name,
            )
        k = list(classes).index(name)
        measured[name] = OperatingPoint(
            point.threshold, *at_threshold(truth == k, scores[:, k], point.threshold), point.rule
        )
    return measured
