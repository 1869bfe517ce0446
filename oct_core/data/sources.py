"""Where scans come from: an OCT2017 folder, a plain folder of class folders, a ZIP archive of one,
a CSV manifest, or the arrays of OCTMNIST.
"""

from __future__ import annotations

import filecmp
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from oct_core.data.archives import (
    ARRAYS,
    ZIP,
    ArrayRow,
    ZipMember,
    find_arrays,
    is_archive,
    walk_zip,
)
from oct_core.data.manifest import patient_of
from oct_core.data.parts import SPLITS, UNCLEAR, part_named
from oct_core.data.table import Row, is_table, read_table
from oct_core.errors import DataError
from oct_core.scans import PassedOver, is_scan_name, walk, why_passed_over
from oct_core.types import CLASSES
from oct_core.words import say, say_count

_OCT2017_VAL = {(label, 8) for label in CLASSES}
FROM_NAMES, FROM_FOLDERS, FROM_TABLE = "file names", "folders", "manifest"
"""What can tell whose a scan is: a name CLASS-PATIENT-NUMBER, a folder CLASS/PATIENT, a column."""


@dataclass(frozen=True)
class Candidate:
    """A file to read. given : the part it came with, or "". patient : "" if nothing tells it.
    told_by : FROM_NAMES, FROM_FOLDERS, FROM_TABLE or "", what told the patient. where : the line of
    a manifest that names it, or "". inside : what of an archive it is; path is then
    ARCHIVE/MEMBER, where no file lies.
    """

    path: Path
    label: str
    patient: str
    given: str
    told_by: str = ""
    where: str = ""
    inside: ZipMember | ArrayRow | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.path}" if self.where else str(self.path)


@dataclass(frozen=True)
class Found:
    """What a source holds. scans : in a stable order. notes : sentences on what was passed over or
    taken otherwise than it came.
    """

    scans: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


def find_candidates(source: Path) -> Found:
    """Every labelled scan of a folder, a ZIP archive, a CSV or OCTMNIST; raises DataError with what
    was expected.
    """
    if is_table(source):
        return _from_table(source)
    if is_archive(source, ARRAYS):
        return _from_arrays(source)
    if not source.is_dir() and not is_archive(source, ZIP):
        raise DataError(
            "{source} is neither a folder nor a .csv manifest, a .zip of a folder or an .npz of "
            "OCTMNIST; give the folder that holds {classes}",
            source=source,
            classes=", ".join(CLASSES),
        )
    found = _from_folder(source)
    if not found.scans:
        raise DataError(
            "{source} holds no folder named {classes} with pictures in it, at any depth",
            source=source,
            classes=", ".join(CLASSES),
        )
    return found


def _from_folder(source: Path) -> Found:
    """Of a folder or of a ZIP archive of one."""
    passed = PassedOver()
    candidates: list[Candidate] = []
    unlabelled: list[Path] = []
    other_files: dict[Path, ZipMember | None] = {}
    class_homes: set[Path] = set()
    for folder, names, members in _folders(source, passed):
        label, above, below = _label_of(folder, source)
        pictures = [folder / name for name in names if is_scan_name(name)]
        if not label:
            unlabelled += pictures
            continue
        if not below:
            class_homes.add(folder.parent)
        inside = {
            name: ZipMember(source, member) for name, member in zip(names, members, strict=False)
        }
        other_files |= {folder / name: inside.get(name) for name in names if not _is_known(name)}
        if pictures:
            given = _given_part(folder, [*above, *below])
            found = [_candidate(path, label, below, given) for path in pictures]
            candidates += [replace(each, inside=inside.get(each.path.name)) for each in found]
    _refuse_other_labels(unlabelled, source, class_homes)
    _refuse_two_patients_a_folder(candidates)
    candidates, repeated = _without_repeated_trees(candidates)
    candidates, pooled = _pool_small_val(candidates)
    notes = [*repeated, *pooled, *passed.sentences(), *_passed_files(unlabelled, other_files)]
    return Found(tuple(candidates), tuple(notes))


def _folders(source: Path, passed: PassedOver) -> Iterator[tuple[Path, list[str], list[str]]]:
    """(folder, names of its files, their names in the archive if it is one)."""
    if source.is_dir():
        for folder, names in walk(source, passed, lambda folder: _meaning(folder, source)):
            yield folder, names, []
    else:
        yield from walk_zip(source, passed)


def _without_repeated_trees(
    candidates: Sequence[Candidate],
) -> tuple[list[Candidate], list[str]]:
    """Without scans that lie in a second tree at the place that equal bytes have in a first: the
    archive of OCT2017 on Kaggle holds all of it twice.
    """
    trees: dict[tuple[str, ...], list[Candidate]] = {}
    once: list[Candidate] = []
    again: list[tuple[Candidate, Candidate]] = []
    for each in candidates:
        same = trees.setdefault((each.given, each.label, *_below_label(each)), [])
        first = next((other for other in same if _have_equal_bytes(other, each)), None)
        if first is None:
            same.append(each)
            once.append(each)
        else:
            again.append((each, first))
    if not again:
        return once, []
    note = say_count(
        "{count} scan lies twice at the same place of two folders with the same bytes and was "
        "taken once: {again} is {first}",
        "{count} scans lie twice at the same place of two folders with the same bytes and were "
        "taken once, such as {again}, which is {first}",
        len(again),
        again=again[0][0].path,
        first=again[0][1].path,
    )
    return once, [note]


