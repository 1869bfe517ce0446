"""CSV manifests as a source, and the manifest and the pack as files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scan_folders import records, save

from oct_core.data.manifest import manifest_sha256, read_manifest, write_manifest
from oct_core.data.pack import MANIFEST, PACK, is_prepared, open_pack
from oct_core.data.sources import find_candidates
from oct_core.errors import DataError


def csv_source(root: Path, *lines: str, header: str = "path,label,patient,split") -> Path:
    for number in range(1, 5):
        save(root / f"{number}.png", number)
    path = root / "manifest.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8-sig")
    return path


def test_a_csv_manifest_is_read_relative_to_itself(tmp_path: Path) -> None:
    source = csv_source(
        tmp_path,
        "1.png,CNV,p1,train",
        f"{tmp_path / '2.png'},DME,p1,train",
        "3.png, NORMAL ,,",
        "4.png,DRUSEN,p2,Test",
    )
    found = find_candidates(source).scans
    assert [(c.path.name, c.label, c.patient, c.given) for c in found] == [
        ("1.png", "CNV", "p1", "train"),
        ("2.png", "DME", "p1", "train"),
        ("3.png", "NORMAL", "", ""),
        ("4.png", "DRUSEN", "p2", "test"),
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1.png,CNV,p1,train", "2.png,AMD,p2,train"], "line 3: label 'AMD' is none of CNV"),
        (["1.png,CNV,p1,train", "2.png,CNV,p1,test"], "patient p1 is in train and in test"),
        (["1.png,CNV,p1,train", "gone.png,CNV,p2,test"], r"line 3: there is no file .*gone\.png"),
        (["1.png,CNV,p1,1"], "line 2: split '1' is none of train, val, test"),
        (["1.png,CNV,p1,trainval"], "line 2: split 'trainval' is none of train, val, test"),
        ([",CNV,p1,train"], "line 2: there is no file"),
        (["1.png"], "line 2: label ''"),
    ],
)
def test_a_csv_manifest_that_is_wrong_names_the_line(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        find_candidates(csv_source(tmp_path, *lines))


def test_a_csv_without_its_columns_names_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has the columns file, finding; needed: path, label"):
        find_candidates(csv_source(tmp_path, "1.png,CNV", header="file,finding"))


def test_the_manifest_comes_back_and_its_hash_knows_what_matters(tmp_path: Path) -> None:
    rows = [replace(record, split="train") for record in records(["a", "b"], ["CNV", "DME"])]
    write_manifest(tmp_path / "m.csv", rows)
    assert read_manifest(tmp_path / "m.csv") == tuple(rows)
    moved = [replace(rows[0], path="elsewhere/x.png"), rows[1]]
    assert manifest_sha256(moved) == manifest_sha256(rows)
    for change in ({"label": "DME"}, {"patient": "c"}, {"sha256": "0"}, {"split": "test"}):
        assert manifest_sha256([replace(rows[0], **change), rows[1]]) != manifest_sha256(rows)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png,CNV,1,x,wide,9,train", "line 2 is not a manifest row"),
        ("a.png,AMD,1,x,9,9,train", "line 2: label 'AMD'"),
        ("a.png,CNV", "line 2"),
    ],
)
def test_a_damaged_manifest_names_its_line(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "m.csv").write_text(f"path,label,patient,sha256,width,height,split\n{line}\n")
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path / "m.csv")


def test_a_pack_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not prepared; run: python -m oct_core prepare"):
        open_pack(tmp_path)
    write_manifest(
        tmp_path / MANIFEST, [replace(record, split="train") for record in records(["a"], ["CNV"])]
    )
    for array in (
        np.zeros((2, 64, 64), np.uint8),
        np.zeros((1, 64, 64), np.float32),
        np.zeros((1, 64), np.uint8),
    ):
        np.save(tmp_path / PACK, array)
        with pytest.raises(DataError, match="the manifest has 1 rows; run prepare again"):
            open_pack(tmp_path)
    for data in (b"", b"\x93NUMPY", b"not an array"):
        (tmp_path / PACK).write_bytes(data)
        with pytest.raises(DataError, match="cannot be read"):
            open_pack(tmp_path)
    assert is_prepared(tmp_path)


def test_a_pickled_pack_is_never_loaded(tmp_path: Path) -> None:
    write_manifest(
        tmp_path / MANIFEST, [replace(record, split="train") for record in records(["a"], ["CNV"])]
    )
    np.save(tmp_path / PACK, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        open_pack(tmp_path)
