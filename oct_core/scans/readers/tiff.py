"""TIFF, of one page or many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PIL import Image

from oct_core.errors import ScanError
from oct_core.scans.limits import Limits
from oct_core.scans.readers.base import DAMAGED
from oct_core.scans.readers.pillow import PillowReader

# Tags of the TIFF 6.0 specification.
_PHOTOMETRIC = 262
_STRIPS, _TILES = (273, 279), (324, 325)


@dataclass(frozen=True)
class _TiffReader(PillowReader):
    def check(self, data: bytes, limits: Limits) -> None:
        """Follow the chain of page headers no further than the limit: Pillow counts them all, in a
        time that grows with their square.
        """
        order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
        offset, pages = int.from_bytes(data[4:8], order), 0
        while 0 < offset <= len(data) - 6:  # a chain that leaves the file is for Pillow to judge
            pages += 1
            if pages > limits.pages:
                raise ScanError(
                    "the TIFF has more than the {pages} pages that are accepted; export the "
                    "B-scans you need",
                    pages=limits.pages,
                )
            end = offset + 2 + 12 * int.from_bytes(data[offset : offset + 2], order)
            offset = int.from_bytes(data[end : end + 4], order)

    def pages(self, image: Image.Image) -> int:
        """Every page is a B-scan."""
        return int(getattr(image, "n_frames", 1))

    def check_page_bytes(self, image: Image.Image, size: int) -> None:
        """A TIFF may be cut off behind its header: every strip or tile must lie in the file."""
        tags = getattr(image, "tag_v2", {})
        for offsets, lengths in (_STRIPS, _TILES):
            pairs = zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=False)
            if any(offset + length > size for offset, length in pairs):
                raise ScanError(DAMAGED)

    def white_is_zero(self, image: Image.Image) -> bool:
        """WhiteIsZero of the specification."""
        return getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0


TIFF = _TiffReader("tiff", "TIFF", (".tif", ".tiff"), (b"II*\x00", b"MM\x00*"))
