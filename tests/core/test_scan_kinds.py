"""Every kind of picture is read as what it is, or refused as what it is: samples of any number and
type, transparency, damage that decoders pass over, formats that no reader takes.
"""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin
from tiff_files import tiff_page

from oct_core.errors import ScanError
from oct_core.scans import (
    COLOUR_NOTE,
    Limits,
    inspect,
    is_coloured,
    read_file,
    read_scan,
    why_passed_over,
)
from oct_core.scans.phantom import make_phantom
from oct_core.scans.readers.base import DAMAGED_IN_PLACES
from oct_core.types import Scan

GRAY = make_phantom("CNV", 3, 96, 128).pixels
STRETCHED = np.round((GRAY - float(GRAY.min())) * 255 / np.ptp(GRAY))
OPAQUE = np.full((96, 128, 1), 255, np.uint8)
TRANSPARENT = "transparent everywhere; the transparency was left out"


def saved(pixels: NDArray[np.generic] | Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def channels(pixels: NDArray[np.generic], number: int = 3) -> NDArray[np.generic]:
    return np.repeat(pixels[..., None], number, axis=2)


def assert_like(scan: Scan, expected: NDArray[np.generic], off: float = 1) -> None:
    assert np.abs(scan.pixels.astype(float) - expected).max() <= off


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "slope", "start", "bits"),
    [
        ("u2", 16, 0, 16),
        ("i1", 1, -128, 8),
        ("i2", 100, -12_800, 16),
        ("i4", 100_000, -12_800_000, 32),
        ("u4", 16_000_000, 0, 32),
        ("f4", 1 / 255, 0, 32),
    ],
)
def test_gray_tiffs_of_every_sample_are_scaled_by_their_own_range(
    order: str, kind: str, slope: float, start: float, bits: int
) -> None:
    # Pillow opens no unsigned 32 bit in big endian, see the kinds that are refused.
    order = "<" if kind == "u4" else order
    data = tiff_page((GRAY * float(slope) + start).astype(kind), order=order)
    scan = read_scan(data)
    assert_like(scan, STRETCHED)
    assert scan.bit_depth == inspect(data).bit_depth == bits
    assert re.fullmatch(r"values \S+ to \S+ scaled to 0 to 255", scan.notes[0])
    assert not scan.warnings


def test_gray_of_8_bit_stays_as_it_is_and_white_is_zero_is_turned() -> None:
    assert_like(read_scan(tiff_page(GRAY)), GRAY, 0)
    assert_like(read_scan(tiff_page(255 - GRAY, photometric=0)), GRAY, 0)
    floats = (255.0 - GRAY).astype("f4")
    floats[:20, :30] = np.nan
    turned = read_scan(tiff_page(floats, photometric=0))
    assert (turned.pixels[:20, :30] == 0).all(), "what is no number is black all the same"
    assert np.abs(turned.pixels[20:] - STRETCHED[20:]).max() <= 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("slope", [16, 257])
@pytest.mark.parametrize("extra", [(), (0,), (1,), (2,)])
def test_colour_of_16_bit_keeps_all_its_bits(order: str, slope: int, extra: tuple[int]) -> None:
    """12 bit in 16 leaves 16 values in the high byte, which is all that Pillow keeps."""
    pixels = channels(GRAY.astype("u2") * slope)
    if extra:
        pixels = np.dstack([pixels, OPAQUE.astype("u2") * 257])
    data = tiff_page(pixels, photometric=2, extra=extra, order=order)
    assert_like(read_scan(data), STRETCHED)
    assert inspect(data).bit_depth == 16


@pytest.mark.parametrize(("layout", "number"), [(2, 3), (6, 4), (4, 2)])
def test_png_of_16_bit_keeps_all_its_bits(layout: int, number: int) -> None:
    values = channels(GRAY.astype(">u2") * 16, number)
    if number in (2, 4):
        values[..., -1] = 65535
    assert_like(read_scan(png_of(values, layout)), STRETCHED)
    values[..., -1] = 0 if number in (2, 4) else values[..., -1]
    assert (TRANSPARENT in read_scan(png_of(values, layout)).warnings) is (number in (2, 4))
    assert_like(read_scan(png_of(values, layout)), STRETCHED)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(values: NDArray[np.generic], layout: int) -> bytes:
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, layout, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_dark_colour_of_16_bit_is_seen_to_be_colour() -> None:
    pixels = channels(GRAY.astype("u2") * 16)
    assert not is_coloured(read_scan(tiff_page(pixels, photometric=2)))
    pixels[:40, :60, 1:] = 0
    pixels[:40, :60, 0] = 4000
    pixels[90, 100] = 65535
    scan = read_scan(tiff_page(pixels, photometric=2))
    assert is_coloured(scan) and COLOUR_NOTE in scan.notes


