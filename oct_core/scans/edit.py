"""Scans cut and inverted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from oct_core.errors import ScanError
from oct_core.scans.checks import as_scan
from oct_core.scans.limits import DEFAULT, Limits
from oct_core.types import Scan
from oct_core.words import say


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
    return replace(
        scan,
        pixels=np.ascontiguousarray(scan.pixels[top:bottom, left:right]),
        notes=(*scan.notes, say("cropped")),
    )


def invert(scan: Scan) -> Scan:
    """Black for white, for scans drawn dark on white."""
    return replace(as_scan(scan), pixels=255 - scan.pixels, notes=(*scan.notes, say("inverted")))
