"""Pictures of one page: PNG, JPEG, BMP, WebP, JPEG 2000, PNM."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from oct_core.errors import ScanError
from oct_core.scans.limits import Limits
from oct_core.scans.readers.base import DAMAGED
from oct_core.scans.readers.damage import (
    JPEG_LS,
    has_black_dash,
    is_damaged_jpeg,
    is_damaged_jpeg_2000,
    is_damaged_webp,
    read_header,
)
from oct_core.scans.readers.pillow import PillowReader
from oct_core.types import GrayImage
from oct_core.words import note

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


@dataclass(frozen=True)
class _JpegReader(PillowReader):
    def find_unreadable(self, data: bytes, place: int, limits: Limits, opened: bool) -> str:
        """JPEG-LS, and more than 8 bit."""
        header = read_header(data)
        if header.frame == JPEG_LS:
            return note("JPEG-LS of {bits} bit", bits=header.bits)
        return note("JPEG of {bits} bit", bits=header.bits) if header.bits not in (0, 8) else ""

    def is_damaged(self, data: bytes, image: Image.Image) -> bool:
        """A hole, or bytes that went astray, shift and gray what comes after them."""
        return is_damaged_jpeg(data)


_BMP_COMPRESSIONS = {4: "JPEG", 5: "PNG"}


@dataclass(frozen=True)
class _BmpReader(PillowReader):
    def find_unreadable(self, data: bytes, place: int, limits: Limits, opened: bool) -> str:
        """What Windows packs into a BMP for printers."""
        if int.from_bytes(data[14:18], "little") < 40:
            return ""
        packed = _BMP_COMPRESSIONS.get(int.from_bytes(data[30:34], "little"), "")
        return note("a {format} inside a BMP", format=packed) if packed else ""

    def is_damaged(self, data: bytes, image: Image.Image) -> bool:
        """See ``has_black_dash``. A negative height stands for rows from the top."""
        return has_black_dash(image, upwards=int.from_bytes(data[22:26], "little", signed=True) > 0)


@dataclass(frozen=True)
class _WebpReader(PillowReader):
    def sniff(self, data: bytes) -> bool:
        """Other RIFF files are sound and video."""
        return data.startswith(self.magic) and data[8:12] == b"WEBP"

    def is_damaged(self, data: bytes, image: Image.Image) -> bool:
        """See ``is_damaged_webp``."""
        return is_damaged_webp(data, image)


@dataclass(frozen=True)
class _Jpeg2000Reader(PillowReader):
    def is_damaged(self, data: bytes, image: Image.Image) -> bool:
        """See ``is_damaged_jpeg_2000``."""
        return is_damaged_jpeg_2000(data)


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

    def is_damaged(self, data: bytes, image: Image.Image) -> bool:
        """See ``has_black_dash``."""
        return has_black_dash(image)

    def sniff(self, data: bytes) -> bool:
        """A letter, a digit and white space."""
        return data.startswith(self.magic) and data[2:3].isspace()


PNG = _PngReader("png", "PNG", (".png",), (_PNG_START,), "PNG")
JPEG = _JpegReader("jpeg", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), (b"\xff\xd8\xff",), "JPEG")
BMP = _BmpReader("bmp", "BMP", (".bmp", ".dib"), (b"BM",), "BMP")
WEBP = _WebpReader("webp", "WebP", (".webp",), (b"RIFF",), "WEBP")
JPEG2000 = _Jpeg2000Reader(
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
