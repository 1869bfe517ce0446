"""Bytes or files -> Scan: sniff, bound, decode. Every reader stands behind read_scan; nothing is
written or logged.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from oct_core.errors import ScanError
from oct_core.types import GrayImage, Scan

# Magic bytes -> Pillow's name of the format: the content decides, never the file name.
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"BM", "BMP"),
)
_KNOWN_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"GIF8", "a GIF picture"),
    (b"RIFF", "a WebP picture or a film"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"<svg", "an SVG drawing"),
    (b"II+\x00", "a BigTIFF"),
    (b"MM\x00+", "a BigTIFF"),
)
_PNG_END = b"IEND\xaeB`\x82"
_DAMAGED = "the picture is damaged or cut off and cannot be read; export or copy it again"
COLOUR_NOTE = "colour turned to gray"
"""The note on a scan whose source was in colour."""
_KINDS = "a PNG, JPEG, TIFF or BMP picture"


@dataclass(frozen=True)
class Limits:
    """What is accepted, checked before decoding.

    bytes : of the file. pixels : width x height; each map takes 4 bytes a pixel. side : least, in
    pixels. pages : of a TIFF.
    """

    bytes: int = 32 * 2**20
    pixels: int = 9_000_000
    side: int = 32
    pages: int = 1024


DEFAULT = Limits()


@dataclass(frozen=True)
class ScanInfo:
    """What the header says. format : PNG, JPEG, TIFF or BMP. width, height in pixels. bit_depth :
    bits a sample.
    """

    format: str
    pages: int
    width: int
    height: int
    bit_depth: int


@dataclass(frozen=True)
class CropBox:
    """left, top, right, bottom in pixels of the scan; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


def inspect(data: bytes, limits: Limits = DEFAULT) -> ScanInfo:
    """Read the header only; raises ScanError for what read_scan would refuse before decoding."""
    with _open(data, limits) as image:
        return ScanInfo(
            str(image.format), _pages(image), image.width, image.height, _bit_depth(image, data)
        )


def read_scan(
    source: bytes | Path, name: str | None = None, page: int = 0, limits: Limits = DEFAULT
) -> Scan:
    """Decode one B-scan.

    Parameters
    ----------
    source : the file's bytes, or its path. name : how a person knows it; the file's name by
    default.
    page : of a TIFF, from 0. limits : on bytes and pixels, checked before decoding.

    Returns
    -------
    A gray Scan. Colour becomes luma (ITU-R 601), transparency black, 16 bit is
    scaled by its own range, EXIF rotation applied.

    Raises
    ------
    ScanError : with one sentence a clinician understands.
    """
    data = _bytes_of(source, limits) if isinstance(source, Path) else source
    shown = name or (source.name if isinstance(source, Path) else "scan")
    with _open(data, limits) as image:
        pages = _pages(image)
        if not 0 <= page < pages:
            raise ScanError(
                "page {page} was asked for, but this picture has {pages}; choose a page from 1 "
                "to {pages}",
                page=page + 1,
                pages=pages,
            )
        try:
            image.seek(page)
            _check_size(image, limits)
            _check_strips(image, len(data))
            depth = _bit_depth(image, data)
            white_is_zero = getattr(image, "tag_v2", {}).get(262) == 0
            image.load()
            pixels, notes = _to_gray(ImageOps.exif_transpose(image), depth, white_is_zero)
        except ScanError:
            raise
        except Exception as error:
            # Pillow's decoders raise nearly anything on damaged data.
            raise ScanError(_DAMAGED) from error
        if pages > 1:
            notes = (f"page {page + 1} of {pages}", *notes)
        return Scan(pixels, shown, "file", depth, notes)


def _bytes_of(path: Path, limits: Limits) -> bytes:
    try:
        size = path.stat().st_size
        if size > limits.bytes:
            raise ScanError(_too_large(size, limits))
        return path.read_bytes()
    except OSError as error:
        raise ScanError(
            "the file cannot be opened ({strerror}); check that it is there and may be read",
            strerror=error.strerror,
        ) from error


def _too_large(size: int, limits: Limits) -> str:
    return (
        f"the file has {size / 2**20:.1f} MB, more than the {limits.bytes / 2**20:.0f} MB that "
        f"are accepted; export the B-scan alone"
    )


def _open(data: bytes, limits: Limits) -> Image.Image:
    """The picture with its header read and every limit checked; no pixel is decoded yet."""
    if not data:
        raise ScanError("the file is empty; export or copy it again")
    if len(data) > limits.bytes:
        raise ScanError(_too_large(len(data), limits))
    kind = _sniff(data)
    if kind == "PNG" and _PNG_END not in data:
        raise ScanError(_DAMAGED)
    if kind == "TIFF":
        _check_pages(data, limits)
    try:
        image = Image.open(io.BytesIO(data), formats=[kind])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ScanError(
            "the picture claims far more pixels than a B-scan has and is refused; export the "
            "B-scan alone"
        ) from error
    except Exception as error:
        # A hostile header makes Pillow raise nearly anything, struct.error for one.
        raise ScanError(_DAMAGED) from error
    _check_size(image, limits)
    _check_frames(image, limits)
    return image


