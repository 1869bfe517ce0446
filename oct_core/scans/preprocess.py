"""The one preprocessing that training and the app share; it travels inside the run card."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from oct_core.errors import CheckpointError, ScanError
from oct_core.scans.rules import NEWEST, VERSIONS, Rule
from oct_core.scans.statistics import percentiles
from oct_core.scans.wedges import check_gray, neutralise, wedge_mask
from oct_core.types import GrayImage

__all__ = [
    "NEWEST",
    "SIZES",
    "VERSIONS",
    "Preprocessing",
    "Rows",
    "Rule",
    "bring_to_levels",
    "check_gray",
    "find_rows",
    "neutralise",
    "wedge_mask",
]

SIZES = (64, 128, 192, 224)
"""Side lengths in pixels a network may take (64 is for tests)."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
GRAY_MEAN = (0.2, 0.2, 0.2)
GRAY_STD = (0.2, 0.2, 0.2)

_COLUMNS, _ROWS = 32, 128
_LEAST_CONTRAST = 20
_LEAST_SHARE = 0.3


@dataclass(frozen=True)
class Rows:
    """The rows of a scan that a network sees: from ``first`` to before ``last`` of ``height``."""

    first: int
    last: int
    height: int

    @property
    def all(self) -> bool:
        """Whether these are all rows."""
        return self.last - self.first == self.height

    def at(self, height: int) -> slice:
        """The same rows of the scan at another height, or of a map of the whole scan."""
        first = min(round(self.first / self.height * height), height - 1)
        return slice(first, max(round(self.last / self.height * height), first + 1))

    def whole(self, side: int) -> tuple[int, int]:
        """(height, first) of the whole scan where its visible rows are ``side`` rows."""
        height = round(side * self.height / (self.last - self.first))
        return height, min(round(self.first / self.height * height), height - side)


@dataclass(frozen=True)
class Preprocessing:
    """How a scan becomes a network's input: gray, stretched to a square; in version 1 the whole
    scan, from version 2 on the rows of its retina, at one contrast.

    size : side in pixels. mean, std : per channel, in units of the [0, 1] gray value, applied
    inside the network.
    neutralise_wedges : paint the white corners that rotation leaves with the scan's own background.
    version : a key of VERSIONS, the constants.
    """

    size: int = 224
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    neutralise_wedges: bool = True
    version: int = NEWEST

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ScanError(
                "the training size must be one of {sizes}, not {size}", sizes=SIZES, size=self.size
            )

    def prepare(self, pixels: GrayImage) -> GrayImage:
        """uint8 (H, W) -> uint8 (size, size): wedges neutralised, then an antialiased stretch of
        the rows that the network sees, at the contrast of the version.
        """
        clean, rule = self._clean(pixels), VERSIONS[self.version]
        rows = find_rows(clean, rule)
        packed = np.asarray(
            Image.fromarray(clean[rows.first : rows.last]).resize(
                (self.size, self.size), Image.Resampling.BILINEAR
            )
        )
        return bring_to_levels(packed, *rule.levels) if rule.levels else packed

    def rows(self, pixels: GrayImage) -> Rows:
        """Which rows of uint8 (H, W) the network sees."""
        return find_rows(self._clean(pixels), VERSIONS[self.version])

    def _clean(self, pixels: GrayImage) -> GrayImage:
        check_gray(pixels)
        return neutralise(pixels, self.version) if self.neutralise_wedges else pixels

    def to_dict(self) -> dict[str, Any]:
        """The JSON form stored in the run card."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Preprocessing:
        """The inverse of to_dict; a card without a version is of version 1. Raises CheckpointError
        for what is missing or damaged, and for a version that this program does not know.
        """
        version = raw.get("version", 1)
        if version not in tuple(VERSIONS):
            raise CheckpointError(
                "the run was trained with version {version!r} of the preprocessing, this program "
                "knows {versions}; update oct_core or train the run again",
                version=version,
                versions=", ".join(map(str, VERSIONS)),
            )
        try:
            return cls(
                int(raw["size"]),
                tuple(raw["mean"]),
                tuple(raw["std"]),
                bool(raw["neutralise_wedges"]),
                int(version),
            )
        except (KeyError, TypeError, ValueError, ScanError) as error:
            raise CheckpointError(
                "the run card's preprocessing cannot be read ({error}); train the run again",
                error=error,
            ) from error


def bring_to_levels(pixels: GrayImage, black: int, white: int) -> GrayImage:
    """The background (10th percentile of the smoothed picture) at gray value ``black`` and the
    brightest layer (its 99.5th) at ``white``, linearly between and beyond. A picture of less than
    40 gray values is not stretched as if it had more.
    """
    smooth = ndimage.gaussian_filter(pixels.astype(np.float32), pixels.shape[0] / 200)
    low, high = percentiles(smooth, 10, 99.5)
    gain = (white - black) / max(high - low, 40.0)
    changed = (pixels.astype(np.float32) - low) * gain + black
    return np.asarray(np.clip(np.rint(changed), 0, 255), dtype=np.uint8)


def find_rows(pixels: GrayImage, rule: Rule) -> Rows:
    """The band of the retina with the rule's margins; all rows where the rule has none, or where
    no band runs across half of the columns.

    Read off the scan averaged to 32 columns of 128 rows. In a column the retina ends at the lowest
    row nearly as bright as the brightest one, and begins at the first row that stands out from the
    background. The band reaches from the highest begin to the lowest end of all columns but the
    outermost twentieth, and takes 30 % of the height at least.
    """
    height = pixels.shape[0]
    if rule.margins is None:
        return Rows(0, height, height)
    small = Image.fromarray(pixels).resize((_COLUMNS, _ROWS), Image.Resampling.BOX)
    gray = ndimage.gaussian_filter(np.asarray(small, dtype=np.float64), 1.0)
    low, high = percentiles(gray, 10, 99)
    if high - low < _LEAST_CONTRAST:
        return Rows(0, height, height)
    gray = (gray - low) / (high - low)
    peak, places = gray.max(0), np.arange(_ROWS)[:, None]
    good = peak > 0.35
    if good.sum() < _COLUMNS / 2:
        return Rows(0, height, height)
    lower = np.where(gray > 0.85 * peak, places, 0).max(0)[good]
    upper = np.where((gray > 0.25) & (places <= lower.max()), places, _ROWS - 1).min(0)[good]
    thickness = float(np.median(lower - upper))
    first = percentiles(upper, 5)[0] - rule.margins[0] * thickness - 1
    last = percentiles(lower, 95)[0] + rule.margins[1] * thickness + 2
    short = max(0.0, _LEAST_SHARE * _ROWS - (last - first)) / 2
    scale = height / _ROWS
    return Rows(
        max(0, int((first - short) * scale)), min(height, int((last + short) * scale)), height
    )
