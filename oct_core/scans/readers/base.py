"""What a reader of one format is, and the checks that all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from oct_core.errors import ScanError
from oct_core.scans.limits import Limits
from oct_core.types import Scan
from oct_core.words import Note, message, note

DAMAGED = message("the picture is damaged or cut off and cannot be read; export or copy it again")
DAMAGED_IN_PLACES = message(
    "damaged in places: what the picture shows may be wrong there; export or copy it again"
)
_PAGE_NOTE = message("page {page} of {pages}")


def refuse_kind(kind: str) -> ScanError:
    """The error for a sound picture of a kind that is not decoded. kind : what it is, in words."""
    return ScanError(
        "the picture is of a kind that cannot be read ({kind}); export it as an 8 or 16 bit gray "
        "PNG",
        kind=kind,
    )


@dataclass(frozen=True)
class ScanInfo:
    """What the header says.

    format : the reader's title. pages : B-scans in the file. width, height : of the first, in
    pixels. bit_depth : bits a sample.
    """

    format: str
    pages: int
    width: int
    height: int
    bit_depth: int


@dataclass(frozen=True)
class Reader(ABC):
    """One format.

    key : its name in the registry. title : what people call it, such as "PNG". suffixes : of file
    names, lower case with their dot; they find files in folders, and the content decides what a
    file is.

    The size of the file is checked before ``inspect`` and ``read`` are called. Whatever they raise
    that is no ScanError is taken for damage.
    """

    key: str
    title: str
    suffixes: tuple[str, ...]

    @abstractmethod
    def sniff(self, data: bytes) -> bool:
        """Whether the content is of this format, judged by its first bytes."""

    @abstractmethod
    def inspect(self, data: bytes, limits: Limits) -> ScanInfo:
        """Read the header only; raises ScanError for what ``read`` would refuse before decoding."""

    @abstractmethod
    def read(self, data: bytes, page: int, limits: Limits) -> Scan:
        """Decode the B-scan ``page``, from 0, and no other.

        Raises ScanError for a page that is not there and, before decoding, for what exceeds the
        limits.
        """


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raise ScanError for more pixels than are accepted, or fewer than a B-scan has."""
    if width * height > limits.pixels:
        raise ScanError(
            "the picture has {width} x {height} pixels, more than the {pixels:.0f} million that "
            "are accepted; export the B-scan alone",
            width=width,
            height=height,
            pixels=limits.pixels / 1e6,
        )
    if min(width, height) < limits.side:
        raise ScanError(
            "the picture has {width} x {height} pixels, too few for a B-scan (at least {side} a "
            "side)",
            width=width,
            height=height,
            side=limits.side,
        )


def check_page(page: int, pages: int) -> None:
    """Raise ScanError for a page, from 0, that the file does not have."""
    if not 0 <= page < pages:
        raise ScanError(
            "page {page} was asked for, but this picture has {pages}; choose a page from 1 to "
            "{pages}",
            page=page + 1,
            pages=pages,
        )


def page_notes(page: int, pages: int) -> tuple[str, ...]:
    """Which of several B-scans this is, as the notes of a Scan."""
    if pages == 1:
        return ()
    return (note(_PAGE_NOTE, page=page + 1, pages=pages),)


def is_page_note(text: str) -> bool:
    """Whether a note of a Scan is that of ``page_notes``."""
    return isinstance(text, Note) and text.messages == (_PAGE_NOTE,)
