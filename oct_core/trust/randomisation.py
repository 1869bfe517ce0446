"""What the randomisation of a network says of its maps, in words. Loads no torch, so that a page
can say it.
"""

from __future__ import annotations

from oct_core.words import message, say

FOLLOWS, PARTLY = 0.25, 0.5
"""Rank correlation left with random weights: below the first the map follows the weights, from the
second on it does not.
"""
_FOLLOWS = message(
    "Follows the weights: little of the map remains when weights are random (rank correlation "
    "{half:.2f} with the upper half of the network random, {whole:.2f} with all of it)."
)
_PARTLY = message(
    "Follows the weights in part: some of the map remains when weights are random (rank "
    "correlation {half:.2f} with the upper half of the network random, {whole:.2f} with all of it)."
)
_FAILS = message(
    "Fails: much of the map remains when weights are random (rank correlation {half:.2f} with the "
    "upper half of the network random, {whole:.2f} with all of it), so it shows the picture more "
    "than the model."
)


def half_depth(deepest: int) -> int:
    """How many blocks are random when the upper half of them is, of ``deepest`` in all."""
    return (deepest + 1) // 2


def verdict(half: float, whole: float) -> str:
    """The result in words, for the mean rank correlations left with the upper half of the blocks
    random, and with all.

    The larger of the two decides: a map that lasts while the layers that decide are random fails,
    whatever becomes of it later.
    """
    left = max(half, whole)
    text = _FOLLOWS if left < FOLLOWS else _PARTLY if left < PARTLY else _FAILS
    return say(text, half=half, whole=whole)
