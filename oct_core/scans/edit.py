"""Scans cut, turned and inverted, and what was done to a scan undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oct_core.errors import ScanError
from oct_core.scans.checks import as_scan
from oct_core.scans.colour import COLOUR_NOTE, is_coloured
from oct_core.scans.limits import DEFAULT, Limits
from oct_core.types import Scan
from oct_core.words import message, note

CHANGES: tuple[str, ...] = (
    message("upside down"),
    message("turned left"),
    message("turned right"),
    message("inverted"),
    message("false colour"),
)
"""What may have been done to a scan after it was recorded. "upside down" stands for a mirroring top
to bottom and for half a turn: of a retina they look alike, as right and left eyes do."""

_TURNS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "left": np.rot90,
    "right": lambda values: np.rot90(values, -1),
    "round": lambda values: values[::-1, ::-1],
    "over": lambda values: values[::-1],
}
_TURN_NOTES = {
    "left": message("turned to the left"),
    "right": message("turned to the right"),
    "round": message("turned round"),
    "over": message("mirrored top to bottom"),
}


def crop(scan: Scan, box: tuple[int, int, int, int], limits: Limits = DEFAULT) -> Scan:
    """The part inside the box (left, top, right, bottom), in pixels; right and bottom are
    exclusive. Raises ScanError if it is outside or too small.
    """
    height, width = as_scan(scan).pixels.shape
    if len(box) != 4:
        raise ScanError(
            "expected a crop box of 4 numbers (left, top, right, bottom), got {box}", box=box
        )
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ScanError(
            "the crop box {box} does not lie in the scan of {width} x {height} pixels; draw it "
            "again",
            box=box,
            width=width,
            height=height,
        )
    if min(right - left, bottom - top) < limits.side:
        raise ScanError(
            "the crop box is {width} x {height} pixels; at least {side} a side are needed",
            width=right - left,
            height=bottom - top,
            side=limits.side,
        )
    part = _rearrange(scan, lambda values: values[top:bottom, left:right])
    notes = scan.notes if is_coloured(part) else _without_colour(scan.notes)
    return replace(part, notes=(*notes, note("cropped")))


def turn(scan: Scan, way: str) -> Scan:
    """The scan turned a quarter to the "left" or to the "right", half "round", or mirrored top to
    bottom, "over". Raises ScanError for another way.
    """
    if way not in _TURNS:
        raise ScanError("a scan is turned {ways}, not {way!r}", ways=", ".join(_TURNS), way=way)
    turned = _rearrange(as_scan(scan), _TURNS[way])
    return replace(turned, notes=(*scan.notes, note(_TURN_NOTES[way])))


def take_luminance(scan: Scan) -> Scan:
    """The scan as gray values that a person stands for: its colours, whose luminance its pixels
    are, are not objected to any more.
    """
    notes = (*_without_colour(as_scan(scan).notes), note("luminance of its colours taken"))
    return replace(scan, colour=None, notes=notes)


def undo_change(scan: Scan, change: str) -> Scan:
    """The scan with a change of CHANGES taken back, as well as it can be; raises ScanError for
    another change.
    """
    if change not in _UNDO:
        raise ScanError(
            "expected a change of {changes}, got {change!r}",
            changes=", ".join(CHANGES),
            change=change,
        )
    return _UNDO[change](scan)


def _rearrange(scan: Scan, move: Callable[[NDArray[Any]], NDArray[Any]]) -> Scan:
    colour = None if scan.colour is None else np.ascontiguousarray(move(scan.colour))
    return replace(scan, pixels=np.ascontiguousarray(move(scan.pixels)), colour=colour)


def _without_colour(notes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(each for each in notes if each != COLOUR_NOTE)


def invert(scan: Scan) -> Scan:
    """Black for white, for scans drawn dark on white."""
    return replace(as_scan(scan), pixels=255 - scan.pixels, notes=(*scan.notes, note("inverted")))


_UNDO: dict[str, Callable[[Scan], Scan]] = {
    "upside down": lambda scan: turn(scan, "over"),
    "turned left": lambda scan: turn(scan, "right"),
    "turned right": lambda scan: turn(scan, "left"),
    "inverted": invert,
    "false colour": take_luminance,
}
