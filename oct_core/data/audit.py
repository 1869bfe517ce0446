"""What a reviewer would look for in a data set, before anything is trained on it."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oct_core.data.duplicates import find_conflicts, find_duplicates
from oct_core.data.manifest import Record, count
from oct_core.data.near import FINE_BITS, Hashes, find_near, perceptual_hash
from oct_core.data.official import official_test_hashes, version_3_test_names
from oct_core.data.pack import is_prepared, open_pack
from oct_core.data.parts import SPLITS
from oct_core.data.patients import summarise_patients
from oct_core.data.reading import Unreadable, read_scans
from oct_core.data.sources import Candidate, find_candidates
from oct_core.data.workers import in_processes
from oct_core.errors import DataError
from oct_core.types import CLASSES
from oct_core.words import message, say, say_count

_LEAST_OF_A_SIZE = 10
_NO_PART = message("no part")


@dataclass(frozen=True)
class Finding:
    """One check. title : what was looked at. sound : nothing speaks against training on it. text :
    the outcome in a sentence. columns, rows : the evidence, as a table.
    """

    title: str
    sound: bool
    text: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class NearPair:
    """Two scans that look alike. bits : of 255 of their hashes that differ, 0 for pictures that
    look the same.
    """

    first: Record
    second: Record
    bits: int


@dataclass(frozen=True)
class Audit:
    """records : every scan that can be read, split "" where no part was given. by_part : whether
    near pairs lie across parts, or, where none was given, across patients.
    """

    source: Path
    records: tuple[Record, ...]
    findings: tuple[Finding, ...]
    near: tuple[NearPair, ...]
    by_part: bool


@dataclass(frozen=True, eq=False)
class _Scans:
    """What the checks are asked of. told : sentences on what told the patients. hashes : uint64
    (N, 5). unreadable : (path, why). notes : sentences on files that were passed over.
    """

    records: tuple[Record, ...]
    hashes: Hashes
    told: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def audit(
    source: Path,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Audit:
    """Check a folder of scans, a CSV or what prepare made of one; nothing is written or changed.

    Raises DataError for a source that prepare would refuse by its names, or without one scan that
    can be read. ``progress`` is called with (files or scans done, in all).
    """
    scans = (
        _of_pack(source, progress)
        if is_prepared(source)
        else _of_source(source, workers or os.cpu_count() or 1, progress)
    )
    if not scans.records:
        path, reason = scans.unreadable[0]
        raise DataError("no scan can be read; {path}: {reason}", path=path, reason=reason)
    near, by_part = _find_near_pairs(scans)
    findings = (
        _check_parts(scans),
        _check_patients(scans),
        _check_labels(scans),
        _check_sizes(scans),
        _check_copies(scans),
        _check_official(scans),
        _tell_version(scans),
        _check_near(near, by_part),
        _check_files(scans),
    )
    return Audit(source, scans.records, findings, near, by_part)


def _of_pack(source: Path, progress: Callable[[int, int], None]) -> _Scans:
    pack = open_pack(source)
    hashes = np.empty((len(pack.records), 5), dtype=np.uint64)
    for row in range(len(pack.records)):
        hashes[row] = perceptual_hash(np.asarray(pack.pixels[row]))
        progress(row + 1, len(pack.records))
    return _Scans(pack.records, hashes, ())


def _of_source(source: Path, workers: int, progress: Callable[[int, int], None]) -> _Scans:
    found = find_candidates(source)
    notes: list[str] = []
    records: list[Record] = []
    hashes: list[Hashes] = []
    unreadable = []
    candidates: list[Candidate] = []
    with in_processes(_look, found.scans, workers, notes) as files:
        for done, (candidate, results) in enumerate(zip(found.scans, files, strict=True), start=1):
            for result in results:
                if isinstance(result, Unreadable):
                    unreadable.append((result.where, result.why))
                else:
                    candidates.append(candidate)
                    records.append(result[0])
                    hashes.append(result[1])
            progress(done, len(found.scans))
    return _Scans(
        tuple(records),
        np.array(hashes, dtype=np.uint64).reshape(-1, 5),
        tuple(summarise_patients(candidates).sentences()),
        tuple(unreadable),
        (*found.notes, *notes),
    )


def _look(candidate: Candidate) -> list[tuple[Record, Hashes] | Unreadable]:
    return [
        read if isinstance(read, Unreadable) else (read.record, perceptual_hash(read.scan.pixels))
        for read in read_scans(candidate)
    ]


def _find_near_pairs(scans: _Scans) -> tuple[tuple[NearPair, ...], bool]:
    """Across parts if any was given, else across patients: these may end in different parts."""
    by_part = any(record.split for record in scans.records)
    keys = [record.split if by_part else record.patient for record in scans.records]
    groups = np.unique(keys, return_inverse=True)[1]
    pairs = tuple(
        NearPair(scans.records[one], scans.records[other], bits)
        for one, other, bits in find_near(scans.hashes, groups).pairs()
    )
    return pairs, by_part


def part_words(record: Record) -> str:
    """The scan's part for a person."""
    return record.split or say(_NO_PART)


