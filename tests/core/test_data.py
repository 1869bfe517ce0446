"""prepare: layouts, patients, splits, bad files, and what is refused."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import tracemalloc
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scan_folders import class_folders, oct2017, records, save

from oct_core.data.manifest import Record, count, manifest_sha256, patient_of
from oct_core.data.pack import REPORT, open_pack, prepare
from oct_core.data.sources import find_candidates
from oct_core.data.split import TEST_PATIENT, SplitOptions, held_out, split_records
from oct_core.errors import DataError
from oct_core.scans.preprocess import NEWEST, Preprocessing
from oct_core.types import CLASSES

HALVES = SplitOptions(test_fraction=0.5, val_fraction=0.5)


def homes(found: Sequence[Record]) -> dict[str, set[str]]:
    """patient -> the splits it is in."""
    table = defaultdict(set)
    for record in found:
        table[record.patient].add(record.split)
    return table


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("scan-2008-01-10.png", None),
        ("CNV-2008-01-10.png", None),
        ("CNV-2008-01-10_11h.png", None),
        ("eye-12-3.png", None),
        ("CNV-12-3 (1).jpeg", "12"),
        ("CNV-12-3 - Copy (2).jpeg", "12"),
        ("CNV-12-3_flipped.jpeg", "12"),
        ("CNV-12-3-4.jpeg", None),
        ("CNV-1016042-3.jpeg", "1016042"),
        ("DRUSEN-1016042-11.png", "1016042"),
        ("normal-5-1.tif", "5"),
        ("scan.png", None),
        ("CNV-1016042.jpeg", None),
        ("CNV-a1-2.jpeg", None),
        ("1016042-3.jpeg", None),
    ],
)
def test_the_patient_is_the_bare_number_in_the_middle(name: str, patient: str | None) -> None:
    assert patient_of(name) == patient


@pytest.mark.parametrize("inside", [".", "OCT2017", "OCT2017 ", "a/b/OCT2017 "])
def test_the_oct2017_layout_is_found_at_any_depth(tmp_path: Path, inside: str) -> None:
    oct2017(tmp_path / inside)
    (tmp_path / inside / "train" / "CNV" / "._CNV-1-1.png").write_bytes(b"left by a Mac")
    (tmp_path / inside / "train" / "CNV" / "notes.txt").write_text("no picture")
    found = find_candidates(tmp_path).scans
    assert len(found) == 4 * 8
    assert {
        given: sum(candidate.given == given for candidate in found)
        for given in ("train", "val", "test")
    } == {
        "train": 20,
        "val": 4,
        "test": 8,
    }
    assert all(candidate.label == candidate.path.parent.name for candidate in found)
    assert found == find_candidates(tmp_path).scans, "the order is stable"


def test_a_plain_folder_has_no_given_split_and_takes_any_case(tmp_path: Path) -> None:
    class_folders(tmp_path, [1, 2])
    (tmp_path / "CNV").rename(tmp_path / "cnv ")
    found = find_candidates(tmp_path).scans
    assert {candidate.given for candidate in found} == {""}
    assert sorted({candidate.label for candidate in found}) == sorted(CLASSES)


def test_a_test_folder_stays_and_its_patients_leave_the_pool_counted_per_class(
    tmp_path: Path,
) -> None:
    report = prepare(
        oct2017(tmp_path / "raw"),
        tmp_path / "out",
        SplitOptions(val_fraction=0.5),
        size=64,
        workers=1,
    )
    pack = open_pack(tmp_path / "out")
    test = {
        Path(record.path).relative_to(tmp_path / "raw").parts[0]
        for record in pack.records
        if record.split == "test"
    }
    assert test == {"test"} and report.counts["test"]["CNV"] == {"images": 2, "patients": 2}
    assert report.left_out == {TEST_PATIENT: dict.fromkeys(CLASSES, 1)}
    assert [Path(path).name for path in report.left_out_files[TEST_PATIENT]] == [
        f"{label}-1-1.png" for label in CLASSES
    ]
    assert all(len(parts) == 1 for parts in homes(pack.records).values())
    assert len(pack.records) == 32 - 4


def test_a_csv_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("path,label\nä.png,CNV\n".encode("latin-1"))
    with pytest.raises(DataError, match="is not UTF-8"):
        find_candidates(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("path,label\n")
    with pytest.raises(DataError, match="no row below its header"):
        find_candidates(tmp_path / "b.csv")


def test_a_full_disk_leaves_no_half_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders(tmp_path / "raw", range(12))

    def full(path: Path, rows: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("oct_core.data.pack.write_manifest", full)
    with pytest.raises(DataError, match="No space left on device"):
        prepare(tmp_path / "raw", tmp_path / "out", HALVES, size=64, workers=1)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob("*.part"))
    monkeypatch.undo()
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "pack.npy").write_bytes(b"left by a kill")
    prepare(tmp_path / "raw", tmp_path / "out", HALVES, size=64, workers=1)
    assert (
        open_pack(tmp_path / "out").pixels.shape == (48, 64, 64)
        and not (tmp_path / "out.part").exists()
    )


def test_what_is_not_our_own_is_not_removed(tmp_path: Path) -> None:
    class_folders(tmp_path / "raw", range(12))
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds other files; move it away"):
        prepare(tmp_path / "raw", tmp_path / "out", HALVES, size=64, workers=1)
    assert (tmp_path / "out.part" / "notes.txt").read_text() == "mine"


def _killed(task: object) -> None:
    os._exit(9)


def only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system starts one process more and no second."""
    start, left = multiprocessing.process.BaseProcess.start, [True]

    def limited(process: multiprocessing.process.BaseProcess) -> None:
        if not left:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        left.pop()
        start(process)

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", limited)


