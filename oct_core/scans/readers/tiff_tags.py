"""The tags of a TIFF's pages that say of what kind they are, read without Pillow: it cannot say
what a picture is that it does not open, and counts pages in a time that grows with their square.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from oct_core.words import message, note

# Tags, field types and values of the TIFF 6.0 specification.
_NEW_SUBFILE, _SUBFILE, _WIDTH, _HEIGHT, _BITS = 254, 255, 256, 257, 258
_COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR, _EXTRA, _FORMAT = 259, 262, 277, 284, 338, 339
_WANTED = {254, 255, 256, 257, 258, 259, 262, 273, 277, 284, 324, 338, 339}
_PLACES = {273, 324}
_BYTES = {1: 1, 3: 2, 4: 4}
_ENTRY = {"little": "<HHII", "big": ">HHII"}
_ENTRIES = 64
"""Tags looked at on a page: they are sorted, and the last that is wanted is number 339."""
_REDUCED, _MASK = 1, 4
_FORMATS = {
    1: message("whole numbers"),
    2: message("signed whole numbers"),
    3: message("floating point numbers"),
    5: message("complex numbers"),
    6: message("complex numbers"),
}
_COLOURS = {
    0: message("gray"),
    1: message("gray"),
    2: message("RGB"),
    3: message("palette"),
    5: message("CMYK"),
    6: message("YCbCr"),
    8: message("LAB"),
}
# What Pillow decodes: (colour, sample format) -> bits. Gray with alpha has 8 bit only.
_DECODED = {
    ("gray", 1): {1, 2, 4, 8, 12, 16, 32},
    ("gray", 2): {8, 16, 32},
    ("gray", 3): {32},
    ("RGB", 1): {8, 16},
    ("palette", 1): {1, 2, 4, 8},
    ("CMYK", 1): {8, 16},
    ("YCbCr", 1): {8},
    ("LAB", 1): {8},
}
_CODECS = {1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32809, 32946, 34925, 50000, 50001}
_SMALL = 4
"""A page with less than this part of the pixels of the largest is a thumbnail."""


@dataclass(frozen=True)
class Page:
    """What the tags of one page say, as the specification names them; defaults where they are
    missing. stored : whether they are
    all there and say where pixels lie.
    """

    width: int
    height: int
    bits: tuple[int, ...] = (1,)
    compression: int = 1
    photometric: int = 1
    samples: int = 1
    planar: int = 1
    extra: tuple[int, ...] = ()
    sample_format: tuple[int, ...] = (1,)
    subfile: int = 0
    stored: bool = True

    @property
    def sound(self) -> bool:
        """Whether the tags describe a picture at all."""
        return min(self.width, self.height, self.samples) > 0 and self.stored

    @property
    def decoded(self) -> bool:
        """Whether Pillow decodes pictures of this kind, and all of their bits."""
        colour = _COLOURS.get(self.photometric, "")
        bits, formats = set(self.bits), set(self.sample_format) - {4}
        if len(bits) > 1 or len(formats) > 1 or self.compression not in _CODECS:
            return False
        known = _DECODED.get((colour, *(formats or {1})), set())  # type: ignore[arg-type]
        if not bits <= known:
            return False
        if colour == "gray" and self.samples > 1:
            return self.samples == 2 and bits == {8} and self.planar == 1
        # Of samples in planes of their own Pillow takes 16 bit for 8.
        return self.planar == 1 or bits == {8}

    def describe(self) -> str:
        """ "gray, 64 bit floating point numbers"."""
        colour = note(_COLOURS.get(self.photometric, message("colours of another kind")))
        if self.extra and self.photometric <= 2:
            colour = note("{colour} with transparency", colour=colour)
        words = note(
            "{colour}, {bits} bit {numbers}",
            colour=colour,
            bits=max(self.bits),
            numbers=note(_FORMATS.get(self.sample_format[0], _FORMATS[1])),
        )
        if self.planar != 1 and self.samples > 1:
            words = note("{words}, each channel by itself", words=words)
        if self.compression not in _CODECS:
            words = note("{words}, compression {number}", words=words, number=self.compression)
        return words


def find_pages(data: bytes, limit: int) -> list[int]:
    """Where the headers of a TIFF's pages lie, in the order of its chain, at most ``limit`` + 1. A
    chain that leaves the file ends there.
    """
    order = _order(data)
    offset = int.from_bytes(data[4:8], order)
    offsets: list[int] = []
    while 0 < offset <= len(data) - 6 and len(offsets) <= limit:
        offsets.append(offset)
        end = offset + 2 + 12 * int.from_bytes(data[offset : offset + 2], order)
        offset = int.from_bytes(data[end : end + 4], order)
    return offsets


def _order(data: bytes) -> Literal["little", "big"]:
    return "little" if data[:2] == b"II" else "big"


def read_page(data: bytes, offset: int) -> Page:
    """What the header of a page at ``offset`` says."""
    order = _order(data)
    number = int.from_bytes(data[offset : offset + 2], order)
    start, count = offset + 2, min(number, _ENTRIES)
    tags: dict[int, tuple[int, ...]] = {}
    table = data[start : start + 12 * count]
    entries = struct.iter_unpack(_ENTRY[order], table[: len(table) // 12 * 12])
    for place, (tag, *_) in enumerate(entries):
        if tag > _FORMAT:
            break
        if tag in _WANTED and (values := _read_values(data, start + 12 * place, order)):
            tags[tag] = values
    samples = tags.get(_SAMPLES, (1,))[0]
    # An old SubfileType of 2 is a reduced picture.
    reduced = _REDUCED if tags.get(_SUBFILE, (0,))[0] == 2 else 0
    return Page(
        tags.get(_WIDTH, (0,))[0],
        tags.get(_HEIGHT, (0,))[0],
        tags.get(_BITS, (1,)),
        tags.get(_COMPRESSION, (1,))[0],
        tags.get(_PHOTOMETRIC, (1,))[0],
        samples,
        tags.get(_PLANAR, (1,))[0] if samples > 1 else 1,
        tags.get(_EXTRA, ()),
        tags.get(_FORMAT, (1,)),
        tags.get(_NEW_SUBFILE, (0,))[0] | reduced,
        bool(_PLACES & tags.keys()) and start + 12 * number + 4 <= len(data),
    )


def _read_values(data: bytes, at: int, order: Literal["little", "big"]) -> tuple[int, ...]:
    size = _BYTES.get(int.from_bytes(data[at + 2 : at + 4], order), 0)
    number = min(int.from_bytes(data[at + 4 : at + 8], order), 8)
    place = at + 8 if size * number <= 4 else int.from_bytes(data[at + 8 : at + 12], order)
    if not size or place + size * number > len(data):
        return ()
    return tuple(
        int.from_bytes(data[place + size * k : place + size * (k + 1)], order)
        for k in range(number)
    )


def scan_places(pages: Sequence[Page]) -> list[int]:
    """Where scans stand among the pages: masks and thumbnails are said to be so, or much smaller
    than the largest page.
    """
    sizes = {place: page.width * page.height for place, page in enumerate(pages)}
    full = [place for place in sizes if not pages[place].subfile & (_REDUCED | _MASK)]
    full = full or list(sizes)
    largest = max((sizes[place] for place in full), default=0)
    return [place for place in full if _SMALL * sizes[place] > largest] or full
