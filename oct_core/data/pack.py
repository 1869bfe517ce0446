"""prepare: read, check, split and pack a folder of scans, once."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oct_core.data.archives import ARRAYS, is_archive
from oct_core.data.duplicates import find_conflicts, find_duplicates
from oct_core.data.manifest import Record, count, manifest_sha256, read_manifest, write_manifest
from oct_core.data.official import official_test_in_training
from oct_core.data.patients import PatientSummary, summarise_patients
from oct_core.data.reading import Unreadable, read_scans
from oct_core.data.report import (
    FromFile,
    ReadingNote,
    count_formats,
    count_reading,
    tell_pages,
    tell_small,
)
from oct_core.data.sources import Candidate, find_candidates
from oct_core.data.split import LEFT_OUT, TWO_LABELS, SplitOptions, split_records
from oct_core.data.workers import in_processes
from oct_core.errors import DataError
from oct_core.scans.preprocess import NEWEST, VERSIONS, Preprocessing
from oct_core.types import CLASSES, GrayImage, IntArray

MANIFEST, PACK, REPORT = "manifest.csv", "pack.npy", "prepare.json"
_READ = "read.u8"
_OWN_FILES = {_READ, MANIFEST, PACK, REPORT}
"""What prepare writes, into a folder beside --out first."""


@dataclass(frozen=True)
class PrepareReport:
    """What prepare did, for a person. unreadable : (path, reason). left_out : reason, a key of
    split.LEFT_OUT -> class -> scans; left_out_files : the same reason -> paths.

    duplicates : groups of paths with equal bytes in different parts. official_test : scans of train
    and val that are images of OCT2017's official test set. patients : whose the scans are. notes :
    sentences on what was passed over or done otherwise than asked. formats : format -> class ->
    scans. reading : how scans were read that were not taken as they came, the most frequent first.
    """

    counts: dict[str, dict[str, dict[str, int]]]
    unreadable: list[tuple[str, str]]
    left_out: dict[str, dict[str, int]]
    left_out_files: dict[str, list[str]]
    duplicates: list[list[str]]
    official_test: int
    patients: PatientSummary
    notes: list[str]
    formats: dict[str, dict[str, int]]
    reading: list[ReadingNote]
    size: int
    manifest_sha256: str = ""
    preprocessing_version: int = NEWEST


@dataclass(frozen=True, eq=False)
class Pack:
    """A prepared data set. pixels : uint8 (N, S, S), memory-mapped, row i belongs to records[i].
    preprocessing_version : of the preprocessing that made them, see ``preprocess.VERSIONS``.
    """

    folder: Path
    records: tuple[Record, ...]
    pixels: NDArray[np.uint8]
    size: int
    preprocessing_version: int = NEWEST
    labels: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self,
            "labels",
            np.array([CLASSES.index(record.label) for record in self.records], dtype=np.int64),
        )

    def rows(self, split: str) -> NDArray[np.int64]:
        """The row numbers of one split."""
        return np.array(
            [row for row, record in enumerate(self.records) if record.split == split],
            dtype=np.int64,
        )


def prepare(  # noqa: PLR0913 - public, the last one by keyword only
    source: Path,
    out: Path,
    options: SplitOptions | None = None,
    size: int = 224,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    page: int | None = None,
) -> PrepareReport:
    """Write manifest.csv, pack.npy and prepare.json into ``out``.

    Each page of a file is a scan, or that ``page`` alone, from 1. Unreadable files are listed and
    left out, and so is what would leak from the test part. Raises DataError if ``out`` holds
    anything, a class ends up empty, or a scan has two labels.
    ``progress`` is called with (files done, files in all).
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(
            "{out} exists and is not empty; nothing is written over: choose another --out or "
            "remove it",
            out=out,
        )
    options = options or SplitOptions()
    if options.repool and is_archive(source, ARRAYS):
        raise DataError(
            "OCTMNIST names no patients, so its parts cannot be drawn anew; leave --repool out"
        )
    found = find_candidates(source)
    with _whole_or_not_at_all(out) as part:
        preprocessing = Preprocessing(size=size)
        workers = workers or os.cpu_count() or 1
        read = _read_all(found.scans, (preprocessing, page), workers, part / _READ, progress)
        if read.unreadable and not read.scans:
            path, reason = read.unreadable[0]
            raise DataError("no scan can be read; {path}: {reason}", path=path, reason=reason)
        records = [scan.record for scan in read.scans]
        conflicts = _conflicts(records, [scan.candidate for scan in read.scans], options)
        sound = [record for record in records if record.sha256 not in conflicts]
        with _telling(read.unreadable):
            split = split_records(sound, [record.split for record in sound], options)
            _refuse_empty(split.records)
        left_out = [
            *split.left_out,
            *((record, TWO_LABELS) for record in records if record.sha256 in conflicts),
        ]
        report = PrepareReport(
            counts=count(split.records),
            unreadable=read.unreadable,
            left_out=_count_left_out(left_out),
            left_out_files={
                reason: sorted(record.path for record, why in left_out if why == reason)
                for reason in LEFT_OUT
                if any(why == reason for _, why in left_out)
            },
            duplicates=find_duplicates(split.records),
            official_test=len(official_test_in_training(split.records)),
            patients=summarise_patients([scan.candidate for scan in read.scans]),
            notes=[
                *found.notes,
                *read.notes,
                *tell_pages(read.scans, page),
                *tell_small(read.scans, size),
            ],
            formats=count_formats(read.scans),
            reading=count_reading(read.scans),
            size=size,
            manifest_sha256=manifest_sha256(split.records),
        )
        place = {record.path: row for row, record in enumerate(records)}
        _write(part, split.records, [place[record.path] for record in split.records], report)
    return report


