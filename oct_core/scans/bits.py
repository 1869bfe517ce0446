"""Masks of 64 pixels a word: growing and shrinking them takes a few operations on small arrays.

Bit i of a word is the pixel i to the right of its first; uint64 (H, ceil(W / 64)).
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from oct_core.types import Mask

Words = NDArray[np.uint64]

_ALL = np.uint64(2**64 - 1)
_ORDER = "<u8"


def pack(mask: Mask) -> Words:
    """bool (H, W) -> words; the bits beyond the width are 0."""
    octets = np.packbits(mask, axis=1, bitorder="little")
    whole = np.zeros((len(mask), -(-mask.shape[1] // 64) * 8), dtype=np.uint8)
    whole[:, : octets.shape[1]] = octets
    return whole.view(_ORDER).astype(np.uint64, copy=sys.byteorder != "little")


def unpack(words: Words, shape: tuple[int, ...]) -> Mask:
    """Words -> bool (H, W)."""
    octets = words.astype(_ORDER, copy=False).view(np.uint8)
    mask: Mask = np.unpackbits(octets, axis=1, count=shape[1], bitorder="little").view(bool)
    return mask


def erode(words: Words, half: int, width: int) -> Words:
    """Pixels around which a window of 2 * half + 1 pixels a side is all set; beyond the picture
    everything is. half : below 64.
    """
    words = words.copy()
    if width % 64:
        words[:, -1] |= _ALL << np.uint64(width % 64)
    rows = words.copy()
    for step in range(1, half + 1):
        rows[step:] &= words[:-step]
        rows[:-step] &= words[step:]
    eroded = rows.copy()
    for step in range(1, half + 1):
        eroded &= _to_right(rows, step, _ALL)
        eroded &= _to_left(rows, step, _ALL)
    return eroded


def dilate(words: Words, steps: int) -> Words:
    """Grown by so many steps to the four sides."""
    nothing = np.uint64(0)
    for _ in range(steps):
        grown = words | _to_right(words, 1, nothing)
        grown |= _to_left(words, 1, nothing)
        grown[1:] |= words[:-1]
        grown[:-1] |= words[1:]
        words = grown
    return words


def _to_right(words: Words, step: int, beyond: np.uint64) -> Words:
    """Each row moved so many pixels to the right; ``beyond`` fills in."""
    moved = words << np.uint64(step)
    back = np.uint64(64 - step)
    moved[:, 1:] |= words[:, :-1] >> back
    moved[:, 0] |= beyond >> back
    return moved


def _to_left(words: Words, step: int, beyond: np.uint64) -> Words:
    moved = words >> np.uint64(step)
    back = np.uint64(64 - step)
    moved[:, :-1] |= words[:, 1:] << back
    moved[:, -1] |= beyond << back
    return moved
