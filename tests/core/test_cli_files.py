"""What the command line does with files: every page is a scan, and nothing is left out or read
doubtfully without a word.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oct_core import cli
from oct_core.cli.predict import find_files, predict_files, scan_files, tell_doubts
from oct_core.scans.phantom import make_phantom
from oct_core.scans.readers.base import DAMAGED_IN_PLACES
from oct_core.types import CLASSES, Judgement, Prediction, Scan, Verdict

PICTURES = [Image.fromarray(make_phantom(label, 70, 96, 130).pixels) for label in CLASSES]
DICOM = bytes(128) + b"DICM" + bytes(200)


def answer_all(scans: Sequence[Scan]) -> list[Judgement]:
    """A judge that calls every scan CNV."""
    chances = np.array([0.97, 0.01, 0.01, 0.01])
    answer = Prediction("vgg16", np.log(chances).astype(np.float32), chances)
    return [Judgement(answer, Verdict("answer", "CNV", 0.97)) for _ in scans]


@pytest.fixture
def runs_here(demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCT_CHECKPOINTS", str(demo_root))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A volume of three pages, a JPEG with a hole, and files that are no scans by their name."""
    folder = tmp_path / "scans"
    folder.mkdir()
    PICTURES[0].save(folder / "volume.tif", save_all=True, append_images=PICTURES[1:3])
    buffer = io.BytesIO()
    Image.fromarray(make_phantom("CNV", 70, 496, 512).pixels).save(buffer, "JPEG", quality=90)
    data = buffer.getvalue()
    middle = len(data) // 2
    (folder / "hole.jpg").write_bytes(data[:middle] + bytes(300) + data[middle + 300 :])
    (folder / "IM0001").write_bytes(DICOM)
    (folder / "volume.vol").write_bytes(b"HSF-OCT-103\0" + bytes(300))
    (folder / ".hidden.dcm").write_bytes(DICOM)
    for name in ("a.csv", "b.csv", "README"):
        (folder / name).write_text("no picture")
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("runs_here")
def test_predict_counts_and_names_what_it_leaves_out_and_doubts(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    options = ["--run", "densenet121", "--out", str(out), "--device", "cpu"]
    assert cli.main(["predict", str(folder), *options]) == 1
    rows = rows_of(out)
    assert [(Path(row["image"]).name, row["notes"]) for row in rows] == [
        ("hole.jpg", DAMAGED_IN_PLACES),
        ("volume.tif page 1", "page 1 of 3"),
        ("volume.tif page 2", "page 2 of 3"),
        ("volume.tif page 3", "page 3 of 3"),
    ]
    told = capsys.readouterr()
    assert "; left out 2" in told.out
    lines = [line for line in told.err.splitlines() if not line.startswith("caution: ")]
    assert [line.replace(str(folder) + os.sep, "")[:60] for line in lines[:2]] == [
        "left out: IM0001: this is a DICOM file, but a PNG, JPEG, TIF",
        "left out: volume.vol: this is a Heidelberg volume (VOL), but",
    ]
    assert lines[2:] == [
        "passed over, for they are no pictures: .csv 2, without suffix 1",
        f"note: {folder / 'hole.jpg'}: {DAMAGED_IN_PLACES}",
    ]


def test_one_page_of_each_file_can_be_chosen(folder: Path) -> None:
    judged, unreadable = predict_files(scan_files([folder]), answer_all, page=2)
    assert [Path(name).name for name, _ in judged] == ["hole.jpg", "volume.tif page 2"]
    assert [each.notes for _, each in judged] == [(DAMAGED_IN_PLACES,), ("page 2 of 3",)]
    assert [each.warnings for _, each in judged] == [(DAMAGED_IN_PLACES,), ()]
    assert not unreadable
    judged, unreadable = predict_files([folder / "volume.tif"], answer_all, page=4)
    [(name, reason)] = unreadable
    assert not judged and name.endswith("volume.tif page 4")
    assert "choose a page from 1 to 3" in reason


def test_progress_counts_files_and_batches_run_over_pages(tmp_path: Path) -> None:
    picture = PICTURES[0]
    picture.save(tmp_path / "many.tif", save_all=True, append_images=[picture] * 39)
    picture.save(tmp_path / "one.png")
    sizes: list[int] = []
    steps: list[tuple[int, int]] = []

    def judge(scans: Sequence[Scan]) -> list[Judgement]:
        sizes.append(len(scans))
        return answer_all(scans)

    judged, _ = predict_files(
        scan_files([tmp_path]), judge, lambda done, total: steps.append((done, total))
    )
    assert len(judged) == 41 and sizes == [16, 16, 9]
    assert steps == [(1, 2), (1, 2), (2, 2), (2, 2)]


def test_files_given_by_name_are_not_passed_over(folder: Path) -> None:
    found = find_files([folder / "IM0001", folder / "a.csv"])
    assert len(found.files) == 2 and not found.passed_over and not found.others
    found = find_files([folder])
    assert [Path(path).name for path, _ in found.passed_over] == ["IM0001", "volume.vol"]
    assert found.others == {".csv": 2, "without suffix": 1}


def test_folders_are_walked_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "deeper").mkdir()
    scanned: list[str] = []
    scandir = os.scandir

    def counted(path: str | Path) -> object:
        scanned.append(Path(path).name)
        return scandir(path)

    monkeypatch.setattr("os.scandir", counted)
    assert len(find_files([folder]).files) == 2
    assert scanned == ["scans", "deeper"]


def test_of_many_doubts_the_rest_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    [plain] = answer_all([make_phantom("CNV", 1, 96, 96).scan])
    doubtful = Judgement(plain.prediction, plain.verdict, warnings=("odd", "old"))
    tell_doubts([("a.png", plain), *[("b.png", doubtful)] * 45], Path("out.csv"))
    lines = capsys.readouterr().err.replace("\n", " ").split("note: ")[1:]
    assert len(lines) == 40 and lines[0].strip() == "b.png: odd; old"
    assert "and 5 more scans with notes: see the column notes of out.csv" in lines[-1]


@pytest.mark.usefixtures("runs_here")
def test_explain_says_which_page_it_explains_and_takes_another(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--run", "densenet121", "--method", "gradcam", "--device", "cpu"]
    for page, more in ((1, []), (3, ["--page", "3"])):
        out = tmp_path / f"maps{page}"
        arguments = ["explain", str(folder / "volume.tif"), "--out", str(out), *options, *more]
        assert cli.main(arguments) == 0
        notes = [line for line in capsys.readouterr().err.splitlines() if "note: " in line]
        assert notes == [f"note: page {page} of 3", "note: choose another page with --page"]
        assert (out / f"volume_page{page}_densenet121.png").is_file()
    arguments = ["explain", str(folder / "hole.jpg"), "--out", str(tmp_path / "m"), *options]
    assert cli.main(arguments) == 0
    assert f"note: {DAMAGED_IN_PLACES}" in capsys.readouterr().err
    assert (tmp_path / "m" / "hole_densenet121.png").is_file()
    arguments = ["explain", str(folder / "IM0001"), "--out", str(tmp_path / "x"), *options]
    assert cli.main(arguments) == 1
    assert "error: this is a DICOM file" in capsys.readouterr().err
