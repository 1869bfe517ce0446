"""Reading scans: every accepted kind, every refusal with its sentence, and nothing but ScanError
from damaged bytes.
"""

from __future__ import annotations

import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from oct_core.errors import ScanError
from oct_core.scans import COLOUR_NOTE, Limits, crop, inspect, invert, read_scan
from oct_core.scans.likeness import find_objection, looks_inverted
from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES, Scan

GRAY = make_phantom("CNV", 3, 96, 128).pixels


def encoded(
    pixels: NDArray[np.generic], kind: str, mode: str | None = None, **options: object
) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def sixteen(pixels: NDArray[np.uint8], scale: int = 16) -> NDArray[np.uint16]:
    return pixels.astype(np.uint16) * scale


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossless_pictures_come_back_exactly(kind: str, mode: str) -> None:
    scan = read_scan(encoded(GRAY, kind, mode))
    assert scan.pixels.dtype == np.uint8
    assert np.array_equal(scan.pixels, GRAY)
    assert COLOUR_NOTE not in scan.notes


def test_jpeg_comes_back_nearly() -> None:
    scan = read_scan(encoded(GRAY, "JPEG", quality=95))
    assert np.abs(scan.pixels.astype(int) - GRAY).mean() < 4


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_is_scaled_by_its_own_range(kind: str) -> None:
    scan = read_scan(encoded(sixteen(GRAY), kind))
    expected = np.round(
        (GRAY.astype(float) - GRAY.min()) * 255 / (int(GRAY.max()) - int(GRAY.min()))
    )
    assert scan.bit_depth == 16
    assert np.array_equal(scan.pixels, expected)
    assert "scaled to 0 to 255" in scan.notes[0]


def test_sixteen_bit_colour_png_is_not_left_dark() -> None:
    values = np.repeat(
        (np.arange(64 * 64).reshape(64, 64) % 4096).astype(">u2")[:, :, None], 3, axis=2
    )
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    scan = read_scan(raw_png(64, 64, 16, 2, rows))
    assert scan.bit_depth == 16
    assert scan.pixels.max() == 255


def test_white_is_zero_is_turned_round() -> None:
    plain = read_scan(encoded(sixteen(GRAY, 256), "TIFF"))
    data = encoded(sixteen(255 - GRAY, 256), "TIFF")
    black_is_zero, white_is_zero = (struct.pack("<HHII", 262, 3, 1, value) for value in (1, 0))
    assert data.count(black_is_zero) == 1
    turned = read_scan(data.replace(black_is_zero, white_is_zero))
    assert np.abs(turned.pixels.astype(int) - plain.pixels).max() <= 1


def test_one_value_of_sixteen_bit_is_refused() -> None:
    with pytest.raises(ScanError, match="one value, 900, nearly everywhere"):
        read_scan(encoded(np.full((64, 64), 900, np.uint16), "PNG"))


def test_colour_is_noted() -> None:
    coloured = np.zeros((64, 64, 3), np.uint8)
    coloured[:, 20:, 0] = 250
    assert COLOUR_NOTE in read_scan(encoded(coloured, "PNG")).notes


@pytest.mark.parametrize("mode", ["1", "P"])
def test_one_bit_and_palette(mode: str) -> None:
    assert read_scan(encoded(GRAY, "PNG", mode)).pixels.shape == GRAY.shape


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(GRAY).save(buffer, "JPEG", exif=exif)
    assert read_scan(buffer.getvalue()).pixels.shape == GRAY.shape[::-1]


