"""The one reader of tables that list scans: CSV as people have them."""

from __future__ import annotations

import csv
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path

from oct_core.errors import DataError
from oct_core.words import say

SUFFIXES = (".csv", ".tsv", ".txt")
_COLUMNS = {
    "path": ("path", "filepath", "imagepath", "image", "file", "filename", "img", "scan"),
    "label": ("label", "class", "diagnosis", "category"),
    "patient": ("patient", "patientid", "subject", "subjectid"),
    "part": ("split", "part", "set", "subset", "partition"),
}
"""What is looked for -> the names of its column, lower case, without spaces and signs; an earlier
one counts before a later one.
"""
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Row:
    """One scan of a table. number : the line it stands on. path : of a file that is there. label,
    patient, part : as written, without spaces around; "" for an empty cell or no such column.
    """

    number: int
    path: Path
    label: str
    patient: str
    part: str


def is_table(source: Path) -> bool:
    """Whether ``source`` is a file whose name ends as a table's does."""
    return source.suffix.lower() in SUFFIXES and source.is_file()


def read_table(source: Path) -> list[Row]:
    """The rows of a CSV with the columns path and label, and patient and split if it has them.

    Commas, semicolons, tabs or bars; UTF-8 or UTF-16; names of columns in any case and some other
    words for them; spaces around cells; empty rows; paths from the table's own folder, with / or
    the backslash of Windows. Raises DataError for a file that is no such table or has no row, and
    for a path that no file has, naming what was found and on which line.
    """
    text = _text(source)
    lines = io.StringIO(text, newline="")
    before = 0
    if re.match(r"sep=.\r?\n", text):  # the first line tells Excel the sign between cells
        lines.readline()
        before = 1
    header = text.splitlines()[before] if len(text.splitlines()) > before else ""
    reader = csv.reader(lines, delimiter=_delimiter(header), skipinitialspace=True)
    try:
        names = next(reader, [])
        columns = _find(names)
        if "path" not in columns or "label" not in columns:
            raise DataError(
                "{source} has the columns {found}; needed: path, label; optional: patient, split",
                source=source,
                found=", ".join(name.strip() for name in names) or say("none"),
            )
        rows = [
            _row(source, before + reader.line_num, cells, columns)
            for cells in reader
            if any(cell.strip() for cell in cells)
        ]
    except csv.Error as error:
        raise DataError(
            "{source} line {number} cannot be read as CSV ({error}); save the table as CSV UTF-8",
            source=source,
            number=before + reader.line_num,
            error=error,
        ) from error
    if not rows:
        raise DataError("{source} has no row below its header; give one row a scan", source=source)
    return rows


def _text(source: Path) -> str:
    data = source.read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            "{source} is not UTF-8 ({reason}); save it as CSV UTF-8",
            source=source,
            reason=error.reason,
        ) from error


def _delimiter(header: str) -> str:
    """The sign between cells by which most columns are known; of several, the one seen most."""

    def known(delimiter: str) -> tuple[int, int]:
        names = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])
        return len(_find(names)), header.count(delimiter)

    return max(_DELIMITERS, key=known)


def _find(names: list[str]) -> dict[str, int]:
    """What a table's columns mean -> which they are."""
    plain = [re.sub(r"[\W_]", "", name).lower() for name in names]
    return {
        meaning: plain.index(next(name for name in known if name in plain))
        for meaning, known in _COLUMNS.items()
        if any(name in plain for name in known)
    }


def _row(source: Path, number: int, cells: list[str], columns: dict[str, int]) -> Row:
    path, label, patient, part = (
        cells[columns[meaning]].strip()
        if meaning in columns and columns[meaning] < len(cells)
        else ""
        for meaning in _COLUMNS
    )
    file = _file(source.parent, path)
    if file is None:
        raise DataError(
            "{source} line {number}: there is no file {path}; correct or remove the line",
            source=source,
            number=number,
            path=path or say("none"),
        )
    return Row(number, file, label, patient, part)


def _file(folder: Path, path: str) -> Path | None:
    """The file that a cell means, from the table's folder; None if there is none."""
    ways = (path, path.replace("\\", "/")) if path else ()
    return next((folder / way for way in ways if os.path.isfile(folder / way)), None)