def _below_label(candidate: Candidate) -> tuple[str, ...]:
    """The folders below that of its class, and the name."""
    parts = candidate.path.parts
    homes = [k for k, part in enumerate(parts) if part.strip().upper() == candidate.label]
    return parts[max(homes, default=-1) + 1 :]


def _have_equal_bytes(one: Candidate, other: Candidate) -> bool:
    if isinstance(one.inside, ZipMember) and isinstance(other.inside, ZipMember):
        return one.inside.checksum() == other.inside.checksum()
    try:
        return filecmp.cmp(one.path, other.path, shallow=False)
    except OSError:  # told when it is read
        return False


def _label_of(folder: Path, source: Path) -> tuple[str, list[str], list[str]]:
    """(class, folders above its folder, folders below it); the nearest folder that is named as a
    class counts, the source itself if none is inside. The class is "" if there is none.
    """
    parts = [part.strip() for part in folder.relative_to(source).parts]
    places = [place for place, part in enumerate(parts) if part.upper() in CLASSES]
    if places:
        return parts[places[-1]].upper(), parts[: places[-1]], parts[places[-1] + 1 :]
    own = Path(os.path.abspath(source)).name.strip().upper()
    return (own, [], parts) if own in CLASSES else ("", parts, [])


def _meaning(folder: Path, source: Path) -> tuple[str, frozenset[str]]:
    label, above, below = _label_of(folder, source)
    return label, frozenset(filter(None, map(part_named, (*above, *below))))


def _given_part(folder: Path, names: Sequence[str]) -> str:
    parts = {name: part for name in names if (part := part_named(name))}
    clear = {part for part in parts.values() if part != UNCLEAR}
    if len(clear) == 1:
        return clear.pop()
    if parts:
        raise DataError(
            "{folder}: which part {names} is cannot be told; name the folder train, val or test, "
            "or give a CSV with the columns path, label, patient, split",
            folder=folder,
            names=", ".join(map(repr, parts)),
        )
    return ""


def _candidate(path: Path, label: str, below: Sequence[str], given: str) -> Candidate:
    """The number in the name tells the patient, else the first folder below the class."""
    patient = patient_of(path.name)
    if patient:
        return Candidate(path, label, patient, given, FROM_NAMES)
    folder = next((name for name in below if not part_named(name)), "")
    # bytes that are not UTF-8 are spelled out: a patient goes into tables and cards
    patient = os.fsencode(folder).decode("utf-8", "backslashreplace")
    return Candidate(path, label, patient, given, FROM_FOLDERS if patient else "")


def _refuse_two_patients_a_folder(candidates: Sequence[Candidate]) -> None:
    """Folders below a class that each hold several numbers of patients, by the names: whether the
    folder or the number is the patient cannot be told.
    """
    numbers: dict[Path, dict[str, Path]] = {}
    for each in candidates:
        if each.told_by == FROM_NAMES and each.path.parent.name.strip().upper() != each.label:
            numbers.setdefault(each.path.parent, {}).setdefault(each.patient, each.path)
    numbers = {folder: of for folder, of in numbers.items() if not part_named(folder.name)}
    several = [folder for folder, of in numbers.items() if len(of) > 1]
    if len(numbers) > 1 and several:
        first, second, *_ = numbers[several[0]].values()
        raise DataError(
            "{folder} holds scans whose names say different patients ({first}, {second}), and "
            "there are other such folders: whether a folder or a number is a patient cannot be "
            "told; give a CSV with the columns path, label, patient",
            folder=several[0],
            first=first.name,
            second=second.name,
        )


def _refuse_other_labels(unlabelled: Sequence[Path], source: Path, homes: set[Path]) -> None:
    """A folder of pictures beside class folders is a class that this project does not have."""
    for path in unlabelled:
        for folder in path.parents:
            if folder == source:
                break
            if folder.parent in homes:
                raise DataError(
                    "{folder}: the label {name!r} is none of {classes}; move that folder away",
                    folder=folder,
                    name=folder.name,
                    classes=", ".join(CLASSES),
                )