def cmyk(white: int) -> NDArray[np.uint16]:
    pixels = np.zeros((96, 128, 4), "u2")
    pixels[..., 3] = (255 - GRAY.astype("u2")) * white
    return pixels


def test_colour_whose_low_byte_is_lost_is_read_only_if_the_high_byte_is_enough() -> None:
    assert_like(read_scan(tiff_page(cmyk(257), photometric=5)), STRETCHED, 2)
    with pytest.raises(ScanError, match=r"cannot be read \(colour of 16 bit of which few are used"):
        read_scan(tiff_page(cmyk(16), photometric=5))


UNREADABLE = {
    "gray, 64 bit floating point numbers": tiff_page(GRAY.astype("f8")),
    "gray, 16 bit floating point numbers": tiff_page(GRAY.astype("f2")),
    "gray, 64 bit whole numbers": tiff_page(GRAY.astype("u8")),
    "gray, 32 bit whole numbers": tiff_page(GRAY.astype("u4") * 999, order=">"),
    "gray, 16 bit signed whole numbers": tiff_page(GRAY.astype("i2"), photometric=0),
    "gray with transparency, 16 bit whole numbers": tiff_page(
        channels(GRAY.astype("u2"), 2), extra=(2,)
    ),
    "RGB, 32 bit floating point numbers": tiff_page(channels(GRAY.astype("f4")), photometric=2),
    "RGB, 8 bit signed whole numbers": tiff_page(channels(GRAY.astype("i1")), photometric=2),
    "RGB, 16 bit whole numbers, each channel by itself": tiff_page(
        channels(GRAY.astype("u2") * 257), photometric=2, planar=True
    ),
    "LAB, 16 bit whole numbers": tiff_page(channels(GRAY.astype("u2")), photometric=8),
    "colours of another kind, 8 bit whole numbers": tiff_page(channels(GRAY), photometric=32845),
    "gray, 8 bit whole numbers, compression 34712": tiff_page(GRAY, tag259=34712),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_sound_file_of_another_kind_is_not_called_damaged(kind: str) -> None:
    words = re.escape(f"of a kind that cannot be read ({kind}); export it as an 8 or 16 bit gray")
    for ask in (read_scan, inspect):
        with pytest.raises(ScanError, match=words):
            ask(UNREADABLE[kind])


def test_a_later_page_of_another_kind_is_refused_and_the_first_is_read() -> None:
    later = tiff_page(GRAY.astype("f8"))
    shift = len(first := tiff_page(GRAY))
    # The second file behind the first: its offsets are moved, and the first's chain leads there.
    start = struct.unpack("<I", later[4:8])[0]
    moved = bytearray(later)
    for at in range(start + 2, len(later) - 4, 12):
        tag, _, count, value = struct.unpack("<HHII", later[at : at + 12])
        if tag == 273 or (count > 2 and tag in (258, 339)):
            moved[at + 8 : at + 12] = struct.pack("<I", value + shift)
    both = first[:-4] + struct.pack("<I", start + shift) + bytes(moved)
    assert inspect(both).pages == 2
    assert_like(read_scan(both), GRAY, 0)
    with pytest.raises(ScanError, match="gray, 64 bit floating point numbers"):
        read_scan(both, page=1)


def test_other_broken_headers_are_damage() -> None:
    for broken in (tiff_page(GRAY)[:-60], tiff_page(GRAY, tag256=0)):
        with pytest.raises(ScanError, match="damaged or cut off"):
            read_scan(broken)


def test_the_lightness_of_lab_is_taken_and_its_colours_are_seen() -> None:
    lab = np.dstack([GRAY, np.zeros((96, 128, 2), np.uint8)])
    scan = read_scan(tiff_page(lab, photometric=8))
    assert_like(scan, GRAY, 0)
    assert scan.notes == ("lightness of LAB colours taken",) and not is_coloured(scan)
    lab[:, 40:, 1] = 60
    assert COLOUR_NOTE in read_scan(tiff_page(lab, photometric=8)).notes


def bmp_v5(pixels: NDArray[np.uint8]) -> bytes:
    """32 bit with the masks and the opacity of a version 5 header, as clipboards write it."""
    height, width, _ = pixels.shape
    data = pixels[::-1].tobytes()
    head = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 32, 3, len(data), 0, 0, 0, 0)
    head += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(68)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(data), 0, 0, 138) + head + data


