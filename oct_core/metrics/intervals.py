"""Intervals from a bootstrap by patient.

Scans of one patient are alike, so resampling scans would promise more than the data can hold: whole
patients are drawn.

- A resample draws as many patients as there are, with replacement and equal chance, and takes all
  scans of each. It is NOT stratified by class: in OCT2017 a patient can carry several labels, and
  the class mix of a test part is chance too.
- Drawing a patient twice is the same as giving its scans weight 2, so a resample is a row of
  weights and every metric is computed for all resamples at once.
- The resamples give the variance of a figure, over those in which it is defined; a resample
  without a class leaves the figures of that class and the macro averages out. It is enlarged as
  for a sample of few: by I / (I - 1) and to Student's quantile with I - 1 degrees of freedom
  (never fewer than 4). I is the number of patients that would have the same variance if all had
  equally many scans, (sum of m)^2 / sum of m^2 of their m scans (Kish 1965): of 83 patients of
  whom one has 31 of 171 scans, 20.
- The interval is Wilson's (1927) score interval on the figure's own range. Its number of trials is
  the one that has the resamples' variance, the effective sample size of a survey (Korn & Graubard
  1998; Dean & Pagano 2015): scans, less what patients have in common. Percentiles of the resamples
  hold the truth, when a model is right on 97 % to 98.5 % of the scans, in only 75 to 91 of 100
  studies of our size for accuracy, 50 to 77 for the macro AUC and 28 to 63 for a sensitivity
  (``benchmarks/coverage.py``): rare errors are often not in the sample at all.
- The trials are at most the scans, as if no two were of one patient: few errors cannot show how
  alike a patient's scans are. For shares of pairs (areas) they are what the scans of both sides
  are worth, see ``trials_behind``.
- Without any spread in the resamples each patient is one trial. At an end of the range, where no
  scan or every scan is wrong, the interval is the exact binomial one (Clopper & Pearson 1934).
- With fewer than two patients behind a figure, or in a class of a mean over classes, there is no
  interval: NaN.
- A range without an end (log-loss) has the score interval of a count: its variance grows as the
  figure. It is at least what the probabilities themselves lead one to expect, errors included that
  are not in the sample.
- A distance from calibration (ECE) is larger in a sample than in truth, because chance alone moves
  a bin away from its confidence, and larger still in resamples. Its interval is the percentiles
  moved by as much as the median of the resamples lies off the figure, and at least as wide as that
  of a share of scans: where the figure of another sample of this size lies on average, not the
  distance without chance (of calibrated probabilities that is 0).
- A difference of two figures has Student's interval with two trials added, one for each side
  (Bonett & Price 2012), so that runs that are right on the same scans are not told to be equal
  for certain.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oct_core.errors import MetricError
from oct_core.metrics.base import Basis, Metric, ratio
from oct_core.metrics.checks import check_fraction, check_groups, check_labels, check_probabilities
from oct_core.metrics.triage import URGENT
from oct_core.types import FloatArray, IntArray
from oct_core.words import say

LEVEL = 0.95
NORMAL_975 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""
_NO_SPREAD = 1e-18
"""A variance that is rounding, on a range from 0 to 1."""
_LEAST_FREEDOM = 4.0
"""Degrees of freedom; with fewer, Student's quantile says little but that it is not known."""
_CELLS_AT_ONCE = 200_000
"""Weights at once: they and what is made of them stay in the processor's cache."""
_FEWEST_AT_ONCE = 16
"""Resamples: of fewer, a row is too short to be added at once."""
_DRAWS_KEPT = 16_000_000
"""Draws of patients that are kept for the next figure, of at most four studies: 16 MB each."""


Study = tuple[IntArray, FloatArray, NDArray[Any]]
"""Labels (N,), probabilities (N, K) and patients (N,)."""
Count = Callable[[NDArray[np.bool_], NDArray[Any]], float]
"""How many patients (N,) the scans of a bool (N,) have."""


