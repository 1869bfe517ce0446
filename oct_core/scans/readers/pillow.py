"""What Pillow decodes, turned into gray B-scans."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageOps

from oct_core.errors import ScanError
from oct_core.scans.colour import COLOUR_NOTE, find_colour, is_coloured
from oct_core.scans.limits import Limits
from oct_core.scans.readers.base import (
    DAMAGED_IN_PLACES,
    Reader,
    ScanInfo,
    check_page,
    check_size,
    page_notes,
    refuse_kind,
)
from oct_core.scans.readers.sixteen import other_bytes, premultiplied
from oct_core.scans.readers.values import Scaled, scale_values
from oct_core.types import Float32Array, FloatArray, Scan
from oct_core.words import message, note

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""ITU-R 601, as Pillow's own gray."""
_TRANSPARENT = message("transparent everywhere; the transparency was left out")
_LIGHTNESS = message("lightness of LAB colours taken")
_LAB_GRAY, _LAB_SPREAD = 128, 8
_LEAST_HIGH = 64
"""Of 256 values of the high byte, below which 16 bit colour without its low byte is too coarse."""


@dataclass(frozen=True)
class PillowReader(Reader):
    """A format that Pillow decodes. magic : how its files may begin. pillow : Pillow's name of
    it.
    """

    magic: tuple[bytes, ...]
    pillow: str

    def sniff(self, data: bytes) -> bool:
        """As the files of this format begin."""
        return data.startswith(self.magic)

    def check(self, data: bytes, limits: Limits) -> None:
        """Raise ScanError for what Pillow would not notice, or too late."""

    def clean(self, data: bytes) -> bytes:
        """The file without what Pillow would stumble over and no pixel needs."""
        return data

    def places(self, image: Image.Image, data: bytes, limits: Limits) -> Sequence[int]:
        """Where in the file its B-scans stand, as Pillow's ``seek`` counts; a second picture may be
        an animation's.
        """
        if int(getattr(image, "n_frames", 1)) > 1:
            raise ScanError(
                "this file holds several pictures (an animation, or a camera's pair); export the "
                "one B-scan that you mean as a still PNG"
            )
        return (0,)

    def find_unreadable(self, data: bytes, place: int, limits: Limits, opened: bool) -> str:
        """What kind of picture stands there, in words, if its header is sound but Pillow did not
        open it (``opened``), or would decode it wrongly; "" for any other.
        """
        return ""

    def check_page_bytes(self, image: Image.Image, size: int) -> None:
        """Raise ScanError if the page that ``image`` stands at is cut off. size : of the file."""

    def say_left_out(self, data: bytes, pages: int, limits: Limits) -> str:
        """A note on what the file holds beside its B-scans (``pages``), or ""."""
        return ""

    def is_damaged(self, data: bytes, image: Image.Image) -> bool:
        """Whether Pillow gives a picture, ``image``, in spite of damage that can be told. It is as
        decoded, not yet turned.
        """
        return False

    def bit_depth(self, image: Image.Image, data: bytes) -> int:
        """Bits a sample of the file."""
        if image.mode.startswith("I"):
            return 16
        return {"1": 1, "F": 32}.get(image.mode, 8)

    def values(self, image: Image.Image) -> FloatArray | None:
        """The values of a decoded gray picture of more range than 8 bit; None for any other."""
        if image.mode.startswith("I") or image.mode == "F":
            return np.asarray(image, dtype=np.float64)
        return None

    def white_is_zero(self, image: Image.Image) -> bool:
        """Whether the file says that its lowest value is white."""
        return False

    def inspect(self, data: bytes, limits: Limits) -> ScanInfo:
        """See Reader."""
        with self._open(data, 0, limits) as (image, _, pages):
            depth = self.bit_depth(image, data)
            return ScanInfo(self.title, pages, image.width, image.height, depth)

    def read(self, data: bytes, page: int, limits: Limits) -> Scan:
        """See Reader. Colour becomes luma (ITU-R 601), transparency black, more than 8 bit is
        scaled (``scale_values``), EXIF rotation applied.
        """
        with self._open(data, page, limits) as (image, place, pages):
            self.check_page_bytes(image, len(data))
            depth, white_is_zero = self.bit_depth(image, data), self.white_is_zero(image)
            associated = premultiplied(image)
            image.load()
            damage = (note(DAMAGED_IN_PLACES),) if self.is_damaged(data, image) else ()
            ImageOps.exif_transpose(image, in_place=True)
            if (values := self.values(image)) is not None:
                # Pillow turns 8 bit round by itself, but not more.
                scan = _scaled(scale_values(values, white_is_zero and image.mode != "L"))
            elif depth == 16:
                scan = self._read_sixteen(image, data, place, limits)
            else:
                scan = _to_gray(image, associated)
        left_out = (found,) if (found := self.say_left_out(data, pages, limits)) else ()
        return replace(
            scan,
            bit_depth=depth,
            notes=(*page_notes(page, pages), *left_out, *damage, *scan.notes),
            warnings=(*damage, *scan.warnings),
        )

    @contextmanager
    def _open(
        self, data: bytes, page: int, limits: Limits
    ) -> Iterator[tuple[Image.Image, int, int]]:
        """The picture at a B-scan, that one's place in the file and the number of B-scans, with
        headers read and every limit checked; no pixel is decoded yet.
        """
        self.check(data, limits)
        place = 0
        try:
            image = self._open_first(data, limits)
            places = self.places(image, data, limits)
            check_page(page, len(places))
            place = places[page]
            image.seek(place)
        except ScanError:
            raise
        except Exception as error:
            if kind := self.find_unreadable(data, place, limits, opened=False):
                raise refuse_kind(kind) from error
            raise
        with image:
            check_size(image.width, image.height, limits)
            if kind := self.find_unreadable(data, place, limits, opened=True):
                raise refuse_kind(kind)
            yield image, place, len(places)

    def _open_first(self, data: bytes, limits: Limits) -> Image.Image:
        try:
            image = Image.open(io.BytesIO(self.clean(data)), formats=[self.pillow])
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ScanError(
                "the picture claims far more pixels than any B-scan has and is refused; export the "
                "B-scan alone"
            ) from error
        return image

    def _read_sixteen(self, high: Image.Image, data: bytes, place: int, limits: Limits) -> Scan:
        """Colour of 16 bit from the high bytes, which Pillow gives, and the low bytes."""
        low = self._open_first(data, limits)
        low.seek(place)
        channels = other_bytes(high, low)
        if channels is not None:
            return _of_colours(channels)
        gray = np.asarray(high.convert("L"), dtype=np.float64)
        if np.ptp(gray) < _LEAST_HIGH:
            raise refuse_kind(note("colour of 16 bit of which few are used"))
        return _scaled(scale_values(gray))