def _check_parts(scans: _Scans) -> Finding:
    parts = Counter(record.split for record in scans.records)
    numbers = count(scans.records)
    rows = [
        (split, *(f"{cell['images']} ({cell['patients']})" for cell in numbers[split].values()))
        for split in SPLITS
        if parts[split]
    ]
    if parts[""]:
        labels = Counter(record.label for record in scans.records if not record.split)
        rows.append((say(_NO_PART), *(str(labels[label]) for label in CLASSES)))
    missing = [label for label in CLASSES if all(record.label != label for record in scans.records)]
    text = say_count("{count} scan", "{count} scans", len(scans.records))
    if missing:
        text = say("{scans}, none of {classes}", scans=text, classes=", ".join(missing))
    return Finding(
        say("Parts and classes"), not missing, text, (say("part"), *CLASSES), tuple(rows)
    )


def _check_patients(scans: _Scans) -> Finding:
    homes: dict[str, dict[str, int]] = defaultdict(dict)
    for record in scans.records:
        if record.split:
            homes[record.patient][record.split] = homes[record.patient].get(record.split, 0) + 1
    rows = [
        (patient, ", ".join(f"{part} {number}" for part, number in sorted(parts.items())))
        for patient, parts in sorted(homes.items())
        if len(parts) > 1
    ]
    text = say_count(
        "{count} patient is in more than one part",
        "{count} patients are in more than one part",
        len(rows),
    )
    columns = (say("patient"), say("scans in each part"))
    return Finding(say("Patients"), not rows, ". ".join((text, *scans.told)), columns, tuple(rows))


def _check_labels(scans: _Scans) -> Finding:
    rows = [
        (first.path, first.label, second.path, second.label)
        for first, second in (
            (scans.records[one], scans.records[other])
            for one, other in find_conflicts(scans.records).values()
        )
    ]
    two = len(rows)
    named = [
        (record.path, record.label, say("its name"), name)
        for record in scans.records
        if (name := Path(record.path).name.partition("-")[0].upper()) in CLASSES
        and name != record.label
    ]
    text = say(
        "{two} scans stand under two labels, {named} have another class in their name than their "
        "label",
        two=two,
        named=len(named),
    )
    columns = (say("scan"), say("label"), say("against"), say("label"))
    return Finding(say("Labels"), not rows and not named, text, columns, tuple(rows + named))


