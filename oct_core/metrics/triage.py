"""What an error costs: the referral a scan should lead to, and Kermany's weights of errors.

These metrics know the classes CNV, DME, DRUSEN and NORMAL, in that order (``oct_core.types``), and
take no others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from oct_core.errors import MetricError
from oct_core.metrics.base import metric, ratio
from oct_core.metrics.checks import check_probabilities
from oct_core.metrics.classification import confusion_counts
from oct_core.types import CLASSES, FloatArray
from oct_core.words import message

REFERRALS: dict[str, tuple[str, ...]] = {
    "urgent": ("CNV", "DME"),
    "routine": ("DRUSEN",),
    "observation": ("NORMAL",),
}
"""Which classes lead to which referral (Kermany et al. 2018), the most urgent first."""

URGENT = tuple(CLASSES.index(name) for name in REFERRALS["urgent"])
_MEMBER = np.array([[name in names for names in REFERRALS.values()] for name in CLASSES], float)


def _kermany_costs() -> FloatArray:
    costs = 1.0 - np.eye(len(CLASSES))
    for name in REFERRALS["urgent"]:
        costs[CLASSES.index(name), CLASSES.index("NORMAL")] = 4.0
        costs[CLASSES.index(name), CLASSES.index("DRUSEN")] = 2.0
    return costs


KERMANY_COSTS = _kermany_costs()
"""(4, 4), rows the truth: CNV or DME called NORMAL costs 4, called DRUSEN 2, other errors 1
(Kermany et al. 2018)."""


def triage_confusion(confusion: ArrayLike) -> FloatArray:
    """The confusion of referrals, urgent, routine and observation, from that of the classes.

    confusion : (..., 4, 4), rows the truth. Returns (..., 3, 3). Raises MetricError for another
    shape.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    if counts.shape[-2:] != (len(CLASSES), len(CLASSES)):
        raise MetricError(
            "expected a confusion matrix of the classes {classes}, got shape {shape}; other "
            "classes have no referral",
            classes=", ".join(CLASSES),
            shape=counts.shape,
        )
    referrals: FloatArray = _MEMBER.T @ counts @ _MEMBER
    return referrals


def urgent_probability(probabilities: ArrayLike) -> FloatArray:
    """The probability of urgent referral (N,), 0 to 1: of CNV or DME, from probabilities (N, 4).

    Raises MetricError for bad arrays or other than four classes.
    """
    scores = check_probabilities(probabilities)
    if scores.shape[1] != len(CLASSES):
        raise MetricError(
            "expected probabilities of the classes {classes}, got {n_classes} columns; other "
            "classes have no referral",
            classes=", ".join(CLASSES),
            n_classes=scores.shape[1],
        )
    urgent: FloatArray = np.clip(scores[:, list(URGENT)].sum(axis=1), 0.0, 1.0)
    return urgent


@metric(message("Triage accuracy"), "scalar", confusion_counts, by_name=True)
def triage_accuracy(confusion: FloatArray) -> FloatArray:
    """The share of scans whose predicted class leads to the right referral, 0 to 1."""
    referrals = triage_confusion(confusion)
    return ratio(np.trace(referrals, axis1=-2, axis2=-1), referrals.sum(axis=(-2, -1)))


@metric(
    message("Urgent scans not called urgent"),
    "scalar",
    confusion_counts,
    higher_is_better=False,
    needs="urgent",
    by_name=True,
)
def urgent_missed(confusion: FloatArray) -> FloatArray:
    """The share of CNV and DME scans called DRUSEN or NORMAL, 0 to 1; NaN without CNV and DME."""
    urgent = triage_confusion(confusion)[..., 0, :]
    return ratio(urgent[..., 1:].sum(axis=-1), urgent.sum(axis=-1))


@metric(
    message("Kermany's mean cost"),
    "scalar",
    confusion_counts,
    highest=4.0,
    higher_is_better=False,
    by_name=True,
)
def kermany_cost(confusion: FloatArray) -> FloatArray:
    """The mean of ``KERMANY_COSTS`` over the scans, 0 to 4."""
    return ratio(
        np.asarray((confusion * KERMANY_COSTS).sum(axis=(-2, -1))), confusion.sum(axis=(-2, -1))
    )
