"""The audit finds what speaks against a data set, and shows it on a page of its own."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from scan_folders import class_folders, save

from oct_core import cli
from oct_core.data import audit as audit_module
from oct_core.data.audit import Audit, Finding, audit
from oct_core.data.audit_page import audit_page
from oct_core.data.duplicates import find_conflicts, find_duplicates
from oct_core.data.manifest import Record
from oct_core.data.official import (
    official_test_hashes,
    official_test_in_training,
    version_3_test_names,
)
from oct_core.data.pack import prepare
from oct_core.data.split import SplitOptions
from oct_core.errors import DataError
from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES


def record(path: str, label: str, sha256: str, split: str) -> Record:
    return Record(path, label, "1", sha256, 10, 10, split)


def test_the_lists_of_test_images_have_a_thousand_each() -> None:
    assert len(official_test_hashes()) == 1000 == len(version_3_test_names())
    assert all(len(each) == 64 for each in official_test_hashes())
    assert all(re.fullmatch(r"[A-Z]+-\d+-\d+\.jpeg", name) for name in version_3_test_names())


def test_official_images_in_training_are_found_under_any_name() -> None:
    one, two = sorted(official_test_hashes())[:2]
    rows = [
        record("renamed.png", "CNV", one, "train"),
        record("kept.png", "CNV", two, "test"),
        record("own.png", "DME", "0" * 64, "val"),
    ]
    assert official_test_in_training(rows) == ["renamed.png"]


def test_duplicates_are_groups_across_parts_and_conflicts_pairs_across_labels() -> None:
    rows = [
        record("a", "CNV", "x", "train"),
        record("b", "CNV", "x", "train"),
        record("c", "DME", "y", "train"),
    ]
    assert find_duplicates(rows) == [] and find_conflicts(rows) == {}
    rows += [record("d", "DRUSEN", "y", "train"), record("e", "CNV", "x", "test")]
    assert find_duplicates(rows) == [["a", "b", "e"]]
    assert find_conflicts(rows) == {"y": (2, 3)}


def draw(path: Path, label: str, seed: int, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(make_phantom(label, 8000 + seed, 124, 128).pixels).save(path, **options)
    return path


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Two scans a class in train, one in test, of other patients."""
    for place, label in enumerate(CLASSES):
        for patient in (1, 2):
            number = 10 * patient + place
            draw(tmp_path / "raw" / "train" / label / f"{label}-{number}-1.png", label, number)
        draw(tmp_path / "raw" / "test" / label / f"{label}-{30 + place}-1.png", label, 30 + place)
    return tmp_path / "raw"


def found(report: Audit, title: str) -> Finding:
    return next(finding for finding in report.findings if finding.title == title)


def test_a_sound_folder_has_nothing_to_look_at(sound: Path) -> None:
    report = audit(sound, workers=1)
    assert [finding.title for finding in report.findings if not finding.sound] == []
    assert found(report, "Parts and classes").rows == (
        ("train", *["2 (2)"] * 4),
        ("test", *["1 (1)"] * 4),
    )
    assert "names CLASS-PATIENT-NUMBER" in found(report, "Patients").text


def test_near_duplicates_across_parts_are_listed_with_pictures(sound: Path, tmp_path: Path) -> None:
    source = draw(sound / "train" / "CNV" / "CNV-70-1.png", "CNV", 70)
    copy = sound / "test" / "CNV" / "CNV-71-1.jpeg"
    Image.open(source).save(copy, quality=70)
    twin = sound / "train" / "CNV" / "CNV-72-1.jpeg"
    Image.open(source).save(twin, quality=60)
    report = audit(sound, workers=1)
    [*pairs] = report.near
    assert {frozenset((pair.first.path, pair.second.path)) for pair in pairs} == {
        frozenset((str(copy), str(source))),
        frozenset((str(copy), str(twin))),
    }
    finding = found(report, "Near duplicates")
    assert not finding.sound and finding.text.startswith("2 pairs of scans in different parts")
    assert report.by_part and {row[2] for row in finding.rows} | {
        row[5] for row in finding.rows
    } == {"train", "test"}
    page = audit_page(report)
    assert page.count("data:image/jpeg;base64,") == 4
    _Checker().feed(page)
    prepare(sound, tmp_path / "out", SplitOptions(val_fraction=0.5), size=64, workers=1)
    assert len(audit(tmp_path / "out").near) >= 1, "of what prepare wrote, too"