@dataclass(frozen=True)
class Interval:
    """A figure and its interval; NaN where not defined. low <= high, and both in the figure's
    range.
    """

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """For JSON, with None for NaN."""
        return {name: None if math.isnan(number) else number for name, number in vars(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Interval:
        """The reverse of to_dict."""
        return cls(
            *(
                math.nan if data[name] is None else float(data[name])
                for name in ("value", "low", "high")
            )
        )


def bounds_text(interval: Interval, digits: int = 3, patients: int | None = None) -> str:
    """``0.951 to 0.988``, or why there is no interval or no figure at all.

    patients : how many the figure rests on, where that is known.
    """
    if math.isnan(interval.value):
        return say("not defined: a class has no scans")
    if math.isnan(interval.low) or math.isnan(interval.high):
        return (
            say("no interval: one patient")
            if patients == 1
            else say("no interval: too few patients")
        )
    if interval.low == interval.high:
        return say("no interval: every resample gives the same")
    low, high = (f"{end:.{digits}f}" for end in (interval.low, interval.high))
    return say("{low} to {high}", low=low, high=high)


def interval_text(interval: Interval, digits: int = 3, patients: int | None = None) -> str:
    """``0.972 (0.951 to 0.988)``; ``0.912 (no interval: one patient)``; ``not defined: ...``. Never
    a bare NaN. patients : see bounds_text.
    """
    bounds = bounds_text(interval, digits, patients)
    return bounds if math.isnan(interval.value) else f"{interval.value:.{digits}f} ({bounds})"


def number_patients(patients: ArrayLike) -> IntArray:
    """The patient of each scan (N,) as a number, 0 to P - 1, in the order of their names; raises
    MetricError as ``check_groups`` does.
    """
    groups = check_groups(patients, len(np.asarray(patients)))
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def patient_draws(units: IntArray, resamples: int, seed: int) -> Iterator[FloatArray]:
    """How often each patient is taken in each resample, in chunks (r, P) that add up to
    ``resamples`` rows.

    units : (N,), as ``number_patients`` gives them. The rows depend on the seed only, not on the
    size of the chunks. Raises MetricError for resamples < 1.
    """
    if resamples < 1:
        raise MetricError(
            "expected at least 1 resample, got {resamples}; 2000 is usual", resamples=resamples
        )
    n_patients = int(units.max()) + 1 if len(units) else 0
    chunk = max(_FEWEST_AT_ONCE, _CELLS_AT_ONCE // max(1, len(units)))
    few = n_patients * resamples <= _DRAWS_KEPT
    draws = _keep_draws if few else _draw
    for counts in draws(n_patients, resamples, seed):
        for start in range(0, len(counts), chunk):
            # A column is a resample, so that its neighbours are added at once.
            yield counts[start : start + chunk].T.astype(np.float64, order="C").T


def patient_weights(patients: ArrayLike, resamples: int, seed: int) -> Iterator[FloatArray]:
    """How often each scan is taken in each resample, in chunks (r, N); otherwise as
    ``patient_draws``, of patients (N,).
    """
    units = number_patients(patients)
    for draws in patient_draws(units, resamples, seed):
        yield draws[:, units]


def _draw(n_patients: int, resamples: int, seed: int) -> Iterator[NDArray[np.uint8 | np.uint16]]:
    """How often each patient is drawn (r, P), some resamples at a time."""
    generator = np.random.default_rng(seed)
    chances = np.full(n_patients, 1 / n_patients)
    rows = max(_FEWEST_AT_ONCE, _CELLS_AT_ONCE // max(1, n_patients))
    for start in range(0, resamples, rows):
        counts = generator.multinomial(n_patients, chances, size=min(rows, resamples - start))
        yield counts.astype(np.uint8 if counts.max(initial=0) < 256 else np.uint16)


@functools.lru_cache(maxsize=4)
def _keep_draws(n_patients: int, resamples: int, seed: int) -> list[NDArray[np.uint8 | np.uint16]]:
    """The same, kept: every figure of a study takes the same resamples."""
    return list(_draw(n_patients, resamples, seed))


def percentile_interval(samples: FloatArray, level: float = LEVEL) -> tuple[FloatArray, FloatArray]:
    """The middle ``level`` of samples (R, ...) along the first axis, NaN left out: two arrays
    (...), NaN if none is defined.
    """
    check_fraction(level, say("the level"))
    flat = samples.reshape(len(samples), -1)
    ends = np.full((2, flat.shape[1]), np.nan)
    for column in range(flat.shape[1]):
        defined = flat[~np.isnan(flat[:, column]), column]
        if defined.size:
            ends[:, column] = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    shaped = ends.reshape(2, *samples.shape[1:])
    return shaped[0], shaped[1]


def share_interval(
    hits: ArrayLike,
    among: ArrayLike,
    patients: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """The share of the scans in ``among`` that are in ``hits`` too, 0 to 1, with its interval; NaN
    if none is in ``among``.

    hits, among : bool (N,). patients : (N,). Raises MetricError for bad arrays.
    """
    base = np.asarray(among, dtype=bool)
    both = base & np.asarray(hits, dtype=bool)
    groups = check_groups(patients, len(base))
    whole, crowd = int(base.sum()), _patients_with(base, groups)
    if not whole:
        return Interval(math.nan, math.nan, math.nan)
    value = int(both.sum()) / whole
    if crowd < 2:
        return Interval(value, math.nan, math.nan)
    units = number_patients(groups)
    hit, all_of = (np.bincount(units, side).astype(np.float64) for side in (both, base))
    samples = [
        ratio(draws @ hit, draws @ all_of) for draws in patient_draws(units, resamples, seed)
    ]
    variance = resample_variance(np.concatenate(samples), effective_patients(base, groups))
    low, high = score_interval(value, variance, whole, crowd)
    return Interval(value, float(low), float(high))


def _patients_with(member: NDArray[np.bool_], patients: NDArray[Any]) -> int:
    return len(np.unique(patients[member]))


def effective_patients(member: NDArray[np.bool_], patients: NDArray[Any]) -> float:
    """How many patients of equally many scans the scans in ``member`` (N,) are worth (Kish 1965):
    the number of patients if each has as many, nearly 1 if one has nearly all, 0 without scans.
    """
    sizes = np.unique(patients[member], return_counts=True)[1]
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if len(sizes) else 0.0


def patients_behind(
    metric: Metric,
    labels: IntArray,
    probabilities: FloatArray,
    patients: NDArray[Any],
    count: Count = _patients_with,
) -> NDArray[Any]:
    """How many patients a figure rests on, in the metric's own shape: of the class, of the rarer
    class of a pair, of the urgent classes, of the scans called a class, or of all, as the metric's
    ``needs`` say.

    count : of which scans, bool (N,), and patients (N,) to a number; ``effective_patients`` is
    another. With a name a scan (N,) in the place of patients: how many scans.
    """
    classes, called = range(probabilities.shape[1]), probabilities.argmax(axis=1)
    everyone = count(labels >= 0, patients)
    if metric.needs == "urgent":
        return np.asarray(count(np.isin(labels, URGENT), patients))
    if metric.kind == "scalar":
        return np.asarray(everyone)
    if metric.needs == "scans":
        return np.full(len(classes), everyone)
    if metric.needs in ("called", "not called"):
        side = metric.needs == "called"
        return np.asarray([count((called == k) == side, patients) for k in classes])
    of_class, others = _sides(labels, len(classes), patients, count)
    if metric.kind == "pair":
        return np.asarray([min(of_class[i], of_class[j]) for i, j in combinations(classes, 2)])
    if metric.needs == "others":
        return others
    return np.minimum(of_class, others) if metric.needs == "class and others" else of_class


def _sides(
    labels: IntArray, n_classes: int, patients: NDArray[Any], count: Count = _patients_with
) -> tuple[NDArray[Any], NDArray[Any]]:
    """How many patients have a scan of each class, and of any other: two (K,)."""
    of_class, others = (
        np.asarray([count((labels == k) == side, patients) for k in range(n_classes)])
        for side in (True, False)
    )
    return of_class, others


def are_enough(metric: Metric, study: Study) -> NDArray[np.bool_]:
    """Whether there are two patients behind a figure, in the metric's own shape; of each class
    behind a mean over the classes: of one patient no resample can tell how another would do.
    """
    enough = np.asarray(patients_behind(metric, *study) > 1)
    if metric.needs == "every class":
        labels, probabilities, groups = study
        of_class, _ = _sides(labels, probabilities.shape[1], groups)
        enough &= of_class.min() > 1
    return enough


def trials_behind(
    metric: Metric, labels: IntArray, probabilities: FloatArray, patients: NDArray[Any]
) -> FloatArray:
    """How many binomial trials a figure is worth where each patient is one, in the metric's own
    shape; with a name a scan (N,) in the place of patients: where each scan is one.

    That is ``patients_behind``, but for shares of pairs. An area of a positive and b negative
    trials has near 1 the variance (1 - area) (a + b + 2) / (4 a b) (Hanley & McNeil 1982, with
    (a + b) / 2 in the place of a and b in its mixed terms as Newcombe 2006 has it), which is that
    of 4 a b / (a + b + 2) trials. A mean over the classes is worth the sum of theirs.
    """
    if not metric.pairs:
        return patients_behind(metric, labels, probabilities, patients).astype(np.float64)
    of_class, others = _sides(labels, probabilities.shape[1], patients)
    if metric.kind == "pair":
        first, second = np.array(list(combinations(range(len(of_class)), 2))).T
        of_class, others = of_class[first], of_class[second]
    trials = 4.0 * of_class * others / (of_class + others + 2)
    return np.asarray(trials.sum() if metric.kind == "scalar" else trials)


def resample_variance(samples: FloatArray, effective: ArrayLike) -> FloatArray:
    """The variance (...) of samples (R, ...) along the first axis, NaN left out, enlarged for I =
    ``effective`` (...) patients as the module says, so that 1.96 of its roots are as many as
    Student's quantile has; 0 if none is defined.
    """
    from scipy.special import stdtrit  # costs 0.1 s: only where it is needed

    defined = ~np.isnan(samples)
    count = np.maximum(defined.sum(axis=0), 1)
    mean = np.where(defined, samples, 0.0).sum(axis=0) / count
    spread = (np.where(defined, samples - mean, 0.0) ** 2).sum(axis=0) / count
    crowd = np.maximum(np.asarray(effective, dtype=np.float64), 2.0)
    student = stdtrit(np.maximum(crowd - 1, _LEAST_FREEDOM), (1 + LEVEL) / 2)
    return np.asarray(spread * crowd / (crowd - 1) * (student / NORMAL_975) ** 2)


def score_interval(
    value: ArrayLike,
    variance: ArrayLike,
    scans: ArrayLike,
    patients: ArrayLike,
    span: tuple[float, float] = (0.0, 1.0),
) -> tuple[FloatArray, FloatArray]:
    """The 95% interval (...) of figures with a variance, both (...), in the range ``span``.

    scans : the most trials that a figure is worth (...). patients : its trials (...) where there is
    no variance; both > 0. The module says which interval that is. NaN where the value is.
    """
    low, width = span[0], span[1] - span[0]
    unit = np.clip((np.asarray(value, dtype=np.float64) - low) / width, 0.0, 1.0)
    spread, fewest = np.asarray(variance) / width**2, np.asarray(patients, dtype=np.float64)
    no_spread = spread <= _NO_SPREAD
    worth = unit * (1 - unit) / np.where(no_spread, 1.0, spread)
    trials = np.where(no_spread, fewest, np.minimum(np.maximum(worth, _NO_SPREAD), scans))
    square = NORMAL_975**2
    centre = unit + square / (2 * trials)
    reach = np.sqrt(square * unit * (1 - unit) / trials + (square / (2 * trials)) ** 2)
    exact = ((1 - LEVEL) / 2) ** (1 / fewest)
    bottom = np.where(unit == 1, exact, (centre - reach) / (1 + square / trials))
    top = np.where(unit == 0, 1 - exact, (centre + reach) / (1 + square / trials))
    # Rounding must leave the figure inside.
    bottom, top = np.clip(np.minimum(bottom, unit), 0, 1), np.clip(np.maximum(top, unit), 0, 1)
    return np.asarray(low + width * bottom), np.asarray(low + width * top)


def difference_interval(
    value: ArrayLike,
    variance: ArrayLike,
    scans: ArrayLike,
    patients: ArrayLike,
    width: float = 1.0,
) -> tuple[FloatArray, FloatArray]:
    """The 95% interval (...) of differences of two figures of one range, ``width`` wide; otherwise
    as ``score_interval``.
    """
    spread = np.asarray(variance)
    trials = np.where(spread > _NO_SPREAD * width**2, scans, patients).astype(np.float64)
    centre = np.asarray(value) * trials / (trials + 2)
    error = np.sqrt(spread * (trials / (trials + 2)) ** 2 + 2 * (width / (trials + 2)) ** 2)
    low, high = (centre + side * NORMAL_975 * error for side in (-1, 1))
    return np.clip(low, -width, width), np.clip(high, -width, width)


def _count_interval(
    value: FloatArray, variance: FloatArray, lowest: float
) -> tuple[FloatArray, FloatArray]:
    """Of a figure that has no highest value, and a variance in proportion to its own."""
    above = value - lowest
    spread = np.where(variance > _NO_SPREAD * above**2, variance, 0.0)
    half = NORMAL_975**2 * spread / np.where(above > 0, above, 1.0) / 2
    reach = np.sqrt(half * (half + 2 * above))
    return lowest + above + half - reach, lowest + above + half + reach


def _calibration_interval(
    value: FloatArray, samples: FloatArray, share: tuple[FloatArray, FloatArray], highest: float
) -> tuple[FloatArray, FloatArray]:
    """Of a distance from calibration; share : the interval of a share of scans, two (...)."""
    low, high = percentile_interval(samples)
    excess = np.median(samples, axis=0) - value
    low, high = np.minimum(low - excess, share[0]), np.maximum(high - excess, share[1])
    return np.clip(low, 0.0, highest), np.clip(high, 0.0, highest)


def _ends(
    metric: Metric, value: FloatArray, samples: FloatArray, study: Study
) -> tuple[FloatArray, FloatArray]:
    """The interval's two ends for each figure of a metric, value (...) of samples (R, ...)."""
    variance = resample_variance(samples, patients_behind(metric, *study, effective_patients))
    if metric.expected_variance is not None:
        expected = metric.expected_variance(study[1]).sum() / len(study[1]) ** 2
        low, high = _count_interval(value, np.maximum(variance, expected), metric.lowest)
    else:
        scans, patients = most_and_fewest_trials(metric, study)
        low, high = score_interval(
            value, variance, scans, patients, (metric.lowest, metric.highest)
        )
    if metric.biased:
        low, high = _calibration_interval(value, samples, (low, high), metric.highest)
    undefined = np.isnan(value) | ~are_enough(metric, study)
    return np.where(undefined, math.nan, low), np.where(undefined, math.nan, high)


def most_and_fewest_trials(metric: Metric, study: Study) -> tuple[FloatArray, FloatArray]:
    """What a figure's scans and its patients are worth, in the metric's own shape: at least one
    trial each. study : labels (N,), probabilities (N, K), patients (N,), as ``check_study`` gives
    them.
    """
    labels, probabilities, groups = study
    scans, patients = (
        np.maximum(trials_behind(metric, labels, probabilities, names), 1.0)
        for names in (np.arange(len(labels)), groups)
    )
    return scans, patients


def check_study(
    metrics: Sequence[Metric], labels: ArrayLike, probabilities: ArrayLike, patients: ArrayLike
) -> Study:
    """Labels (N,), probabilities (N, K) and patients (N,), as numbers, that fit each other and the
    metrics; raises MetricError otherwise.
    """
    scores = check_probabilities(probabilities)
    truth = check_labels(labels, scores.shape[1])
    check_probabilities(scores, len(truth))
    for metric in metrics:
        metric.check_classes(scores.shape[1])
    return truth, scores, number_patients(check_groups(patients, len(truth)))


def bootstrap_samples(
    metrics: Sequence[Metric],
    labels: ArrayLike,
    predictors: Sequence[ArrayLike],
    patients: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
) -> list[dict[str, FloatArray]]:
    """Each metric of each predictor in each resample by patient, the same resamples for all: for
    each predictor by name, (resamples,) + the metric's own shape.

    labels, patients : (N,). predictors : probabilities (N, K) each. What metrics have in common
    (the confusion matrix, the areas) is computed once. Raises MetricError for bad arrays or
    resamples < 1.
    """
    studies = [check_study(metrics, labels, scores, patients) for scores in predictors]
    units = number_patients(patients)
    users: dict[Basis, list[Metric]] = {}
    for metric in metrics:
        users.setdefault(metric.basis, []).append(metric)
    shares = [
        [(basis(truth, scores, units), sharers) for basis, sharers in users.items()]
        for truth, scores, _ in studies
    ]
    samples: list[dict[str, list[FloatArray]]] = [
        {metric.name: [] for metric in metrics} for _ in studies
    ]
    for draws in patient_draws(units, resamples, seed):
        for share, parts in zip(shares, samples, strict=True):
            for weigh, sharers in share:
                basis_values = weigh(draws)
                for metric in sharers:
                    parts[metric.name].append(metric.function(basis_values))
    return [{name: np.concatenate(part) for name, part in parts.items()} for parts in samples]


def bootstrap_metrics(
    metrics: Sequence[Metric],
    labels: ArrayLike,
    probabilities: ArrayLike,
    patients: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, list[Interval]]:
    """Several metrics with 95% intervals from the same resamples, by name: one Interval for a
    scalar, else one a class or pair.

    labels, patients : (N,). probabilities : (N, K). The module says how patients are drawn and what
    degenerate cases give. Raises MetricError for bad arrays or resamples < 1.
    """
    study = check_study(metrics, labels, probabilities, patients)
    truth, scores, groups = study
    [samples] = bootstrap_samples(metrics, truth, [scores], groups, resamples, seed)
    once = np.ones(len(truth))
    result = {}
    for metric in metrics:
        value = metric.compute(truth, scores, once)
        ends = _ends(metric, value, samples[metric.name], study)
        columns = [np.atleast_1d(column).tolist() for column in (value, *ends)]
        result[metric.name] = [Interval(*row) for row in zip(*columns, strict=True)]
    return result
