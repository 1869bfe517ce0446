"""The constants of each version of the preprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Rule:
    """How white wedges are told from the scan, what is painted over them, and what else is made
    alike across devices.

    white : from this gray value on a pixel may be a wedge. solid : side in pixels of the window
    that must fit in, and how far the painted region is grown. tip : width in pixels of the border
    along which a thin tip is followed. least_share : of the picture, that a wedge takes at least.
    background : the percentile of the rest that it is painted with.
    levels : gray values that the background and the brightest layer are brought to; None leaves
    the contrast as it is. margins : rows kept above and below the retina, in units of its height;
    None keeps all rows.
    """

    white: int
    solid: int
    tip: int
    least_share: float
    background: float
    levels: tuple[int, int] | None = None
    margins: tuple[float, float] | None = None


VERSIONS: Mapping[int, Rule] = MappingProxyType(
    {
        1: Rule(235, 5, 8, 0.0005, 10),
        2: Rule(235, 5, 8, 0.0005, 10, levels=(16, 200), margins=(0.35, 0.6)),
    }
)
"""Version of the preprocessing -> its constants. Runs were trained with them: a change is a new
version, never another value under an old one.
"""
NEWEST = max(VERSIONS)
