"""Sources that are one file: a ZIP archive of class folders, and OCTMNIST's arrays."""

from __future__ import annotations

import hashlib
import pickle
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scan_folders import class_folders, oct2017, save

from oct_core import cli
from oct_core.data import archives
from oct_core.data.archives import ArrayRow, find_arrays
from oct_core.data.audit import audit
from oct_core.data.audit_page import audit_page
from oct_core.data.manifest import Record
from oct_core.data.pack import open_pack, prepare
from oct_core.data.parts import SPLITS
from oct_core.data.reading import find_again
from oct_core.data.sources import find_candidates
from oct_core.data.split import SplitOptions
from oct_core.errors import DataError, ScanError
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import Preprocessing
from oct_core.trust.report_items import validation_items
from oct_core.types import CLASSES

HALVES = SplitOptions(test_fraction=0.5, val_fraction=0.5)


def zip_of(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder).as_posix())
    return archive


def unplaced(records: tuple[Record, ...], root: Path) -> list[tuple[object, ...]]:
    """What the rows say, whatever lies above ``root``."""
    return [
        (Path(r.path).relative_to(root), r.label, r.patient, r.sha256, r.width, r.split)
        for r in records
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_zip_is_prepared_as_the_folder_in_it(tmp_path: Path, workers: int) -> None:
    raw = tmp_path / "raw"
    oct2017(raw / "OCT2017 ")
    save(raw / "__MACOSX" / "OCT2017 " / "train" / "CNV" / "a.png", 5)
    (raw / "OCT2017 " / "train" / "CNV" / "notes.txt").write_text("no picture")
    (raw / "OCT2017 " / "train" / "DME" / "DME-3-9.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    archive = zip_of(raw, tmp_path / "archive.ZIP")
    options = SplitOptions(val_fraction=0.5)
    folder_report = prepare(raw, tmp_path / "one", options, size=64, workers=1)
    report = prepare(archive, tmp_path / "two", options, size=64, workers=workers)
    one, two = open_pack(tmp_path / "one"), open_pack(tmp_path / "two")
    assert unplaced(one.records, raw) == unplaced(two.records, archive)
    np.testing.assert_array_equal(one.pixels, two.pixels)
    [(path, reason)] = report.unreadable
    assert path == str(archive / "OCT2017 " / "train" / "DME" / "DME-3-9.png")
    assert reason == folder_report.unreadable[0][1]
    hidden, others = report.notes
    assert hidden.startswith("1 hidden folder was passed over: ") and ".txt 1" in others
    again = find_again(two.records[0].path)
    assert again.record.sha256 == two.records[0].sha256


def test_a_zip_holds_a_tree_twice_and_it_is_taken_once(tmp_path: Path) -> None:
    class_folders(tmp_path / "raw" / "OCT2017 " / "train", [1, 2])
    class_folders(tmp_path / "raw" / "oct2017" / "OCT2017 " / "train", [1, 2])
    save(tmp_path / "raw" / "oct2017" / "OCT2017 " / "train" / "CNV" / "CNV-1-1.png", 77)
    found = find_candidates(zip_of(tmp_path / "raw", tmp_path / "a.zip"))
    assert len(found.scans) == 9 and found.notes[0].startswith("7 scans lie twice")


def test_what_is_wrong_with_a_zip_is_said(tmp_path: Path) -> None:
    archive = zip_of(class_folders(tmp_path / "raw", [1, 2, 3, 4]), tmp_path / "a.zip")
    data = archive.read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"cut\.zip cannot be read .*download it again"):
        find_candidates(tmp_path / "cut.zip")
    at = data.index(b"IDAT") + 100
    (tmp_path / "hole.zip").write_bytes(data[:at] + bytes(300) + data[at + 300 :])
    report = prepare(tmp_path / "hole.zip", tmp_path / "out", HALVES, size=64, workers=1)
    [(path, reason)] = report.unreadable
    assert path.endswith("hole.zip/CNV/CNV-1-1.png")
    assert reason.startswith("the file in the ZIP archive cannot be read (") and "unpack" in reason
    with zipfile.ZipFile(tmp_path / "large.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("CNV/CNV-1-1.png", bytes(40 * 2**20))
        file.writestr("../CNV/CNV-2-1.png", b"out of the archive")
    found = find_candidates(tmp_path / "large.zip")
    assert found.notes[0].startswith("1 file of the archive leads out of it and was passed over: ")
    [candidate] = found.scans
    assert candidate.inside is not None
    with pytest.raises(ScanError, match=r"the file has 40\.0 MB, more than the 32 MB"):
        candidate.inside.read()
    (tmp_path / "b.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match=r"neither a folder nor a \.csv manifest, a \.zip"):
        find_candidates(tmp_path / "b.tar.gz")


def test_a_zip_tells_of_scans_with_other_names_as_the_folder_does(tmp_path: Path) -> None:
    raw = class_folders(tmp_path / "raw", [1])
    Image.fromarray(make_phantom("CNV", 5, 96, 128).pixels).save(raw / "CNV" / "IMAGE", "TIFF")
    (raw / "DME" / "scan.dcm").write_bytes(bytes(128) + b"DICM" + bytes(200))
    archive = zip_of(raw, tmp_path / "a.zip")
    notes = find_candidates(archive).notes
    assert len(notes) == 3 and "TIFF picture by its content" in "".join(notes)
    assert notes == tuple(
        note.replace(str(raw), str(archive)) for note in find_candidates(raw).notes
    )


def test_members_are_found_again_however_they_are_written(tmp_path: Path) -> None:
    raw = class_folders(tmp_path / "raw", [1, 2])
    ways = {"CNV": "./CNV/{}", "DME": "data\\DME\\{}", "DRUSEN": "/DRUSEN/{}"}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for path in sorted(raw.glob("*/*.png")):
            file.writestr(
                ways.get(path.parent.name, "NORMAL/{}").format(path.name), path.read_bytes()
            )
    found = find_candidates(tmp_path / "a.zip")
    assert Counter(each.label for each in found.scans) == dict.fromkeys(CLASSES, 2)
    for each in found.scans:
        expected = np.asarray(Image.open(raw / each.label / each.path.name))
        np.testing.assert_array_equal(find_again(str(each.path)).scan.pixels, expected)


def test_a_zip_of_a_newer_kind_is_refused(tmp_path: Path) -> None:
    archive = zip_of(class_folders(tmp_path / "raw", [1]), tmp_path / "a.zip")
    data = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        data[file.start_dir + 6] = 99  # the version needed to unpack it
    archive.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.zip is a ZIP archive of a kind .* unpack it"):
        find_candidates(archive)


def test_where_nothing_or_too_little_can_be_read_the_reason_is_said(tmp_path: Path) -> None:
    archive = zip_of(class_folders(tmp_path / "raw", [1, 2, 3, 4]), tmp_path / "a.zip")
    data = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        at = file.start_dir
    locked = data.copy()
    while (at := locked.find(b"PK\x01\x02", at)) >= 0:
        locked[at + 8] |= 1  # encrypted
        at += 4
    (tmp_path / "locked.zip").write_bytes(locked)
    with pytest.raises(DataError, match=r"no scan can be read; .*CNV-1-1\.png: .*password"):
        prepare(tmp_path / "locked.zip", tmp_path / "out", HALVES, size=64, workers=1)
    for path in (tmp_path / "raw" / "DME").iterdir():
        path.write_bytes(b"no picture")
    words = r"no scan of class DME .* \(files that could not be read: 4, the first .*DME-1-1\.png: "
    with pytest.raises(DataError, match=words):
        prepare(tmp_path / "raw", tmp_path / "out", HALVES, size=64, workers=1)


def drawn(number: int, side: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(scans, labels) as MedMNIST stores them."""
    scans = [make_phantom(CLASSES[k % 4], seed + k, 124, 128).pixels for k in range(number)]
    small = [np.asarray(Image.fromarray(scan).resize((side, side))) for scan in scans]
    return np.stack(small), (np.arange(number) % 4).astype(np.uint8)[:, None]


def arrays(side: int, numbers: tuple[int, int, int] = (12, 4, 8)) -> dict[str, NDArray[np.uint8]]:
    made = {}
    for place, (part, number) in enumerate(zip(SPLITS, numbers, strict=True)):
        made[f"{part}_images"], made[f"{part}_labels"] = drawn(number, side, 1000 * place)
    return made


@pytest.mark.parametrize("side", [28, 64, 128])
@pytest.mark.parametrize("save_as", [np.savez, np.savez_compressed])
def test_octmnist_keeps_its_parts_and_says_what_it_lacks(
    tmp_path: Path, side: int, save_as: object, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / f"octmnist_{side}.npz"
    made = arrays(side)
    save_as(source, **made)  # type: ignore[operator]
    out = ["--out", str(tmp_path / "out"), "--size", "64", "--workers", "1"]
    assert cli.main(["prepare", str(source), *out]) == 0
    told = capsys.readouterr()
    assert "note: OCTMNIST has no patients: its parts stay as they were published" in told.err
    small = "24 scans of fewer than 64 pixels a side were enlarged and show nothing finer"
    assert (f"{small} than before, the smallest 28 x 28" in told.err) is (side == 28)
    pack = open_pack(tmp_path / "out")
    assert Counter(record.split for record in pack.records) == {"train": 12, "val": 4, "test": 8}
    assert len({record.patient for record in pack.records}) == 24
    for record, pixels in zip(pack.records, pack.pixels, strict=True):
        place = Path(record.path).relative_to(source)
        array, row = place.parts[0], int(place.name)
        expected = made[array][row]
        assert array == f"{record.split}_images"
        assert record.label == CLASSES[int(made[f"{record.split}_labels"][row, 0])]
        assert record.sha256 == hashlib.sha256(expected.tobytes()).hexdigest()
        assert (record.width, record.height) == (side, side)
        np.testing.assert_array_equal(pixels, Preprocessing(64).prepare(expected))
        np.testing.assert_array_equal(find_again(record.path).scan.pixels, expected)


def test_the_parts_of_octmnist_are_not_pooled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays(28, (4, 4, 4)))
    options = SplitOptions(repool=True)
    with pytest.raises(DataError, match=r"OCTMNIST names no patients.*; leave --repool out"):
        prepare(tmp_path / "a.npz", tmp_path / "out", options, size=64, workers=1)


def test_the_report_reads_an_array_once_from_start_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "a.npz", **arrays(64, (8, 24, 8)))
    prepare(tmp_path / "a.npz", tmp_path / "out", size=64, workers=1)
    opened = []
    open_rows = archives._Rows._open

    def counted(rows: archives._Rows) -> None:
        opened.append(rows)
        open_rows(rows)

    monkeypatch.setattr(archives._Rows, "_open", counted)
    items = validation_items(tmp_path / "out", 12)
    assert [item.label for item in items] == [*CLASSES] * 3 and len(opened) <= 2
    assert not any(item.packed for item in items)


def test_octmnist_is_read_by_several_processes_and_audited(tmp_path: Path) -> None:
    source = tmp_path / "octmnist.npz"
    made = arrays(64, (80, 20, 20))
    made["val_images"][3] = made["test_images"][3]
    np.savez_compressed(source, **made)
    report = prepare(source, tmp_path / "out", size=64, workers=2)
    assert report.left_out == {
        "copy of a test scan": {"CNV": 0, "DME": 0, "DRUSEN": 0, "NORMAL": 1}
    }
    prepare(source, tmp_path / "again", size=64, workers=1)
    one, two = open_pack(tmp_path / "out"), open_pack(tmp_path / "again")
    assert one.records == two.records
    np.testing.assert_array_equal(one.pixels, two.pixels)
    audited = audit(source, workers=1)
    copies = next(finding for finding in audited.findings if finding.title == "Copies")
    assert not copies.sound and "val_images" in copies.rows[0][0]
    assert audit_page(audited).count("data:image/jpeg") == 2 * len(audited.near) > 0


def test_an_array_larger_than_memory_is_read_row_by_row(tmp_path: Path) -> None:
    number, side = 2000, 224
    scans = np.zeros((number, side, side), np.uint8)
    scans[:, 0, 0] = np.arange(number) % 251
    labels = (np.arange(number) % 4).astype(np.uint8)
    small = np.zeros((4, side, side), np.uint8)
    source = tmp_path / "octmnist_224.npz"
    named = {"val": small, "test": small, "train": scans}
    np.savez_compressed(
        source,
        **{f"{part}_images": each for part, each in named.items()},
        **{f"{part}_labels": labels[: len(each)] for part, each in named.items()},
    )
    del scans, small, named
    tracemalloc.start()
    find_candidates(source)
    rows = [ArrayRow(source, "train_images", row) for row in (5, 700, 1999, 3)]
    values = [int(row.read()[0, 0]) for row in rows]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert values == [5, 700 % 251, 1999 % 251, 3]
    assert peak < 8 * 2**20 < number * side * side / 10


def wrong(**changes: object) -> dict[str, object]:
    made: dict[str, object] = {**arrays(28, (4, 4, 4)), **changes}
    return {name: each for name, each in made.items() if each is not None}


GRAY, COLOUR = np.zeros((4, 28, 28), np.uint8), np.zeros((4, 28, 28, 3), np.uint8)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (wrong(val_labels=None), "has no array val_labels; expected an OCTMNIST file"),
        (wrong(train_images=COLOUR), r"train_images is uint8 \(4, 28, 28, 3\); expected gray"),
        (wrong(test_images=GRAY / 255), r"test_images is float64 \(4, 28, 28\); expected gray"),
        (wrong(test_images=np.asfortranarray(GRAY)), "rows do not lie one after the other"),
        (wrong(val_labels=np.zeros((3, 1), np.uint8)), "val_images has 4 scans, its labels are"),
        (
            wrong(val_labels=np.zeros((4, 1))),
            r"its labels are float64 \(4, 1\); expected one whole",
        ),
        (
            wrong(**{f"{part}_labels": np.array([[0], [1], [0], [1]]) for part in SPLITS}),
            r"has the labels 0, 1, and OCTMNIST's are 0 to 3 \(CNV, DME, DRUSEN, NORMAL\)",
        ),
        (wrong(train_labels=np.arange(4) + 1), "has the labels 0, 1, 2, 3, 4, and"),
        (wrong(train_labels=np.array([None] * 4)), "cannot be read .*download it again"),
    ],
)
def test_other_arrays_are_refused_by_what_they_are(
    tmp_path: Path, made: dict[str, NDArray[np.generic]], words: str
) -> None:
    np.savez(tmp_path / "other.npz", **made)
    with pytest.raises(DataError, match=words):
        find_arrays(tmp_path / "other.npz")


def test_damaged_arrays_stop_and_say_so(tmp_path: Path) -> None:
    source = tmp_path / "octmnist.npz"
    np.savez_compressed(source, **arrays(64))
    data = source.read_bytes()
    for name, content in (("cut.npz", data[:-2000]), ("text.npz", b"no archive"), ("0.npz", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{name} cannot be read .*; it may be damaged"):
            find_candidates(tmp_path / name)
    at = data.index(b"train_images.npy") + 5000
    (tmp_path / "hole.npz").write_bytes(data[:at] + bytes(300) + data[at + 300 :])
    for workers in (1, 2):
        with pytest.raises(DataError, match=r"hole\.npz cannot be read .*; it may be damaged"):
            prepare(tmp_path / "hole.npz", tmp_path / "out", size=64, workers=workers)
    assert not (tmp_path / "out").exists()


def test_a_candidate_goes_to_other_processes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays(28, (4, 4, 4)))
    candidates = find_candidates(tmp_path / "a.npz").scans
    assert pickle.loads(pickle.dumps(candidates)) == candidates
