"""A data set of Kaggle as a source: what the real kagglehub serves from its cache, and the sentence
where it cannot. No network is used: a proxy that nobody listens at stands before it.
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections import Counter
from pathlib import Path

import pytest
from scan_folders import oct2017, save

from oct_core import cli
from oct_core.data.kaggle import fetch
from oct_core.data.pack import open_pack
from oct_core.data.sources import find_candidates
from oct_core.errors import DataError

NAME = "paultimothymooney/kermany2018"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of kagglehub, and Kaggle out of reach."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{free.getsockname()[1]}"
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "datasets" / NAME


def fill(cache: Path, version: int = 2) -> Path:
    """OCT2017 as Kaggle has it, unpacked: all of it twice, beside what Macs leave."""
    folder = cache / "versions" / str(version)
    oct2017(folder / "OCT2017 ")
    shutil.copytree(folder / "OCT2017 ", folder / "oct2017" / "OCT2017 ")
    save(folder / "__MACOSX" / "OCT2017 " / "train" / "CNV" / "._CNV-1-1.png", 1)
    (folder / "OCT2017 " / "train" / ".DS_Store").write_bytes(b"of a Mac")
    (cache / f"{version}.complete").touch()
    return folder


@pytest.mark.parametrize("text", [f"kaggle:{NAME}/versions/2", f"kaggle://{NAME}/versions/2"])
def test_a_version_in_the_cache_is_served_without_asking(cache: Path, text: str) -> None:
    folder = fill(cache)
    assert fetch(Path(text)) == (folder, [])


def test_out_of_reach_the_newest_whole_version_of_the_cache_is_taken(cache: Path) -> None:
    fill(cache, 1)
    folder = fill(cache, 2)
    (cache / "versions" / "3").mkdir()  # a download that was stopped
    source, [note] = fetch(Path(f"kaggle:{NAME}"))
    assert source == folder
    assert "Kaggle cannot be reached" in note and "version 2 was taken from kagglehub's" in note


def test_prepare_takes_both_trees_for_one(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(cache)
    arguments = ["--out", str(tmp_path / "out"), "--size", "64", "--workers", "1"]
    assert cli.main(["prepare", f"kaggle:{NAME}", *arguments]) == 0
    told = capsys.readouterr()
    assert "note: the newest version of" in told.err
    assert "32 scans lie twice at the same place of two folders" in told.err
    rows = open_pack(tmp_path / "out").records
    assert len(rows) == 32 - 4, "patient 1 is in test"
    assert {Path(row.path).relative_to(folder).parts[0] for row in rows} == {"OCT2017 "}
    audited = tmp_path / "audit.html"
    status = cli.main(["audit", f"kaggle:{NAME}", "--out", str(audited), "--workers", "1"])
    assert status == 0 and "32 scans lie twice" in audited.read_text(encoding="utf-8")


def test_only_equal_bytes_at_the_same_place_are_one_scan(tmp_path: Path) -> None:
    """Two hospitals may name their files alike."""
    for place, value in (("a/train", 1), ("b/train", 2), ("c/train", 1), ("a/test", 1)):
        save(tmp_path / place / "CNV" / "001.png", value)
    save(tmp_path / "c" / "train" / "DME" / "001.png", 1)
    save(tmp_path / "c" / "train" / "CNV" / "002.png", 1)
    found = find_candidates(tmp_path)
    places = [each.path.relative_to(tmp_path).as_posix() for each in found.scans]
    assert places == [
        "a/test/CNV/001.png",
        "a/train/CNV/001.png",
        "b/train/CNV/001.png",
        "c/train/CNV/002.png",
        "c/train/DME/001.png",
    ]
    [note] = found.notes
    assert note.startswith("1 scan lies twice at the same place of two folders")


@pytest.mark.parametrize("version", ["", "/versions/2"])
def test_out_of_reach_and_not_in_the_cache_it_says_what_to_do(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    assert cli.main(["prepare", f"kaggle:{NAME}{version}", "--out", str(tmp_path / "out")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {NAME} could not be downloaded (Kaggle cannot be reached);")
    assert (
        f"https://www.kaggle.com/datasets/{NAME} by hand and give that file or its folder" in line
    )
    assert not (tmp_path / "out").exists()


def test_without_kagglehub_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(DataError) as caught:
        fetch(Path(f"kaggle:{NAME}"))
    assert str(caught.value) == (
        "kagglehub is not installed; pip install kagglehub, or download the ZIP of "
        f"https://www.kaggle.com/datasets/{NAME} by hand and give that file or its folder"
    )


@pytest.mark.parametrize("text", ["kaggle:", "kaggle:kermany2018", "kaggle:a/b/c", "kaggle:../b"])
def test_what_names_no_data_set_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="names no data set of Kaggle; write kaggle:OWNER/NAME"):
        fetch(Path(text))


def test_other_sources_are_their_own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kaggle:a").mkdir()
    for source in (tmp_path, Path("kaggle:a"), Path("scans.csv")):
        assert fetch(source) == (source, [])


def test_a_small_val_folder_that_comes_twice_is_pooled(tmp_path: Path) -> None:
    for root in ("OCT2017 ", "oct2017/OCT2017 "):
        save(tmp_path / root / "train" / "CNV" / "CNV-900-1.png", 900)
        for label in ("CNV", "DME", "DRUSEN", "NORMAL"):
            for number in range(8):
                save(
                    tmp_path / root / "val" / label / f"{label}-{number}-1.png",
                    hash_of(label, number),
                )
    found = find_candidates(tmp_path)
    assert Counter(each.given for each in found.scans) == {"": 32, "train": 1}
    assert len(found.notes) == 2


def hash_of(label: str, number: int) -> int:
    return 100 * len(label) + 10 * ord(label[0]) + number
