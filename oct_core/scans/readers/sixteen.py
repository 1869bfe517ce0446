"""All 16 bits of colour pictures, of which Pillow keeps the high byte only.

Pillow unpacks them by a "raw mode" that names the order of the two bytes: under the name of the
other order it gives the low byte. Raw modes stand in the ``tile`` of a picture that is opened and
not yet decoded (Pillow's documentation, "Writing your own image plugin").
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from oct_core.types import Float32Array

_NATIVE = "L" if sys.byteorder == "little" else "B"
_OTHER = {"L": "B", "B": "L"}


def _raw_mode(tile: Any) -> str:
    args = tile.args
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _with_raw_mode(tile: Any, mode: str) -> Any:
    args = tile.args
    return tile._replace(args=(mode, *args[1:]) if isinstance(args, tuple) else mode)


def _tiles(image: Image.Image) -> list[Any]:
    return list(getattr(image, "tile", []))


def premultiplied(image: Image.Image) -> bool:
    """Whether a picture, not yet decoded, has colours that are multiplied by their opacity. If so
    they are decoded as they are: so they look over black, and Pillow would lose what opacity 0
    hides.
    """
    tiles = _tiles(image)
    if not tiles or not all(_raw_mode(tile).startswith("RGBa") for tile in tiles):
        return False
    image.tile = [  # type: ignore[attr-defined]
        _with_raw_mode(tile, "RGBA" + _raw_mode(tile).removeprefix("RGBa")) for tile in tiles
    ]
    return True


def other_bytes(high: Image.Image, low: Image.Image) -> Float32Array | None:
    """float32 (H, W, 3 or 4), red, green, blue and opacity, 0 to 65535, turned as EXIF says.

    high : the picture decoded and turned. low : the same, not yet decoded. None where Pillow has no
    name for the other order.
    """
    tiles = _tiles(low)
    names = {_raw_mode(tile) for tile in tiles}
    if names == {"LA;16B"}:
        # Four bytes a pixel: gray high and low, opacity high and low.
        low.tile = [_with_raw_mode(tile, "RGBA") for tile in tiles]  # type: ignore[attr-defined]
        values = _turned(low)
        pairs = values[..., 0::2] * 256 + values[..., 1::2]
        return pairs[..., [0, 0, 0, 1]]
    if len(names) != 1 or high.mode not in ("RGB", "RGBA"):
        return None
    kind, _, order = names.pop().partition(";16")
    order = _NATIVE if order == "N" else order
    if kind not in ("RGB", "RGBA", "RGBX", "RGBa") or order not in _OTHER:
        return None
    associated = premultiplied(low)
    kind = "RGBA" if associated else kind
    low.tile = [  # type: ignore[attr-defined]
        _with_raw_mode(tile, f"{kind};16{_OTHER[order]}") for tile in tiles
    ]
    values = np.asarray(high, dtype=np.float32) * 256 + _turned(low)
    return values[..., :3] if associated else values


def _turned(image: Image.Image) -> Float32Array:
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return np.asarray(image, dtype=np.float32)