def test_tiff_pages() -> None:
    buffer = io.BytesIO()
    pages = [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    data = buffer.getvalue()
    assert inspect(data).pages == 2
    second = read_scan(data, page=1)
    assert np.array_equal(second.pixels, 255 - GRAY)
    assert second.notes == ("page 2 of 2",)
    with pytest.raises(ScanError, match="choose a page from 1 to 2"):
        read_scan(data, page=2)


def animated(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(GRAY).save(
        buffer, kind, save_all=True, append_images=[Image.fromarray(255 - GRAY)]
    )
    return buffer.getvalue()


def bomb() -> bytes:
    return raw_png(60_000, 60_000, 8, 0, b"\0" * 100)


REFUSED = [
    (b"", "the file is empty"),
    (b"\0" * 500, "this is not a PNG, JPEG, TIFF, BMP, WebP, JPEG 2000 or PNM"),
    (b"GIF89a" + b"\0" * 50, "a GIF picture"),
    (b"%PDF-1.7" + b"\0" * 50, "a PDF document"),
    (b"<svg xmlns='x'></svg>", "an SVG drawing"),
    (b"\0" * 128 + b"DICM" + b"\0" * 50, "a DICOM file"),
    (encoded(GRAY, "PNG")[:-1], "damaged or cut off"),
    (encoded(GRAY, "JPEG")[:400], "damaged or cut off"),
    (encoded(GRAY, "TIFF")[:-200], "damaged or cut off"),
    (b"II+\0" + b"\x08\0\0\0" + b"\0" * 50, "a BigTIFF"),
    (b"MM\0+" + b"\0\x08\0\0" + b"\0" * 50, "a BigTIFF"),
    (animated("PNG"), "several pictures"),
    (animated("MPO"), "several pictures"),
    (bomb(), "pixels"),
    (encoded(GRAY[:10, :10], "PNG"), "too few for a B-scan"),
    (b"\xff" * (33 * 2**20), "more than the 32 MB"),
]


def tiff_of(pages: int) -> bytes:
    """A chain of empty page headers."""
    parts = [b"II*\0" + (8).to_bytes(4, "little")]
    for page in range(pages):
        after = 0 if page == pages - 1 else 8 + 6 * (page + 1)
        parts.append(b"\0\0" + after.to_bytes(4, "little"))
    return b"".join(parts)


def test_a_tiff_with_a_great_many_pages_is_refused_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(ScanError, match="more than the 1024 pages"):
        read_scan(tiff_of(500_000))
    looped = bytearray(tiff_of(3))
    looped[-4:] = (8).to_bytes(4, "little")
    with pytest.raises(ScanError, match="more than the 1024 pages"):
        read_scan(bytes(looped))
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(("data", "message"), REFUSED)
def test_refusals_say_why(data: bytes, message: str) -> None:
    with pytest.raises(ScanError, match=message):
        read_scan(data)


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    lying = tmp_path / "scan.png"
    lying.write_bytes(encoded(GRAY, "BMP"))
    assert inspect(lying.read_bytes()).format == "BMP"
    assert np.array_equal(read_scan(lying).pixels, GRAY)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="cannot be opened"):
        read_scan(tmp_path / "nothing.png")
    big = tmp_path / "big.png"
    big.write_bytes(encoded(GRAY, "PNG"))
    with pytest.raises(ScanError, match="more than the 0 MB"):
        read_scan(big, limits=Limits(bytes=100))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "JPEG2000", "PPM"])
