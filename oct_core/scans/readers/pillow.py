"""What Pillow decodes, turned into gray B-scans."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from oct_core.errors import ScanError
from oct_core.scans.colour import COLOUR_NOTE, find_colour, is_coloured
from oct_core.scans.limits import Limits
from oct_core.scans.readers.base import Reader, ScanInfo, check_page, check_size, page_notes
from oct_core.types import GrayImage, Scan
from oct_core.words import say


@dataclass(frozen=True)
class PillowReader(Reader):
    """A format that Pillow decodes. title : Pillow's name of it as well. magic : how its files may
    begin.
    """

    magic: tuple[bytes, ...]

    def sniff(self, data: bytes) -> bool:
        """As the files of this format begin."""
        return data.startswith(self.magic)

    def check(self, data: bytes, limits: Limits) -> None:
        """Raise ScanError for what Pillow would not notice, or too late."""

    def pages(self, image: Image.Image) -> int:
        """How many B-scans the file holds; a second picture in it may be an animation's."""
        if int(getattr(image, "n_frames", 1)) > 1:
            raise ScanError(
                "this file holds several pictures (an animation, or a camera's pair); export the "
                "one B-scan that you mean as a still PNG"
            )
        return 1

    def check_page_bytes(self, image: Image.Image, size: int) -> None:
        """Raise ScanError if the page that ``image`` stands at is cut off. size : of the file."""

    def bit_depth(self, image: Image.Image, data: bytes) -> int:
        """Bits a sample of the file."""
        if image.mode.startswith("I"):
            return 16
        return {"1": 1, "F": 32}.get(image.mode, 8)

    def white_is_zero(self, image: Image.Image) -> bool:
        """Whether the file says that its lowest value is white."""
        return False

    def inspect(self, data: bytes, limits: Limits) -> ScanInfo:
        """See Reader."""
        with self._open(data, limits) as image:
            pages = self.pages(image)
            return ScanInfo(
                self.title, pages, image.width, image.height, self.bit_depth(image, data)
            )

    def read(self, data: bytes, page: int, limits: Limits) -> Scan:
        """See Reader. Colour becomes luma (ITU-R 601), transparency black, 16 bit is scaled by its
        own range, EXIF rotation applied.
        """
        with self._open(data, limits) as image:
            pages = self.pages(image)
            check_page(page, pages)
            image.seek(page)
            check_size(image.width, image.height, limits)
            self.check_page_bytes(image, len(data))
            depth, white_is_zero = self.bit_depth(image, data), self.white_is_zero(image)
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            scan = _to_gray(image, depth, white_is_zero)
        return replace(scan, bit_depth=depth, notes=(*page_notes(page, pages), *scan.notes))

    def _open(self, data: bytes, limits: Limits) -> Image.Image:
        """The picture with its header read and every limit checked; no pixel is decoded yet."""
        self.check(data, limits)
        try:
            image = Image.open(io.BytesIO(data), formats=[self.title])
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ScanError(
                "the picture claims far more pixels than any B-scan has and is refused; export the "
                "B-scan alone"
            ) from error
        check_size(image.width, image.height, limits)
        return image


def _to_gray(image: Image.Image, depth: int, white_is_zero: bool) -> Scan:
    if image.mode.startswith("I") or image.mode == "F":
        pixels, notes = _scale(np.asarray(image, dtype=np.float64))
        # Pillow turns 8 bit round by itself, but not 16.
        return Scan(255 - pixels if white_is_zero else pixels, notes=notes)
    if image.mode in ("P", "LA", "PA", "RGBA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        image = Image.alpha_composite(
            Image.new("RGBA", layered.size, (0, 0, 0, 255)), layered
        ).convert("RGB")
    colour = None if image.mode in ("1", "L") else find_colour(np.asarray(image.convert("RGB")))
    # convert copies what is gray already, as long as it takes to read the file
    gray, notes = np.array(image if image.mode == "L" else image.convert("L"), dtype=np.uint8), ()
    if depth == 16:
        gray, notes = _scale(gray.astype(np.float64))
    scan = Scan(gray, colour=colour)
    return replace(scan, notes=(*((COLOUR_NOTE,) if is_coloured(scan) else ()), *notes))


def _scale(values: NDArray[np.float64]) -> tuple[GrayImage, tuple[str, ...]]:
    """Values of any range at 0 to 255, and the note on it."""
    if not np.isfinite(values).all():
        raise ScanError("the picture holds values that are not numbers; export it as 8 or 16 bit")
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
    note = say("values {low:g} to {high:g} scaled to 0 to 255", low=low, high=high)
    return np.round(scaled).astype(np.uint8), (note,)
