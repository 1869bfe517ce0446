"""A metric: checks, then a pure computation over any number of weightings at once; and the registry
of them all.

Scans of one unit (a patient) always weigh the same. So a metric's basis first takes in the labels,
the probabilities and who belongs to which unit, sorts and counts once, and then answers for as many
weightings of the units as a bootstrap asks for.
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
Weigh = Callable[[FloatArray], FloatArray]
"""Weights (..., U) of units to what they make of the scans, (...) + a shape of its own."""
Basis = Callable[[IntArray, FloatArray, IntArray], Weigh]
"""Labels (N,), probabilities (N, K) and the unit (N,) of each scan, 0 to U - 1, to a Weigh."""
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
    function : the figure, of what ``basis`` makes of weights (..., U): (...) + the metric's own
        shape.
    basis : what the metric is computed from (the confusion matrix, the areas); a bootstrap
        computes it once for all metrics that share it.
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
    function: Callable[[FloatArray], FloatArray]
    basis: Basis
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

    def compute(
        self, labels: IntArray, probabilities: FloatArray, weights: FloatArray
    ) -> FloatArray:
        """The same as a call, without checks: labels (N,), probabilities (N, K) and weights
        (..., N) to (...) + the metric's own shape.
        """
        return self.function(self.basis(labels, probabilities, np.arange(len(labels)))(weights))

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
    title: str, kind: Kind, basis: Basis, **traits: Unpack[Traits]
) -> Callable[[Callable[[FloatArray], FloatArray]], Metric]:
    """Make a Metric of a computation and register it under the function's name."""

    def register(function: Callable[[FloatArray], FloatArray]) -> Metric:
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


def sum_cells(
    units: IntArray, cells: IntArray, n_cells: int, values: ArrayLike | None = None
) -> Weigh:
    """Weights (..., U) to the sums (..., n_cells) of weight times value over each cell's entries.

    units, cells : the unit and the cell, 0 .. n_cells - 1, of each entry (E,): a scan, or one of
    several things that a scan adds to; a cell of -1 is none. values : (E,), 1 where there are none.

    A sparse product, no dense one: that one would ask for every core, which makes it slow while the
    cores have other work.
    """
    from scipy.sparse import csr_array  # costs 0.2 s: only where it is needed

    inside = cells >= 0
    entries = np.broadcast_to(1.0 if values is None else values, cells.shape)[inside]
    places = cells[inside], units[inside]
    adds = csr_array((entries, places), shape=(n_cells, int(units.max()) + 1))

    def weigh(weights: FloatArray) -> FloatArray:
        rows = np.ascontiguousarray(np.atleast_2d(weights).T, dtype=np.float64)
        sums: FloatArray = (adds @ rows).T
        return sums.reshape(*weights.shape[:-1], n_cells)

    return weigh


def mean_over_scans(sums: FloatArray) -> FloatArray:
    """The mean (...) from the sum of a value and that of the weights, (..., 2)."""
    return ratio(sums[..., 0], sums[..., 1])


def sum_values(units: IntArray, values: FloatArray) -> Weigh:
    """The sum of weight times values (N,), and that of the weights, (..., 2)."""
    cells = np.repeat([0, 1], len(values))
    return sum_cells(np.tile(units, 2), cells, 2, np.r_[values, np.ones(len(values))])
