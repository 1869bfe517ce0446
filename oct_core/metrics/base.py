"""A metric: checks, then a pure computation over any number of weightings at once; and the registry
of them all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from oct_core.metrics.checks import check_labels, check_probabilities, check_weights
from oct_core.registry import Registry
from oct_core.types import FloatArray, IntArray

Kind = Literal["scalar", "class", "pair"]
Compute = Callable[[IntArray, FloatArray, FloatArray], FloatArray]


class Metric:
    """One metric of labels (N,) and probabilities (N, K).

    Calling it checks the arguments and then runs ``compute``. Without weights every scan counts
    once and the answer has the metric's own shape; weights (R, N) put an axis R in front: R
    weighted answers in one go, which is how the bootstrap is fast. A figure that is not defined
    (its class is missing) is NaN.

    Attributes ----------
    name, title : the key in the registry, and words for a page.
    kind : "scalar" (one number), "class" (one a class, K) or "pair" (one a pair of classes, K (K -
    1) / 2).
    lowest, highest : the range of a value. higher_is_better : which end is good.
    proportion : whether a value is a share of scans (for which an exact interval exists at 0 and
    1).
    compute : the same without checks: (labels (N,), probabilities (N, K), weights (..., N)) ->
    (...) + own shape.
    """

    def __init__(
        self,
        name: str,
        title: str,
        kind: Kind,
        compute: Compute,
        *,
        highest: float,
        higher_is_better: bool,
        proportion: bool,
    ) -> None:
        self.name, self.title, self.kind, self.compute = name, title, kind, compute
        self.lowest, self.highest = 0.0, highest
        self.higher_is_better, self.proportion = higher_is_better, proportion
        functools.update_wrapper(self, compute)

    def __call__(
        self, labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None
    ) -> FloatArray:
        """Check the arguments, then compute; raises MetricError for a wrong shape, range or
        content.
        """
        scores = check_probabilities(probabilities)
        truth = check_labels(labels, scores.shape[1])
        check_probabilities(scores, len(truth))
        return self.compute(truth, scores, check_weights(weights, len(truth)))


METRICS: Registry[Metric] = Registry("metric")


def metric(
    title: str,
    kind: Kind,
    *,
    highest: float = 1.0,
    higher_is_better: bool = True,
    proportion: bool = False,
) -> Callable[[Compute], Metric]:
    """Make a Metric of a computation and register it under the function's name."""

    def register(compute: Compute) -> Metric:
        name = compute.__name__
        made = Metric(
            name,
            title,
            kind,
            compute,
            highest=highest,
            higher_is_better=higher_is_better,
            proportion=proportion,
        )
        return METRICS.add(name, made)

    return register


def ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """part / whole, NaN where whole is 0 (the figure is not defined), without a warning."""
    part, whole = np.broadcast_arrays(part, whole)
    result: FloatArray = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def weighted_mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """The mean of values (N,) under weights (..., N): (...), NaN where all weights are 0."""
    return ratio(np.asarray(weights @ values), np.asarray(weights.sum(axis=-1)))
