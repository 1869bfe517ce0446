"""Pictures of one page: PNG, JPEG, BMP."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from oct_core.errors import ScanError
from oct_core.scans.limits import Limits
from oct_core.scans.readers.base import DAMAGED
from oct_core.scans.readers.pillow import PillowReader

_PNG_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class _PngReader(PillowReader):
    def check(self, data: bytes, limits: Limits) -> None:
        """Pillow reads a PNG without its last chunk, with whatever is missing black."""
        if _PNG_END not in data:
            raise ScanError(DAMAGED)

    def bit_depth(self, image: Image.Image, data: bytes) -> int:
        """Pillow shows 16 bit colour as 8 bit, so the header is asked (byte 24)."""
        return data[24]


PNG = _PngReader("png", "PNG", (".png",), (b"\x89PNG\r\n\x1a\n",))
JPEG = PillowReader("jpeg", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), (b"\xff\xd8\xff",))
BMP = PillowReader("bmp", "BMP", (".bmp",), (b"BM",))