class _Checker(HTMLParser):
    """Nothing is loaded from elsewhere, no script runs."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe")
        assert all((value or "").startswith("data:") for name, value in attrs if name == "src")
        assert all(name != "href" for name, _ in attrs)


def test_without_parts_scans_of_different_patients_are_compared(tmp_path: Path) -> None:
    for place, label in enumerate(CLASSES):
        draw(tmp_path / label / f"{label}-{place}-1.png", label, place)
    draw(tmp_path / "CNV" / "CNV-0-2.png", "CNV", 0, optimize=True)
    assert audit(tmp_path, workers=1).near == ()
    draw(tmp_path / "CNV" / "CNV-9-1.png", "CNV", 0)
    report = audit(tmp_path, workers=1)
    assert not report.by_part and {pair.bits for pair in report.near} == {0}
    assert "of different patients" in found(report, "Near duplicates").text


def test_patients_labels_copies_and_files_are_checked(sound: Path) -> None:
    draw(sound / "test" / "DME" / "DME-10-1.png", "DME", 90)
    draw(sound / "train" / "DME" / "CNV-95-1.png", "DME", 95)
    (sound / "train" / "NORMAL" / "NORMAL-96-1.png").write_bytes(
        (sound / "train" / "CNV" / "CNV-10-1.png").read_bytes()
    )
    (sound / "train" / "CNV" / "CNV-97-1.png").write_bytes(
        (sound / "test" / "CNV" / "CNV-30-1.png").read_bytes()
    )
    (sound / "train" / "CNV" / "cut.png").write_bytes(b"")
    (sound / "train" / "CNV" / ".hidden").mkdir()
    report = audit(sound, workers=1)
    assert found(report, "Patients").rows == (("10", "test 1, train 1"),)
    labels = found(report, "Labels")
    assert labels.text.startswith("1 scans stand under two labels, 1 have another class")
    assert [row[1::2] for row in labels.rows] == [("CNV", "NORMAL"), ("DME", "CNV")]
    copies = found(report, "Copies")
    assert copies.text.startswith("1 scans stand byte by byte in more than one part; 2 files")
    assert "CNV-97-1.png (train)" in copies.rows[0][0]
    files = found(report, "Files")
    assert not files.sound and "the file is empty" in files.rows[0][1]
    assert "1 hidden folder was passed over" in files.text


def test_only_scans_that_were_read_are_counted_by_patient(tmp_path: Path) -> None:
    raw = class_folders(tmp_path, [1, 2])
    (raw / "CNV" / "CNV-7-1.png").write_bytes(b"no picture")
    pages = [Image.fromarray(make_phantom("DME", 40 + k, 96, 128).pixels) for k in range(3)]
    pages[0].save(raw / "DME" / "DME-8-1.tif", save_all=True, append_images=pages[1:])
    text = found(audit(raw, workers=1), "Patients").text
    assert "patients of 11 scans from names" in text
    assert "3 patients; scans each: 3 to 4" in text


def test_a_size_that_one_class_alone_has_is_told(tmp_path: Path) -> None:
    class_folders(tmp_path, range(12))
    assert found(audit(tmp_path, workers=1), "Sizes").sound
    for number in range(12):
        path = save(tmp_path / "DME" / f"DME-{number}-1.png", number)
        Image.open(path).resize((90, 72)).save(path)
    finding = found(audit(tmp_path, workers=1), "Sizes")
    assert not finding.sound and "90 x 72 has one class only" in finding.text
    assert finding.rows[-1] == ("90 x 72", "0", "12", "0", "0")


def test_official_images_and_the_version_are_told(
    sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digests(folder: str) -> frozenset[str]:
        files = (sound / folder).rglob("*.png")
        return frozenset(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)

    assert "cannot be told" in found(audit(sound, workers=1), "Version of OCT2017").text
    monkeypatch.setattr(audit_module, "official_test_hashes", lambda: digests("test"))
    report = audit(sound, workers=1)
    assert "OCT2017 version 2: 4 of its 4" in found(report, "Version of OCT2017").text
    assert found(report, "Official test images").sound
    monkeypatch.setattr(audit_module, "official_test_hashes", lambda: digests("train"))
    finding = found(audit(sound, workers=1), "Official test images")
    assert not finding.sound and "8 of them outside a test part" in finding.text
    for path in (sound / "test").rglob("*.png"):
        path.rename(path.with_name(sorted(version_3_test_names())[hash(path.name) % 1000]))
    report = audit(sound, workers=1)
    assert "OCT2017 version 3: 4 of its 4" in found(report, "Version of OCT2017").text


def test_names_stand_on_the_page_as_they_are(tmp_path: Path) -> None:
    class_folders(tmp_path / "<b>&", [1])
    draw(tmp_path / "<b>&" / "CNV" / "<script>.png", "CNV", 1)
    draw(tmp_path / "<b>&" / "DME" / "\udcc8.png", "CNV", 1)
    page = audit_page(audit(tmp_path / "<b>&", workers=1))
    assert "<script>" not in page and "<b>" not in page and "&lt;script&gt;.png" in page
    assert "\\udcc8.png" in page and page.encode("utf-8")


def test_the_command_lists_writes_the_page_and_writes_over_nothing(
    sound: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = sound / "train" / "CNV" / "CNV-10-1.png"
    copy = sound / "test" / "CNV" / "CNV-71-1.jpeg"
    Image.open(source).save(copy, quality=70)
    before = {path: path.read_bytes() for path in sound.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    assert cli.main(["audit", str(sound), "--workers", "1"]) == 0
    said = capsys.readouterr()
    assert str(source) in said.err and str(copy) in said.err
    assert "look: Near duplicates: 1 pair" in said.err and "ok: Labels" in said.out
    assert "evidence: audit.html" in said.out and Path("audit.html").is_file()
    assert cli.main(["audit", str(sound), "--workers", "1"]) == 0
    assert "evidence: audit_2.html" in capsys.readouterr().out
    assert cli.main(["audit", str(sound), "--out", "audit.html"]) == 1
    assert "audit.html exists; nothing is written over" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in sound.rglob("*") if path.is_file()} == before


def test_more_than_a_screen_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    class_folders(tmp_path / "raw" / "train", range(10))
    class_folders(tmp_path / "raw" / "test", range(10), 500)
    monkeypatch.setattr("oct_core.cli.audit._LINES", 3)
    assert cli.main(["audit", "raw", "--workers", "1"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("look: Patients: 10 patients are in more than one part")
    assert lines[4] == "  and 7 more"


def test_no_scan_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "CNV").mkdir()
    (tmp_path / "CNV" / "CNV-1-1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"no scan can be read; .*the file is empty"):
        audit(tmp_path, workers=1)
