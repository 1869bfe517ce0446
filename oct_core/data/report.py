"""How scans were read, counted and told for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from oct_core.data.manifest import Record
from oct_core.data.sources import Candidate
from oct_core.scans import is_page_note
from oct_core.types import CLASSES
from oct_core.words import Note, say_count


@dataclass(frozen=True)
class FromFile:
    """A scan as it was read, its pixels aside. format, pages : of its file. notes : of reading."""

    record: Record
    candidate: Candidate
    format: str
    pages: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ReadingNote:
    """A note of the readers on scans. note : as it was on the first of them, where : its path.
    by_label : class -> scans.
    """

    note: str
    where: str
    by_label: dict[str, int]


def tell_pages(scans: Sequence[FromFile], page: int | None) -> list[str]:
    """What became of files of several pages."""
    several = [each for each in scans if each.pages > 1]
    if not several:
        return []
    files = {each.candidate.path: each.pages for each in several}
    if page is not None:
        return [
            say_count(
                "{count} file has several pages: of {scans} scans, page {page} was taken",
                "{count} files have several pages: of {scans} scans, page {page} of each was taken",
                len(files),
                scans=sum(files.values()),
                page=page,
            )
        ]
    return [
        say_count(
            "{count} file has several pages, each a scan of the file's class and patient: {scans} "
            "scans; --page takes one page of each",
            "{count} files have several pages, each a scan of its file's class and patient: "
            "{scans} scans; --page takes one page of each",
            len(files),
            scans=len(several),
        )
    ]


def tell_small(scans: Sequence[FromFile], size: int) -> list[str]:
    """Scans that have fewer pixels than the pack."""
    records = [each.record for each in scans]
    small = [record for record in records if min(record.width, record.height) < size]
    if not small:
        return []
    return [
        say_count(
            "{count} scan of fewer than {size} pixels a side was enlarged and shows nothing finer "
            "than before: {width} x {height}",
            "{count} scans of fewer than {size} pixels a side were enlarged and show nothing finer "
            "than before, the smallest {width} x {height}",
            len(small),
            size=size,
            width=min(record.width for record in small),
            height=min(record.height for record in small),
        )
    ]


def _by_label(scans: Sequence[FromFile]) -> dict[str, int]:
    numbers = Counter(each.record.label for each in scans)
    return {label: numbers[label] for label in CLASSES if numbers[label]}


def count_formats(scans: Sequence[FromFile]) -> dict[str, dict[str, int]]:
    """format -> class -> scans, the most frequent first."""
    ordered = sorted(scans, key=lambda each: each.format)
    groups = {name: list(each) for name, each in groupby(ordered, key=lambda each: each.format)}
    return {
        name: _by_label(groups[name])
        for name in sorted(groups, key=lambda name: -len(groups[name]))
    }


def count_reading(scans: Sequence[FromFile]) -> list[ReadingNote]:
    """The notes of all scans by what they say, whatever their numbers. Which page it is does not
    count: that is told otherwise.
    """
    kinds: dict[tuple[str, ...], list[tuple[str, FromFile]]] = {}
    for each in scans:
        for text in each.notes:
            kind = text.messages if isinstance(text, Note) else (text,)
            if not is_page_note(text):
                kinds.setdefault(kind, []).append((text, each))
    ordered = sorted(kinds.values(), key=lambda members: -len(members))
    return [
        ReadingNote(
            str(members[0][0]),
            members[0][1].record.path,
            _by_label([each for _, each in members]),
        )
        for members in ordered
    ]
