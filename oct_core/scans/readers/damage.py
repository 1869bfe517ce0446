"""Damage that decoders pass over: holes of zeros, as broken downloads and disks leave them.

Where nothing is compressed a hole is a dash of black pixels, told only by the speckle around it;
all other pixels are right.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
"""JPEG's markers of a frame header (ITU-T T.81, B.1.1.3), and JPEG-LS's."""
_SEQUENTIAL, JPEG_LS = (0xC0, 0xC1), 0xF7
_HUFFMAN, _START_OF_SCAN = 0xC4, 0xDA
_BLANK = bytes(48)
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
_END, _FILLING = b"\xff\xd9", b"\0\xff"
_BEYOND = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
"""The decoder's words for bytes between the last pixel and the end."""
_DECODER_WARNINGS = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")


def is_damaged_jpeg(data: bytes) -> bool:
    """Whether the decoder warns of the data, which Pillow keeps to itself, or they hold zeros that
    no encoder writes. What fills a picture up, and what stands behind its end, is no damage.
    """
    warning = _decoder_warning(data)
    end = data.find(_END, read_header(data).pixels)
    end = len(data) if end < 0 else end
    beyond = _BEYOND.search(warning)
    if beyond and not data[max(end - int(beyond[1]), 0) : end].strip(_FILLING):
        warning, end = "", end - int(beyond[1])
    return bool(warning) or _is_blank_inside(data[:end])


def _decoder_warning(data: bytes) -> str:
    """What the decoder says of damaged data, or ""; "" for a kind that it does not know."""
    try:
        *_, colours, _ = simplejpeg.decode_jpeg_header(data)
        simplejpeg.decode_jpeg(data, "CMYK" if colours in ("CMYK", "YCCK") else "GRAY")
    except ValueError as error:
        return str(error) if str(error).startswith(_DECODER_WARNINGS) else ""
    return ""


def _is_blank_inside(data: bytes) -> bool:
    """Whether a sequential JPEG holds a run of zeros that no encoder writes. The decoder often
    takes one for pixels without a word.

    Zeros are sound where they stand for flat blocks: the first code of every table, which is all
    zeros, then means "no change" or "end of block".
    """
    header = read_header(data)
    if header.frame not in _SEQUENTIAL or data.find(_BLANK, header.pixels) < 0:
        return False
    return not header.first_codes <= {(0, 0), (1, 0)}


@dataclass(frozen=True)
class JpegHeader:
    """Of a JPEG, up to its first scan. frame : the marker of the frame header, 0 if there is none.
    bits : of a sample. first_codes : (0 for DC or 1 for AC, symbol) of each Huffman table's first
    code. pixels : where the first scan's pixels start.
    """

    frame: int = 0
    bits: int = 0
    first_codes: frozenset[tuple[int, int]] = frozenset()
    pixels: int = 0


def read_header(data: bytes) -> JpegHeader:
    """What stands before the first scan; as much of it as is there."""
    at, header = 2, JpegHeader()
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


_TAIL = 8
"""Bytes at the end of a WebP's pixels; an encoder fills up two at most."""
_LONG_BLANK = bytes(128)
_FLAT = 64
_PIXELS = (b"VP8 ", b"VP8L")


def is_damaged_webp(data: bytes, image: Image.Image) -> bool:
    """Whether the decoder gives the picture without its last bytes too: it was done too early,
    for it took others for what they are not. Or whether a lossless one, ``image``, holds zeros and
    nothing flat that these could stand for.
    """
    chunks = list(_chunks(data))
    pixels = [body for kind, body in chunks if kind in _PIXELS]
    if len(pixels) != 1 or len(pixels[0]) < 100 * _TAIL:
        return False
    lossless = any(kind == b"VP8L" for kind, _ in chunks)
    if lossless and _LONG_BLANK in pixels[0] and not _is_flat_somewhere(image):
        return True
    cut = [(kind, body[:-_TAIL] if kind in _PIXELS else body) for kind, body in chunks]
    body = b"".join(
        kind + struct.pack("<I", len(part)) + part + bytes(len(part) % 2) for kind, part in cut
    )
    shorter = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
    try:
        with Image.open(io.BytesIO(shorter), formats=["WEBP"]) as again:
            again.load()
    except Exception:  # noqa: BLE001  what a decoder says of half a file; here all is well
        return False
    return True


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of a RIFF file's chunks."""
    at = 12
    while at + 8 <= len(data):
        (size,) = struct.unpack("<I", data[at + 4 : at + 8])
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _is_flat_somewhere(image: Image.Image) -> bool:
    """Whether so many neighbours have one value, or so many stand below their like."""
    gray = np.asarray(image.convert("L"))
    for equal in (gray[:, 1:] == gray[:, :-1], gray[1:] == gray[:-1]):
        ends = np.flatnonzero(np.diff(np.pad(equal, ((0, 0), (1, 1))).ravel().astype(np.int8)))
        if len(ends) and (ends[1::2] - ends[::2]).max() >= _FLAT:
            return True
    return False


