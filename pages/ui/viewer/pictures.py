"""Scans and maps as small pictures, drawn on the server at the size they are shown at, always at
the scan's own aspect ratio.
"""

from __future__ import annotations

import base64
import html
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oct_core.figures.overlay import overlay
from oct_core.types import Explanation, Float32Array, GrayImage

SMALL = 320
LARGE = 900


def fitted(height: int, width: int, longest: int) -> tuple[int, int]:
    """(width, height) with the longer side at most ``longest`` and the aspect ratio kept."""
    scale = min(1.0, longest / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def shrunk(pixels: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """uint8 (H, W) or (H, W, 3) fitted to ``longest``."""
    size = fitted(pixels.shape[0], pixels.shape[1], longest)
    if size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def sized(values: Float32Array, shape: tuple[int, int]) -> Float32Array:
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
    """The largest value (signed maps: the largest magnitude), 0 for a map without evidence."""
    return float(np.abs(explanation.values).max())


def drawn(
    pixels: GrayImage,
    explanation: Explanation,
    opacity: float,
    colormap: str,
    maximum: float | None = None,
    longest: int = SMALL,
) -> NDArray[np.uint8]:
    """A map over its scan, uint8 (h, w, 3), fitted to ``longest``; the scan alone where there is no
    evidence.
    """
    small = shrunk(pixels, longest)
    if not explanation.evidence:
        return np.repeat(small[..., None], 3, axis=2)
    top = maximum_of(explanation) if maximum is None else maximum
    values = sized(explanation.values, (small.shape[0], small.shape[1]))
    return overlay(small, values, opacity, colormap, maximum=top, signed=explanation.signed)


def data_uri(pixels: NDArray[np.uint8], quality: int = 88) -> str:
    """The picture inside the page itself (JPEG, no metadata): nothing is kept in the server's media
    store.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def figure(uri: str, alt: str, caption: str = "") -> str:
    """One <figure>. alt : plain text. caption : HTML of our own making; escape what users wrote."""
    label = f"<figcaption>{caption}</figcaption>" if caption else ""
    return (
        f'<figure><img src="{uri}" alt="{html.escape(alt, quote=True)}" '
        f'loading="lazy">{label}</figure>'
    )


def grid(figures: list[str], columns: int) -> str:
    """Figures side by side in equal columns."""
    return (
        f'<div class="oct-maps oct-grid" style="grid-template-columns: repeat({columns}, '
        f'minmax(0, 1fr))">{"".join(figures)}</div>'
    )


def number(value: float) -> str:
    """A maximum as people read it: three significant digits."""
    return "0" if value == 0 else f"{value:.3g}"
