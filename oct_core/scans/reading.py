"""Bytes or files -> Scan: sniff, bound, decode. Every reader stands behind ``read_scan``; nothing
is written or logged.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from oct_core.errors import ScanError
from oct_core.scans.checks import as_source
from oct_core.scans.limits import DEFAULT, Limits
from oct_core.scans.others import find_other, refuse_other
from oct_core.scans.readers import READERS, Reader, ScanInfo, format_names
from oct_core.scans.readers.base import DAMAGED
from oct_core.types import Scan


def inspect(data: bytes, limits: Limits = DEFAULT) -> ScanInfo:
    """Read the header only; raises ScanError for what read_scan would refuse before decoding."""
    reader = _find_reader(data, limits)
    with _damage_in_words():
        return reader.inspect(data, limits)


def read_scan(
    source: bytes | str | Path, name: str | None = None, page: int = 0, limits: Limits = DEFAULT
) -> Scan:
    """Decode one B-scan.

    Parameters
    ----------
    source : the file's bytes, or its path (text is a path). name : how a person knows it; the
    file's name by default.
    page : of a file with several B-scans, from 0. limits : checked before decoding.

    Returns
    -------
    A gray Scan, uint8 (H, W), 0 black to 255 white. Its notes say what was changed to get there.

    Raises
    ------
    ScanError : with one sentence a clinician understands.
    """
    source = as_source(source)
    data = read_file(source, limits) if isinstance(source, Path) else source
    title = name or (source.name if isinstance(source, Path) else "scan")
    reader = _find_reader(data, limits)
    with _damage_in_words():
        return replace(reader.read(data, page, limits), name=title)


@contextmanager
def _damage_in_words() -> Iterator[None]:
    try:
        yield
    except ScanError:
        raise
    except Exception as error:
        # Decoders raise nearly anything on damaged or hostile data, struct.error for one.
        raise ScanError(DAMAGED) from error


def read_file(path: Path, limits: Limits = DEFAULT) -> bytes:
    """The bytes of a file found somewhere; raises ScanError for what cannot be opened, is larger
    than is accepted, or is a pipe or a device, which might be waited for without an end.
    """
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise ScanError(
                "this is not a file but a folder, a pipe or a device; give the picture itself"
            )
        check_bytes(state.st_size, limits)
        return path.read_bytes()
    except OSError as error:
        raise ScanError(
            "the file cannot be opened ({reason}); check that it is there and may be read",
            reason=error.strerror,
        ) from error


def check_bytes(size: int, limits: Limits = DEFAULT) -> None:
    """Raise ScanError for a file of more bytes than are accepted."""
    if size > limits.bytes:
        raise ScanError(
            "the file has {size:.1f} MB, more than the {limit:.0f} MB that are accepted; export "
            "the B-scan alone",
            size=size / 2**20,
            limit=limits.bytes / 2**20,
        )


def _find_reader(data: bytes, limits: Limits) -> Reader:
    """The reader whose format the content is of, never mind the file's name."""
    if not data:
        raise ScanError("the file is empty; export or copy it again")
    check_bytes(len(data), limits)
    # A DICOM file may begin as a TIFF does, and a HEIC picture as JPEG 2000.
    if other := find_other(data):
        raise refuse_other(other)
    for key in READERS:
        if READERS.get(key).sniff(data):
            return READERS.get(key)
    raise ScanError(
        "this is not a {formats} picture, whatever its name says; export the B-scan as PNG",
        formats=format_names(),
    )
