"""Percentiles as numpy has them, several times as fast on a scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def percentiles(values: NDArray[Any], *shares: float) -> list[float]:
    """The percentiles (0 to 100) of all values, as ``np.percentile`` gives them for a list."""
    ordered = np.sort(values, axis=None)
    return [_between(len(ordered), share, lambda place: ordered[place]) for share in shares]


def percentile_of_counts(counts: Sequence[int], share: float) -> float:
    """The percentile (0 to 100) of gray values of which ``counts[value]`` pixels there are."""
    upto = np.cumsum(counts)
    number = int(upto[-1])
    return _between(number, share, lambda place: np.searchsorted(upto, place, side="right"))


def _between(number: int, share: float, value: Callable[[int], Any]) -> float:
    """Linear between the two nearest of so many ordered values, in the types and the order of
    operations of ``np.percentile``, to the last bit.
    """
    place = (number - 1) * (share / 100)
    below = int(place)
    part = place - below
    low, high = value(below), value(min(below + 1, number - 1))
    step = float(high - low)  # in float32, if the values are
    return float(low) + step * part if part < 0.5 else float(high) - step * (1 - part)