def test_damage_gives_nothing_but_scan_error(kind: str) -> None:
    """Cut at many places, and bytes changed in the header: a Scan or a ScanError, never anything
    else.
    """
    data = encoded(GRAY, kind)
    generator = np.random.default_rng(0)
    damaged = [data[:cut] for cut in range(0, len(data), max(1, len(data) // 60))]
    for _ in range(150):
        changed = bytearray(data)
        for place in generator.integers(0, min(len(data), 400), 3):
            changed[place] = int(generator.integers(0, 256))
        damaged.append(bytes(changed))
    for case in damaged:
        try:
            assert read_scan(case).pixels.ndim == 2
        except ScanError:
            continue


def test_pixels_are_counted_before_decoding() -> None:
    with pytest.raises(ScanError, match="128 x 96 pixels, more than"):
        read_scan(encoded(GRAY, "PNG"), limits=Limits(pixels=1000))


def test_crop_and_invert() -> None:
    scan = Scan(GRAY)
    part = crop(scan, (10, 20, 90, 80))
    assert np.array_equal(part.pixels, GRAY[20:80, 10:90])
    assert np.array_equal(invert(invert(scan)).pixels, GRAY)
    with pytest.raises(ScanError, match="does not lie in the scan"):
        crop(scan, (0, 0, 500, 50))
    with pytest.raises(ScanError, match="at least 32 a side"):
        crop(scan, (0, 0, 10, 50))


@pytest.mark.parametrize("label", CLASSES)
def test_phantoms_look_like_bscans(label: str) -> None:
    for seed in range(4):
        assert find_objection(make_phantom(label, seed).scan) is None


def not_scans() -> dict[str, NDArray[np.uint8]]:
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[0:400, 0:500]
    return {
        "noise": generator.integers(0, 255, (400, 500)).astype(np.uint8),
        "flat": np.full((400, 500), 90, np.uint8),
        "across": (columns / 2).astype(np.uint8),
        "down": (rows / 2).astype(np.uint8),
        "stripes": ((columns // 30 % 2) * 200).astype(np.uint8),
        "disk": (255 * ((rows - 200) ** 2 + (columns - 250) ** 2 < 100**2)).astype(np.uint8),
        "inverted": 255 - make_phantom("NORMAL", 1).pixels,
    }


@pytest.mark.parametrize("name", list(not_scans()))
def test_other_pictures_are_warned_of(name: str) -> None:
    assert find_objection(Scan(not_scans()[name]))


@pytest.mark.parametrize(
    ("height", "width", "words"),
    [
        (300, 3000, "it is 10.0 times as wide as high, and B-scans are at most 8 times"),
        (100, 801, "it is 8.1 times as wide as high, and B-scans are at most 8 times"),
        (1024, 400, "it is 2.6 times as high as wide, and B-scans are at most 2.5 times"),
        (1024, 512, None),
        (100, 800, None),
    ],
)
def test_odd_proportions_are_written_as_people_write_them(
    height: int, width: int, words: str | None
) -> None:
    picture = Image.fromarray(make_phantom("CNV", 4000, 496, 512).pixels)
    objection = find_objection(Scan(np.asarray(picture.resize((width, height)))))
    assert objection == words if words else "times as" not in (objection or "")


@pytest.mark.parametrize("label", CLASSES)
def test_an_inverted_scan_looks_inverted_and_nothing_else_does(label: str) -> None:
    scan = make_phantom(label, 3).scan
    assert not looks_inverted(scan) and looks_inverted(invert(scan))
    if label == "CNV":
        others = {name for name, pixels in not_scans().items() if looks_inverted(Scan(pixels))}
        assert others == {"inverted"}


def test_a_path_may_be_text(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 50), 7, dtype=np.uint8)).save(tmp_path / "scan.png")
    scan = read_scan(str(tmp_path / "scan.png"))
    assert (scan.name, scan.pixels.shape) == ("scan.png", (40, 50))
    with pytest.raises(ScanError, match="the file cannot be opened"):
        read_scan(str(tmp_path / "none.png"))
    with pytest.raises(ScanError, match="expected the path or the bytes of a file, got ndarray"):
        read_scan(np.zeros((40, 50), np.uint8))  # type: ignore[arg-type]


def test_an_array_is_neither_cropped_nor_inverted() -> None:
    pixels = np.zeros((40, 50), np.uint8)
    for work in (invert, lambda given: crop(given, (0, 0, 40, 40))):
        with pytest.raises(ScanError, match=r"expected a Scan, got an array uint8 \(40, 50\)"):
            work(pixels)
    with pytest.raises(ScanError, match="expected a crop box of 4 numbers"):
        crop(Scan(pixels), (0, 0, 40))  # type: ignore[arg-type]
