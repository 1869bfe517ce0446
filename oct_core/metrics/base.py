"""A metric: checks, then a pure computation over any number of weightings at once; and the registry
of them all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike

from oct_core.errors import MetricError
from oct_core.metrics.checks import check_labels, check_probabilities, check_weights
from oct_core.registry import Registry
from oct_core.types import CLASSES, FloatArray, IntArray
from oct_core.words import message

Kind = Literal["scalar", "class", "pair"]
Compute = Callable[[IntArray, FloatArray, FloatArray], FloatArray]
Needs = Literal[
    "scans",
    "class",
    "others",
    "class and others",
    "called",
    "not called",
    "class or called",
    "every class",
    "every class or called",
    "pair",
    "urgent",
    "two classes",
    "two classes and calls",
]


class Traits(TypedDict, total=False):
    """What a metric may state beside its title and kind, see Metric."""

    lowest: float
    highest: float
    higher_is_better: bool
    pairs: bool
    needs: Needs
    biased: bool
    by_name: bool
    expected_variance: Callable[[FloatArray], FloatArray]


@dataclass(kw_only=True, eq=False)
class Metric:
    """One metric of labels (N,) and probabilities (N, K).

    Calling it checks the arguments and then runs ``compute``. Without weights every scan counts
    once and the answer has the metric's own shape; weights (R, N) put an axis R in front: R
    weighted answers in one go, which is how the bootstrap is fast. A figure that is not defined
    (its class is missing) is NaN.

    Attributes
    ----------
    name : the key in the registry.
    title : words for a page.
    kind : "scalar" (one number), "class" (one a class, K) or "pair" (one a pair of classes,
        K (K - 1) / 2).
    function : the figure, of ``basis``'s answer; or, without a basis, of labels (N,), probabilities
        (N, K) and weights (..., N). Its answer has the shape (...) + the metric's own.
    basis : what several metrics are computed from (the confusion matrix, the areas), so that a
        bootstrap computes it once for them all.
    lowest, highest : the range of a value.
    higher_is_better : which end is good.
    pairs : whether a value is a share of pairs of scans, one of the class and one of the others
        (areas), or a mean of such.
    needs : what must be there for a value to be defined; says which patients it rests on, and why
        it is not defined.
    biased : whether resamples lie above the figure (distances from calibration do), see
        ``oct_core.metrics.intervals``.
    expected_variance : of a mean over scans whose range has no end, from probabilities (N, K): how
        much a scan's value would vary (N,) if its class were drawn from them.
    by_name : whether the metric knows the classes of ``CLASSES``, in that order (costs, triage),
        and no others.
    """

    name: str
    title: str
    kind: Kind
    function: Callable[..., FloatArray]
    basis: Compute | None = None
    lowest: float = 0.0
    highest: float = 1.0
    higher_is_better: bool = True
    pairs: bool = False
    needs: Needs = "scans"
    biased: bool = False
    by_name: bool = False
    expected_variance: Callable[[FloatArray], FloatArray] | None = None

    def __post_init__(self) -> None:
        functools.update_wrapper(self, self.function)

    @property
    def shared(self) -> Compute:
        """The costly part of the computation: the basis, or the whole where there is none."""
        return self.basis or self.function

    def figure(self, shared: FloatArray) -> FloatArray:
        """The metric's value from what ``shared`` has computed."""
        return shared if self.basis is None else self.function(shared)

    def compute(
        self, labels: IntArray, probabilities: FloatArray, weights: FloatArray
    ) -> FloatArray:
        """The same as a call, without checks: labels (N,), probabilities (N, K) and weights
        (..., N) to (...) + the metric's own shape.
        """
        return self.figure(self.shared(labels, probabilities, weights))

    def __call__(
        self, labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None
    ) -> FloatArray:
        """Check the arguments, then compute; raises MetricError for a wrong shape, range or
        content.
        """
        scores = check_probabilities(probabilities)
        truth = check_labels(labels, scores.shape[1])
        check_probabilities(scores, len(truth))
        self.check_classes(scores.shape[1])
        return self.compute(truth, scores, check_weights(weights, len(truth)))

    def check_classes(self, n_classes: int) -> None:
        """Raise MetricError if the metric knows its classes by name and there are more or fewer."""
        if self.by_name and n_classes != len(CLASSES):
            raise MetricError(
                "expected the classes {classes} for {name}, got {n_classes} classes; leave it out "
                "for other classes",
                classes=", ".join(CLASSES),
                name=self.name,
                n_classes=n_classes,
            )


METRICS: Registry[Metric] = Registry(message("metric"))


def metric(
    title: str, kind: Kind, basis: Compute | None = None, **traits: Unpack[Traits]
) -> Callable[[Callable[..., FloatArray]], Metric]:
    """Make a Metric of a computation and register it under the function's name."""

    def register(function: Callable[..., FloatArray]) -> Metric:
        given: dict[str, Any] = dict(traits)
        entry = Metric(
            name=function.__name__,
            title=title,
            kind=kind,
            function=function,
            basis=basis,
            **given,
        )
        return METRICS.add(entry.name, entry)

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


def sum_by_cell(weights: FloatArray, cells: IntArray, n_cells: int) -> FloatArray:
    """The weights (..., N) of the scans in each cell, which cells (N,) name by 0 .. n_cells - 1:
    (..., n_cells).

    A sort and running sums, no product with an indicator matrix: that one would ask for every core,
    which makes it slow while the cores have other work.
    """
    order = np.argsort(cells, kind="stable")
    present, starts = np.unique(cells[order], return_index=True)
    sums: FloatArray = np.zeros((*weights.shape[:-1], n_cells))
    sums[..., present] = np.add.reduceat(np.take(weights, order, axis=-1), starts, axis=-1)
    return sums
