"""Where a picture is in colour, and the colours that devices paint B-scans in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oct_core.registry import Registry
from oct_core.types import GrayImage, Mask, Scan
from oct_core.words import message

COLOUR_NOTE = message("colour converted to gray")
"""The note on a scan whose source was in colour."""
SPREAD = 24
"""Gray values between a pixel's strongest and weakest channel, above which it is coloured: JPEG
leaves less on gray."""
SHARE = 0.005
"""Of a picture's pixels, that are coloured before it counts as a picture in colour."""

_Points = tuple[tuple[float, tuple[float, float, float]], ...]
FALSE_COLOURS: Registry[_Points] = Registry(message("colour map"))
"""Name -> (gray value, (red, green, blue)), all 0 to 1, joined by straight lines."""
FALSE_COLOURS.add(
    "rainbow",
    (
        (0, (0, 0, 0)),
        (0.2, (0, 0, 1)),
        (0.4, (0, 1, 0)),
        (0.6, (1, 1, 0)),
        (0.8, (1, 0, 0)),
        (1, (1, 1, 1)),
    ),
)
FALSE_COLOURS.add(
    "jet",
    (
        (0, (0, 0, 0.5)),
        (0.125, (0, 0, 1)),
        (0.375, (0, 1, 1)),
        (0.625, (1, 1, 0)),
        (0.875, (1, 0, 0)),
        (1, (0.5, 0, 0)),
    ),
)
FALSE_COLOURS.add(
    "hue",
    (
        (0, (1, 0, 0)),
        (0.2, (1, 1, 0)),
        (0.4, (0, 1, 0)),
        (0.6, (0, 1, 1)),
        (0.8, (0, 0, 1)),
        (1, (1, 0, 1)),
    ),
)
FALSE_COLOURS.add("cool", ((0, (0, 1, 1)), (1, (1, 0, 1))))
FALSE_COLOURS.add("hot", ((0, (0, 0, 0)), (0.36, (1, 0, 0)), (0.75, (1, 1, 0)), (1, (1, 1, 1))))
FALSE_COLOURS.add("green", ((0, (0, 0, 0)), (0.7, (0.2, 0.9, 0.3)), (1, (0.9, 1, 0.9))))


def find_colour(rgb: NDArray[np.uint8]) -> Mask | None:
    """uint8 (H, W, 3) -> bool (H, W), the coloured pixels; None if there are none."""
    low = rgb.min(axis=2)
    mask: Mask = rgb.max(axis=2) - low > SPREAD
    return mask if mask.any() else None


def colour_share(scan: Scan) -> float:
    """Share of the scan's own pixels, after any cut, that are coloured in its source, 0 to 1."""
    return 0.0 if scan.colour is None else float(scan.colour.mean())


def is_coloured(scan: Scan) -> bool:
    """Whether the scan's own pixels, after any cut, come from a picture in colour."""
    return colour_share(scan) > SHARE


def paint_falsely(pixels: GrayImage, name: str) -> NDArray[np.uint8]:
    """Gray uint8 (H, W) -> uint8 (H, W, 3) in the colours of that name; raises UnknownNameError."""
    places, colours = zip(*FALSE_COLOURS.get(name), strict=True)
    gray = np.linspace(0, 1, 256)
    table = np.stack(
        [np.interp(gray, places, channel) for channel in zip(*colours, strict=True)], 1
    )
    painted: NDArray[np.uint8] = np.round(table * 255).astype(np.uint8)[pixels]
    return painted
