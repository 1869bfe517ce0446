"""What each format promises of damage: a file that was cut off is refused; a hole of zeros is
refused, noted, or known to go unnoticed; and nothing sound is called damaged.
"""

from __future__ import annotations

import io
import struct
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from oct_core.errors import ScanError
from oct_core.scans import read_scan
from oct_core.scans.phantom import make_phantom
from oct_core.scans.readers import READERS
from oct_core.scans.readers.base import DAMAGED_IN_PLACES

SCAN = make_phantom("CNV", 70, 248, 256).pixels
HOLE = 300
PLACES = np.linspace(0.1, 0.9, 9)


def saved(pixels: NDArray[np.generic], kind: str, mode: str = "", **options: object) -> bytes:
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def ascii_pgm(pixels: NDArray[np.generic]) -> bytes:
    height, width = pixels.shape
    numbers = " ".join(map(str, pixels.ravel().tolist()))
    return f"P2 {width} {height} 255\n{numbers}\n".encode()


def tiff_of(strip: bytes, **tags: int) -> bytes:
    """One page of one strip, as TIFF 6.0 lays it out; by default SCAN as a JPEG with its own
    tables.
    """
    height, width = SCAN.shape
    values = {256: width, 257: height, 258: 8, 259: tags.get("compression", 7)}
    values |= {262: tags.get("photometric", 1), 273: 8}
    values |= {277: 1, 278: height, 279: len(strip)}
    at = 8 + len(strip)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    head = b"II*\0" + struct.pack("<I", at)
    return head + strip + struct.pack("<H", len(values)) + entries + bytes(4)


@dataclass(frozen=True)
class Promise:
    """key : of the reader. data : of a sound file. seen : of nine holes, how many are noted or
    refused at least.
    """

    key: str
    data: bytes
    seen: int = len(PLACES)