def palette() -> bytes:
    image = Image.fromarray(GRAY).convert("P")
    return saved(image, "PNG", transparency=bytes(256))


def clear(number: int = 4) -> NDArray[np.uint8]:
    return np.dstack([channels(GRAY, number - 1), OPAQUE * 0])


CLEAR = Image.new("L", (128, 96), 0)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("BMP", bmp_v5(clear())),
        ("PNG", saved(clear(), "PNG")),
        ("PNG of gray", saved(Image.merge("LA", [Image.fromarray(GRAY), CLEAR]), "PNG")),
        ("palette", palette()),
        ("TIFF", tiff_page(clear(), photometric=2, extra=(2,))),
        ("TIFF of gray", tiff_page(clear(2), extra=(2,))),
        ("WebP", saved(clear(), "WEBP", lossless=True, exact=True)),
    ],
)
def test_a_picture_that_is_transparent_everywhere_is_shown(name: str, data: bytes) -> None:
    scan = read_scan(data)
    assert_like(scan, GRAY, 1)
    assert scan.notes == scan.warnings == (TRANSPARENT,), name


@pytest.mark.parametrize("number", [2, 4])
def test_colours_multiplied_by_their_opacity_are_those_over_black(number: int) -> None:
    pixels = clear(number)
    data = tiff_page(pixels, photometric=2 if number == 4 else 1, extra=(1,))
    assert_like(read_scan(data), GRAY, 1)


def test_colours_of_16_bit_multiplied_by_their_opacity_are_not_multiplied_again() -> None:
    pixels = np.dstack([channels(GRAY.astype("u2") * 16), OPAQUE.astype("u2") * 257])
    pixels[:, :64, 3] //= 4
    scan = read_scan(tiff_page(pixels, photometric=2, extra=(1,)))
    assert_like(scan, STRETCHED)
    assert not scan.warnings


def test_a_part_that_is_transparent_is_black() -> None:
    pixels = np.dstack([channels(GRAY), OPAQUE])
    pixels[:, :64, 3] = 0
    scan = read_scan(saved(pixels, "PNG"))
    assert (scan.pixels[:, :64] == 0).all() and not scan.notes
    assert np.abs(scan.pixels[:, 64:].astype(int) - GRAY[:, 64:]).max() <= 1


PLAIN = saved(GRAY, "PNG")


@pytest.mark.parametrize(
    "long", [chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * 3_000_000)), chunk(b"tEXt", b"k" * 99)]
)
def test_texts_in_a_png_are_left_out_and_still_checked(long: bytes) -> None:
    assert_like(read_scan(PLAIN[:33] + long + PLAIN[33:]), GRAY, 0)
    with pytest.raises(ScanError, match="damaged"):
        read_scan(PLAIN[:33] + long[:-1] + b"\0" + PLAIN[33:])
    with pytest.raises(ScanError, match="damaged"):
        read_scan(PLAIN[:33] + long + PLAIN[33:-20])


def test_a_short_text_that_turns_a_png_is_kept() -> None:
    xmp = (
        b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta xmlns:x='adobe:ns:meta/' "
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"><r tiff:Orientation="6"/></x:xmpmeta>'
    )
    scan = read_scan(PLAIN[:33] + chunk(b"iTXt", xmp) + PLAIN[33:])
    assert scan.pixels.shape == (128, 96)


