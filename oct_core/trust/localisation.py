"""Where a map lies: on the lesion of a phantom (exact truth), and on the retina of any scan
(estimated band).

All functions take the magnitude |values| of a map, float (H, W) in the scan's own pixels. A map of
zeros points nowhere: hit 0, energy 0, and shares of 0 everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from oct_core.errors import ExplanationError
from oct_core.scans.preprocess import check_gray, neutralise, wedge_mask
from oct_core.types import FloatArray, GrayImage, Mask

BORDER = 0.03
"""Width of the border region as a share of each side, at least one pixel."""
_RISE = 0.3
_LATERAL = 1 / 60
_MEDIAN = 1 / 8


def _magnitude(values: NDArray[np.floating], shape: tuple[int, ...]) -> FloatArray:
    if values.ndim != 2 or values.shape != shape:
        raise ExplanationError(
            "expected a map of the scan's shape {expected}, got {shape}; stretch the map first",
            expected=shape,
            shape=values.shape,
        )
    if not bool(np.isfinite(values).all()):
        raise ExplanationError(
            "expected finite map values, got NaN or infinity; explain the scan again"
        )
    return np.abs(values.astype(np.float64))


def pointing_hit(values: NDArray[np.floating], mask: Mask) -> float:
    """The pointing game: 1 if the largest value lies in the mask, else 0; no tolerance around the
    mask.

    Zhang et al. 2016, arXiv:1608.00507, section 4.2. Where several pixels share the largest value,
    the share of them inside, so that a constant map scores the mask's share of the area. Raises
    ExplanationError for shapes that differ or NaN.
    """
    magnitude = _magnitude(values, mask.shape)
    top = magnitude.max(initial=0.0)
    return float(mask[magnitude == top].mean()) if top > 0 else 0.0


def energy_inside(values: NDArray[np.floating], mask: Mask) -> float:
    """The share of a map's sum that lies in the mask, 0 to 1 (the energy-based pointing game).

    Wang et al. 2020, Score-CAM, arXiv:1910.01279, section 4.3. A map that knows nothing scores the
    mask's share of the area. Raises ExplanationError for shapes that differ or NaN.
    """
    magnitude = _magnitude(values, mask.shape)
    total = magnitude.sum()
    return float(magnitude[mask].sum() / total) if total > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Band:
    """The retina's estimated borders: top, bottom float64 (W,), rows; the retina is top <= row <
    bottom.
    """

    top: FloatArray
    bottom: FloatArray

    def mask(self, height: int) -> Mask:
        """bool (height, W)."""
        rows = np.arange(height)[:, None]
        return np.asarray((rows >= self.top) & (rows < self.bottom))


def _smooth_line(rows: FloatArray) -> FloatArray:
    """A border without outliers: a running median over an eighth of the width, then a running mean
    of half that.
    """
    window = max(3, int(len(rows) * _MEDIAN) | 1)
    median = ndimage.median_filter(rows, size=window, mode="nearest")
    return np.asarray(
        ndimage.uniform_filter1d(median, max(1, window // 2), mode="nearest"), dtype=np.float64
    )


def retina_band(pixels: GrayImage) -> Band:
    """A simple estimate of where the retina lies, from the inner limiting membrane to Bruch's
    membrane.

    Wedges are neutralised and the scan smoothed. Top: the first row of a column in the largest
    region that is brighter than the dark part of the scan by 0.3 of its range. Bottom: the lower
    face of the RPE, where the bright falls off most, weighted by the brightness above it. Both
    lines are cleaned by a running median. On the project's phantoms the band covers the true retina
    with a mean overlap (intersection over union) above 0.8.

    pixels : uint8 (H, W). A picture of one gray value has an empty band in its middle.
    Raises ScanError for other arrays.
    """
    check_gray(pixels)
    height, width = pixels.shape
    gray = ndimage.gaussian_filter(
        neutralise(pixels).astype(np.float64), (max(height / 160, 0.6), max(width * _LATERAL, 0.8))
    )
    dark, bright = np.percentile(gray, (10, 99))
    if bright - dark < 1:
        middle = np.full(width, height / 2)
        return Band(middle, middle)
    over = _largest_part(_without_border(gray > dark + _RISE * (bright - dark)))
    top = np.where(over.any(0), over.argmax(0), np.nan)
    reach = max(2, round(height / 50))
    above = ndimage.uniform_filter1d(gray, reach, axis=0, origin=(reach - 1) // 2, mode="nearest")
    below = ndimage.uniform_filter1d(gray, reach, axis=0, origin=-(reach // 2), mode="nearest")
    fall = (above - below) * above
    fall[: height // 20] = fall[-max(1, height // 50) :] = -np.inf
    top = _fill_gaps(top)
    fall[np.arange(height)[:, None] < top + height / 12] = -np.inf
    fall[:, : max(1, round(BORDER * width))] = fall[:, -max(1, round(BORDER * width)) :] = -np.inf
    bottom = np.where(np.isfinite(fall).any(0), fall.argmax(0), np.nan)
    top, bottom = _smooth_line(top), _smooth_line(_fill_gaps(bottom))
    return Band(top, np.maximum(top, bottom))


def _without_border(bright: Mask) -> Mask:
    """Thin white strips at the edges, too thin to be wedges, are not retina; their columns are
    filled from their neighbours.
    """
    rows, columns = (max(1, round(BORDER * side)) for side in bright.shape)
    inner = np.zeros_like(bright)
    inner[rows:-rows, columns:-columns] = bright[rows:-rows, columns:-columns]
    return inner


def _largest_part(bright: Mask) -> Mask:
    """The largest region, dark layers of the retina bridged: haze in the vitreous is bright too,
    but apart from the retina.
    """
    reach = max(1, bright.shape[0] // 16)
    labels, count = ndimage.label(
        ndimage.maximum_filter1d(bright.astype(np.uint8), 2 * reach + 1, axis=0)
    )
    if not count:
        return bright
    largest = 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return np.asarray(bright & (labels == largest))


def _fill_gaps(rows: FloatArray) -> FloatArray:
    """NaN columns from their neighbours; all NaN gives the first row."""
    known = np.flatnonzero(~np.isnan(rows))
    return (
        np.interp(np.arange(len(rows)), known, rows[known]) if known.size else np.zeros(len(rows))
    )


def regions(pixels: GrayImage, band: Band | None = None) -> dict[str, Mask]:
    """The five parts of a scan that add up to the whole, bool (H, W) each.

    Wedges first (white corners of a rotated scan), then borders (the outer 3% of each side), then
    retina, above (vitreous) and below (choroid and sclera) by the band.
    """
    band = band or retina_band(pixels)
    height, width = pixels.shape
    wedges = wedge_mask(pixels)
    borders = np.ones((height, width), dtype=bool)
    rows, columns = max(1, round(BORDER * height)), max(1, round(BORDER * width))
    borders[rows:-rows, columns:-columns] = False
    borders &= ~wedges
    inner = ~(wedges | borders)
    retina = band.mask(height) & inner
    above = (np.arange(height)[:, None] < band.top) & inner
    return {
        "retina": retina,
        "above": above,
        "below": inner & ~retina & ~above,
        "borders": borders,
        "wedges": wedges,
    }


def mass_shares(
    values: NDArray[np.floating], pixels: GrayImage, band: Band | None = None
) -> dict[str, float]:
    """Region -> the share of the map's sum on it, 0 to 1; they add up to 1, or are all 0 for a map
    of zeros.

    values : float (H, W). pixels : the scan, uint8 (H, W). band : by default estimated; pass it to
    save time for several maps. Raises ExplanationError for shapes that differ or NaN.
    """
    magnitude = _magnitude(values, pixels.shape)
    total = magnitude.sum()
    return {
        name: float(magnitude[mask].sum() / total) if total > 0 else 0.0
        for name, mask in regions(pixels, band).items()
    }
