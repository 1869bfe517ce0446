"""How scans were read is told: pages, formats and what the readers noted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scan_folders import class_folders

from oct_core import cli
from oct_core.data.audit import audit
from oct_core.data.pack import REPORT, open_pack, prepare
from oct_core.data.reading import find_again
from oct_core.data.split import SplitOptions
from oct_core.errors import ScanError
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import Preprocessing
from oct_core.trust.report_items import validation_items
from oct_core.types import CLASSES

HALVES = SplitOptions(test_fraction=0.5, val_fraction=0.5)
VOLUME = [Image.fromarray(make_phantom("CNV", 300 + k, 96, 130).pixels) for k in range(3)]
SMALL = VOLUME[0].resize((30, 24))


def stack(path: Path, *pages: Image.Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Four scans a class of one page each, and a volume of three pages whose patient nothing tells,
    behind a thumbnail.
    """
    raw = class_folders(tmp_path / "raw", [1, 2, 3, 4])
    stack(raw / "CNV" / "volume.tif", SMALL, *VOLUME)
    return raw


def test_every_page_is_a_scan_and_a_thumbnail_is_none(raw: Path, tmp_path: Path) -> None:
    report = prepare(raw, tmp_path / "out", HALVES, size=64, workers=1)
    pack = open_pack(tmp_path / "out")
    rows = [k for k, record in enumerate(pack.records) if "volume.tif" in record.path]
    pages = [pack.records[row] for row in rows]
    assert [Path(record.path).name for record in pages] == [
        f"volume.tif page {number}" for number in (1, 2, 3)
    ]
    assert len(pack.records) == 19 and len({record.sha256 for record in pages}) == 3
    assert len({record.patient for record in pages}) == 1 == len({each.split for each in pages})
    for row, page in zip(rows, VOLUME, strict=True):
        expected = np.asarray(page)
        np.testing.assert_array_equal(pack.pixels[row], Preprocessing(64).prepare(expected))
        np.testing.assert_array_equal(find_again(pack.records[row].path).scan.pixels, expected)
    [note] = report.notes
    assert note.startswith(
        "1 file has several pages, each a scan of the file's class and patient: 3"
    )
    assert report.counts == json.loads((tmp_path / "out" / REPORT).read_text())["counts"]


@pytest.mark.parametrize("page", [1, 3, 4])
def test_one_page_of_each_file_can_be_taken(
    raw: Path, tmp_path: Path, page: int, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--out",
        str(tmp_path / "out"),
        "--size",
        "64",
        "--workers",
        "1",
        "--page",
        str(page),
    ]
    split = ["--test-fraction", "0.5", "--val-fraction", "0.5"]
    assert cli.main(["prepare", str(raw), *options, *split]) == 0
    told = capsys.readouterr().err
    pages = [r for r in open_pack(tmp_path / "out").records if "volume.tif" in r.path]
    if page == 4:
        assert not pages
        assert f"left out: {raw / 'CNV' / 'volume.tif'} page 4: page 4 was asked for" in told
    else:
        assert [Path(record.path).name for record in pages] == [f"volume.tif page {page}"]
        assert f"note: 1 file has several pages: of 3 scans, page {page} was taken" in told


def test_a_page_that_cannot_be_read_leaves_the_others(raw: Path, tmp_path: Path) -> None:
    flat = Image.fromarray(np.full((96, 130), 3, np.uint16))
    gray = [Image.fromarray(np.asarray(page).astype(np.uint16) * 100) for page in VOLUME]
    stack(raw / "CNV" / "volume.tif", gray[0], flat, gray[2])
    report = prepare(raw, tmp_path / "out", HALVES, size=64, workers=2)
    [(where, why)] = report.unreadable
    assert where == f"{raw / 'CNV' / 'volume.tif'} page 2" and "one value, 3" in why
    assert sum("volume.tif" in r.path for r in open_pack(tmp_path / "out").records) == 2


def test_one_volume_twice_is_a_copy_page_by_page(raw: Path, tmp_path: Path) -> None:
    (raw / "DME" / "again.tif").write_bytes((raw / "CNV" / "volume.tif").read_bytes())
    options = SplitOptions(test_fraction=0.5, val_fraction=0.5, drop_conflicts=True)
    report = prepare(raw, tmp_path / "out", options, size=64, workers=1)
    assert {name: sum(left.values()) for name, left in report.left_out.items()} == {"two labels": 6}
    audited = {finding.title: finding for finding in audit(raw, workers=1).findings}
    assert len(audited["Labels"].rows) == 3
    assert "22 scans" in audited["Parts and classes"].text