def _sniff(data: bytes) -> str:
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    if data[128:132] == b"DICM":
        raise ScanError(
            "this is a DICOM file, and {kinds} is needed; export the B-scan as PNG", kinds=_KINDS
        )
    for magic, what in _KNOWN_OTHERS:
        if data.lstrip()[:16].lower().startswith(magic.lower()):
            raise ScanError(
                "this is {what}, and {kinds} is needed; export the B-scan as PNG",
                what=what,
                kinds=_KINDS,
            )
    raise ScanError(
        "this is not {kinds}, whatever its name says; export the B-scan as PNG", kinds=_KINDS
    )


def _check_size(image: Image.Image, limits: Limits) -> None:
    if image.width * image.height > limits.pixels:
        raise ScanError(
            "the picture has {width} x {height} pixels, more than the {pixels:.0f} million that "
            "are accepted; export the B-scan alone",
            width=image.width,
            height=image.height,
            pixels=limits.pixels / 1e6,
        )
    if min(image.size) < limits.side:
        raise ScanError(
            "the picture has {width} x {height} pixels, too few for a B-scan (at least {side} a "
            "side)",
            width=image.width,
            height=image.height,
            side=limits.side,
        )


def _check_pages(data: bytes, limits: Limits) -> None:
    """Follow the chain of page headers no further than the limit: Pillow counts them all, in a time
    that grows with their square.
    """
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    offset, pages = int.from_bytes(data[4:8], order), 0
    while 0 < offset <= len(data) - 6:  # a chain that leaves the file is for Pillow to judge
        pages += 1
        if pages > limits.pages:
            raise ScanError(
                "the TIFF has more than the {pages} pages that are accepted; export the B-scans "
                "you need",
                pages=limits.pages,
            )
        end = offset + 2 + 12 * int.from_bytes(data[offset : offset + 2], order)
        offset = int.from_bytes(data[end : end + 4], order)


def _pages(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))


def _check_frames(image: Image.Image, limits: Limits) -> None:
    try:
        pages = _pages(image)
    except Exception as error:
        # Counting the pages walks headers that may be damaged.
        raise ScanError(_DAMAGED) from error
    if pages > 1 and image.format != "TIFF":
        raise ScanError(
            "this file holds several pictures (an animation, or a camera's pair); export the one "
            "B-scan that you mean as a still PNG"
        )


def _check_strips(image: Image.Image, size: int) -> None:
    """A TIFF may be cut off behind its header: every strip or tile must lie inside the file."""
    tags = getattr(image, "tag_v2", {})
    for offsets, lengths in ((273, 279), (324, 325)):
        pairs = zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=False)
        if any(offset + length > size for offset, length in pairs):
            raise ScanError(_DAMAGED)


def _bit_depth(image: Image.Image, data: bytes) -> int:
    """Bits a sample of the file; Pillow shows 16 bit colour PNG as 8 bit, so its header is asked
    (byte 24).
    """
    if image.format == "PNG":
        return data[24]
    if image.mode.startswith("I"):
        return 16
    return {"1": 1, "F": 32}.get(image.mode, 8)


def _to_gray(
    image: Image.Image, depth: int, white_is_zero: bool
) -> tuple[GrayImage, tuple[str, ...]]:
    if image.mode.startswith("I") or image.mode == "F":
        pixels, notes = _stretched(np.asarray(image, dtype=np.float64))
        # Pillow turns 8 bit round by itself, but not 16.
        return (255 - pixels if white_is_zero else pixels), notes
    notes = ()
    if image.mode in ("P", "LA", "PA", "RGBA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        image = Image.alpha_composite(
            Image.new("RGBA", layered.size, (0, 0, 0, 255)), layered
        ).convert("RGB")
    if image.mode not in ("1", "L"):
        colour = np.asarray(image.convert("RGB"), dtype=np.int16)
        if float(np.percentile(np.ptp(colour, axis=2), 99.5)) > 24:
            notes = (COLOUR_NOTE,)
    gray = np.array(image.convert("L"), dtype=np.uint8)
    if depth == 16:
        gray, stretched = _stretched(gray.astype(np.float64))
        notes += stretched
    return gray, notes


def _stretched(values: NDArray[np.float64]) -> tuple[GrayImage, tuple[str, ...]]:
    if not np.isfinite(values).all():
        raise ScanError("the picture holds values that are no numbers; export it as 8 or 16 bit")
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
    return np.round(scaled).astype(np.uint8), (f"values {low:g} to {high:g} scaled to 0 to 255",)


def crop(scan: Scan, box: CropBox | tuple[int, int, int, int], limits: Limits = DEFAULT) -> Scan:
    """The part inside the box (left, top, right, bottom); raises ScanError if it is outside or too
    small.
    """
    left, top, right, bottom = (
        (box.left, box.top, box.right, box.bottom) if isinstance(box, CropBox) else box
    )
    height, width = scan.pixels.shape
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ScanError(
            "the crop box {value} does not lie in the scan of {width} x {height} pixels; draw it "
            "again",
            value=(left, top, right, bottom),
            width=width,
            height=height,
        )
    if min(right - left, bottom - top) < limits.side:
        raise ScanError(
            "the crop box is {right} x {bottom} pixels; at least {side} a side are needed",
            right=right - left,
            bottom=bottom - top,
            side=limits.side,
        )
    return replace(
        scan,
        pixels=np.ascontiguousarray(scan.pixels[top:bottom, left:right]),
        notes=(*scan.notes, "cropped"),
    )


def invert(scan: Scan) -> Scan:
    """Black for white, for scans drawn dark on white."""
    return replace(scan, pixels=255 - scan.pixels, notes=(*scan.notes, "inverted"))
