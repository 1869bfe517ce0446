"""Bytes or files -> Scan: sniff, bound, decode. Every reader stands behind read_scan; nothing is written or logged."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

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
)
_KINDS = "a PNG, JPEG, TIFF or BMP picture"


@dataclass(frozen=True)
class Limits:
    """What is accepted, checked before decoding. bytes : of the file. pixels : width x height. side : least, in pixels."""

    bytes: int = 20 * 2**20
    pixels: int = 40_000_000
    side: int = 32
    pages: int = 1024


DEFAULT = Limits()


@dataclass(frozen=True)
class ScanInfo:
    """What the header says. format : PNG, JPEG, TIFF or BMP. width, height in pixels. bit_depth : bits a sample."""

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
        return ScanInfo(str(image.format), _pages(image), image.width, image.height, _bit_depth(image))


def read_scan(source: bytes | Path, name: str | None = None, page: int = 0, limits: Limits = DEFAULT) -> Scan:
    """Decode one B-scan.

    Parameters
    ----------
    source : the file's bytes, or its path. name : how a person knows it; the file's name by default.
    page : of a TIFF, from 0. limits : on bytes and pixels, checked before decoding.

    Returns
    -------
    A gray Scan. Colour becomes luma (ITU-R 601), transparency black, 16 bit is scaled by its own range, EXIF rotation applied.

    Raises
    ------
    ScanError : with one sentence a clinician understands.
    """
    data = _bytes_of(source, limits) if isinstance(source, Path) else source
    shown = name or (source.name if isinstance(source, Path) else "scan")
    with _open(data, limits) as image:
        pages = _pages(image)
        if not 0 <= page < pages:
            raise ScanError(f"page {page + 1} was asked for, but this picture has {pages}; choose a page from 1 to {pages}")
        try:
            image.seek(page)
            _check_size(image, limits)
            image.load()
            pixels, notes = _to_gray(ImageOps.exif_transpose(image))
        except ScanError:
            raise
        except Exception as error:  # noqa: BLE001  (Pillow's decoders raise nearly anything on damaged data)
            raise ScanError("the picture is damaged or cut off and cannot be read; export or copy it again") from error
        if pages > 1:
            notes = (f"page {page + 1} of {pages}", *notes)
        return Scan(pixels, shown, "file", _bit_depth(image), notes)


def _bytes_of(path: Path, limits: Limits) -> bytes:
    try:
        size = path.stat().st_size
        if size > limits.bytes:
            raise ScanError(_too_large(size, limits))
        return path.read_bytes()
    except OSError as error:
        raise ScanError(f"the file cannot be opened ({error.strerror}); check that it is there and may be read") from error


def _too_large(size: int, limits: Limits) -> str:
    return f"the file has {size / 2**20:.1f} MB, more than the {limits.bytes / 2**20:.0f} MB that are accepted; export the B-scan alone"


def _open(data: bytes, limits: Limits) -> Image.Image:
    """The picture with its header read and every limit checked; no pixel is decoded yet."""
    if not data:
        raise ScanError("the file is empty; export or copy it again")
    if len(data) > limits.bytes:
        raise ScanError(_too_large(len(data), limits))
    kind = _sniff(data)
    try:
        with warnings.catch_warnings():
            # Pillow's own bomb warning; the limit on pixels below is stricter and always an error.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=[kind])
    except Image.DecompressionBombError as error:
        raise ScanError("the picture claims far more pixels than a B-scan has and is refused; export the B-scan alone") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, KeyError, TypeError, EOFError) as error:
        raise ScanError("the picture is damaged or cut off and cannot be read; export or copy it again") from error
    except Exception as error:  # noqa: BLE001  (a hostile header may make Pillow raise anything, struct.error for one)
        raise ScanError("the picture is damaged or cut off and cannot be read; export or copy it again") from error
    _check_size(image, limits)
    _check_frames(image, limits)
    return image


def _sniff(data: bytes) -> str:
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    if data[128:132] == b"DICM":
        raise ScanError(f"this is a DICOM file, and {_KINDS} is needed; export the B-scan as PNG")
    for magic, what in _KNOWN_OTHERS:
        if data.lstrip()[:16].lower().startswith(magic.lower()):
            raise ScanError(f"this is {what}, and {_KINDS} is needed; export the B-scan as PNG")
    raise ScanError(f"this is not {_KINDS}, whatever its name says; export the B-scan as PNG")


def _check_size(image: Image.Image, limits: Limits) -> None:
    if image.width * image.height > limits.pixels:
        raise ScanError(
            f"the picture has {image.width} x {image.height} pixels, more than the {limits.pixels / 1e6:.0f} million that are accepted; "
            "export the B-scan alone"
        )
    if min(image.size) < limits.side:
        raise ScanError(f"the picture has {image.width} x {image.height} pixels, too few for a B-scan (at least {limits.side} a side)")


def _pages(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))


def _check_frames(image: Image.Image, limits: Limits) -> None:
    try:
        pages = _pages(image)
    except Exception as error:  # noqa: BLE001  (counting the pages walks headers that may be damaged)
        raise ScanError("the picture is damaged or cut off and cannot be read; export or copy it again") from error
    if pages > 1 and image.format != "TIFF":
        raise ScanError("this is an animated picture; export the one B-scan that you mean as a still PNG")
    if pages > limits.pages:
        raise ScanError(f"the TIFF has {pages} pages, more than the {limits.pages} that are accepted; export the B-scans you need")


def _bit_depth(image: Image.Image) -> int:
    if image.mode.startswith("I;16") or image.mode == "I":
        return 16
    return {"1": 1, "F": 32}.get(image.mode, 8)


def _to_gray(image: Image.Image) -> tuple[GrayImage, tuple[str, ...]]:
    if image.mode.startswith("I") or image.mode == "F":
        return _stretched(np.asarray(image, dtype=np.float64))
    notes: tuple[str, ...] = ()
    if image.mode in ("P", "LA", "PA", "RGBA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layered.size, (0, 0, 0, 255)), layered).convert("RGB")
    if image.mode not in ("1", "L"):
        colour = np.asarray(image.convert("RGB"), dtype=np.int16)
        if int(np.ptp(colour, axis=2).max()) > 24:
            notes = ("colour turned to gray",)
    return np.array(image.convert("L"), dtype=np.uint8), notes


def _stretched(values: NDArray[np.float64]) -> tuple[GrayImage, tuple[str, ...]]:
    if not np.isfinite(values).all():
        raise ScanError("the picture holds values that are no numbers; export it as 8 or 16 bit")
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
    return np.round(scaled).astype(np.uint8), (f"values {low:g} to {high:g} scaled to 0 to 255",)


def crop(scan: Scan, box: CropBox | tuple[int, int, int, int], limits: Limits = DEFAULT) -> Scan:
    """The part inside the box (left, top, right, bottom); raises ScanError if it is outside or too small."""
    left, top, right, bottom = (box.left, box.top, box.right, box.bottom) if isinstance(box, CropBox) else box
    height, width = scan.pixels.shape
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ScanError(f"the crop box {left, top, right, bottom} does not lie in the scan of {width} x {height} pixels; draw it again")
    if min(right - left, bottom - top) < limits.side:
        raise ScanError(f"the crop box is {right - left} x {bottom - top} pixels; at least {limits.side} a side are needed")
    return replace(scan, pixels=np.ascontiguousarray(scan.pixels[top:bottom, left:right]), notes=(*scan.notes, "cropped"))


def invert(scan: Scan) -> Scan:
    """Black for white, for scans drawn dark on white."""
    return replace(scan, pixels=255 - scan.pixels, notes=(*scan.notes, "inverted"))


def looks_like_bscan(scan: Scan) -> str | None:
    """None if the picture has what nearly every B-scan has, else a sentence that says what is missing.

    Checked on a 128 x 128 miniature: a dark background, a bright band across the picture in a middle range of heights,
    and brightness that follows rows more than columns once the band is straightened. It is a first check, no proof.
    """
    small = _miniature(scan.pixels)
    if float(small.std()) < 4:
        return "The picture is nearly of one gray value: there is no retina to see in it."
    if "colour turned to gray" in scan.notes:
        return "The picture is in colour, and a B-scan is gray: crop it to the B-scan if it is a device's report page."
    if float(np.percentile(small, 25)) > 110:
        return "The background is bright, and that of a B-scan is dark: use Invert if it is drawn dark on white."
    return _band_warning(small)


def _miniature(pixels: GrayImage) -> NDArray[np.float64]:
    from oct_core.preprocess import neutralise

    picture = Image.fromarray(neutralise(pixels)).resize((128, 128), Image.Resampling.BOX)
    return np.asarray(ndimage.gaussian_filter(np.asarray(picture, dtype=np.float64), 1.5))


def _band_warning(small: NDArray[np.float64]) -> str | None:
    """A retina is a continuous bright band: its height changes little from column to column, and it stands out."""
    centre = _band_height(small)
    jump = float(np.mean(np.abs(np.diff(centre)) > 4))
    rows = np.clip(centre[None, :] + np.arange(-40, 41)[:, None], 0, 127)
    straight = small[rows, np.arange(128)[None, :]]
    profile = straight.mean(axis=1)
    contrast = float(profile[30:51].mean() - np.percentile(profile, 10)) / (float(small.std()) + 1e-9)
    along = float(profile.var() / (straight.var() + 1e-9))
    if jump > 0.15 or contrast < 1.5 or along < 0.35:
        return "The picture does not look like a retinal B-scan: no continuous bright band crosses it. The answers below may mean nothing."
    return None


def _band_height(small: NDArray[np.float64]) -> NDArray[np.int64]:
    """Per column, the row where a window of 17 rows is brightest, smoothed across columns."""
    window = ndimage.uniform_filter1d(ndimage.uniform_filter1d(small, 17, axis=0), 9, axis=1)
    return np.asarray(np.round(ndimage.median_filter(np.argmax(window, axis=0), 9)), dtype=np.int64)
