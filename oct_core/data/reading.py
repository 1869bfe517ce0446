"""From a file of a source to its scans, each with its row of the manifest."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from oct_core.data.archives import ARRAYS, ZIP, ArrayRow, ZipMember, find_member, is_archive
from oct_core.data.manifest import Record
from oct_core.data.sources import Candidate
from oct_core.errors import ScanError
from oct_core.scans import inspect, read_file, read_scan
from oct_core.types import Scan

ARRAY_FORMAT = "NumPy"
_PAGE = re.compile(r"(.+) page (\d+)", re.DOTALL)


@dataclass(frozen=True, eq=False)
class ReadScan:
    """One scan. record : its row; split is the part that it came with. format : of the file. pages
    : scans that the file holds.
    """

    record: Record
    scan: Scan
    format: str
    pages: int = 1


@dataclass(frozen=True)
class Unreadable:
    """where : the file, with its page where it has several, or a line of a manifest. why : in
    words.
    """

    where: str
    why: str


def read_scans(candidate: Candidate, page: int | None = None) -> Iterator[ReadScan | Unreadable]:
    """Every scan of a file; of a file with several pages that ``page`` alone, from 1, if one is
    given.

    The record's path is that of the file, ``FILE page 2`` of several, ``ARCHIVE/MEMBER`` inside an
    archive; its sha256 that of the file, of the file's sha256 and the page, or of an array's row.
    Scans without a patient are of one patient if they come from one file.
    """
    try:
        if isinstance(candidate.inside, ArrayRow):
            scan = Scan(candidate.inside.read(), candidate.path.name)
            digest = hashlib.sha256(scan.pixels.tobytes()).hexdigest()
            yield ReadScan(_record(candidate, digest, scan), scan, ARRAY_FORMAT)
            return
        data = candidate.inside.read() if candidate.inside else read_file(candidate.path)
        info = inspect(data)
    except ScanError as error:
        yield Unreadable(str(candidate), str(error))
        return
    digest, pages = hashlib.sha256(data).hexdigest(), info.pages
    for number in range(1, pages + 1) if page is None or pages == 1 else (page,):
        try:
            scan = read_scan(data, candidate.path.name, number - 1)
        except ScanError as error:
            yield Unreadable(f"{candidate}{_place(number, pages)}", str(error))
            continue
        record = _record(candidate, digest, scan)
        if pages > 1:
            record = replace(
                record,
                path=record.path + _place(number, pages),
                sha256=page_digest(digest, number),
            )
        yield ReadScan(record, scan, info.format, pages)


def _place(page: int, pages: int) -> str:
    return f" page {page}" if pages > 1 else ""


def page_digest(digest: str, page: int) -> str:
    """sha256 of one page, from 1, of a file of several with the sha256 ``digest``."""
    return hashlib.sha256(f"{digest} page {page}".encode()).hexdigest()


def _record(candidate: Candidate, digest: str, scan: Scan) -> Record:
    height, width = scan.pixels.shape
    return Record(
        os.path.abspath(candidate.path),
        candidate.label,
        candidate.patient or f"file-{digest[:16]}",
        digest,
        width,
        height,
        candidate.given,
    )


def find_again(path: str) -> ReadScan:
    """The scan of a record's path, to be compared by its sha256; raises ScanError if it is no more
    where it was.
    """
    place, number = Path(path), None
    match = _PAGE.fullmatch(path)
    if match and not place.exists():
        place, number = Path(match[1]), int(match[2])
    found = next(read_scans(Candidate(place, "", "", "", inside=_inside(place)), number))
    if isinstance(found, Unreadable):
        raise ScanError("{path}: {reason}", path=path, reason=found.why)
    return found


def _inside(place: Path) -> ZipMember | ArrayRow | None:
    """What of an archive a path means, if a folder on it is one."""
    if place.exists():
        return None
    for above in place.parents:
        member = place.relative_to(above)
        if is_archive(above, ZIP):
            return find_member(above, PurePosixPath(member.as_posix()))
        if is_archive(above, ARRAYS) and len(member.parts) == 2 and member.name.isdigit():
            return ArrayRow(above, member.parts[0], int(member.name))
    return None
