"""The one preprocessing that training and the app share; it travels inside the run card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from oct_core.errors import CheckpointError, ScanError
from oct_core.types import GrayImage, Mask

SIZES = (64, 128, 192, 224)
"""Side lengths in pixels a network may take (64 is for tests)."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
GRAY_MEAN = (0.2, 0.2, 0.2)
GRAY_STD = (0.2, 0.2, 0.2)


@dataclass(frozen=True)
class WedgeRule:
    """How white wedges are told from the scan, and what is painted over them.

    white : from this gray value on a pixel may be a wedge. solid : side in pixels of the window
    that must fit in, and how far the painted region is grown. tip : width in pixels of the border
    along which a thin tip is followed. least_share : of the picture, that a wedge takes at least.
    background : the percentile of the rest that it is painted with.
    """

    white: int
    solid: int
    tip: int
    least_share: float
    background: float


VERSIONS: Mapping[int, WedgeRule] = MappingProxyType({1: WedgeRule(235, 5, 8, 0.0005, 10)})
"""Version of the preprocessing -> its constants. Runs were trained with them: a change is a new
version, never another value under an old one.
"""
NEWEST = max(VERSIONS)


@dataclass(frozen=True)
class Preprocessing:
    """How a scan becomes a network's input: the whole scan, gray, stretched to a square.

    size : side in pixels. mean, std : per channel, in units of the [0, 1] gray value, applied
    inside the network.
    neutralise_wedges : paint the white corners that rotation leaves with the scan's own background.
    version : a key of VERSIONS, the constants of the wedges.
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
        the whole scan.
        """
        check_gray(pixels)
        clean = neutralise(pixels, self.version) if self.neutralise_wedges else pixels
        return np.asarray(
            Image.fromarray(clean).resize((self.size, self.size), Image.Resampling.BILINEAR)
        )

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
    """
    rule = VERSIONS[version]
    white = pixels >= rule.white
    edge = white.copy()
    edge[1:-1, 1:-1] = False
    if not edge.any():
        return np.zeros(pixels.shape, dtype=bool)
    core = ndimage.minimum_filter(white, size=rule.solid, mode="constant", cval=True)
    labels, _ = ndimage.label(core)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    sizes = np.bincount(labels.ravel())
    keep = [
        index
        for index in np.unique(border)
        if index and sizes[index] >= rule.least_share * pixels.size
    ]
    solid = np.isin(labels, keep)
    if not keep:
        return solid
    white[rule.tip : -rule.tip, rule.tip : -rule.tip] = False
    grown = ndimage.binary_propagation(solid, mask=solid | white)
    # The window shrank the region by 2; JPEG leaves a gray fringe of about as much again.
    return np.asarray(ndimage.binary_dilation(grown, iterations=rule.solid))


def neutralise(pixels: GrayImage, version: int = NEWEST) -> GrayImage:
    """The scan with its wedges painted in its own background level (in version 1 the 10th
    percentile of the rest). version : a key of VERSIONS.
    """
    mask = wedge_mask(pixels, version)
    if not mask.any() or mask.all():
        return pixels
    clean = pixels.copy()
    clean[mask] = np.uint8(np.percentile(pixels[~mask], VERSIONS[version].background))
    return clean