def test_processes_that_are_killed_or_not_started_are_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = oct2017(tmp_path / "raw")
    with monkeypatch.context() as broken:
        broken.setattr("oct_core.data.pack._read_one", _killed)
        with pytest.raises(
            DataError, match=r"a process that reads scans was stopped, .*--workers 1"
        ):
            prepare(raw, tmp_path / "out", HALVES, size=64, workers=2)
    only_one(monkeypatch)
    [note] = prepare(raw, tmp_path / "out", HALVES, size=64, workers=2).notes
    assert note.startswith("the system starts no 2 processes (") and "one alone read" in note
    alone = prepare(raw, tmp_path / "alone", HALVES, size=64, workers=1)
    assert not alone.notes
    np.testing.assert_array_equal(
        open_pack(tmp_path / "out").pixels, open_pack(tmp_path / "alone").pixels
    )
    for started in multiprocessing.active_children():
        started.join(20)
    assert not multiprocessing.active_children(), (
        "one that waits for work would hold up the end of the program"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "out", "raw"]


def test_the_pixels_of_a_folder_are_never_all_in_memory(tmp_path: Path) -> None:
    class_folders(tmp_path / "raw", range(20))
    prepare(
        tmp_path / "raw", tmp_path / "warm", HALVES, size=64, workers=1
    )  # imports and caches come first
    tracemalloc.start()
    try:
        prepare(tmp_path / "raw", tmp_path / "out", HALVES, size=224, workers=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (tmp_path / "out" / "pack.npy").stat().st_size / 2


def test_repool_forgets_what_was_given(tmp_path: Path) -> None:
    report = prepare(
        oct2017(tmp_path / "raw"),
        tmp_path / "out",
        replace(HALVES, repool=True),
        size=64,
        workers=1,
    )
    pack = open_pack(tmp_path / "out")
    assert len(pack.records) == 32 and not report.left_out
    assert all(len(parts) == 1 for parts in homes(pack.records).values())
    from_test_folder = {
        record.split
        for record in pack.records
        if Path(record.path).relative_to(tmp_path / "raw").parts[0] == "test"
    }
    assert from_test_folder != {"test"} or report.counts["test"]["CNV"]["images"] != 2


def test_the_seed_decides_the_split() -> None:
    rows = records([str(i // 3) for i in range(300)], [CLASSES[i % 4] for i in range(300)])
    first, again, other = (
        split_records(rows, [""] * 300, SplitOptions(seed=seed)).records for seed in (1, 1, 2)
    )
    assert first == again
    assert [record.split for record in first] != [record.split for record in other]


@pytest.mark.parametrize("fraction", [0.1, 0.15, 0.2, 0.3, 0.4, 0.5])
def test_the_held_out_part_has_the_fraction_asked_for_whole_patients_and_the_classes(
    fraction: float,
) -> None:
    generator = np.random.default_rng(0)
    patients = [str(patient) for patient in range(400) for _ in range(generator.integers(1, 5))]
    rows = records(
        patients, [CLASSES[i] for i in generator.choice(4, len(patients), p=[0.4, 0.1, 0.1, 0.4])]
    )
    out = held_out(rows, fraction, 0)
    assert out.mean() == pytest.approx(fraction, abs=0.02)
    labels = np.array([record.label for record in rows])
    for label in CLASSES:
        assert (labels[out] == label).mean() == pytest.approx((labels == label).mean(), abs=0.04)
    inside = {record.patient for record, held in zip(rows, out, strict=True) if held}
    assert not inside & {record.patient for record, held in zip(rows, out, strict=True) if not held}


@pytest.mark.parametrize("fraction", [0, -0.1, 0.6, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(DataError, match=r"test_fraction must be over 0 and at most 0\.5"):
        SplitOptions(test_fraction=fraction)


def test_too_few_patients_or_scans_say_so() -> None:
    with pytest.raises(DataError, match="3 patients are too few to hold out 20%"):
        held_out(records(["a", "b", "c"], ["CNV"] * 3), 0.2, 0)
    with pytest.raises(DataError, match="no class has the 5 scans"):
        held_out(records(list("abcdefgh"), list(CLASSES) * 2), 0.2, 0)


def test_pack_and_manifest_hold_every_scan_once(tmp_path: Path) -> None:
    seen = []
    report = prepare(
        class_folders(tmp_path / "raw", [1, 2, 3, 4]),
        tmp_path / "out",
        HALVES,
        size=64,
        workers=1,
        progress=lambda *at: seen.append(at),
    )
    pack = open_pack(tmp_path / "out")
    assert seen == [(done, 16) for done in range(1, 17)]
    assert (
        pack.pixels.dtype == np.uint8
        and pack.pixels.shape == (16, 64, 64)
        and isinstance(pack.pixels, np.memmap)
    )
    for row, record in enumerate(pack.records):
        data = Path(record.path).read_bytes()
        assert record.sha256 == hashlib.sha256(data).hexdigest() and (
            record.width,
            record.height,
        ) == (80, 72)
        np.testing.assert_array_equal(
            pack.pixels[row], Preprocessing(64).prepare(np.asarray(Image.open(record.path)))
        )
        assert CLASSES[pack.labels[row]] == record.label
    assert sorted(np.concatenate([pack.rows(split) for split in ("train", "val", "test")])) == list(
        range(16)
    )
    assert report.counts == count(pack.records) and report.manifest_sha256 == manifest_sha256(
        pack.records
    )
    assert json.loads((tmp_path / "out" / REPORT).read_text())["counts"] == report.counts
    with pytest.raises(ValueError, match="read-only"):
        pack.pixels[0] = 0


def test_a_prepared_folder_says_by_which_preprocessing_it_was_made(tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(class_folders(tmp_path / "raw", [1, 2, 3, 4]), out, HALVES, size=64, workers=1)
    made = json.loads((out / REPORT).read_text())
    assert made["preprocessing_version"] == open_pack(out).preprocessing_version == NEWEST
    (out / REPORT).write_text(json.dumps(made | {"preprocessing_version": 99}))
    with pytest.raises(
        DataError, match="version 99 of the preprocessing, this program knows 1, 2;"
    ):
        open_pack(out)
    (out / REPORT).write_text("{")
    with pytest.raises(DataError, match=r"prepare\.json cannot be read"):
        open_pack(out)
    (out / REPORT).unlink()  # the first version had no number
    assert open_pack(out).preprocessing_version == 1


def test_names_without_a_patient_number_are_patients_of_their_own(tmp_path: Path) -> None:
    for index, label in enumerate(CLASSES):
        for number in range(4):
            save(tmp_path / "raw" / label / f"scan {number}.png", 100 * index + number)
    report = prepare(tmp_path / "raw", tmp_path / "out", HALVES, size=64, workers=1)
    assert report.patients.told_by == {"": 16}
    assert len({record.patient for record in open_pack(tmp_path / "out").records}) == 16


def test_unreadable_files_are_listed_with_the_reason_and_left_out(tmp_path: Path) -> None:
    raw = class_folders(tmp_path / "raw", [1, 2, 3, 4])
    whole = (raw / "CNV" / "CNV-1-1.png").read_bytes()
    bad = {
        "CNV-8-1.png": b"",
        "CNV-8-2.png": whole[: len(whole) // 2],
        "CNV-8-3.jpeg": b"no picture at all" * 9,
    }
    for name, data in bad.items():
        (raw / "CNV" / name).write_bytes(data)
    report = prepare(raw, tmp_path / "out", HALVES, size=64, workers=1)
    reasons = {Path(path).name: reason for path, reason in report.unreadable}
    assert set(reasons) == set(bad)
    assert (
        "empty" in reasons["CNV-8-1.png"]
        and "cut off" in reasons["CNV-8-2.png"]
        and "not" in reasons["CNV-8-3.jpeg"]
    )
    assert len(open_pack(tmp_path / "out").records) == 16


@pytest.mark.parametrize("occupied", ["folder", "file"])
def test_nothing_of_the_users_is_written_over(tmp_path: Path, occupied: str) -> None:
    out = tmp_path / "out"
    mine = out / "mine.txt" if occupied == "folder" else out
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(DataError, match="not empty; nothing is written over"):
        prepare(class_folders(tmp_path / "raw", [1, 2, 3, 4]), out, HALVES, size=64, workers=1)
    assert mine.read_text() == "mine" and len(list(tmp_path.rglob("*.npy"))) == 0


def test_the_source_is_left_as_it_was(tmp_path: Path) -> None:
    raw = class_folders(tmp_path / "raw", [1, 2, 3, 4])
    before = {path: path.read_bytes() for path in raw.rglob("*.png")}
    prepare(raw, tmp_path / "out", HALVES, size=64, workers=1)
    assert {path: path.read_bytes() for path in raw.rglob("*") if path.is_file()} == before


def test_an_empty_class_is_named_and_nothing_written(tmp_path: Path) -> None:
    raw = class_folders(tmp_path / "raw", [1, 2, 3, 4])
    for path in (raw / "DRUSEN").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no scan of class DRUSEN is left for the train part"):
        prepare(raw, tmp_path / "out", HALVES, size=64, workers=1)
    assert not (tmp_path / "out").exists()


def test_a_class_folder_outside_the_four_is_named(tmp_path: Path) -> None:
    raw = class_folders(tmp_path / "raw", [1, 2])
    save(raw / "GLAUCOMA" / "GLAUCOMA-1-1.png", 1)
    with pytest.raises(DataError, match="the label 'GLAUCOMA' is none of CNV, DME, DRUSEN, NORMAL"):
        find_candidates(raw)


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_classes_or_no_folder_says_what_is_expected(
    tmp_path: Path, made: bool
) -> None:
    source = tmp_path / "nothing"
    if made:
        source.mkdir()
    with pytest.raises(DataError, match="CNV, DME, DRUSEN, NORMAL"):
        find_candidates(source)
