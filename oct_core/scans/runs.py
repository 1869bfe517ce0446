"""A mask as runs of set pixels in its rows, and the regions that they form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from oct_core.types import IntArray, Mask


@dataclass(frozen=True, eq=False)
class Runs:
    """int64 (N,) each, ordered by row, then by column: run k sets the columns from starts[k] to
    before stops[k] of row rows[k]. width : of the mask, in pixels.
    """

    rows: IntArray
    starts: IntArray
    stops: IntArray
    width: int

    @classmethod
    def of(cls, mask: Mask) -> Runs:
        """The runs of bool (H, W)."""
        height, width = mask.shape
        edges = np.empty((height, width + 1), dtype=bool)
        edges[:, 0], edges[:, -1] = mask[:, 0], mask[:, -1]
        np.not_equal(mask[:, 1:], mask[:, :-1], out=edges[:, 1:-1])
        rows, columns = np.divmod(np.flatnonzero(edges), width + 1)
        return cls(rows[::2], columns[::2], columns[1::2], width)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def components(self) -> IntArray:
        """int64 (N,): equal numbers below N for the runs of one region; pixels that share a side
        belong together.
        """
        above = (self.rows - 1) * (self.width + 1)
        first = np.searchsorted(self._place(self.stops), above + self.starts, side="right")
        after = np.searchsorted(self._place(self.starts), above + self.stops, side="left")
        # Every run points to the first that it touches in the row above; the others are joined.
        up = np.where(after > first, first, np.arange(len(self)))
        up = _to_roots(up)
        forks = np.flatnonzero(after > first + 1)
        if not len(forks):
            return up
        join = np.arange(len(self))
        for run in forks.tolist():
            for other in range(int(first[run]) + 1, int(after[run])):
                one, two = _root(join, int(up[run])), _root(join, int(up[other]))
                join[max(one, two)] = min(one, two)
        return _to_roots(join)[up]

    def _place(self, columns: IntArray) -> IntArray:
        return self.rows * (self.width + 1) + columns

    def holding(self, inside: Runs, chosen: Mask) -> IntArray:
        """The numbers of these runs that hold the chosen runs of a mask that is a part of this
        one.
        """
        places = self._place(self.starts)
        return np.searchsorted(places, inside._place(inside.starts)[chosen], side="right") - 1

    def erase(self, mask: Mask, chosen: Mask) -> None:
        """Unset the pixels of the chosen runs in ``mask``."""
        for row, start, stop in zip(
            self.rows[chosen].tolist(),
            self.starts[chosen].tolist(),
            self.stops[chosen].tolist(),
            strict=True,
        ):
            mask[row, start:stop] = False


def _to_roots(links: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each chain of links ends; links never lead up."""
    while True:
        further = links[links]
        if np.array_equal(further, links):
            return links
        links = further


def _root(links: NDArray[np.int64], place: int) -> int:
    while links[place] != place:
        links[place] = links[links[place]]
        place = int(links[place])
    return place