LARGE = Image.fromarray(make_phantom("CNV", 3, 496, 512).pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_hole_in_a_jpeg_is_noted_and_a_sound_one_is_not(mode: str, progressive: bool) -> None:
    data = saved(LARGE.convert(mode), "JPEG", quality=90, progressive=progressive)
    assert read_scan(data).notes == ()
    seen = 0
    for place in np.linspace(0.2, 0.8, 12):
        at = int(len(data) * place)
        try:
            scan = read_scan(data[:at] + bytes(300) + data[at + 300 :])
        except ScanError:
            seen += 1
            continue
        assert scan.warnings == scan.notes[: len(scan.warnings)]
        seen += scan.warnings == (DAMAGED_IN_PLACES,)
    # The later scans of a progressive file only refine the first, and often take any bits.
    assert seen >= (6 if progressive else 12)


def test_a_flat_picture_with_tables_of_its_own_is_no_damage() -> None:
    """Its pixels are zeros and sound."""
    flat = np.zeros((512, 512), np.uint8)
    flat[200:300] = make_phantom("CNV", 3, 100, 512).pixels
    for optimize, mode in ((True, "L"), (True, "RGB"), (False, "L")):
        data = saved(Image.fromarray(flat).convert(mode), "JPEG", optimize=optimize)
        assert (bytes(48) in data) is optimize
        assert read_scan(data).notes == ()


def test_a_jpeg_that_the_second_decoder_does_not_know_is_read_without_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(data: bytes, *_: object) -> None:
        raise ValueError("Unsupported color conversion request")

    monkeypatch.setattr("simplejpeg.decode_jpeg", unknown)
    assert read_scan(saved(LARGE, "JPEG")).notes == ()


def test_jpegs_that_cannot_be_decoded_are_of_another_kind() -> None:
    data = saved(LARGE, "JPEG")
    at = data.index(b"\xff\xc0")
    for new, words in (
        (data[: at + 4] + b"\x0c" + data[at + 5 :], "JPEG of 12 bit"),
        (data[: at + 1] + b"\xf7" + data[at + 2 :], "JPEG-LS of 8 bit"),
    ):
        with pytest.raises(ScanError, match=rf"of a kind that cannot be read \({words}\)"):
            read_scan(new)
    packed = bytearray(saved(LARGE, "BMP"))
    packed[30:34] = struct.pack("<I", 4)
    with pytest.raises(ScanError, match=r"cannot be read \(a JPEG inside a BMP\)"):
        read_scan(bytes(packed))


@pytest.mark.parametrize("options", [{}, {"no_jp2": True}])
def test_half_a_jpeg_2000_is_damaged(options: dict[str, bool]) -> None:
    data = saved(LARGE, "JPEG2000", **options)
    assert_like(read_scan(data), np.asarray(LARGE), 0)
    for cut in (len(data) // 2, len(data) - 1):
        with pytest.raises(ScanError, match="damaged or cut off"):
            read_scan(data[:cut])


@pytest.mark.parametrize("kind", ["PPM", "JPEG2000"])
def test_new_formats_of_16_bit_are_scaled(kind: str) -> None:
    scan = read_scan(saved(GRAY.astype("u2") * 16, kind))
    assert_like(scan, STRETCHED)
    assert scan.bit_depth == 16 and scan.notes == (
        f"values {int(GRAY.min()) * 16} to {int(GRAY.max()) * 16} scaled to 0 to 255",
    )


@pytest.mark.parametrize("most", [100, 127, 255, 1000, 4095, 65535])
@pytest.mark.parametrize("kind", [b"P5", b"P6"])
def test_pnm_of_any_greatest_value_is_read_at_once(kind: bytes, most: int) -> None:
    """Pillow takes seconds for those that are neither 255 nor 65535."""
    values = np.round(GRAY / 255.0 * most)
    if kind == b"P6":
        values = channels(values)
    head = b"%s\n# of a camera\n128 # wide\n96\n%d\n" % (kind, most)
    data = head + values.astype("u1" if most < 256 else ">u2").tobytes()
    scan = read_scan(data)
    wide = kind == b"P5" and most > 255
    assert_like(scan, STRETCHED if wide else GRAY, 2)
    assert scan.bit_depth == (16 if wide else 8)
    if wide:
        assert scan.notes[0].startswith(f"values {int(values.min())} to {int(values.max())} scaled")
    with pytest.raises(ScanError, match="damaged or cut off"):
        read_scan(data[:-1])


def test_a_large_pnm_does_not_keep_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object) -> None:
        pytest.fail("Pillow decodes it value by value")

    monkeypatch.setattr("PIL.PpmImagePlugin.PpmDecoder.decode", slow)
    for most, kind in ((127, "u1"), (1000, ">u2")):
        data = b"P5 128 96 %d\n" % most + (GRAY // 4).astype(kind).tobytes()
        assert read_scan(data).pixels.shape == GRAY.shape


DICOM = bytes(128) + b"DICM" + bytes(400)
OTHERS = {
    "a DICOM file": [
        DICOM,
        (b"II*\0" + struct.pack("<I", 140)).ljust(128, b"\0") + b"DICM" + bytes(400),
        b"\x02\0\0\0UL\x04\0" + bytes(200),
        b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(200),
        b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100\x08\0\x16\0" + bytes(200),
    ],
    "a Heidelberg volume (VOL)": [b"HSF-OCT-103\0" + bytes(3000)],
    "a Heidelberg E2E file": [b"CMDb" + bytes(100), b"MDbM" + bytes(100)],
    "a Topcon volume (FDS or FDA)": [b"FOCTFDA" + bytes(100)],
    "a HEIC picture": [b"\0\0\0\x18ftypheic" + bytes(100), b"\0\0\0\x18ftypmif1" + bytes(100)],
    "an AVIF picture": [saved(LARGE.resize((64, 64)), "AVIF")],
    "a video": [b"\0\0\0\x18ftypisom" + bytes(100), b"RIFF\0\0\0\0AVI " + bytes(100)],
    "a NumPy array": [b"\x93NUMPY\1\0" + bytes(100)],
}


@pytest.mark.parametrize("other", OTHERS)
def test_formats_without_a_reader_are_named_with_the_way_out(other: str, tmp_path: Path) -> None:
    for data in OTHERS[other]:
        with pytest.raises(ScanError, match=re.escape(f"this is {other}, but a PNG")) as caught:
            read_scan(data)
        assert "; export the B-scan" in str(caught.value)
        (tmp_path / "IM0001").write_bytes(data)
        assert why_passed_over(tmp_path / "IM0001") == str(caught.value)


def test_what_a_folder_holds_beside_scans_is_told_apart(tmp_path: Path) -> None:
    files = {
        "scan.png": (PLAIN, None),
        "IMAGE": (PLAIN, r"a PNG picture by its content, but not by its name; give it \.png,"),
        "scan.dcm": (DICOM, "this is a DICOM file"),
        ".hidden.dcm": (DICOM, None),
        "table.csv": (b"path,label\n", None),
        "report.pdf": (b"%PDF-1.7", None),
        "all.zip": (b"PK\3\4", None),
        "empty": (b"", None),
    }
    for name, (data, words) in files.items():
        (tmp_path / name).write_bytes(data)
        reason = why_passed_over(tmp_path / name)
        assert reason is None if words is None else re.search(words, reason or ""), name
    assert why_passed_over(tmp_path) is None and why_passed_over(tmp_path / "gone.dcm") is None


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "scan.png")
    for ask in (read_file, read_scan):
        with pytest.raises(ScanError, match="a pipe or a device"):
            ask(tmp_path / "scan.png")
    assert why_passed_over(tmp_path / "scan.png") is None


def pages(*pictures: Image.Image) -> bytes:
    return saved(pictures[0], "TIFF", save_all=True, append_images=list(pictures[1:]))


def test_a_thumbnail_is_not_taken_for_the_scan() -> None:
    picture = Image.fromarray(GRAY)
    small = picture.resize((64, 48))
    for data in (pages(small, picture), pages(picture, small)):
        info = inspect(data)
        assert (info.pages, info.width, info.height) == (1, 128, 96)
        scan = read_scan(data)
        assert_like(scan, GRAY, 0)
        assert scan.notes == ("1 thumbnail or mask in the file left out",)
        with pytest.raises(ScanError, match="choose a page from 1 to 1"):
            read_scan(data, page=1)
    assert inspect(pages(picture, picture.resize((100, 80)))).pages == 2


@pytest.mark.parametrize("tag", [(254, 1), (254, 4), (255, 2)])
def test_a_page_said_to_be_reduced_or_a_mask_is_left_out(tag: tuple[int, int]) -> None:
    reduced = Image.fromarray(255 - GRAY)
    buffer = io.BytesIO()
    reduced.save(buffer, "TIFF", tiffinfo={tag[0]: tag[1]})
    alone = buffer.getvalue()
    assert_like(read_scan(alone), 255 - GRAY, 0)  # there is nothing else
    buffer = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(buffer, True) as writer:
        for picture, tags in ((reduced, {tag[0]: tag[1]}), (Image.fromarray(GRAY), {})):
            picture.save(writer, "TIFF", tiffinfo=tags)
            writer.newFrame()
        data = buffer.getvalue()
    assert inspect(data).pages == 1
    assert_like(read_scan(data), GRAY, 0)


def test_scans_know_no_limit_but_those_given(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PLAIN)
    assert read_file(tmp_path / "a.png") == PLAIN
    with pytest.raises(ScanError, match="more than the 0 MB"):
        read_file(tmp_path / "a.png", Limits(bytes=10))
