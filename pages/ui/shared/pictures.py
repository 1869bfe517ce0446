"""Pictures inside the page: HTML and data URIs."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LARGE = 900


def data_uri(pixels: NDArray[np.uint8], quality: int = 88) -> str:
    """The picture inside the page itself (JPEG, no metadata): nothing is kept in the server's media
    store.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def figure(
    uri: str,
    alt: str,
    caption: str = "",
    size: tuple[int, int] | None = None,
    zoom: Mapping[str, str] | None = None,
) -> str:
    """One <figure>. alt : plain text. caption : HTML of our own making; escape what users wrote.

    size : (width, height) of the picture; the page then keeps its place while it is decoded. zoom :
    what the light table is to know of it, which makes it a button that enlarges it.
    """
    label = f"<figcaption>{caption}</figcaption>" if caption else ""
    place = f' width="{size[0]}" height="{size[1]}"' if size else ""
    image = f'<img src="{uri}" alt="{html.escape(alt, quote=True)}"{place} loading="lazy">'
    if zoom is not None:
        facts = "".join(
            f' data-{name}="{html.escape(value, quote=True)}"' for name, value in zoom.items()
        )
        image = f'<button type="button" class="oct-zoom"{facts}>{image}</button>'
    return f"<figure>{image}{label}</figure>"


def draw_figure(
    pixels: NDArray[np.uint8],
    alt: str,
    caption: str = "",
    zoom: Mapping[str, str] | None = None,
    quality: int = 88,
) -> str:
    """The <figure> of a picture, uint8 (h, w) or (h, w, 3), see ``figure``."""
    height, width = pixels.shape[:2]
    return figure(data_uri(pixels, quality), alt, caption, (width, height), zoom)


def grid(figures: list[str], columns: int) -> str:
    """Figures side by side in equal columns."""
    return (
        f'<div class="oct-maps oct-grid" style="grid-template-columns: repeat({columns}, '
        f'minmax(0, 1fr))">{"".join(figures)}</div>'
    )
