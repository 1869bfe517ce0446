"""TIFF, of one page or many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from oct_core.errors import ScanError
from oct_core.scans.limits import Limits
from oct_core.scans.readers.base import DAMAGED
from oct_core.scans.readers.damage import has_black_dash, is_damaged_strip
from oct_core.scans.readers.pillow import PillowReader
from oct_core.scans.readers.tiff_tags import find_pages, read_page, scan_places
from oct_core.types import FloatArray
from oct_core.words import note_count

# Tags of the TIFF 6.0 specification.
_PHOTOMETRIC, _BITS, _FORMAT = 262, 258, 339
_COMPRESSION, _JPEG_TABLES = 259, 347
_STRIPS, _TILES = (273, 279), (324, 325)
_UNSIGNED, _SIGNED = 1, 2


@dataclass(frozen=True)
class _TiffReader(PillowReader):
    def check(self, data: bytes, limits: Limits) -> None:
        """Too many pages: Pillow would count them all, in a time that grows with their square."""
        if len(find_pages(data, limits.pages)) > limits.pages:
            raise ScanError(
                "the TIFF has more than the {pages} pages that are accepted; export the "
                "B-scans you need",
                pages=limits.pages,
            )

    def places(self, image: Image.Image, data: bytes, limits: Limits) -> Sequence[int]:
        """Every page is a B-scan but thumbnails and masks."""
        return scan_places([read_page(data, at) for at in find_pages(data, limits.pages)])

    def say_left_out(self, data: bytes, pages: int, limits: Limits) -> str:
        """Thumbnails and masks."""
        count = len(find_pages(data, limits.pages)) - pages
        if not count:
            return ""
        return note_count(
            "{count} thumbnail or mask in the file left out",
            "{count} thumbnails or masks in the file left out",
            count,
        )

    def find_unreadable(self, data: bytes, place: int, limits: Limits, opened: bool) -> str:
        """Pillow refuses some kinds as it does damage, and takes others for what they are not."""
        offsets = find_pages(data, limits.pages)
        page = read_page(data, offsets[place]) if place < len(offsets) else None
        if page is None or not page.sound:
            return ""
        return "" if opened and page.decoded else page.describe()

    def check_page_bytes(self, image: Image.Image, size: int) -> None:
        """A TIFF may be cut off behind its header: every strip or tile must lie in the file."""
        tags = getattr(image, "tag_v2", {})
        for offsets, lengths in (_STRIPS, _TILES):
            pairs = zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=False)
            if any(offset + length > size for offset, length in pairs):
                raise ScanError(DAMAGED)

    def is_damaged(self, data: bytes, image: Image.Image) -> bool:
        """What libtiff passes over, strip by strip or tile by tile."""
        tags = getattr(image, "tag_v2", {})
        if tags.get(_COMPRESSION, 1) == 1:
            # Pillow has turned 8 bit round
            inverted = image.mode == "L" and self.white_is_zero(image)
            return has_black_dash(image, zero=255 if inverted else 0)
        compression, tables = tags[_COMPRESSION], tags.get(_JPEG_TABLES, b"")
        most = 16 * image.width * image.height + 2**20
        return any(
            is_damaged_strip(data[at : at + size], compression, tables, most)
            for offsets, lengths in (_STRIPS, _TILES)
            for at, size in zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=False)
        )

    def bit_depth(self, image: Image.Image, data: bytes) -> int:
        """As the tag of the page says: Pillow shows 16 bit colour as 8 bit."""
        return int(max(_tag(image, _BITS), default=1))

    def values(self, image: Image.Image) -> FloatArray | None:
        """Pillow takes signed 8 bit for unsigned, and unsigned 32 bit for signed."""
        sample_format = next(iter(_tag(image, _FORMAT)), _UNSIGNED)
        if image.mode == "L" and sample_format == _SIGNED:
            return np.asarray(image).view(np.int8).astype(np.float64)
        if image.mode == "I" and sample_format == _UNSIGNED:
            return np.asarray(image).view(np.uint32).astype(np.float64)
        return super().values(image)

    def white_is_zero(self, image: Image.Image) -> bool:
        """WhiteIsZero of the specification."""
        return getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0


def _tag(image: Image.Image, tag: int) -> tuple[int, ...]:
    value = getattr(image, "tag_v2", {}).get(tag, ())
    return tuple(value) if isinstance(value, tuple | list) else (int(value),)


TIFF = _TiffReader("tiff", "TIFF", (".tif", ".tiff"), (b"II*\x00", b"MM\x00*"), "TIFF")
