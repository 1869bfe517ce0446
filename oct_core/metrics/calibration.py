"""Do probabilities mean what they say? Softmax with a temperature, ECE, Brier score, log-loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from oct_core.errors import MetricError
from oct_core.metrics.base import Weigh, mean_over_scans, metric, ratio, sum_cells, sum_values
from oct_core.metrics.checks import (
    check_groups,
    check_labels,
    check_probabilities,
    check_scores,
)
from oct_core.metrics.intervals import (
    effective_patients,
    number_patients,
    patient_draws,
    resample_variance,
    score_interval,
)
from oct_core.types import FloatArray, IntArray
from oct_core.words import message

ECE_BINS = 15
TEMPERATURE_BOUNDS = (0.2, 10.0)


def softmax(logits: ArrayLike, temperature: float = 1.0) -> FloatArray:
    """Probabilities softmax(logits / temperature).

    logits : finite, (..., K). temperature : > 0; above 1 softens, below 1 sharpens; the order of
    classes stays. Returns float64 (..., K), each row summing to 1. Raises MetricError for NaN,
    infinity or a temperature <= 0.
    """
    array = np.asarray(logits, dtype=np.float64)
    if array.ndim == 0 or not np.isfinite(array).all():
        raise MetricError(
            "expected finite logits of shape (..., K), got shape {shape} with NaN, infinity or "
            "no axis; mend the model",
            shape=array.shape,
        )
    if not (temperature > 0 and math.isfinite(temperature)):
        raise MetricError(
            "expected a finite temperature above 0, got {temperature}; 1.0 leaves the logits as "
            "they are",
            temperature=temperature,
        )
    scaled = array / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    result: FloatArray = powers / powers.sum(axis=-1, keepdims=True)
    return result


def _negative_log_likelihood(logits: FloatArray, labels: IntArray, temperature: float) -> float:
    scaled = logits / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(scaled).sum(axis=1))
    return float(np.mean(log_sum - scaled[np.arange(len(labels)), labels]))


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature that minimises the log-loss of softmax(logits / T) (Guo et al. 2017, section
    4.2).

    logits : (N, K). labels : class indices (N,). Fit it on validation scans, never on test scans.
    Returns T in [0.2, 10]. The bounds matter: if every scan is right the loss falls for ever as T
    goes to 0, and logits that know nothing drive T to infinity; both end at the bound. Raises
    MetricError for bad arrays.
    """
    from scipy.optimize import minimize_scalar  # costs 0.2 s: only where it is needed

    scores = check_scores(logits)
    truth = check_labels(labels, scores.shape[1])
    check_scores(scores, len(truth))
    low, high = (math.log(bound) for bound in TEMPERATURE_BOUNDS)
    minimum = minimize_scalar(
        lambda x: _negative_log_likelihood(scores, truth, math.exp(x)),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    # The bounded search never tries its ends, which are the answer for separable or empty logits.
    return min(
        (math.exp(minimum.x), *TEMPERATURE_BOUNDS),
        key=lambda value: _negative_log_likelihood(scores, truth, value),
    )


def _squared_distances(labels: IntArray, probabilities: FloatArray, units: IntArray) -> Weigh:
    truth = np.eye(probabilities.shape[1])[labels]
    return sum_values(units, ((probabilities - truth) ** 2).sum(axis=1))


@metric(message("Brier score"), "scalar", _squared_distances, highest=2.0, higher_is_better=False)
def brier_score(sums: FloatArray) -> FloatArray:
    """Mean squared distance of the probabilities from the truth, summed over classes: 0 to 2 (Brier
    1950).

    Agrees with sklearn.metrics.brier_score_loss(scale_by_half=False).
    """
    return mean_over_scans(sums)


def _surprise(probabilities: FloatArray) -> FloatArray:
    """-log p, p clipped to the float64 epsilon."""
    epsilon = np.finfo(np.float64).eps
    return np.asarray(-np.log(np.clip(probabilities, epsilon, 1 - epsilon)))


def _surprise_variance(probabilities: FloatArray) -> FloatArray:
    """The variance of each scan's surprise (N,) if its class is drawn from probabilities (N, K)."""
    surprise = _surprise(probabilities)
    mean = (probabilities * surprise).sum(axis=1, keepdims=True)
    return np.asarray((probabilities * (surprise - mean) ** 2).sum(axis=1))


def _surprises(labels: IntArray, probabilities: FloatArray, units: IntArray) -> Weigh:
    return sum_values(units, _surprise(probabilities[np.arange(len(labels)), labels]))


@metric(
    message("Log-loss"),
    "scalar",
    _surprises,
    highest=math.inf,
    higher_is_better=False,
    expected_variance=_surprise_variance,
)
def log_loss(sums: FloatArray) -> FloatArray:
    """Mean of -log p(true class), in nats, p clipped to the float64 epsilon; agrees with
    sklearn.metrics.log_loss.
    """
    return mean_over_scans(sums)


def confidence_bins(confidence: FloatArray, bins: int = ECE_BINS) -> IntArray:
    """The bin of each confidence: bin i is (i / bins, (i + 1) / bins], so 1.0 falls in the last and
    0.0 in the first.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1).astype(
        np.int64
    )


def _gap_sums(gaps: FloatArray, chances: FloatArray, units: IntArray) -> Weigh:
    """Weights (..., U) to the distances (..., C) of C columns: the sums of gaps (N, C), in bins of
    chances (N, C), without their sign, over the sum of the weights.
    """
    count, columns = gaps.shape
    cells = confidence_bins(chances) + ECE_BINS * np.arange(columns)
    total = columns * ECE_BINS
    add = sum_cells(
        np.r_[np.repeat(units, columns), units],
        np.r_[cells.reshape(-1), np.full(count, total)],
        total + 1,
        np.r_[gaps.reshape(-1), np.ones(count)],
    )

    def weigh(weights: FloatArray) -> FloatArray:
        sums = add(weights)
        distances = np.abs(sums[..., :-1]).reshape(*sums.shape[:-1], columns, ECE_BINS)
        return ratio(np.asarray(distances.sum(axis=-1)), sums[..., -1:])

    return weigh


def _distance_on_top(labels: IntArray, probabilities: FloatArray, units: IntArray) -> Weigh:
    confidence = probabilities.max(axis=1, keepdims=True)
    right = (probabilities.argmax(axis=1) == labels)[:, None]
    return _gap_sums(right - confidence, confidence, units)


@metric(
    message("Expected calibration error"),
    "scalar",
    _distance_on_top,
    higher_is_better=False,
    biased=True,
)
def expected_calibration_error(distances: FloatArray) -> FloatArray:
    """Mean distance of confidence from accuracy over 15 equal bins of the top probability, 0 to 1
    (Guo et al. 2017, eq. 3).
    """
    return distances[..., 0]


def _distances_by_class(labels: IntArray, probabilities: FloatArray, units: IntArray) -> Weigh:
    truth = np.eye(probabilities.shape[1])[labels]
    return _gap_sums(truth - probabilities, probabilities, units)


@metric(
    message("Calibration error by class"),
    "class",
    _distances_by_class,
    higher_is_better=False,
    biased=True,
)
def calibration_error_by_class(distances: FloatArray) -> FloatArray:
    """For each class, mean distance of its probability from its frequency over 15 equal bins of its
    probability, 0 to 1.
    """
    return distances


@metric(
    message("Classwise calibration error"),
    "scalar",
    _distances_by_class,
    higher_is_better=False,
    biased=True,
)
def classwise_calibration_error(distances: FloatArray) -> FloatArray:
    """The mean of the calibration errors by class, 0 to 1 (Kull et al. 2019, classwise ECE): it
    sees the classes that are not on top, too.
    """
    return np.asarray(distances.mean(axis=-1))


@dataclass(frozen=True, eq=False)
class Reliability:
    """The points of a reliability diagram; empty bins are NaN.

    edges : (B + 1,). count : int64 (B,). confidence, accuracy : float64 (B,), means of the bin's
    scans. low, high : float64 (B,), the 95% interval of the accuracy by patient, NaN where no
    patients were given or fewer than two are in the bin.
    """

    edges: FloatArray
    count: IntArray
    confidence: FloatArray
    accuracy: FloatArray
    low: FloatArray
    high: FloatArray


def reliability_before_after(
    logits: ArrayLike,
    labels: ArrayLike,
    temperature: float,
    bins: int = 10,
    patients: ArrayLike | None = None,
) -> tuple[Reliability, Reliability]:
    """The points without a temperature and with it, in the same bins; raises MetricError as
    ``softmax`` and ``reliability`` do.
    """
    return (
        reliability(labels, softmax(logits), bins, patients),
        reliability(labels, softmax(logits, temperature), bins, patients),
    )


def reliability(
    labels: ArrayLike,
    probabilities: ArrayLike,
    bins: int = 10,
    patients: ArrayLike | None = None,
    resamples: int = 2000,
) -> Reliability:
    """Mean confidence and accuracy in equal bins of the top probability.

    labels : (N,). probabilities : (N, K). patients : (N,), for the intervals. Raises MetricError
    for bad arrays or bins < 1.
    """
    if bins < 1:
        raise MetricError("expected at least one bin, got {bins}; 10 is usual", bins=bins)
    scores = check_probabilities(probabilities)
    truth = check_labels(labels, scores.shape[1])
    check_probabilities(scores, len(truth))
    confidence = scores.max(axis=1)
    bin_of = confidence_bins(confidence, bins)
    right = (scores.argmax(axis=1) == truth).astype(np.float64)
    count, hits, trust = (
        np.bincount(bin_of, values, bins).astype(np.float64)
        for values in (np.ones(len(truth)), right, confidence)
    )
    accuracy = ratio(hits, count)
    low = high = np.full(bins, math.nan)
    if patients is not None:
        groups = check_groups(patients, len(truth))
        units = number_patients(groups)
        hits_of, scans_of = (
            sum_cells(units, bin_of, bins, values) for values in (right, np.ones(len(truth)))
        )
        samples = [
            ratio(hits_of(draws), scans_of(draws))
            for draws in patient_draws(units, resamples, seed=0)
        ]
        crowd = np.array([len(np.unique(groups[bin_of == b])) for b in range(bins)])
        effective = np.array([effective_patients(bin_of == b, groups) for b in range(bins)])
        variance = resample_variance(np.concatenate(samples), effective)
        ends = score_interval(accuracy, variance, np.maximum(count, 1), np.maximum(crowd, 1))
        low, high = (np.where(crowd > 1, end, math.nan) for end in ends)
    return Reliability(
        np.linspace(0.0, 1.0, bins + 1),
        count.astype(np.int64),
        ratio(trust, count),
        accuracy,
        low,
        high,
    )