def _conflicts(
    records: Sequence[Record], candidates: Sequence[Candidate], options: SplitOptions
) -> frozenset[str]:
    """sha256 of the scans that stand under two labels; raises DataError naming two such rows,
    unless they are to be left out.
    """
    conflicts = find_conflicts(records)
    if not conflicts or options.drop_conflicts:
        return frozenset(conflicts)
    digest = next(iter(conflicts))
    first, second = (candidates[row] for row in conflicts[digest])
    raise DataError(
        "one scan has two labels (so have {more} more): {first} is {label}, and the same picture "
        "{second} is {other}; correct or remove one of the two, or leave all such scans out with "
        "--drop-conflicts",
        more=len(conflicts) - 1,
        first=first,
        label=first.label,
        second=second,
        other=second.label,
    )


def _count_left_out(left_out: Sequence[tuple[Record, str]]) -> dict[str, dict[str, int]]:
    numbers = Counter((reason, record.label) for record, reason in left_out)
    return {
        reason: {label: numbers[reason, label] for label in CLASSES}
        for reason in LEFT_OUT
        if any(numbers[reason, label] for label in CLASSES)
    }


@contextmanager
def _whole_or_not_at_all(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` to write in, moved to ``out`` at the end and removed on any error.

    A full disk is an error of writing, not of a memory map.
    """
    part = out.with_name(out.name + ".part")
    if part.is_dir() and {path.name for path in part.iterdir()} - _OWN_FILES:
        raise DataError("{part} is there and holds other files; move it away", part=part)
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        part.replace(out)
    except OSError as error:
        raise DataError(
            "{out} could not be written ({error}); free some space or choose another --out",
            out=out,
            error=error,
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


@dataclass(frozen=True)
class _Read:
    """scans : in the order of their pixels. unreadable : (path, why). notes : sentences on how it
    went.
    """

    scans: list[FromFile]
    unreadable: list[tuple[str, str]]
    notes: list[str]


def _read_one(
    task: tuple[Candidate, tuple[Preprocessing, int | None]],
) -> list[tuple[FromFile, GrayImage] | Unreadable]:
    candidate, (preprocessing, page) = task
    return [
        read
        if isinstance(read, Unreadable)
        else (
            FromFile(read.record, candidate, read.format, read.pages, read.scan.notes),
            preprocessing.prepare(read.scan.pixels),
        )
        for read in read_scans(candidate, page)
    ]


def _read_all(
    candidates: Sequence[Candidate],
    how: tuple[Preprocessing, int | None],
    workers: int,
    pixels: Path,
    progress: Callable[[int, int], None],
) -> _Read:
    """The readable scans' pixels go to the file ``pixels``, one after the other: a large collection
    is larger than memory. how : the preprocessing, and the page or None for all.
    """
    tasks = [(candidate, how) for candidate in candidates]
    read = _Read([], [], [])
    with in_processes(_read_one, tasks, workers, read.notes) as files, pixels.open("wb") as file:
        for done, results in enumerate(files, start=1):
            for result in results:
                if isinstance(result, Unreadable):
                    read.unreadable.append((result.where, result.why))
                else:
                    read.scans.append(result[0])
                    file.write(result[1].tobytes())
            progress(done, len(tasks))
    return read


@contextmanager
def _telling(unreadable: Sequence[tuple[str, str]]) -> Iterator[None]:
    """Where scans are too few, the files that could not be read may be why: a DataError tells how
    many, and of the first the reason.
    """
    try:
        yield
    except DataError as error:
        if not unreadable:
            raise
        path, reason = unreadable[0]
        raise DataError(
            "{problem} (files that could not be read: {count}, the first {path}: {reason})",
            problem=error,
            count=len(unreadable),
            path=path,
            reason=reason,
        ) from error


def _refuse_empty(records: Sequence[Record]) -> None:
    for split, classes in count(records).items():
        for label, numbers in classes.items():
            if not numbers["images"]:
                raise DataError(
                    "no scan of class {label} is left for the {split} part; add scans of more "
                    "patients, or try another seed",
                    label=label,
                    split=split,
                )


def _write(
    part: Path, records: Sequence[Record], rows: Sequence[int], report: PrepareReport
) -> None:
    """The three files into ``part``, where the pixels as they were read lie; record i has row
    rows[i] of these.
    """
    shape = (report.size, report.size)
    read = np.memmap(part / _READ, np.uint8, "r").reshape(-1, *shape)
    with (part / PACK).open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (len(records), *shape)}
        )
        for row in rows:
            file.write(read[row].tobytes())
    del read
    (part / _READ).unlink()
    write_manifest(part / MANIFEST, records)
    (part / REPORT).write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")


def is_prepared(folder: Path) -> bool:
    """Whether ``folder`` is what prepare writes."""
    return (folder / PACK).is_file() and (folder / MANIFEST).is_file()


def open_pack(folder: Path) -> Pack:
    """Open a prepared folder read-only; raises DataError if it is not one or its parts do not fit
    together.
    """
    if not is_prepared(folder):
        raise DataError(
            "{folder} is not prepared; run: python -m oct_core prepare FOLDER --out {folder}",
            folder=folder,
        )
    records = read_manifest(folder / MANIFEST)
    try:
        pixels = np.load(folder / PACK, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            "{folder} cannot be read ({error}); run prepare again",
            folder=folder / PACK,
            error=error,
        ) from error
    if pixels.ndim != 3 or pixels.dtype != np.uint8 or len(pixels) != len(records):
        raise DataError(
            "{folder}: the pack is {dtype} {shape}, the manifest has {rows} rows; run "
            "prepare again",
            folder=folder,
            dtype=pixels.dtype,
            shape=pixels.shape,
            rows=len(records),
        )
    return Pack(folder, records, pixels, int(pixels.shape[1]), _version_of(folder))


def _version_of(folder: Path) -> int:
    """The version of the preprocessing in prepare.json, 1 if there is none: the first had no
    number.
    """
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        version = report.get("preprocessing_version", 1)
    except FileNotFoundError:
        return 1
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(
            "{path} cannot be read ({error}); run prepare again", path=folder / REPORT, error=error
        ) from error
    if version not in tuple(VERSIONS):
        raise DataError(
            "{folder} was prepared with version {version!r} of the preprocessing, this program "
            "knows {versions}; update oct_core or run prepare again",
            folder=folder,
            version=version,
            versions=", ".join(map(str, VERSIONS)),
        )
    return int(version)


def draw_patients(pack: Pack, rows: IntArray, most: int) -> IntArray:
    """At most ``most`` of the rows, all of each patient drawn; the same ones each time. Where the
    first one drawn has more, its first rows.
    """
    if len(rows) <= most:
        return rows
    patients = np.array([pack.records[row].patient for row in rows])
    names, member, sizes = np.unique(patients, return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(names))
    drawn = order[np.cumsum(sizes[order]) <= most]
    return np.asarray(rows[np.isin(member, drawn if len(drawn) else order[:1])][:most])
