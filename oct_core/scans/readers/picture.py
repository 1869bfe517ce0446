"""Pictures of one page: PNG, JPEG, BMP, WebP, JPEG 2000, PNM."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, replace

import numpy as np
import simplejpeg
from PIL import Image

from oct_core.errors import ScanError
from oct_core.scans.limits import Limits
from oct_core.scans.readers.base import DAMAGED
from oct_core.scans.readers.pillow import PillowReader
from oct_core.types import GrayImage
from oct_core.words import message, note

DAMAGED_IN_PLACES = message(
    "damaged in places: what the picture shows may be wrong there; export or copy it again"
)

_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_ORIENTED = (b"Raw profile type exif", b"XML:com.adobe.xmp")
"""Keywords of texts that may say how the picture is to be turned."""
_LONG_TEXT = 65_536


@dataclass(frozen=True)
class _PngReader(PillowReader):
    def check(self, data: bytes, limits: Limits) -> None:
        """Pillow reads a PNG without its last chunk, with whatever is missing black."""
        if _PNG_END not in data:
            raise ScanError(DAMAGED)

    def clean(self, data: bytes) -> bytes:
        """Without texts and colour profiles: Pillow refuses the picture if one has over 1 MB. Their
        checksums are compared before.
        """
        parts, at, start = [], len(_PNG_START), 0
        while at + 12 <= len(data):
            (size,) = struct.unpack(">I", data[at : at + 4])
            end = at + 12 + size
            if end > len(data):
                break
            kind, body = data[at + 4 : at + 8], data[at + 8 : end - 4]
            needed = body.startswith(_ORIENTED) and size < _LONG_TEXT
            if kind in _TEXTS and not needed:
                if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
                    raise ScanError(DAMAGED)
                parts.append(data[start:at])
                start = end
            at = end
        return b"".join((*parts, data[start:]))

    def bit_depth(self, image: Image.Image, data: bytes) -> int:
        """Pillow shows 16 bit colour as 8 bit, so the header is asked (byte 24)."""
        return data[24]


_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
"""JPEG's markers of a frame header (ITU-T T.81, B.1.1.3), and JPEG-LS's."""
_SEQUENTIAL, _JPEG_LS = (0xC0, 0xC1), 0xF7
_HUFFMAN, _START_OF_SCAN = 0xC4, 0xDA
_BLANK = bytes(48)
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
_DECODER_WARNINGS = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")


@dataclass(frozen=True)
class _JpegReader(PillowReader):
    def find_unreadable(self, data: bytes, place: int, limits: Limits, opened: bool) -> str:
        """JPEG-LS, and more than 8 bit."""
        header = _read_header(data)
        if header.frame == _JPEG_LS:
            return note("JPEG-LS of {bits} bit", bits=header.bits)
        return note("JPEG of {bits} bit", bits=header.bits) if header.bits not in (0, 8) else ""

    def find_damage(self, data: bytes) -> str:
        """What the decoder warns of and Pillow keeps to itself: a hole, or bytes that went astray,
        shift and gray what comes after them.
        """
        return note(DAMAGED_IN_PLACES) if _warns(data) or _is_blank_inside(data) else ""


def _warns(data: bytes) -> bool:
    """Whether the decoder warns of the data; not of a kind that it does not know."""
    try:
        *_, colours, _ = simplejpeg.decode_jpeg_header(data)
        simplejpeg.decode_jpeg(data, "CMYK" if colours in ("CMYK", "YCCK") else "GRAY")
    except ValueError as error:
        return str(error).startswith(_DECODER_WARNINGS)
    return False


def _is_blank_inside(data: bytes) -> bool:
    """Whether a sequential JPEG holds a run of zeros that no encoder writes. The decoder often
    takes one for pixels without a word.

    Zeros are sound where they stand for flat blocks: the first code of every table, which is all
    zeros, then means "no change" or "end of block".
    """
    header = _read_header(data)
    if header.frame not in _SEQUENTIAL or data.find(_BLANK, header.pixels) < 0:
        return False
    return not header.first_codes <= {(0, 0), (1, 0)}


@dataclass(frozen=True)
class _Header:
    """Of a JPEG, up to its first scan. frame : the marker of the frame header, 0 if there is none.
    bits : of a sample. first_codes : (0 for DC or 1 for AC, symbol) of each Huffman table's first
    code. pixels : where the first scan's pixels start.
    """

    frame: int = 0
    bits: int = 0
    first_codes: frozenset[tuple[int, int]] = frozenset()
    pixels: int = 0


def _read_header(data: bytes) -> _Header:
    at, header = 2, _Header()
    while at + 5 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + size
        if marker == _START_OF_SCAN:
            return replace(header, pixels=end)
        if marker in _FRAMES:
            header = replace(header, frame=marker, bits=data[at + 4])
        elif marker == _HUFFMAN:
            codes = _first_codes(data[at + 4 : end])
            header = replace(header, first_codes=header.first_codes | codes)
        if marker == 0xFF:  # a fill byte
            end = at + 1
        at = at + 2 if marker in _NO_LENGTH else end
    return header


def _first_codes(tables: bytes) -> frozenset[tuple[int, int]]:
    """(class, symbol) of each table's first code (ITU-T T.81, B.2.4.2): a byte for class and place,
    16 for the number of codes by length, then the symbols.
    """
    codes, at = set(), 0
    while at + 17 < len(tables):
        codes.add((tables[at] >> 4, tables[at + 17]))
        at += 17 + sum(tables[at + 1 : at + 17])
    return frozenset(codes)


_BMP_COMPRESSIONS = {4: "JPEG", 5: "PNG"}


@dataclass(frozen=True)
class _BmpReader(PillowReader):
    def find_unreadable(self, data: bytes, place: int, limits: Limits, opened: bool) -> str:
        """What Windows packs into a BMP for printers."""
        if int.from_bytes(data[14:18], "little") < 40:
            return ""
        packed = _BMP_COMPRESSIONS.get(int.from_bytes(data[30:34], "little"), "")
        return note("a {format} inside a BMP", format=packed) if packed else ""


@dataclass(frozen=True)
class _WebpReader(PillowReader):
    def sniff(self, data: bytes) -> bool:
        """Other RIFF files are sound and video."""
        return data.startswith(self.magic) and data[8:12] == b"WEBP"


_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PNM_HEADER = re.compile(rb"(P[56])" + (_SPACE + rb"(\d{1,9})") * 3 + rb"\s")
_BYTE, _WORD = 255, 65535


@dataclass(frozen=True)
class _PnmReader(PillowReader):
    def clean(self, data: bytes) -> bytes:
        """With a greatest value that Pillow decodes at once: any other takes it 2 s a million
        pixels. Gray of more than 8 bit keeps its values, everything else is scaled to 8 bit.
        """
        header = _PNM_HEADER.match(data)
        if not header:
            return data
        kind, width, height = header[1], int(header[2]), int(header[3])
        most = int(header[4])
        if most in (0, _BYTE) or most > _WORD:
            return data
        sample = np.dtype(np.uint8 if most <= _BYTE else ">u2")
        body = data[header.end() :]
        samples = np.frombuffer(body, sample, len(body) // sample.itemsize)
        if kind == b"P5" and most > _BYTE:
            return b"P5 %d %d %d\n" % (width, height, _WORD) + samples.tobytes()
        scaled = np.round(np.arange(most + 1) * (_BYTE / most)).astype(np.uint8)
        pixels: GrayImage = scaled[np.minimum(samples, most)]
        return b"%s %d %d %d\n" % (kind, width, height, _BYTE) + pixels.tobytes()

    def sniff(self, data: bytes) -> bool:
        """A letter, a digit and white space."""
        return data.startswith(self.magic) and data[2:3].isspace()


PNG = _PngReader("png", "PNG", (".png",), (_PNG_START,), "PNG")
JPEG = _JpegReader("jpeg", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), (b"\xff\xd8\xff",), "JPEG")
BMP = _BmpReader("bmp", "BMP", (".bmp", ".dib"), (b"BM",), "BMP")
WEBP = _WebpReader("webp", "WebP", (".webp",), (b"RIFF",), "WEBP")
JPEG2000 = PillowReader(
    "jpeg2000",
    "JPEG 2000",
    (".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "JPEG2000",
)
PNM = _PnmReader(
    "pnm",
    "PNM",
    (".pgm", ".ppm", ".pbm", ".pnm", ".pfm"),
    (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf"),
    "PPM",
)