def test_formats_and_notes_are_counted_by_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = class_folders(tmp_path / "raw", [1, 2, 3, 4])
    for number in (1, 2, 3, 4):
        path = raw / "NORMAL" / f"NORMAL-{number}-1.png"
        Image.open(path).save(path.with_suffix(".webp"), lossless=True)
        path.unlink()
    wide = make_phantom("DME", 5, 96, 130).pixels.astype(np.uint16) * 16
    for number, low in ((1, 0), (2, 7)):
        Image.fromarray(wide + low).save(raw / "DME" / f"DME-{number}-2.png")
    clear = np.dstack([np.asarray(VOLUME[0])] * 3 + [np.zeros((96, 130), np.uint8)])
    Image.fromarray(clear).save(raw / "CNV" / "CNV-1-2.png")
    colour = Image.fromarray(
        np.dstack([np.asarray(VOLUME[1]), *[np.zeros((96, 130), np.uint8)] * 2])
    )
    colour.save(raw / "CNV" / "CNV-2-2.png")
    stack(raw / "CNV" / "CNV-3-2.tif", SMALL, *VOLUME)
    options = ["--out", str(tmp_path / "out"), "--size", "64", "--workers", "1"]
    split = ["--test-fraction", "0.5", "--val-fraction", "0.5"]
    assert cli.main(["prepare", str(raw), *options, *split]) == 0
    told = capsys.readouterr()
    assert (
        "formats of the files: PNG 16 (CNV 6, DME 6, DRUSEN 4); WebP 4 (NORMAL 4); TIFF 3 (CNV 3)"
        in told.out
    )
    lines = [line for line in told.err.splitlines() if " read with a note" in line]
    kinds = Counter(line.partition(":")[2].partition(" (")[0].strip() for line in lines)
    low, high = int(wide.min()), int(wide.max())
    assert kinds == {
        "3 scans were read with a note such as: 1 thumbnail or mask in the file left out": 1,
        f"2 scans were read with a note such as: values {low} to {high} scaled to 0 to 255": 1,
        "1 scan was read with a note: transparent everywhere; the transparency was left out": 1,
        "1 scan was read with a note: colour converted to gray": 1,
    }
    assert f"(DME 2; {raw / 'DME' / 'DME-1-2.png'})" in told.err
    stored = json.loads((tmp_path / "out" / REPORT).read_text(encoding="utf-8"))
    assert stored["reading"][0]["by_label"] == {"CNV": 3}
    assert stored["formats"]["WebP"] == {"NORMAL": 4}


def test_scans_of_one_format_read_as_they_are_need_no_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = class_folders(tmp_path / "raw", range(12))
    options = ["--out", str(tmp_path / "out"), "--size", "64", "--workers", "1"]
    assert cli.main(["prepare", str(raw), *options]) == 0
    told = capsys.readouterr()
    assert "formats of" not in told.out and told.err == ""


def test_pages_are_found_again_by_the_report_on_maps_and_not_after_a_change(
    raw: Path, tmp_path: Path
) -> None:
    for label in CLASSES:
        pages = [Image.fromarray(make_phantom(label, 900 + k, 96, 130).pixels) for k in range(4)]
        stack(raw / "val" / label / "v.tif", *pages)
    prepare(raw, tmp_path / "out", SplitOptions(test_fraction=0.5), size=64, workers=1)
    items = validation_items(tmp_path / "out", 16)
    assert len(items) == 16 and not any(item.packed for item in items)
    assert all(item.scan.pixels.shape == (96, 130) for item in items)
    path = next(r.path for r in open_pack(tmp_path / "out").records if "v.tif" in r.path)
    stack(raw / "val" / Path(path).parent.name / "v.tif", *VOLUME[:2])
    record = next(r for r in open_pack(tmp_path / "out").records if r.path == path)
    assert find_again(path).record.sha256 != record.sha256
    (raw / "val" / Path(path).parent.name / "v.tif").unlink()
    with pytest.raises(ScanError, match=r"v\.tif page \d: the file cannot be opened"):
        find_again(path)
