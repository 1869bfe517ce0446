"""What is taken from a source as it came: parts, a val folder, patients, odd files and folders."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from scan_folders import class_folders, oct2017, records, save

from oct_core import cli
from oct_core.cli.predict import find_files, scan_files
from oct_core.data.manifest import Record, manifest_sha256, read_manifest, write_manifest
from oct_core.data.official import official_test_hashes
from oct_core.data.pack import open_pack, prepare
from oct_core.data.parts import UNCLEAR, part_named
from oct_core.data.patients import summarise_patients
from oct_core.data.sources import find_candidates
from oct_core.data.split import (
    COPY_OF_TEST,
    OFFICIAL_TEST,
    TEST_PATIENT,
    TWO_LABELS,
    VAL_PATIENT,
    SplitOptions,
    split_records,
)
from oct_core.errors import DataError, ScanError
from oct_core.scans import PassedOver, read_scan, walk
from oct_core.types import CLASSES

HALVES = SplitOptions(test_fraction=0.5, val_fraction=0.5)


def given(source: Path) -> Counter[str]:
    return Counter(candidate.given for candidate in find_candidates(source).scans)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, "train") for name in ("train", "Training", "TRAIN", "train_set", "TrainingData")),
        *(
            (name, "val")
            for name in ("val", "Valid", "validation", "DEV", "2.Validation", "valset")
        ),
        *(
            (name, "test")
            for name in ("test", "Testing", "testing ", "01 test-images", "tests", "testdir")
        ),
        *(
            (name, UNCLEAR)
            for name in (
                *("train_val", "trainval", "Evaluation", "test_old", "holdout", "testA", "trainA"),
                *("TestHeidelberg", "OCTtest", "mytest", "evalset", "devel", "tr", "TE", "va"),
            )
        ),
        *((name, "") for name in ("OCT2017", "Valencia", "device", "latest", "p1", "contest", "")),
        ("훈련", "train"),
    ],
)
def test_a_name_says_a_part_or_speaks_of_one_or_says_none(name: str, part: str) -> None:
    assert part_named(name) == part


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("Training", "Valid", "TESTING"), ("train_set", "dev", "test_set"), ("TRAIN", "VAL", "Tst")],
)
def test_folders_named_as_people_name_parts_are_these_parts(
    tmp_path: Path, train: str, val: str, test: str
) -> None:
    raw = tmp_path / "raw"
    for first, name in ((100, train), (200, val), (300, test)):
        class_folders(raw / name, range(first, first + 3), first)
    assert given(raw) == {"train": 12, "val": 12, "test": 12}
    prepare(raw, tmp_path / "out", size=64, workers=1)
    for record in open_pack(tmp_path / "out").records:
        folder = Path(record.path).relative_to(raw).parts[0]
        assert record.split == {train: "train", val: "val", test: "test"}[folder]


def test_a_part_inside_a_class_folder_is_a_part_and_no_patient(tmp_path: Path) -> None:
    for label in CLASSES:
        save(tmp_path / label / "Train" / "a.png", 1)
        save(tmp_path / label / "testing" / "p7" / "b.png", 2)
    found = find_candidates(tmp_path).scans
    assert {(each.path.name, each.given, each.patient) for each in found} == {
        ("a.png", "train", ""),
        ("b.png", "test", "p7"),
    }


@pytest.mark.parametrize("folders", ["train_val/CNV", "evaluation/CNV", "train/test/CNV"])
def test_a_folder_whose_part_is_unclear_is_refused_by_name(tmp_path: Path, folders: str) -> None:
    class_folders(tmp_path / "train", [1, 2])
    save(tmp_path / folders / "CNV-7-1.png", 7)
    with pytest.raises(DataError, match=rf"{folders}: which part .*cannot be told; name"):
        find_candidates(tmp_path)


def val_of(root: Path, per_class: int, name: str = "{label}-{number}-1.png") -> Path:
    class_folders(root / "train", range(100, 103))
    for index, label in enumerate(CLASSES):
        for number in range(per_class):
            save(
                root / "val" / label / name.format(label=label, number=number), 50 * index + number
            )
    return root


@pytest.mark.parametrize(
    ("per_class", "name", "pooled"),
    [
        (8, "{label}-{number}-1.png", True),
        (8, "scan {number}.png", False),
        (7, "{label}-{number}-1.png", False),
        (9, "{label}-{number}-1.png", False),
        (1, "{label}-{number}-1.png", False),
    ],
)
def test_only_the_val_folder_of_oct2017_is_pooled_and_it_says_so(
    tmp_path: Path, per_class: int, name: str, pooled: bool
) -> None:
    found = find_candidates(val_of(tmp_path, per_class, name))
    assert sum(each.given == "val" for each in found.scans) == (0 if pooled else 4 * per_class)
    assert any("OCT2017's own of 32 scans" in note for note in found.notes) == pooled


def test_a_val_folder_of_that_size_under_another_name_stays(tmp_path: Path) -> None:
    val_of(tmp_path, 8)
    (tmp_path / "val").rename(tmp_path / "Valid")
    found = find_candidates(tmp_path)
    assert sum(each.given == "val" for each in found.scans) == 32 and not found.notes


def test_folders_that_hold_several_numbers_are_not_guessed_about(tmp_path: Path) -> None:
    for subject, number in ((1, 1), (1, 2), (2, 3)):
        save(tmp_path / "CNV" / f"subject{subject}" / f"CNV-{number}-1.png", 10 + number)
    with pytest.raises(DataError, match="whether a folder or a number is a patient"):
        find_candidates(tmp_path)
    shutil.rmtree(tmp_path / "CNV" / "subject2")
    assert {each.patient for each in find_candidates(tmp_path).scans} == {"1", "2"}


def test_one_file_under_two_patients_stops_with_both_lines(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 1)
    table = tmp_path / "t.csv"
    table.write_text("path,label,patient\na.png,CNV,1\na.png,CNV,2\n")
    with pytest.raises(DataError, match=r"t\.csv line 2 and line 3 name one file"):
        find_candidates(table)


def test_a_given_val_part_stays_and_its_patients_leave_train() -> None:
    rows = records(["1", "2", "1", "3", "4", "2"], ["CNV"] * 6)
    split = split_records(rows, ["val", "val", "train", "train", "test", "test"], SplitOptions())
    assert [(record.path, record.split) for record in split.records] == [
        ("0.png", "val"),
        ("3.png", "train"),
        ("4.png", "test"),
        ("5.png", "test"),
    ]
    assert [(record.path, why) for record, why in split.left_out] == [
        ("1.png", TEST_PATIENT),
        ("2.png", VAL_PATIENT),
    ]


def test_a_test_part_is_never_drawn_from_a_given_val_part() -> None:
    rows = records([str(i) for i in range(200)], [CLASSES[i % 4] for i in range(200)])
    split = split_records(rows, ["val"] * 40 + [""] * 160, SplitOptions())
    places = {record.path: record.split for record in split.records}
    assert {places[f"{i}.png"] for i in range(40)} == {"val"}
    assert Counter(places[f"{i}.png"] for i in range(40, 200)) == {"test": 32, "train": 128}
    assert split.left_out == ()


def official(path: str, place: int, patient: str) -> Record:
    return Record(path, "CNV", patient, sorted(official_test_hashes())[place], 9, 9)


def test_copies_of_test_scans_and_official_images_leave_train_and_val() -> None:
    rows = [
        Record("test", "CNV", "1", "x", 9, 9),
        Record("copy in train", "CNV", "2", "x", 9, 9),
        Record("copy in val", "CNV", "3", "x", 9, 9),
        official("official in train", 0, "4"),
        official("official in val", 1, "5"),
        official("official in test", 2, "6"),
        Record("train", "CNV", "7", "y", 9, 9),
        Record("val", "CNV", "8", "z", 9, 9),
    ]
    parts = ["test", "train", "val", "train", "val", "test", "train", "val"]
    split = split_records(rows, parts, SplitOptions())
    assert {record.path: record.split for record in split.records} == {
        "test": "test",
        "official in test": "test",
        "train": "train",
        "val": "val",
    }
    assert {record.path: why for record, why in split.left_out} == {
        "copy in train": COPY_OF_TEST,
        "copy in val": COPY_OF_TEST,
        "official in train": OFFICIAL_TEST,
        "official in val": OFFICIAL_TEST,
    }
    kept = split_records(rows, parts, SplitOptions(keep_copies=True))
    assert len(kept.records) == len(rows) and not kept.left_out


def test_copies_across_a_drawn_test_part_leave_too_and_official_images_may_stay() -> None:
    rows = records([str(i) for i in range(100)], [CLASSES[i % 4] for i in range(100)])
    twins = [Record(f"twin {r.path}", r.label, f"t{r.patient}", r.sha256, 9, 9) for r in rows]
    rows = [*rows, *twins, official("official", 0, "o")]
    split = split_records(rows, [""] * len(rows), SplitOptions())
    homes: dict[str, set[str]] = {}
    for record in split.records:
        homes.setdefault(record.sha256, set()).add(record.split)
    assert all("test" not in parts or parts == {"test"} for parts in homes.values())
    assert split.left_out and {why for _, why in split.left_out} == {COPY_OF_TEST}
    assert any(record.path == "official" for record in split.records)


def test_prepare_drops_a_copy_counts_it_and_leaves_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = oct2017(tmp_path / "raw")
    copy = raw / "train" / "CNV" / "CNV-77-1.png"
    copy.write_bytes((raw / "test" / "CNV" / "CNV-9-1.png").read_bytes())
    arguments = ["prepare", str(raw), "--out", str(tmp_path / "out"), "--size", "64"]
    assert cli.main([*arguments, "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "1 scan was left out, because their bytes are those of a scan of the test part" in said
    assert "4 scans were left out, because their patients are in the test part" in said
    assert str(copy) not in {record.path for record in open_pack(tmp_path / "out").records}
    assert copy.is_file()
    kept = [*arguments[:3], str(tmp_path / "kept"), "--size", "64", "--workers", "1"]
    assert cli.main([*kept, "--keep-copies"]) == 0
    assert str(copy) in {record.path for record in open_pack(tmp_path / "kept").records}
    assert "the same picture stands in several parts" in capsys.readouterr().err


def test_one_scan_under_two_labels_stops_with_both_rows_named(tmp_path: Path) -> None:
    raw = class_folders(tmp_path / "raw", [1, 2, 3, 4])
    (raw / "DME" / "DME-7-1.png").write_bytes((raw / "CNV" / "CNV-1-1.png").read_bytes())
    names = r"CNV/CNV-1-1\.png is CNV, and the same picture .*DME/DME-7-1\.png is DME"
    with pytest.raises(DataError, match=names):
        prepare(raw, tmp_path / "out", HALVES, size=64, workers=1)
    assert not (tmp_path / "out").exists()
    options = SplitOptions(test_fraction=0.5, val_fraction=0.5, drop_conflicts=True)
    report = prepare(raw, tmp_path / "out", options, size=64, workers=1)
    assert [Path(path).name for path in report.left_out_files[TWO_LABELS]] == [
        "CNV-1-1.png",
        "DME-7-1.png",
    ]
    assert len(open_pack(tmp_path / "out").records) == 15
    rows = [f"{path},{path.parent.name}" for path in sorted((raw / "CNV").iterdir())]
    table = tmp_path / "rows.csv"
    table.write_text("\n".join(["path,label", *rows, f"{raw / 'CNV' / 'CNV-1-1.png'},normal"]))
    with pytest.raises(DataError, match=r"line 2: .* is CNV, .*line 6: .* is NORMAL"):
        prepare(table, tmp_path / "again", HALVES, size=64, workers=1)


def test_folders_of_patients_inside_a_class_folder_are_patients(tmp_path: Path) -> None:
    for label in CLASSES:
        for patient in ("p1", "p2"):
            save(tmp_path / label / patient / "left" / "001.png", 1)
            save(tmp_path / label / patient / "right" / "001.png", 2)
        save(tmp_path / label / "p3" / f"{label}-12-1.png", 3)
    found = find_candidates(tmp_path).scans
    assert Counter((each.patient, each.told_by) for each in found) == {
        ("p1", "folders"): 8,
        ("p2", "folders"): 8,
        ("12", "file names"): 4,
    }


def test_the_pattern_patients_scans_of_each_and_examples_are_told(tmp_path: Path) -> None:
    for number in range(1, 4):
        save(tmp_path / "CNV" / f"CNV-12-{number}.png", number)
    save(tmp_path / "CNV" / "CNV-13-1.png", 5)
    save(tmp_path / "DME" / "p1" / "001.png", 6)
    save(tmp_path / "DME" / "scan-2008-01-10.png", 7)
    summary = summarise_patients(find_candidates(tmp_path).scans)
    assert summary.told_by == {"file names": 4, "folders": 1, "": 1}
    assert (summary.patients, summary.scans_each) == (3, (1, 1.0, 3))
    names, folders, none, total = summary.sentences()
    assert names.startswith("patients of 4 scans from names CLASS-PATIENT-NUMBER")
    assert "CNV-12-1.png -> 12" in names and "CNV-13-1.png -> 13" in names
    assert "DME/p1/001.png -> p1" in folders
    assert "no patient number" in none and "scan-2008-01-10.png -> none" in none
    assert total == "3 patients; scans each: 1 to 3, median 1"


def test_hidden_folders_are_skipped_and_counted_by_prepare_and_predict(tmp_path: Path) -> None:
    class_folders(tmp_path, [1])
    for name in (".ipynb_checkpoints", "@eaDir/CNV-1-1.png", "#recycle", "__MACOSX"):
        save(tmp_path / "CNV" / name / "CNV-5-1.png", 9)
    found = find_candidates(tmp_path)
    assert len(found.scans) == 4
    assert found.notes[0].startswith("4 hidden folders were passed over, such as ")
    predicted = find_files([tmp_path])
    assert len(predicted.files) == 4 and len(predicted.folders.hidden) == 4
    hidden = save(tmp_path / ".own" / "CNV" / "a.png", 1).parent.parent
    assert len(find_candidates(hidden).scans) == 1, "what was asked for is looked into"


def test_links_are_followed_and_loops_noticed(tmp_path: Path) -> None:
    class_folders(tmp_path / "real", [1, 2])
    linked = tmp_path / "linked"
    linked.mkdir()
    for label in CLASSES:
        (linked / label).symlink_to(tmp_path / "real" / label)
    (linked / "up").symlink_to(tmp_path)
    (tmp_path / "real" / "CNV" / "loop").symlink_to(tmp_path / "real" / "CNV")
    (tmp_path / "real" / "CNV" / "self.png").symlink_to("self.png")
    found = find_candidates(linked)
    assert len([each for each in found.scans if each.path.name != "self.png"]) == 8
    assert any("searched once only" in note for note in found.notes)
    assert len(scan_files([linked])) == 9
    (tmp_path / "real" / "CNV" / "back").symlink_to(tmp_path / "real")
    paths = [each.path for each in find_candidates(tmp_path / "real").scans]
    assert len(paths) == 9 and all("back" not in path.parts for path in paths)
    (tmp_path / "real" / "CNV" / "back").unlink()
    passed = PassedOver()
    assert len(list(walk(tmp_path / "real" / "CNV", passed))) == 1
    assert [path.name for path in passed.again] == ["loop"]


def test_a_folder_linked_under_two_labels_is_no_loop_but_two_labels(tmp_path: Path) -> None:
    class_folders(tmp_path / "raw", [1, 2, 3, 4])
    (tmp_path / "raw" / "DME" / "more").symlink_to(tmp_path / "raw" / "CNV")
    with pytest.raises(DataError, match=r"CNV-1-1\.png is CNV, and .*CNV-1-1\.png is DME"):
        prepare(tmp_path / "raw", tmp_path / "out", HALVES, size=64, workers=1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_pipes_sockets_locked_and_broken_files_never_stop_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = class_folders(tmp_path / "raw", [1, 2, 3, 4])
    os.mkfifo(raw / "CNV" / "CNV-7-1.png")
    (raw / "CNV" / "CNV-7-2.png").symlink_to(tmp_path / "gone.png")
    (raw / "CNV" / "CNV-7-4.png").symlink_to("/dev/zero")
    monkeypatch.chdir(raw / "CNV")  # the address of a socket is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("CNV-7-3.png")
        report = prepare(raw, tmp_path / "out", HALVES, size=64, workers=1)
    reasons = {Path(path).name: why for path, why in report.unreadable}
    assert sorted(reasons) == [f"CNV-7-{number}.png" for number in range(1, 5)]
    for number in (1, 3, 4):
        assert reasons[f"CNV-7-{number}.png"].startswith("this is not a file but a folder, a pipe")
    assert "cannot be opened" in reasons["CNV-7-2.png"]
    assert len(open_pack(tmp_path / "out").records) == 16
    with pytest.raises(ScanError, match="this is not a file"):
        read_scan(raw / "CNV" / "CNV-7-1.png")


def test_a_folder_that_cannot_be_opened_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_folders(tmp_path, [1, 2])
    save(tmp_path / "CNV" / "locked" / "a.png", 1)
    scandir = os.scandir

    def refusing(path: Path) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("os.scandir", refusing)
    found = find_candidates(tmp_path)
    assert len(found.scans) == 8
    assert "1 folder could not be opened" in found.notes[0] and "Permission" in found.notes[0]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_utf_8_or_break_lines_keep_their_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = class_folders(tmp_path / "raw", range(1, 13))
    for number, name in enumerate((b"\xc8\xaf\xc0\xda01.png", b"a\rb.png", b"a\nb.png")):
        save(raw / "CNV" / os.fsdecode(name), 900 + number)
    save(raw / "CNV" / os.fsdecode(b"\xc0\xda") / "001.png", 950)
    arguments = ["prepare", str(raw), "--out", str(tmp_path / "out"), "--size", "64"]
    assert cli.main([*arguments, "--workers", "1"]) == 0
    rows = open_pack(tmp_path / "out").records
    assert len(rows) == 52 and all(Path(record.path).is_file() for record in rows)
    assert {"\\xc0\\xda"} == {record.patient for record in rows if "001.png" in record.path}
    assert "no patient number" in capsys.readouterr().out
    odd = [Record(os.fsdecode(b"\xc8\r.png"), "CNV", os.fsdecode(b"\xc8"), "x", 9, 9, "train")]
    write_manifest(tmp_path / "odd.csv", odd)
    assert read_manifest(tmp_path / "odd.csv") == tuple(odd) and manifest_sha256(odd)


def test_pictures_and_files_that_are_not_read_are_counted(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", [1, 2])
    save(tmp_path / "unsorted" / "a.png", 1)
    (tmp_path / "train" / "CNV" / "CNV-3-1.xyz").write_bytes(b"x")
    for number in (1, 2):
        dicom = bytes(128) + b"DICM" + bytes(200)
        (tmp_path / "train" / "DME" / f"DME-3-{number}.dcm").write_bytes(dicom)
    (tmp_path / "train" / "CNV" / "Thumbs.db").write_bytes(b"x")
    unlabelled, others, foreign = find_candidates(tmp_path).notes
    assert unlabelled.startswith("1 picture lies in no class folder and was not read: ")
    assert others.endswith("are not named as pictures are and were not read: .dcm 2, .xyz 1")
    assert foreign.startswith("2 of them may be scans, such as ") and "a DICOM file" in foreign
    save(tmp_path / "train" / "AMD" / "p1" / "001.png", 1)
    with pytest.raises(DataError, match="the label 'AMD' is none of CNV, DME, DRUSEN, NORMAL"):
        find_candidates(tmp_path)


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), OSError(11, "no more")])
def test_where_the_pool_takes_no_work_one_process_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refusing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor.map", refusing)
    raw = class_folders(tmp_path / "raw", [1, 2, 3, 4])
    [note] = prepare(raw, tmp_path / "out", HALVES, size=64, workers=2).notes
    assert str(error) in note and len(open_pack(tmp_path / "out").records) == 16
    error = BrokenProcessPool("killed at once")
    with pytest.raises(DataError, match="a process that reads scans was stopped"):
        prepare(raw, tmp_path / "again", HALVES, size=64, workers=2)


@pytest.mark.skipif(sys.platform != "linux", reason="what /dev/shm is for is a thing of Linux")
def test_without_a_usable_dev_shm_one_process_reads_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("_multiprocessing.SemLock", refusing)
    raw = class_folders(tmp_path / "raw", [1, 2, 3, 4])
    report = prepare(raw, tmp_path / "out", HALVES, size=64, workers=2)
    assert len(open_pack(tmp_path / "out").records) == 16
    [note] = report.notes
    assert "Read-only file system" in note and "one alone read the scans" in note


def test_splitting_where_no_process_can_be_started_says_nothing_of_it() -> None:
    text = (
        "import _multiprocessing\n"
        "def refuse(*a, **k): raise OSError(30, 'Read-only file system')\n"
        "_multiprocessing.SemLock = refuse\n"
        "from oct_core.data.manifest import Record\n"
        "from oct_core.data.split import held_out\n"
        "rows = [Record(str(i), 'CNV', str(i), str(i), 9, 9) for i in range(20)]\n"
        "print(held_out(rows, 0.2, 0).sum())\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "4" and not done.stderr
