"""All maps of one scan on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oct_core.figures.overlay import overlay
from oct_core.figures.pictures import Picture, resize
from oct_core.types import Explanation, Scan


def contact_sheet(
    scan: Scan, maps: Sequence[Explanation], columns: int = 5, width: int = 320
) -> Picture:
    """The scan, then every map over it, in rows of ``columns``: uint8 (H, W, 3).

    Each cell is ``width`` pixels wide, at the scan's own aspect ratio. The maps have the scan's
    own size.
    """
    pictures = [np.repeat(scan.pixels[:, :, None], 3, axis=2)]
    pictures += [
        overlay(scan.pixels, each.values, 1.0 if each.signed else 0.5, signed=each.signed)
        for each in maps
    ]
    height = max(1, round(width * scan.pixels.shape[0] / scan.pixels.shape[1]))
    cells = [resize(picture, (width, height)) for picture in pictures]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % columns)
    return np.vstack(
        [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    )
