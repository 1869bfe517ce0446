"""What every metric checks before it counts: shapes, ranges and content of its arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oct_core.errors import MetricError
from oct_core.types import FloatArray, IntArray

SUM_TOLERANCE = 1e-4


def check_labels(labels: ArrayLike, n_classes: int) -> IntArray:
    """Class indices as int64 (N,), each in 0 .. n_classes - 1; raises MetricError otherwise."""
    array = np.asarray(labels)
    if array.ndim != 1 or array.size == 0:
        raise MetricError(
            "expected at least one label in an array of shape (N,), got shape {shape}; pass one "
            "class index a scan",
            shape=array.shape,
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise MetricError(
            "expected whole-number class indices, got {dtype}; convert names with "
            "CLASSES.index(name)",
            dtype=array.dtype,
        )
    if array.min() < 0 or array.max() >= n_classes:
        raise MetricError(
            "expected labels from 0 to {n_classes}, got {min} to {max}; scores have one column a "
            "class",
            n_classes=n_classes - 1,
            min=array.min(),
            max=array.max(),
        )
    return array.astype(np.int64)


def check_scores(scores: ArrayLike, n_scans: int | None = None) -> FloatArray:
    """Finite numbers as float64 (N, K) with K >= 2, logits or probabilities; raises MetricError
    otherwise.
    """
    array = np.asarray(scores)
    if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] < 2:
        raise MetricError(
            "expected scores of shape (N, K) with N >= 1 and K >= 2, got {shape}; pass one row a "
            "scan, one column a class",
            shape=array.shape,
        )
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise MetricError(
            "expected numbers as scores, got {dtype}; pass float logits or probabilities",
            dtype=array.dtype,
        )
    if n_scans is not None and len(array) != n_scans:
        raise MetricError(
            "expected as many rows of scores as labels ({n_scans}), got {rows}; pass both "
            "for the same scans",
            n_scans=n_scans,
            rows=len(array),
        )
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise MetricError(
            "expected finite scores, got NaN or infinity in row {row} ({count} rows); leave those "
            "scans out",
            row=bad[0],
            count=bad.size,
        )
    return array.astype(np.float64)


def check_probabilities(probabilities: ArrayLike, n_scans: int | None = None) -> FloatArray:
    """Probabilities as float64 (N, K), each in [0, 1], each row summing to 1 (tolerance 1e-4);
    raises MetricError otherwise.
    """
    array = check_scores(probabilities, n_scans)
    if array.min() < -SUM_TOLERANCE or array.max() > 1 + SUM_TOLERANCE:
        raise MetricError(
            "expected probabilities from 0 to 1, got {min:.4g} to {max:.4g}; apply softmax to "
            "logits",
            min=array.min(),
            max=array.max(),
        )
    sums = array.sum(axis=1)
    worst = int(np.argmax(np.abs(sums - 1)))
    if abs(sums[worst] - 1) > SUM_TOLERANCE:
        raise MetricError(
            "expected rows of probabilities that sum to 1, got {total:.4g} in row {worst}; use "
            "softmax over the classes",
            total=sums[worst],
            worst=worst,
        )
    return np.clip(array, 0.0, 1.0)


def check_probability_columns(
    labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[str]
) -> tuple[IntArray, FloatArray]:
    """Class indices (N,) and probabilities (N, K) with one column for each of ``classes``; raises
    MetricError otherwise.
    """
    scores = check_probabilities(probabilities)
    if scores.shape[1] != len(classes):
        raise MetricError(
            "expected one column for each of the classes {classes}, got {shape}; pass the run's "
            "own classes",
            classes=", ".join(classes),
            shape=scores.shape[1],
        )
    truth = check_labels(labels, scores.shape[1])
    return truth, check_probabilities(scores, len(truth))


def check_weights(weights: ArrayLike | None, n_scans: int) -> FloatArray:
    """Weights as float64 (N,) or (R, N), finite and >= 0; None is one for every scan. Raises
    MetricError otherwise.
    """
    if weights is None:
        return np.ones(n_scans)
    array = np.asarray(weights, dtype=np.float64)
    if array.ndim not in (1, 2) or array.shape[-1] != n_scans:
        raise MetricError(
            "expected weights of shape ({n_scans},) or (R, {n_scans}), got {shape}; pass one "
            "weight a scan",
            n_scans=n_scans,
            shape=array.shape,
        )
    if not np.isfinite(array).all() or (array < 0).any():
        raise MetricError(
            "expected finite weights >= 0, got a negative, NaN or infinite one; a weight counts "
            "how often a scan is taken"
        )
    return array


def check_groups(groups: ArrayLike, n_scans: int) -> NDArray[Any]:
    """Patient identifiers (N,) of any kind that can be sorted, one a scan; raises MetricError
    otherwise.
    """
    array = np.asarray(groups)
    if array.shape != (n_scans,):
        raise MetricError(
            "expected one patient a scan, shape ({n_scans},), got {shape}; pass the patient "
            "column of the same scans",
            n_scans=n_scans,
            shape=array.shape,
        )
    return array


def check_binary(positive: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], FloatArray]:
    """A bool (N,) truth and finite float64 (N,) scores of the same scans; raises MetricError
    otherwise.
    """
    truth, values = np.asarray(positive), np.asarray(scores, dtype=np.float64)
    if truth.dtype != np.bool_ or truth.ndim != 1 or truth.size == 0:
        raise MetricError(
            "expected a bool truth of shape (N,), got {dtype} {shape}; pass labels == class_index",
            dtype=truth.dtype,
            shape=truth.shape,
        )
    if values.shape != truth.shape:
        raise MetricError(
            "expected one score for each of the {truths} truths, got shape {shape}; pass "
            "one column of them",
            truths=len(truth),
            shape=values.shape,
        )
    if not np.isfinite(values).all():
        raise MetricError(
            "expected finite scores, got NaN or infinity; leave those scans out or mend the model"
        )
    return truth, values


def check_fraction(value: float, name: str) -> float:
    """A number strictly between 0 and 1; raises MetricError otherwise."""
    if not 0 < value < 1:
        raise MetricError(
            "expected {name} between 0 and 1, got {value}; 0.95 means 95%", name=name, value=value
        )
    return float(value)