def _pool_small_val(candidates: list[Candidate]) -> tuple[list[Candidate], list[str]]:
    """OCT2017's own val folder is too small to choose a model on: eight scans a class, named as it
    names them, beside a train folder. Any other stays what it is.
    """
    val = [candidate for candidate in candidates if candidate.given == "val"]
    counts = Counter(candidate.label for candidate in val)
    own = set(counts.items()) == _OCT2017_VAL and all(
        candidate.told_by == FROM_NAMES and "val" in candidate.path.parts for candidate in val
    )
    if not own or not any(candidate.given == "train" for candidate in candidates):
        return candidates, []
    pooled = [
        replace(candidate, given="") if candidate.given == "val" else candidate
        for candidate in candidates
    ]
    note = say(
        "the val folder is OCT2017's own of 32 scans, too small to choose a model on: its scans "
        "were pooled with train and a larger part is drawn"
    )
    return pooled, [note]


def _is_known(name: str) -> bool:
    return (
        is_scan_name(name) or name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini")
    )


def _passed_files(unlabelled: Sequence[Path], others: Mapping[Path, ZipMember | None]) -> list[str]:
    notes = []
    if unlabelled:
        notes.append(
            say_count(
                "{count} picture lies in no class folder and was not read: {path}",
                "{count} pictures lie in no class folder and were not read, such as {path}",
                len(unlabelled),
                path=unlabelled[0],
            )
        )
    if others:
        kinds = Counter(path.suffix.lower() or say("no suffix") for path in others)
        notes.append(
            say_count(
                "{count} file in class folders is not named as a picture is and was not read: "
                "{kinds}",
                "{count} files in class folders are not named as pictures are and were not read: "
                "{kinds}",
                len(others),
                kinds=", ".join(f"{kind} {number}" for kind, number in kinds.most_common()),
            )
        )
    scans = [
        (path, reason)
        for path, member in others.items()
        if (reason := why_passed_over(path, member.head() if member else None))
    ]
    for reason, number in Counter(reason for _, reason in scans).items():
        first = next(path for path, other in scans if other == reason)
        notes.append(
            say_count(
                "{count} of them may be a scan: {path}: {reason}",
                "{count} of them may be scans, such as {path}: {reason}",
                number,
                path=first,
                reason=reason,
            )
        )
    return notes


def _from_arrays(source: Path) -> Found:
    """The parts of OCTMNIST stay as they were published: nothing says whose a scan is."""
    parts = find_arrays(source)
    candidates = tuple(
        Candidate(
            source / part.array / f"{row:06d}",
            CLASSES[label],
            "",
            part.name,
            inside=ArrayRow(source, part.array, row),
        )
        for part in parts
        for row, label in enumerate(part.labels.tolist())
    )
    note = say(
        "OCTMNIST has no patients: its parts stay as they were published, scans of one patient "
        "may stand in several of them, and intervals may be too narrow"
    )
    return Found(candidates, (note,))


def _from_table(source: Path) -> Found:
    rows: dict[tuple[str, str, str], Candidate] = {}
    repeated = []
    for row in read_table(source):
        candidate = _from_row(source, row)
        key = (os.path.abspath(candidate.path), candidate.label, candidate.given)
        if key in rows:
            if rows[key].patient != candidate.patient:
                raise DataError(
                    "{first} and line {number} name one file with different patients; correct one",
                    first=rows[key].where,
                    number=row.number,
                )
            repeated.append(row.number)
        else:
            rows[key] = candidate
    candidates = tuple(rows.values())
    _refuse_shared_patients(source, candidates)
    if not repeated:
        return Found(candidates)
    note = say_count(
        "{count} row names a file again that an earlier row names: line {line}",
        "{count} rows name files again that earlier rows name, such as line {line}",
        len(repeated),
        line=repeated[0],
    )
    return Found(candidates, (note,))


def _from_row(source: Path, row: Row) -> Candidate:
    label, part = row.label.upper(), part_named(row.part)
    if label not in CLASSES:
        raise DataError(
            "{source} line {number}: label {label!r} is none of {classes}; correct or remove the "
            "line",
            source=source,
            number=row.number,
            label=label,
            classes=", ".join(CLASSES),
        )
    if row.part and part not in SPLITS:
        raise DataError(
            "{source} line {number}: split {split!r} is none of {splits}; correct it or leave it "
            "empty",
            source=source,
            number=row.number,
            split=row.part,
            splits=", ".join(SPLITS),
        )
    where = say("{source} line {number}", source=source, number=row.number)
    if row.patient:
        return Candidate(row.path, label, row.patient, part, FROM_TABLE, where)
    patient = patient_of(PurePath(row.path).name) or ""
    return Candidate(row.path, label, patient, part, FROM_NAMES if patient else "", where)


def _refuse_shared_patients(source: Path, candidates: Sequence[Candidate]) -> None:
    homes: dict[str, str] = {}
    for candidate in candidates:
        if not candidate.patient or not candidate.given:
            continue
        home = homes.setdefault(candidate.patient, candidate.given)
        if home != candidate.given:
            raise DataError(
                "{source}: patient {patient} is in {home} and in {given}; give each patient one "
                "split",
                source=source,
                patient=candidate.patient,
                home=home,
                given=candidate.given,
            )
