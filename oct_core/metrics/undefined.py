"""Why a figure is not defined, in words, where a table would show nan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oct_core.errors import MetricError
from oct_core.metrics.base import Metric, Needs
from oct_core.metrics.triage import URGENT
from oct_core.types import CLASSES, FloatArray
from oct_core.words import say

Reason = Callable[[FloatArray, Sequence[str], int], str]


def _missing(confusion: FloatArray, names: Sequence[str], cells: Sequence[int]) -> str:
    """ "not defined: no CNV, no DME" of those cells' classes that have no scan, or ""."""
    missing = [names[k] for k in cells if not confusion[k].sum()]
    none = ", ".join(say("no {name}", name=name) for name in missing)
    return say("not defined: {none}", none=none) if missing else ""


def _only(flags: NDArray[np.bool_], names: Sequence[str]) -> str:
    """The one name that is flagged, or "" if there are more."""
    return names[int(flags.argmax())] if flags.sum() == 1 else ""


def _no_scan(confusion: FloatArray, names: Sequence[str], cell: int) -> str:
    return "" if confusion.sum() else say("not defined: no scan")


def _no_class(confusion: FloatArray, names: Sequence[str], cell: int) -> str:
    return _missing(confusion, names, [cell])


def _no_others(confusion: FloatArray, names: Sequence[str], cell: int) -> str:
    if confusion.sum() > confusion[cell].sum():
        return ""
    return say("not defined: only {name}", name=names[cell])


def _one_side(confusion: FloatArray, names: Sequence[str], cell: int) -> str:
    return _no_class(confusion, names, cell) or _no_others(confusion, names, cell)


def _no_call(confusion: FloatArray, names: Sequence[str], cell: int) -> str:
    if confusion[:, cell].sum():
        return ""
    return say("not defined: no scan was called {name}", name=names[cell])


def _all_called(confusion: FloatArray, names: Sequence[str], cell: int) -> str:
    if confusion.sum() > confusion[:, cell].sum():
        return ""
    return say("not defined: every scan was called {name}", name=names[cell])


def _neither(confusion: FloatArray, names: Sequence[str], cell: int) -> str:
    if confusion[cell].sum() or confusion[:, cell].sum():
        return ""
    return say("not defined: no {name}, and no scan was called {name}", name=names[cell])


def _no_pair(confusion: FloatArray, names: Sequence[str], cell: int) -> str:
    return _missing(confusion, names, list(combinations(range(len(names)), 2))[cell])


def _not_every(confusion: FloatArray, names: Sequence[str], cell: int) -> str:
    return _missing(confusion, names, range(len(names)))


def _not_every_or_called(confusion: FloatArray, names: Sequence[str], cell: int) -> str:
    reasons = [_neither(confusion, names, k) for k in range(len(names))]
    return next((reason for reason in reasons if reason), "")


def _no_urgent(confusion: FloatArray, names: Sequence[str], cell: int) -> str:
    return "" if confusion[list(URGENT)].sum() else _missing(confusion, names, URGENT)


def _one_class(confusion: FloatArray, names: Sequence[str], cell: int) -> str:
    name = _only(confusion.sum(axis=1) > 0, names)
    if not name or name != _only(confusion.sum(axis=0) > 0, names):
        return ""
    return say("not defined: only {name}, and every scan was called it", name=name)


def _one_class_or_call(confusion: FloatArray, names: Sequence[str], cell: int) -> str:
    if name := _only(confusion.sum(axis=1) > 0, names):
        return say("not defined: only {name}", name=name)
    if name := _only(confusion.sum(axis=0) > 0, names):
        return say("not defined: every scan was called {name}", name=name)
    return ""


_REASONS: dict[Needs, Reason] = {
    "scans": _no_scan,
    "class": _no_class,
    "others": _no_others,
    "class and others": _one_side,
    "called": _no_call,
    "not called": _all_called,
    "class or called": _neither,
    "every class": _not_every,
    "every class or called": _not_every_or_called,
    "pair": _no_pair,
    "urgent": _no_urgent,
    "two classes": _one_class,
    "two classes and calls": _one_class_or_call,
}


def reason_undefined(
    metric: Metric, confusion: ArrayLike, classes: Sequence[str] = CLASSES, cell: int = 0
) -> str:
    """Why this figure is NaN, such as "not defined: no NORMAL"; "" if it is defined.

    confusion : (K, K), rows the truth; it alone decides. cell : which class or pair of the metric,
    0 for a scalar. Raises MetricError if the matrix does not fit the classes.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    if counts.shape != (len(classes), len(classes)):
        raise MetricError(
            "expected a confusion matrix of the classes {classes}, got shape {shape}; pass the "
            "one of the same scans",
            classes=", ".join(classes),
            shape=counts.shape,
        )
    return _REASONS["scans"](counts, classes, cell) or _REASONS[metric.needs](counts, classes, cell)
