"""The white corners that rotating a scan on a white page leaves, found and painted over."""

from __future__ import annotations

import numpy as np
from PIL import Image

from oct_core.errors import ScanError
from oct_core.scans import bits
from oct_core.scans.rules import NEWEST, VERSIONS
from oct_core.scans.runs import Runs
from oct_core.scans.statistics import percentile_of_counts
from oct_core.types import GrayImage, Mask


def check_gray(pixels: GrayImage) -> None:
    """Raise ScanError unless ``pixels`` is a non-empty uint8 array of two dimensions."""
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or 0 in pixels.shape:
        raise ScanError(
            "expected a gray uint8 picture (height, width), got {dtype} {shape}; decode it with "
            "read_scan",
            dtype=pixels.dtype,
            shape=pixels.shape,
        )


def wedge_mask(pixels: GrayImage, version: int = NEWEST) -> Mask:
    """bool (H, W): solid white regions that touch the border, as rotating a scan on a white page
    leaves them.

    Solid means that a 5 x 5 window fits in; retina that touches the border is broken up by speckle
    and stays. The thin tip of a wedge is followed along the border. version : a key of VERSIONS.

    The regions are followed as runs of rows, and what moves every pixel is done on 64 at a time: a
    tenth of the time of labelling pictures.
    """
    rule = VERSIONS[version]
    border = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    if max(int(side.max()) for side in border) < rule.white:
        return np.zeros(pixels.shape, dtype=bool)
    white = pixels >= rule.white
    solid = bits.unpack(bits.erode(bits.pack(white), rule.solid // 2, pixels.shape[1]), white.shape)
    cores = Runs.of(solid)
    keep = _large_at_border(cores, white.shape, rule.least_share)
    if not keep.any():
        return np.zeros(pixels.shape, dtype=bool)
    cores.erase(solid, ~keep)
    white[rule.tip : -rule.tip, rule.tip : -rule.tip] = False
    white |= solid
    regions = Runs.of(white)
    grown = np.zeros(len(regions), dtype=bool)
    grown[regions.components[regions.holding(cores, keep)]] = True
    regions.erase(white, ~grown[regions.components])
    # The window shrank the region by 2; JPEG leaves a gray fringe of about as much again.
    return bits.unpack(bits.dilate(bits.pack(white), rule.solid), white.shape)


def _large_at_border(runs: Runs, shape: tuple[int, int], least_share: float) -> Mask:
    """bool (N,): the runs of regions that touch the border of a picture of that shape and take so
    much of it.
    """
    height, width = shape
    touch = (
        (runs.rows == 0) | (runs.rows == height - 1) | (runs.starts == 0) | (runs.stops == width)
    )
    at_border = np.zeros(len(runs), dtype=bool)
    at_border[runs.components[touch]] = True
    sizes = np.bincount(runs.components, runs.stops - runs.starts, minlength=len(runs))
    chosen: Mask = (at_border & (sizes >= least_share * height * width))[runs.components]
    return chosen


def neutralise(pixels: GrayImage, version: int = NEWEST) -> GrayImage:
    """The scan with its wedges painted in its own background level (in version 1 the 10th
    percentile of the rest). version : a key of VERSIONS.
    """
    mask = wedge_mask(pixels, version)
    if not mask.any() or mask.all():
        return pixels
    rest = Image.fromarray(pixels).histogram(Image.fromarray((~mask).view(np.uint8)))
    level = percentile_of_counts(rest, VERSIONS[version].background)
    clean = pixels.copy()
    np.copyto(clean, np.uint8(level), where=mask)
    return clean