_CODESTREAM, _TILE, _STYLE = b"\xff\x4f\xff\x51", 0xFF90, 0xFF52
_PACKETS = 200
"""So many zeros in a row stand for no pixels: sound files reach 93. An empty packet is one."""


def is_damaged_jpeg_2000(data: bytes) -> bool:
    """Whether the pixels hold more zeros in a row than there are packets that could be empty
    (ISO/IEC 15444-1, annexes A.5, A.6 and B.9).
    """
    start = data.find(_CODESTREAM)
    at, samples, packets = start + 2, 1, _PACKETS
    while start >= 0 and at + 14 <= len(data):
        marker, size = struct.unpack(">HH", data[at : at + 4])
        if marker == _TILE:
            break
        if data[at : at + 2] == _CODESTREAM[2:]:
            samples = int.from_bytes(data[at + 38 : at + 40], "big")
        if marker == _STYLE:
            own_precincts, layers, levels = data[at + 4] & 1, data[at + 6 : at + 8], data[at + 9]
            many = int.from_bytes(layers, "big") * (levels + 1) * samples
            packets = _PACKETS if own_precincts else many
        at += 2 + size
    return packets < _PACKETS and data.find(bytes(_PACKETS), at) >= 0


_DASH = 200
"""Bytes. Lines that people draw, such as scale bars, are shorter."""
_BYTES = {"L": 1, "RGB": 3}
_LEAST_SIDE, _SPECKLED, _VALUES = 32, 0.9, 8


def has_black_dash(image: Image.Image, upwards: bool = False, zero: int = 0) -> bool:
    """Whether a picture that was stored pixel by pixel, row after row, holds a run of zeros in the
    midst of speckle: so many pixels, above and below which nearly none is black. Bands of whole
    rows are the picture's own. upwards : the lowest row is stored first. zero : what the decoder
    makes of a zero.
    """
    if image.mode not in ("L", "RGB", "I") and not image.mode.startswith("I;16"):
        return False
    pixels = np.asarray(image)
    gray = pixels.max(axis=2) if pixels.ndim == 3 else pixels
    width, flat = gray.shape[1], (gray[::-1] if upwards else gray).ravel()
    ends = np.flatnonzero(np.diff(np.pad(flat == zero, 1).astype(np.int8)))
    least = _DASH / _BYTES.get(image.mode, 2)
    for start, stop in ends.reshape(-1, 2)[ends[1::2] - ends[::2] >= least].tolist():
        sides = (
            flat[max(start - width, 0) : max(min(stop - width, start), 0)],
            flat[max(start + width, stop) : stop + width],
        )
        aligned = start % width == 0 and stop % width == 0
        if not aligned and all(_is_speckled(side, zero) for side in sides):
            return True
    return False


def _is_speckled(values: NDArray[np.generic], zero: int) -> bool:
    """Whether pixels are of many values and hardly any is ``zero``."""
    if len(values) < _LEAST_SIDE:
        return False
    return bool(np.mean(values != zero) >= _SPECKLED and len(np.unique(values)) >= _VALUES)


_DEFLATE, _PACKBITS, _TIFF_JPEG = (8, 32946), 32773, 7


def is_damaged_strip(strip: bytes, compression: int, tables: bytes, most: int) -> bool:
    """Whether one strip or tile of a TIFF is damaged. compression : its number. tables : of JPEG.
    most : bytes that it may hold.
    """
    if compression in _DEFLATE:
        return not _is_sound_deflate(strip, most)
    if compression == _PACKBITS:
        return _BLANK in strip  # three equal bytes are packed into two
    whole = tables[:-2] + strip[2:] if tables else strip
    return compression == _TIFF_JPEG and is_damaged_jpeg(whole)


def _is_sound_deflate(strip: bytes, most: int) -> bool:
    """libtiff leaves the checksum at the end unread."""
    stream = zlib.decompressobj()
    try:
        stream.decompress(strip, most)
    except zlib.error:
        return False
    return True
