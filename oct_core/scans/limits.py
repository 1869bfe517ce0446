"""What is accepted of a file, checked before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """bytes : of the file. pixels : width x height; each map takes 4 bytes a pixel. side : the
    least, in pixels. pages : B-scans in one file.
    """

    bytes: int = 32 * 2**20
    pixels: int = 9_000_000
    side: int = 32
    pages: int = 1024


DEFAULT = Limits()