def _scaled(scaled: Scaled) -> Scan:
    return Scan(scaled.pixels, notes=scaled.notes, warnings=scaled.warnings)


def _of_colours(channels: Float32Array) -> Scan:
    """float32 (H, W, 3 or 4), 0 to 65535, with alpha last."""
    rgb = channels[..., :3]
    warnings: tuple[str, ...] = ()
    if channels.shape[2] == 4:
        alpha = (channels[..., 3:] / 65535).astype(np.float32)
        if _shows_nothing(alpha):
            warnings = (note(_TRANSPARENT),)
        else:
            rgb = (rgb * alpha).astype(np.float32)
    scan = _scaled(scale_values((rgb @ _LUMA).astype(np.float64)))
    top = max(float(np.percentile(rgb, 99.9)), 1.0)  # nearly all, for one pixel may be hot
    colour = find_colour(np.round(np.minimum(rgb / top, 1) * 255).astype(np.uint8))
    return _with_notes(replace(scan, colour=colour), warnings)


def _with_notes(scan: Scan, warnings: tuple[str, ...]) -> Scan:
    """With a note on colour, and notes that are warnings too."""
    colour = (COLOUR_NOTE,) if is_coloured(scan) else ()
    return replace(
        scan,
        notes=(*colour, *warnings, *scan.notes),
        warnings=(*warnings, *scan.warnings),
    )


def _shows_nothing(alpha: Float32Array | FloatArray) -> bool:
    """Whether a picture's opacity, 0 to 1, leaves nothing of it to be seen: programs that know of
    no transparency write 0.
    """
    return float(alpha.mean()) < 0.005


def _to_gray(image: Image.Image, associated: bool) -> Scan:
    """associated : the colours are those over black already."""
    warnings: tuple[str, ...] = ()
    if image.mode == "LAB":
        light, *ab = (np.asarray(band) for band in image.split())
        far = np.abs(np.stack(ab).astype(np.int16) - _LAB_GRAY).max(axis=0) > _LAB_SPREAD
        scan = _with_notes(Scan(light, colour=far if far.any() else None), ())
        return replace(scan, notes=(*scan.notes, note(_LIGHTNESS)))
    if image.mode == "La":
        image = image.getchannel(0)
    elif associated:
        image = image.convert("RGB")
    elif image.mode in ("P", "LA", "PA", "RGBA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        if _shows_nothing(np.asarray(layered.getchannel("A")).astype(np.float32) / 255):
            warnings, image = (note(_TRANSPARENT),), layered.convert("RGB")
        else:
            black = Image.new("RGBA", layered.size, (0, 0, 0, 255))
            image = Image.alpha_composite(black, layered).convert("RGB")
    colour = None if image.mode in ("1", "L") else find_colour(np.asarray(image.convert("RGB")))
    # convert copies what is gray already, as long as it takes to read the file
    gray = np.array(image if image.mode == "L" else image.convert("L"), dtype=np.uint8)
    return _with_notes(Scan(gray, colour=colour), warnings)
