"""Maps in colour, laid over a scan or, where they are signed, alone on mid-gray: numpy in, numpy
out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oct_core.errors import ExplanationError
from oct_core.registry import Registry
from oct_core.types import Float32Array, GrayImage
from oct_core.words import message

ColorImage = NDArray[np.uint8]
MIDDLE = (127, 127, 127)
"""Zero in a signed map, as guided maps are published."""
NEGATIVE, POSITIVE = (10, 45, 140), (255, 190, 70)
"""Of signed maps: against and for the class. As far below mid-gray in luminance as above it, so
that a print in gray still tells them apart, and colour-blind safe.
"""
_FULL = np.float32(0.25)
"""The share of the maximum from which on a signed map has its full colour: few of its pixels come
near the maximum.
"""

# 33 evenly spaced colours of matplotlib's maps; straight lines between them stay within 5 of 255 of
# the originals.
_ANCHORS = {
    "viridis": (
        "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e23898e21918c1f988b"
        "1fa08822a78528ae8032b67a3fbc734ec36b5ec96270cf5784d44b98d83eaddc30c2df23d8e219ece51bfde725"
    ),
    "inferno": (
        "0000040403120b0724150b37210c4a2f0a5b3d09654a0c6b57106e64156e71196e7d1e6d8a226a972766a32c61b0315bbc3754c73e4c"
        "d24644db503be45a31eb6628f1731df68013f98e09fb9d07fcac11fbbc21f9cb35f5db4cf2ea69f3f68afcffa4"
    ),
    "turbo": (
        "30123b392a734040a24456c7466be34680f64294ff37a8fa28bceb1ccdd818ddc21fe9af32f2984ef97d6dfe628bff4ba4fc3cb9f635"
        "cdec34dfdf37eecf3af8be39fdac34fe962bfb7e21f46617eb500edf3f08d02f05be2102a91601920b017a0403"
    ),
    "gray": (
        "000000080808101010181818202020282828303030383838404040484848505050585858606060686868707070787878808080888888"
        "909090989898a0a0a0a8a8a8b0b0b0b8b8b8c0c0c0c8c8c8d0d0d0d8d8d8e0e0e0e8e8e8f0f0f0f8f8f8ffffff"
    ),
}


def _table(hexadecimal: str) -> ColorImage:
    anchors = (
        np.frombuffer(bytes.fromhex(hexadecimal), dtype=np.uint8).reshape(-1, 3).astype(np.float64)
    )
    places = np.linspace(0, len(anchors) - 1, 256)
    channels = [
        np.interp(places, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)
    ]
    return np.stack(channels, axis=1).round().astype(np.uint8)


COLORMAPS: Registry[ColorImage] = Registry(message("colour map"))
for _name, _hexadecimal in _ANCHORS.items():
    COLORMAPS.add(_name, _table(_hexadecimal))
OPACITY, COLORMAP = 0.45, "inferno"
"""Of maps where nothing else is chosen."""


def overlay(
    pixels: GrayImage,
    values: Float32Array,
    opacity: float = 0.5,
    colormap: str = "viridis",
    maximum: float | None = None,
) -> ColorImage:
    """A map that is not signed over its scan: uint8 (H, W) and float (H, W) -> uint8 (H, W, 3).

    Parameters
    ----------
    opacity : 0 (the scan alone) to 1 (the map alone). A map that is zero everywhere leaves the scan
        as it is.
    colormap : a name in COLORMAPS.
    maximum : the value that gets the full colour; by default the map's own largest. One for all
        gives one scale.

    Raises
    ------
    UnknownNameError : no such colour map. ExplanationError : shapes that differ, NaN, an opacity or
    maximum out of range.
    """
    if pixels.ndim != 2 or values.shape != pixels.shape:
        raise ExplanationError(
            "expected a scan and a map of one shape (H, W), got {pixels} and {values}; stretch "
            "the map first",
            pixels=pixels.shape,
            values=values.shape,
        )
    if not 0 <= opacity <= 1:
        raise ExplanationError(
            "expected an opacity from 0 to 1, got {opacity}; 0.5 is usual", opacity=opacity
        )
    scaled = np.maximum(_scaled(values, maximum), 0)
    table = COLORMAPS.get(colormap) * np.float32(opacity)
    if not scaled.any():
        return np.repeat(pixels[:, :, None], 3, axis=2)
    ground = pixels * np.float32(1 - opacity)
    return np.asarray(
        np.rint(ground[:, :, None] + np.take(table, _positions(scaled), axis=0)), dtype=np.uint8
    )


def paint_signed(values: Float32Array, maximum: float | None = None) -> ColorImage:
    """A signed map alone: float (H, W) -> uint8 (H, W, 3), MIDDLE where it is zero, towards
    POSITIVE above and NEGATIVE below by the root of its magnitude, in full from a quarter of the
    maximum on.

    maximum : by default the map's own largest magnitude; one for all gives one scale. Raises
    ExplanationError for NaN or a maximum below zero.
    """
    scaled = _scaled(values, maximum)
    strength = np.sqrt(np.minimum(np.abs(scaled) / _FULL, 1))
    channels = [
        middle
        + strength * np.where(scaled > 0, np.float32(high - middle), np.float32(low - middle))
        for middle, high, low in zip(MIDDLE, POSITIVE, NEGATIVE, strict=True)
    ]
    return np.asarray(np.rint(np.stack(channels, axis=2)), dtype=np.uint8)


def _positions(scaled: Float32Array) -> NDArray[np.intp]:
    """[0, 1] -> row of a colour map."""
    return np.asarray(np.rint(scaled * np.float32(255)), dtype=np.intp)


def _scaled(values: Float32Array, maximum: float | None) -> Float32Array:
    """Values by their maximum, clipped to [-1, 1]; all zero if the maximum is zero."""
    if not bool(np.isfinite(values).all()):
        raise ExplanationError(
            "expected finite map values, got NaN or infinity; explain the scan again"
        )
    if maximum is not None and maximum < 0:
        raise ExplanationError("expected a maximum of at least 0, got {maximum}", maximum=maximum)
    top = np.float32(np.abs(values).max(initial=0.0) if maximum is None else maximum)
    if top == 0:
        return np.zeros_like(values, dtype=np.float32)
    with np.errstate(over="ignore"):  # a value far above a tiny maximum is clipped all the same
        return np.asarray(
            np.clip(np.asarray(values, dtype=np.float32) / top, -1.0, 1.0),
            dtype=np.float32,
        )
