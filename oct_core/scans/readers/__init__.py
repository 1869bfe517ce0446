"""The formats a scan may have: one file a family, one registry, which everything asks that reads,
finds or names them.
"""

from __future__ import annotations

from pathlib import PurePath

from oct_core.registry import Registry
from oct_core.scans.readers.base import Reader, ScanInfo
from oct_core.scans.readers.picture import BMP, JPEG, JPEG2000, PNG, PNM, WEBP
from oct_core.scans.readers.tiff import TIFF
from oct_core.words import message, note

__all__ = ["READERS", "Reader", "ScanInfo", "format_names", "is_scan_name", "suffixes"]

READERS: Registry[Reader] = Registry(message("scan format"))
for _reader in (PNG, JPEG, TIFF, BMP, WEBP, JPEG2000, PNM):
    READERS.add(_reader.key, _reader)


def suffixes() -> tuple[str, ...]:
    """Every suffix that a scan's file name may have, lower case with its dot."""
    return tuple(suffix for key in READERS for suffix in READERS.get(key).suffixes)


def is_scan_name(path: str | PurePath) -> bool:
    """Whether a file found in a folder is taken for a scan, by its suffix; hidden files are not."""
    path = PurePath(path)
    return path.suffix.lower() in suffixes() and not path.name.startswith(".")


def format_names() -> str:
    """The formats as a sentence names them: "PNG, JPEG, TIFF or BMP"."""
    *first, last = (READERS.get(key).title for key in READERS)
    return note("{formats} or {last}", formats=", ".join(first), last=last)
