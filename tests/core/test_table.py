"""CSV manifests as people have them, read in one place by prepare and evaluate."""

from __future__ import annotations

from pathlib import Path

import pytest
from scan_folders import save

from oct_core.data.sources import find_candidates
from oct_core.data.table import is_table, read_table
from oct_core.errors import DataError
from oct_core.external import find_labelled, parse_label_map


def write(folder: Path, text: str, encoding: str = "utf-8", name: str = "list.csv") -> Path:
    save(folder / "s" / "CNV" / "a.png", 1)
    save(folder / "s" / "DME" / "b c.png", 2)
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


HEADER = "path,label,patient,split"
PLAIN = f"{HEADER}\ns/CNV/a.png,CNV,7,train\ns/DME/b c.png,DME,8,test\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (PLAIN, "utf-8"),
        (PLAIN, "utf-8-sig"),
        (PLAIN, "utf-16"),
        (PLAIN.replace(",", ";"), "utf-8"),
        (PLAIN.replace(",", "\t"), "utf-8"),
        (PLAIN.replace(",", "|"), "utf-8"),
        (PLAIN.replace(",", " , "), "utf-8"),
        (PLAIN.replace("\n", "\r\n"), "utf-8"),
        (PLAIN.replace("\n", "\r"), "utf-8"),
        (PLAIN.replace("/", "\\"), "utf-8"),
        (
            PLAIN.upper()
            .replace("S/CNV/A.PNG", "s/CNV/a.png")
            .replace("S/DME/B C.PNG", "s/DME/b c.png"),
            "utf-8",
        ),
        (
            PLAIN.replace(HEADER, "File Name,Diagnosis,Patient ID,Subset"),
            "utf-8",
        ),
        (PLAIN.replace(HEADER, "image_path,class,subject-id,Part"), "utf-8"),
        (PLAIN.replace("train", "Training").replace(",test", ",testing"), "utf-8"),
        (PLAIN.replace("\ns", "\n,,,\n\n , ,,\ns") + ",,,\n,\n\n", "utf-8"),
        (
            PLAIN.replace("s/DME/b c.png", '"s/DME/b c.png"')
            .replace(",D", ', "D')
            .replace("E,8", 'E",8'),
            "utf-8",
        ),
        ("sep=;\r\n" + PLAIN.replace(",", ";"), "utf-8"),
    ],
)
def test_a_manifest_is_read_in_the_forms_that_people_have(
    tmp_path: Path, text: str, encoding: str
) -> None:
    found = find_candidates(write(tmp_path, text, encoding)).scans
    assert [(each.path.name, each.label, each.patient, each.given) for each in found] == [
        ("a.png", "CNV", "7", "train"),
        ("b c.png", "DME", "8", "test"),
    ]
    scored = find_labelled(tmp_path / "list.csv", parse_label_map(())).scans
    assert [(each.path, each.label, each.patient) for each in scored] == [
        (each.path, each.label, each.patient) for each in found
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("s/CNV/a.png,CNV\n", "has the columns s/CNV/a.png, CNV; needed: path, label"),
        ("path\nx\n", "has the columns path; needed: path, label"),
        ("", "has the columns none; needed"),
        ("path;label\n;;\n", "has no row below its header"),
        ("path,label\n\nC:\\scans\\a.png,CNV\n", r"line 3: there is no file C:\scans\a.png;"),
        ("path,label\ns/CNV,CNV\n", "line 2: there is no file s/CNV;"),
        ('path,label\n"s/CNV/a.png,CNV\n' + "x" * 140_000, "cannot be read as CSV (field larger"),
    ],
)
def test_what_is_wrong_is_said_with_what_was_found(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert says in str(caught.value) and str(path) in str(caught.value)


def test_a_row_that_comes_twice_is_read_once_and_told(tmp_path: Path) -> None:
    path = write(tmp_path, "path,label\ns/CNV/a.png,CNV\ns/../s/CNV/a.png,cnv\n")
    found = find_candidates(path)
    assert len(found.scans) == 1
    assert found.notes == ("1 row names a file again that an earlier row names: line 3",)


def test_tables_go_by_other_names_too_and_folders_are_none(tmp_path: Path) -> None:
    for name in ("a.tsv", "a.txt", "A.CSV"):
        assert is_table(write(tmp_path, PLAIN, name=name))
    (tmp_path / "folder.csv").mkdir()
    assert not is_table(tmp_path / "folder.csv") and not is_table(tmp_path / "gone.csv")
