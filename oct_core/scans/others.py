"""Formats that no reader takes, known by their first bytes, so that a refusal can name them and say
the way out; and files of a folder that are scans all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from oct_core.errors import ScanError
from oct_core.scans.readers import READERS, format_names, is_scan_name
from oct_core.words import message, note, say

HEAD = 512
"""Bytes of a file that tell its format."""
_PREAMBLE = 128

_DICOM = message("a DICOM file")
_STARTS = (
    (b"HSF-OCT-", message("a Heidelberg volume (VOL)")),
    (b"CMDb", message("a Heidelberg E2E file")),
    (b"MDbM", message("a Heidelberg E2E file")),
    (b"FOCT", message("a Topcon volume (FDS or FDA)")),
    (b"%PDF", message("a PDF document")),
    (b"GIF8", message("a GIF picture")),
    (b"PK\x03\x04", message("a ZIP archive")),
    (b"\x1f\x8b", message("a GZIP archive")),
    (b"<svg", message("an SVG drawing")),
    (b"II+\x00", message("a BigTIFF")),
    (b"MM\x00+", message("a BigTIFF")),
    (b"\x93NUMPY", message("a NumPy array")),
    (b"\x89HDF", message("an HDF5 file")),
    (b"MATLAB 5.0", message("a MATLAB file")),
)
# Formats of ISO base media files, by the brand behind "ftyp".
_BRANDS = (
    ((b"avif", b"avis"), message("an AVIF picture")),
    ((b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"), message("a HEIC picture")),
)
_VIDEO = message("a video")
_BESIDE = {message("a PDF document"), message("a ZIP archive"), message("a GZIP archive")}
"""What people keep beside scans: it is no scan that was passed over."""
_ADVICE = {
    _DICOM: message("export the B-scans as PNG or TIFF with the device's software or a DICOM tool"),
}
_EXPORT = message("export the B-scan as PNG")
_VALUE_TYPES = frozenset(b"AE AS CS DA DS DT IS LO LT OB OW PN SH SL SS ST TM UI UL US UN".split())


def find_other(data: bytes) -> str | None:
    """What a file is that no reader takes, such as "a DICOM file"; None if nothing is known of it.

    DICOM is told first, and by its mark behind the preamble: that may hold the start of a TIFF.
    """
    data = data[:HEAD]
    if data[_PREAMBLE : _PREAMBLE + 4] == b"DICM" or _is_bare_dicom(data):
        return _DICOM
    if data[4:8] == b"ftyp":
        return next((title for brands, title in _BRANDS if data[8:12] in brands), _VIDEO)
    if data.startswith(b"RIFF") and data[8:12] != b"WEBP":
        return _VIDEO
    start = data.lstrip()[:16].lower()
    return next((title for magic, title in _STARTS if start.startswith(magic.lower())), None)


def _is_bare_dicom(data: bytes) -> bool:
    """Whether a file begins with DICOM's elements, as some devices write them without preamble:
    group 2 or 8 in little endian, then the type of a value, or its length and the same group again.
    """
    group = data[:2]
    if group not in (b"\x02\x00", b"\x08\x00") or len(data) < 16:
        return False
    if data[4:6] in _VALUE_TYPES:
        return True
    size = int.from_bytes(data[4:8], "little")
    return size <= HEAD and data[8 + size : 10 + size] == group


def refuse_other(other: str) -> ScanError:
    """The error for a file of another format, as ``find_other`` names it."""
    return ScanError(
        "this is {other}, but a {formats} picture is needed; {advice}",
        other=note(other),
        formats=format_names(),
        advice=note(_ADVICE.get(other, _EXPORT)),
    )


def why_passed_over(path: Path, head: bytes | None = None) -> str | None:
    """Why a file of a folder is no scan by its name (``is_scan_name``) though it is one by its
    content, or one of another format, in words. None for scans and for everything else, such as
    tables and texts.

    Only the first HEAD bytes are read, unless they are given: ``head``. What cannot be opened has
    no reason to be a scan.
    """
    if is_scan_name(path) or path.name.startswith("."):
        return None
    if head is None:
        head = _read_head(path)
    if other := find_other(head):
        return None if other in _BESIDE else str(refuse_other(other))
    for key in READERS:
        if READERS.get(key).sniff(head):
            return say(
                "this is a {format} picture by its content, but not by its name; give it "
                "{suffixes}, or name the file itself",
                format=READERS.get(key).title,
                suffixes=", ".join(READERS.get(key).suffixes),
            )
    return None


def _read_head(path: Path) -> bytes:
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def tell_apart(files: Iterable[Path]) -> tuple[list[tuple[str, str]], Counter[str]]:
    """Of files that are no scans by their names: scans of other formats or with other names as
    (path, why), and the suffixes of all others, which are no pictures. Hidden files do not count.
    """
    scans: list[tuple[str, str]] = []
    others: Counter[str] = Counter()
    for file in files:
        if file.name.startswith("."):
            continue
        if reason := why_passed_over(file):
            scans.append((str(file), reason))
        else:
            others[file.suffix.lower() or "without suffix"] += 1
    return scans, others
