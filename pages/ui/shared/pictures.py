"""Pictures inside the page: HTML and data URIs."""

from __future__ import annotations

import base64
import html
import io

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
