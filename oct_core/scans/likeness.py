"""Does a picture look like a retinal B-scan at all? A cheap check of layout and texture: it warns,
it never refuses.

The bounds lie outside what 853 scans of OCT2017, 240 of other devices and our phantoms show. A
picture that passes may still be no B-scan, and nothing here says whether a scan is good enough to
be read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oct_core.scans.colour import is_coloured
from oct_core.scans.edit import invert
from oct_core.scans.preprocess import neutralise
from oct_core.types import GrayImage, Scan
from oct_core.words import note

_COLUMNS, _ROWS = 24, 64
_ASPECT = (0.4, 8.0)
_BRIGHT = 0.5
_PRESENT = 0.35


@dataclass(frozen=True)
class Layout:
    """What the check measures on the scan averaged to 24 columns of 64 rows, wedges neutralised.

    aspect : width over height. background : gray value of the darkest tenth. contrast : gray values
    from there to the brightest hundredth. On the gray value scaled from background (0) to brightest
    (1): bright : share of the picture
    above 0.5. cover : share of columns that reach 0.35. jump : median step of a column's brightest
    row from column to
    column, in heights. layered : spread of the row means over the spread of row and column means, 0
    to 1. coherence :
    median correlation of neighbouring columns. speckle : mean step from pixel to pixel, over the
    mean gray value.
    """

    aspect: float
    background: float
    contrast: float
    bright: float
    cover: float
    jump: float
    layered: float
    coherence: float
    speckle: float


def measure(pixels: GrayImage) -> Layout:
    """The layout of gray pixels, uint8 (H, W); raises ScanError for another shape or type."""
    clean = neutralise(pixels)
    grid = np.asarray(
        Image.fromarray(clean).resize((_COLUMNS, _ROWS), Image.Resampling.BOX)
    ).astype(np.float64)
    background, top = (float(value) for value in np.percentile(grid, [10, 99]))
    scaled = np.clip((grid - background) / max(top - background, 1.0), 0, 1)
    rows, columns = float(scaled.mean(1).std()), float(scaled.mean(0).std())
    steps = np.abs(np.diff(clean.astype(np.int16), axis=1))
    return Layout(
        aspect=pixels.shape[1] / pixels.shape[0],
        background=background,
        contrast=top - background,
        bright=float((scaled > _BRIGHT).mean()),
        cover=float((scaled.max(0) > _PRESENT).mean()),
        jump=float(np.median(np.abs(np.diff(scaled.argmax(0))))) / _ROWS,
        layered=rows / max(rows + columns, 1e-9),
        coherence=_coherence(scaled),
        speckle=float(steps.mean()) / max(float(clean.mean()), 1.0),
    )


def _coherence(scaled: NDArray[np.float64]) -> float:
    """Median correlation of neighbouring columns; a column without contrast counts as 0."""
    centred = scaled - scaled.mean(0)
    norms = np.maximum(np.linalg.norm(centred, axis=0), 1e-9)
    unit = centred / norms
    return float(np.median((unit[:, :-1] * unit[:, 1:]).sum(0)))


def find_objection(scan: Scan) -> str | None:
    """What speaks against a B-scan, as a part of a sentence ("it is in colour ..."), or None;
    raises ScanError for unusable pixels.
    """
    return _objection(measure(scan.pixels), is_coloured(scan))


def looks_inverted(scan: Scan) -> bool:
    """Whether something speaks against a B-scan, and nothing against the inverted picture; raises
    ScanError for unusable pixels.
    """
    return find_objection(scan) is not None and find_objection(invert(scan)) is None


def _round_up(times: float) -> float:
    """To one decimal, so that what exceeds a bound is not written as the bound."""
    return math.ceil(times * 10) / 10


def _objection(layout: Layout, coloured: bool) -> str | None:
    if coloured:
        return note(
            "it is in colour, and B-scans are gray; crop away coloured panels and text if it is "
            "a device export"
        )
    if layout.aspect > _ASPECT[1]:
        return note(
            "it is {times:.1f} times as wide as high, and B-scans are at most {most:g} times",
            times=_round_up(layout.aspect),
            most=_ASPECT[1],
        )
    if layout.aspect < _ASPECT[0]:
        return note(
            "it is {times:.1f} times as high as wide, and B-scans are at most {most:g} times",
            times=_round_up(1 / layout.aspect),
            most=1 / _ASPECT[0],
        )
    if layout.contrast < 25:
        return note("it shows no bright structure on a darker background")
    if layout.background > 64:
        return note(
            "its background is not dark, as in a scan drawn dark on white or inverted by mistake"
        )
    if layout.bright > 0.35 or layout.cover < 0.8 or layout.layered < 0.4:
        return note(
            "no bright band runs across it from left to right; crop to the B-scan if it is a "
            "device export"
        )
    if layout.jump > 0.08 or layout.coherence < 0.6:
        return note("its bright parts do not form layers from left to right")
    if layout.speckle < 0.008:
        return note("it is smoother than any scan, without speckle")
    return None