PROMISES = {
    "PNG": Promise("png", saved(SCAN, "PNG")),
    "JPEG": Promise("jpeg", saved(SCAN, "JPEG", quality=90)),
    # The later scans refine the first and often take any bits.
    "JPEG, progressive": Promise("jpeg", saved(SCAN, "JPEG", quality=90, progressive=True), 5),
    "TIFF": Promise("tiff", saved(SCAN, "TIFF")),
    "TIFF, LZW": Promise("tiff", saved(SCAN, "TIFF", compression="tiff_lzw")),
    "TIFF, deflate": Promise("tiff", saved(SCAN, "TIFF", compression="tiff_adobe_deflate")),
    "TIFF, PackBits": Promise("tiff", saved(SCAN, "TIFF", compression="packbits")),
    "TIFF, JPEG": Promise("tiff", saved(SCAN, "TIFF", compression="jpeg", quality=90)),
    "TIFF, JPEG with its own tables": Promise("tiff", tiff_of(saved(SCAN, "JPEG", quality=90))),
    "TIFF, white is zero": Promise(
        "tiff", tiff_of((255 - SCAN).tobytes(), compression=1, photometric=0)
    ),
    "BMP": Promise("bmp", saved(SCAN, "BMP")),
    "BMP, colour": Promise("bmp", saved(SCAN, "BMP", "RGB")),
    "WebP": Promise("webp", saved(SCAN, "WEBP", quality=90)),
    "WebP, lossless": Promise("webp", saved(SCAN, "WEBP", lossless=True)),
    "WebP, lossless and quick": Promise(
        "webp", saved(SCAN, "WEBP", lossless=True, method=0, quality=0)
    ),
    # After a hole in its first part as many pixels come as without, and none of them is right.
    "WebP, lossless and large": Promise(
        "webp",
        saved(make_phantom("CNV", 70, 496, 512).pixels, "WEBP", lossless=True, quality=50),
    ),
    "JPEG 2000": Promise("jpeg2000", saved(SCAN, "JPEG2000")),
    "JPEG 2000, codestream": Promise("jpeg2000", saved(SCAN, "JPEG2000", no_jp2=True)),
    "JPEG 2000, lossy": Promise(
        "jpeg2000",
        saved(SCAN, "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[8]),
    ),
    # Many packets may be empty there, and an empty one is a zero.
    "JPEG 2000, small precincts": Promise(
        "jpeg2000", saved(SCAN, "JPEG2000", precinct_size=(64, 64), codeblock_size=(32, 32)), 0
    ),
    "PNM": Promise("pnm", saved(SCAN, "PPM")),
    "PNM, colour": Promise("pnm", saved(SCAN, "PPM", "RGB")),
    "PNM, 16 bit": Promise("pnm", saved(SCAN.astype("u2") * 100, "PPM")),
    "PNM, text": Promise("pnm", ascii_pgm(SCAN)),
    # A hole is so many white pixels among white ones and black ones.
    "PNM, one bit": Promise("pnm", saved(SCAN, "PPM", "1"), 0),
}


def outcome(data: bytes) -> str:
    try:
        scan = read_scan(data)
    except ScanError as error:
        assert "damaged or cut off" in str(error)
        return "refused"
    assert scan.warnings in ((), (DAMAGED_IN_PLACES,))
    return "noted" if scan.warnings else "read"


def with_hole(data: bytes, place: float, size: int = HOLE) -> bytes:
    at = int(len(data) * place)
    return data[:at] + bytes(size) + data[at + size :]


def test_every_format_promises_something() -> None:
    assert {promise.key for promise in PROMISES.values()} == set(READERS)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read")
@pytest.mark.parametrize("name", PROMISES)
def test_a_file_that_was_cut_off_is_refused(name: str) -> None:
    data = PROMISES[name].data
    assert outcome(data) == "read", "a sound file is no damaged one"
    for share in (0.6, 0.95):
        assert outcome(data[: int(len(data) * share)]) == "refused"


@pytest.mark.parametrize("name", PROMISES)
def test_a_hole_of_zeros_is_seen_as_often_as_promised(name: str) -> None:
    promise = PROMISES[name]
    seen = Counter(outcome(with_hole(promise.data, place)) for place in PLACES)
    assert len(PLACES) - seen["read"] >= promise.seen
    if not promise.seen:
        assert seen["read"], "it is seen after all: promise it"


@pytest.mark.parametrize("name", ["BMP", "PNM", "TIFF"])
def test_beside_a_hole_all_pixels_of_an_uncompressed_picture_are_right(name: str) -> None:
    pixels = read_scan(with_hole(PROMISES[name].data, 0.5)).pixels
    wrong = pixels != SCAN
    assert not pixels[wrong].any() and 0.9 * HOLE < wrong.sum() <= HOLE


def test_a_hole_of_many_rows_is_seen_and_black_bands_are_none() -> None:
    for size in (4096, 10_000):
        assert outcome(with_hole(saved(SCAN, "BMP"), 0.5, size)) == "noted"
    banded = SCAN.copy()
    banded[100:120] = 0  # between two scans of one picture
    banded[150:170, 40:200] = 0  # a name blacked out
    banded[200, 10:60] = 0
    black = np.where(SCAN > 60, SCAN, 0).astype(np.uint8)
    line = Image.fromarray(SCAN)
    ImageDraw.Draw(line).line((0, 30, 255, 30), fill=0)
    caliper = Image.fromarray(SCAN)
    ImageDraw.Draw(caliper).line((60, 124, 179, 124), fill=0)
    for pixels in (banded, black, np.asarray(line), np.asarray(caliper)):
        for kind in ("BMP", "PPM", "TIFF"):
            assert outcome(saved(pixels, kind)) == "read"


@pytest.mark.parametrize("number", [1, 7, 8, 60, 4096])
def test_what_fills_a_jpeg_up_or_stands_behind_it_is_no_damage(number: int) -> None:
    for quality in (50, 90):
        data = saved(SCAN, "JPEG", quality=quality)
        fillings = [bytes(number), b"\xff" * number]
        for padded in (data[:-2] + filling + data[-2:] for filling in fillings):
            assert outcome(padded) == "read"
            assert outcome(with_hole(padded, 0.3)) != "read"
        for trailer in (bytes(number), b"TRAILER" + bytes(number), bytes(range(256))):
            assert outcome(data + trailer) == "read"
            assert outcome(with_hole(data, 0.5) + trailer) != "read"


def framed(value: int) -> NDArray[np.uint8]:
    pixels = np.full((400, 600), value, np.uint8)
    pixels[60:308, 90:346] = SCAN
    return pixels


FLAT = {
    "black": np.zeros((256, 256), np.uint8),
    "in a black frame": framed(0),
    "in a white frame": framed(255),
    "gradient": np.tile(np.arange(256, dtype=np.uint8), (256, 1)),
    "few values": (SCAN // 64 * 64).astype(np.uint8),
    "background cut": np.where(SCAN > 60, SCAN, 0).astype(np.uint8),
    "two values": np.where(SCAN > 60, 255, 0).astype(np.uint8),
}
WAYS: list[tuple[str, dict[str, object]]] = [
    *(("WEBP", {"lossless": True, "method": m, "quality": q}) for m in (0, 4) for q in (0, 90)),
    *(("WEBP", {"method": method, "quality": q}) for method in (0, 6) for q in (50, 100)),
    ("JPEG2000", {}),
    ("JPEG2000", {"tile_size": (64, 64), "num_resolutions": 3}),
    ("JPEG2000", {"irreversible": True, "quality_mode": "rates", "quality_layers": [80, 20, 5]}),
    ("JPEG2000", {"precinct_size": (64, 64), "codeblock_size": (16, 16)}),
    *(("TIFF", {"compression": name}) for name in ("tiff_adobe_deflate", "packbits", "jpeg")),
    ("BMP", {}),
    ("PPM", {}),
]


@pytest.mark.parametrize("name", FLAT)
def test_sound_files_of_flat_pictures_are_not_called_damaged(name: str) -> None:
    """Their pixels are long runs of zeros in some formats."""
    for kind, options in WAYS:
        for mode in ("L", "RGB"):
            assert outcome(saved(FLAT[name], kind, mode, **options)) == "read", (kind, options)


def test_a_damaged_page_of_a_tiff_does_not_speak_of_the_others() -> None:
    buffer = io.BytesIO()
    other = Image.fromarray(make_phantom("DME", 71, 248, 256).pixels)
    Image.fromarray(SCAN).save(
        buffer,
        "TIFF",
        compression="tiff_adobe_deflate",
        save_all=True,
        append_images=[other],
    )
    data = with_hole(buffer.getvalue(), 0.2)
    assert read_scan(data, page=0).warnings == (DAMAGED_IN_PLACES,)
    assert read_scan(data, page=1).warnings == ()