def _check_sizes(scans: _Scans) -> Finding:
    table: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    for record in scans.records:
        table[record.width, record.height][record.label] += 1
    order = sorted(table, key=lambda size: (-table[size].total(), size))
    rows = [
        (f"{width} x {height}", *(str(table[width, height][label]) for label in CLASSES))
        for width, height in order
    ]
    labels = {record.label for record in scans.records}
    telling = [
        size
        for size in order
        if len(table[size]) == 1 < len(labels) and table[size].total() >= _LEAST_OF_A_SIZE
    ]
    text = say_count(
        "{count} size of picture, in pixels", "{count} sizes of pictures, in pixels", len(rows)
    )
    if telling:
        text = say(
            "{sizes}; a network can learn the class from the size: {telling} has one class only",
            sizes=text,
            telling=", ".join(f"{width} x {height}" for width, height in telling),
        )
    return Finding(say("Sizes"), not telling, text, (say("size"), *CLASSES), tuple(rows))


def _check_copies(scans: _Scans) -> Finding:
    homes = {record.path: part_words(record) for record in scans.records}
    groups = find_duplicates(scans.records)
    rows = tuple(("; ".join(f"{path} ({homes[path]})" for path in group),) for group in groups)
    repeated = len(scans.records) - len({record.sha256 for record in scans.records})
    text = say(
        "{across} scans stand byte by byte in more than one part; {repeated} files in all repeat "
        "another",
        across=len(rows),
        repeated=repeated,
    )
    return Finding(say("Copies"), not rows, text, (say("files with equal bytes"),), rows)


def _check_official(scans: _Scans) -> Finding:
    known = official_test_hashes()
    found = [record for record in scans.records if record.sha256 in known]
    outside = [record for record in found if record.split != "test"]
    rows = tuple((record.path, part_words(record)) for record in outside)
    text = say(
        "{count} of OCT2017's 1,000 official test images (version 2) are here, whatever their "
        "names, {outside} of them outside a test part",
        count=len({record.sha256 for record in found}),
        outside=len(outside),
    )
    return Finding(say("Official test images"), not outside, text, (say("scan"), say("part")), rows)


def _tell_version(scans: _Scans) -> Finding:
    """Told by the test part: no name of version 3's is one of version 2's."""
    test = [record for record in scans.records if record.split == "test"]
    second = sum(record.sha256 in official_test_hashes() for record in test)
    third = sum(Path(record.path).name in version_3_test_names() for record in test)
    if not test or max(second, third) < len(test) / 2:
        text = say("whether this is a version of OCT2017 cannot be told from a test part")
    else:
        text = say(
            "the test part is that of OCT2017 version {version}: {number} of its {total} scans "
            "are known to be of it",
            version=2 if second >= third else 3,
            number=max(second, third),
            total=len(test),
        )
    return Finding(say("Version of OCT2017"), True, text)


def _check_near(near: Sequence[NearPair], by_part: bool) -> Finding:
    text = (
        say_count(
            "{count} pair of scans in different parts looks alike (at most {bits} of 255 bits of "
            "their perceptual hashes differ)",
            "{count} pairs of scans in different parts look alike (at most {bits} of 255 bits of "
            "their perceptual hashes differ)",
            len(near),
            bits=FINE_BITS,
        )
        if by_part
        else say_count(
            "{count} pair of scans of different patients looks alike (at most {bits} of 255 bits "
            "of their perceptual hashes differ)",
            "{count} pairs of scans of different patients look alike (at most {bits} of 255 bits "
            "of their perceptual hashes differ)",
            len(near),
            bits=FINE_BITS,
        )
    )
    rows = tuple(
        (
            str(pair.bits),
            pair.first.path,
            part_words(pair.first),
            pair.first.patient,
            pair.second.path,
            part_words(pair.second),
            pair.second.patient,
        )
        for pair in near
    )
    half = (say("scan"), say("part"), say("patient"))
    return Finding(say("Near duplicates"), not rows, text, (say("bits"), *half, *half), rows)


def _check_files(scans: _Scans) -> Finding:
    text = say_count(
        "{count} file could not be read", "{count} files could not be read", len(scans.unreadable)
    )
    return Finding(
        say("Files"),
        not scans.unreadable,
        ". ".join((text, *scans.notes)),
        (say("file"), say("why")),
        scans.unreadable,
    )
