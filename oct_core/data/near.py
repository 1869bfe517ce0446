"""Near duplicates: scans whose pictures hardly differ, whatever their bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oct_core.types import GrayImage

Hashes = NDArray[np.uint64]
"""uint64 (N, 5), or (5,) of one scan: 63 bits of the coarse picture, then 255 of the finer one."""

_SIDE, _COARSE, _FINE = 64, 8, 16
COARSE_BITS, FINE_BITS = 8, 32
"""So many bits of 63 and of 255 may differ between near duplicates. A scan saved again as JPEG,
halved, brightened or with noise differs from itself in at most 6 and 20; the nearest two scans of
different patients among 853 of OCT2017 in 4 and 48.
"""
_ROWS, _COLUMNS = 128, 4096


def _cosines() -> NDArray[np.float32]:
    """(16, 64): the first rows of the orthonormal DCT-II."""
    waves = np.outer(np.arange(_FINE), 2 * np.arange(_SIDE) + 1) * np.pi / (2 * _SIDE)
    cosines = np.cos(waves) * np.sqrt(2 / _SIDE)
    cosines[0] = np.sqrt(1 / _SIDE)
    return np.asarray(cosines, dtype=np.float32)


_COSINES = _cosines()


def perceptual_hash(pixels: GrayImage) -> Hashes:
    """uint8 (H, W) -> uint64 (5,): which low frequencies of the picture, averaged to 64 x 64, are
    above their median (pHash: Zauner, Implementation and Benchmarking of Perceptual Image Hash
    Functions, 2010), of 8 x 8 and of 16 x 16 frequencies without the mean.
    """
    small = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    waves = _COSINES @ np.asarray(small, dtype=np.float32) @ _COSINES.T
    words = [_bits(waves[:_COARSE, :_COARSE], 1), _bits(waves, 4)]
    return np.concatenate(words)


def _bits(waves: NDArray[np.float32], words: int) -> Hashes:
    values = waves.ravel()[1:]
    bits = np.zeros(64 * words, dtype=bool)
    bits[: len(values)] = values > np.median(values)
    return np.packbits(bits).view(np.uint64)


@dataclass(frozen=True)
class Nearest:
    """The nearest scan of another group of each scan. row : int64 (N,), -1 without a near
    duplicate. distance : int64 (N,), bits of 255 that differ, 256 without one.
    """

    row: NDArray[np.int64]
    distance: NDArray[np.int64]

    def pairs(self) -> list[tuple[int, int, int]]:
        """(row, row, bits), each pair once, the most alike first."""
        pairs = {
            (min(one, other), max(one, other)): int(self.distance[one])
            for one, other in enumerate(self.row.tolist())
            if other >= 0
        }
        return sorted(
            ((one, other, bits) for (one, other), bits in pairs.items()),
            key=lambda pair: (pair[2], pair[:2]),
        )


def find_near(hashes: Hashes, groups: NDArray[np.int64]) -> Nearest:
    """The near duplicate of each scan in another group (int (N,), such as parts) that differs in
    the fewest bits, by comparing every two: 109,309 scans take seconds, memory is linear.
    """
    # Equal scans of one group are compared once, whole groups of one with themselves never.
    keys = np.column_stack([groups.astype(np.uint64), hashes])
    unique, first, member = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    groups_of, words = unique[:, 0], np.ascontiguousarray(unique[:, 1:].T)
    total = len(unique)
    row = np.full(total, -1, dtype=np.int64)
    distance = np.full(total, 256, dtype=np.int64)
    differ = np.empty((_ROWS, _COLUMNS), dtype=np.uint64)  # one for all blocks
    for start in range(0, total, _ROWS):
        rows = slice(start, min(start + _ROWS, total))
        for left in range(start, total, _COLUMNS):
            columns = slice(left, min(left + _COLUMNS, total))
            if groups_of[rows.start] == groups_of[columns.stop - 1]:  # sorted: all are the same
                continue
            ones, others, bits = _near_in_block(words, groups_of, rows, columns, differ)
            _keep_nearest(row, distance, ones, others, bits)
            _keep_nearest(row, distance, others, ones, bits)
    partner = np.where(row >= 0, first[row], -1)[member.ravel()]
    return Nearest(partner, distance[member.ravel()])


def _near_in_block(
    words: Hashes, groups: Hashes, rows: slice, columns: slice, differ: Hashes
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(rows, columns, bits that differ) of the near duplicates in one block of all pairs. differ :
    what is written over.
    """
    differ = differ[: rows.stop - rows.start, : columns.stop - columns.start]
    np.bitwise_xor(words[0, rows, None], words[0, None, columns], out=differ)
    coarse = np.bitwise_count(differ) <= COARSE_BITS
    ones, others = np.divmod(np.flatnonzero(coarse), coarse.shape[1])  # nonzero takes 20 times that
    ones, others = ones + rows.start, others + columns.start
    apart = groups[ones] != groups[others]
    ones, others = ones[apart], others[apart]
    bits = np.bitwise_count(words[1:, ones] ^ words[1:, others]).sum(axis=0, dtype=np.int64)
    near = bits <= FINE_BITS
    return ones[near], others[near], bits[near]


def _keep_nearest(
    row: NDArray[np.int64],
    distance: NDArray[np.int64],
    ones: NDArray[np.int64],
    others: NDArray[np.int64],
    bits: NDArray[np.int64],
) -> None:
    """Note for ``ones`` what of ``others`` is nearer than what was known."""
    if not len(ones):
        return
    order = np.lexsort((others, bits, ones))
    places, best = np.unique(ones[order], return_index=True)
    best = order[best]
    nearer = bits[best] < distance[places]
    row[places[nearer]] = others[best[nearer]]
    distance[places[nearer]] = bits[best[nearer]]
