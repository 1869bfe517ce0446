"""What a caller hands over as scans: taken where its meaning is plain, else refused in words."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from oct_core.errors import ScanError
from oct_core.types import Scan


def as_scan(given: Any) -> Scan:
    """The scan itself; raises ScanError saying how to make one of a path, bytes or an array."""
    if isinstance(given, Scan):
        return given
    if isinstance(given, str | PathLike):
        raise ScanError(
            "expected a Scan, got the path {path!r}; read it first: read_scan({path!r})",
            path=str(given),
        )
    if isinstance(given, bytes | bytearray):
        raise ScanError("expected a Scan, got bytes; read them first: read_scan(data)")
    if isinstance(given, np.ndarray):
        raise ScanError(
            "expected a Scan, got an array {dtype} {shape}; gray uint8 pixels (height, width) "
            "become one with Scan(pixels)",
            dtype=given.dtype,
            shape=given.shape,
        )
    raise ScanError(
        "expected a Scan, got {kind}; read_scan makes one of a file", kind=type(given).__name__
    )


def as_scans(given: Scan | Sequence[Scan]) -> list[Scan]:
    """One scan or a sequence of them as a list; raises ScanError as ``as_scan`` does."""
    if isinstance(given, list | tuple):
        return [as_scan(scan) for scan in given]
    return [as_scan(given)]


def as_source(given: Any) -> bytes | Path:
    """A file's bytes, or the path of one (text is taken as a path); raises ScanError for anything
    else.
    """
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given)
    if isinstance(given, str | PathLike):
        return Path(given)
    raise ScanError(
        "expected the path or the bytes of a file, got {kind}; gray uint8 pixels (height, width) "
        "become a scan with Scan(pixels)",
        kind=type(given).__name__,
    )
