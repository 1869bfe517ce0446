"""Scans and maps as pictures at the size they are shown at, always at the scan's own aspect ratio:
the one place that resizes what is drawn. No plotly, no torch.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oct_core.figures.overlay import overlay, paint_signed
from oct_core.types import Explanation, Float32Array, GrayImage
from oct_core.words import Note, message, note, say

Picture = NDArray[np.uint8]

GUIDED_WARNING = message(
    "Guided maps look sharp but follow edges more than the decision: they are known to fail the "
    "test of random weights (Adebayo et al. 2018). Read them together with Grad-CAM."
)


def fit_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """(width, height) with the longer side at most ``longest`` and the aspect ratio kept."""
    scale = min(1.0, longest / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def resize(pixels: Picture, size: tuple[int, int]) -> Picture:
    """uint8 (H, W) or (H, W, 3) at ``size`` (width, height): the mean of the pixels that fall
    together, bicubic where the picture grows.
    """
    height, width = pixels.shape[:2]
    if size == (width, height):
        return pixels
    shrinks = size[0] <= width and size[1] <= height
    how = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize(size, how), dtype=np.uint8)


def shrink(pixels: Picture, longest: int) -> Picture:
    """uint8 (H, W) or (H, W, 3) with the longer side at most ``longest`` pixels."""
    return resize(pixels, fit_size(pixels.shape[0], pixels.shape[1], longest))


def stretch_values(values: Float32Array, shape: tuple[int, int]) -> Float32Array:
    """float32 (h, w) stretched to (H, W): bilinear, averaging where pixels fall together; never
    beyond the lowest and highest value.
    """
    if values.shape == shape:
        return values
    return np.asarray(
        Image.fromarray(values).resize((shape[1], shape[0]), Image.Resampling.BILINEAR),
        dtype=np.float32,
    )


def maximum_of(explanation: Explanation) -> float:
    """The largest value (signed maps: the largest magnitude), 0 for a map that is zero
    everywhere.
    """
    return float(np.abs(explanation.values).max())


def format_maximum(value: float) -> str:
    """A maximum as people read it: three significant digits."""
    return "0" if value == 0 else f"{value:.3g}"


def caption_of(explanation: Explanation, maximum: bool = False) -> Note:
    """A map in a few words: the class that it is for, or that nothing in it raises that class; with
    ``maximum`` its largest value too, in three significant digits.
    """
    target = explanation.target
    if not explanation.evidence:
        if explanation.layer != "input":
            return note("nothing in this layer raises {target}", target=target)
        if explanation.signed:
            return note("no pixel changes {target}", target=target)
        return note("no part of the scan raises {target}", target=target)
    if not maximum:
        return note("for {target}", target=target)
    return note(
        "for {target}, maximum {maximum}",
        target=target,
        maximum=format_maximum(maximum_of(explanation)),
    )


def explain_empty(explanation: Explanation) -> str:
    """What a map that is zero everywhere means, in sentences for a tooltip or a text instead of the
    picture; "" for a map that is not.
    """
    if explanation.evidence:
        return ""
    if explanation.layer != "input":
        return say(
            "This map is zero everywhere: no part of this layer's activations raises the score of "
            "{target}, and what lowers it is cut off by the ReLU that ends the method. The "
            "evidence for {target} is formed in other layers: the map is no word on whether "
            "{target} is there.",
            target=explanation.target,
        )
    if explanation.signed:
        return say(
            "This map is zero everywhere: a small change of any one pixel leaves the score of "
            "{target} as it is. The map is no word on whether {target} is there.",
            target=explanation.target,
        )
    return say(
        "This map is zero everywhere: no part of the scan by itself raises the score of {target}, "
        "and what lowers it is not shown. The map is no word on whether {target} is there.",
        target=explanation.target,
    )


def draw_map(
    pixels: GrayImage,
    explanation: Explanation,
    opacity: float,
    colormap: str,
    maximum: float | None = None,
    longest: int = 320,
) -> Picture:
    """A map as people see it: uint8 (h, w, 3), the longer side at most ``longest`` pixels. Over its
    scan, or if signed alone on mid-gray; the scan alone where the map is zero everywhere.

    opacity, colormap : as in ``overlay``; a signed map has neither. maximum : the value of the last
    colour, by default the map's own largest.
    """
    small = shrink(pixels, longest)
    if not explanation.evidence:
        return np.repeat(small[..., None], 3, axis=2)
    top = maximum_of(explanation) if maximum is None else maximum
    values = stretch_values(explanation.values, (small.shape[0], small.shape[1]))
    if explanation.signed:
        return paint_signed(values, top)
    return overlay(small, values, opacity, colormap, top)


def encode_png(pixels: Picture, dpi: int | None = None) -> bytes:
    """The picture as PNG, without any text or EXIF in it. dpi : pixels an inch, for a print."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **({} if dpi is None else {"dpi": (dpi, dpi)}))
    return buffer.getvalue()


def encode_jpeg(pixels: Picture, quality: int = 90) -> bytes:
    """The picture as JPEG, its colours as sharp as its grays, without any text or EXIF in it."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
