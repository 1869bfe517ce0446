"""Labelled scans from elsewhere: found, scored and kept; some of the classes, coarser labels,
patients, and what is said of what does not fit.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scan_folders import class_folders
from sklearn.metrics import accuracy_score

from oct_core import cli
from oct_core.cli.app import out
from oct_core.data.pack import open_pack, prepare
from oct_core.data.split import SplitOptions
from oct_core.errors import DataError
from oct_core.external import find_labelled, parse_label_map, score_labelled
from oct_core.runs.evaluations import read_external, read_scored
from oct_core.runs.files import CARD, PREDICTIONS, read_card
from oct_core.runs.predict import predict
from oct_core.runs.weights import LoadedRun
from oct_core.scans import read_scan
from oct_core.scans.edit import CHANGES
from oct_core.scans.phantom import make_phantom
from oct_core.trust.gate import Samples, fit_gate, read_gate, write_gate
from oct_core.types import CLASSES, PredictionTable

torch.set_num_threads(1)
NAME = "densenet121"
AMD = ("AMD=CNV,DRUSEN",)


def save(path: Path, label: str = "CNV", seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(make_phantom(label, 3000 + seed, 96, 128).pixels).save(path)
    return path


@pytest.fixture(scope="module")
def loaded(demo_run: Callable[[str], LoadedRun]) -> LoadedRun:
    return demo_run(NAME)


@pytest.fixture
def own(loaded: LoadedRun, tmp_path: Path) -> LoadedRun:
    """The tiny run in a folder of its own: answers are kept beside it."""
    folder = Path(shutil.copytree(loaded.card.folder, tmp_path / "runs" / NAME))
    return replace(loaded, card=replace(loaded.card, folder=folder))


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """AMD and NORMAL scans: folders of patients, names of OCT2017, and neither."""
    folder = tmp_path / "clinic"
    save(folder / "amd" / "p1" / "left" / "a.png", "CNV", 0)
    save(folder / "amd" / "p1" / "left" / "b.png", "DRUSEN", 1)
    save(folder / "Normal" / "NORMAL-77-1.png", "NORMAL", 2)
    save(folder / "Normal" / "NORMAL-77-2.png", "NORMAL", 3)
    save(folder / "Normal" / "c.png", "NORMAL", 4)
    return folder


def test_a_label_map_is_read_on_top_of_the_classes() -> None:
    assert parse_label_map(()) == {name: (name,) for name in CLASSES}
    found = parse_label_map(["amd = cnv, Drusen", "OTHER=-", "Healthy=NORMAL"])
    assert found["AMD"] == ("CNV", "DRUSEN") and found["OTHER"] == ()
    assert found["HEALTHY"] == ("NORMAL",) and found["DME"] == ("DME",)


@pytest.mark.parametrize(
    "text",
    ["AMD", "AMD=", "=CNV", "AMD=CNV,MACULA", "AMD=CNV,-", " =DME", "A=CNV,DME,DRUSEN,NORMAL"],
)
def test_a_label_map_that_is_not_understood_is_shown_how(text: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_label_map([text])
    words = str(caught.value)
    assert repr(text) in words and "such as AMD=CNV,DRUSEN, or LABEL=-" in words
    assert all(name in words for name in CLASSES)


def test_folders_give_labels_and_patients(clinic: Path) -> None:
    save(clinic / ".hidden" / "CNV" / "x.png")
    (clinic / "amd" / "notes.txt").write_text("no picture")
    found = find_labelled(clinic, parse_label_map(AMD))
    rows = {each.path.name: (each.label, each.patient, each.told_by) for each in found.scans}
    assert rows == {
        "a.png": ("AMD", "p1/left", "folders"),
        "b.png": ("AMD", "p1/left", "folders"),
        "NORMAL-77-1.png": ("NORMAL", "77", "file names"),
        "NORMAL-77-2.png": ("NORMAL", "77", "file names"),
        "c.png": ("NORMAL", "", "files"),
    }
    assert found.labels == {"AMD": ("CNV", "DRUSEN"), "NORMAL": ("NORMAL",)}
    assert found.left_out == {}
    without = find_labelled(clinic, parse_label_map(["AMD=-"]))
    assert len(without.scans) == 3 and without.left_out == {"AMD": 2}
    assert without.labels == {"NORMAL": ("NORMAL",)}


def test_the_nearest_folder_that_is_a_label_counts(tmp_path: Path) -> None:
    save(tmp_path / "Normal" / "test" / "DME" / "x.png", "DME")
    [scan] = find_labelled(tmp_path, parse_label_map(())).scans
    assert (scan.label, scan.patient) == ("DME", "")


def test_the_folder_itself_may_be_a_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "CNV" / "x.png")
    for place, source in ((tmp_path, Path("CNV")), (tmp_path / "CNV", Path("."))):
        monkeypatch.chdir(place)
        [scan] = find_labelled(source, parse_label_map(())).scans
        assert scan.label == "CNV"


def test_labels_that_nobody_explains_are_named_with_the_line_to_add(clinic: Path) -> None:
    with pytest.raises(DataError) as caught:
        find_labelled(clinic, parse_label_map(()))
    words = str(caught.value)
    assert "'AMD' is none of CNV, DME, DRUSEN, NORMAL" in words
    assert "--label-map AMD=CNV,DRUSEN" in words and "--label-map AMD=-" in words
    with pytest.raises(DataError, match="holds no labelled scan to be scored"):
        find_labelled(clinic, parse_label_map(["AMD=-", "NORMAL=-"]))


def test_every_unknown_label_is_named_where_the_others_stand(clinic: Path) -> None:
    save(clinic / "train" / "Wet AMD" / "p1" / "a.png", seed=5)
    save(clinic / "test" / "scar" / "b.png", seed=6)
    with pytest.raises(DataError) as caught:
        find_labelled(clinic, parse_label_map(AMD))
    assert "'TEST', 'TRAIN'" in str(caught.value), "beside amd and Normal stand train and test"
    shutil.rmtree(clinic / "amd")
    shutil.move(clinic / "Normal", clinic / "train" / "Normal")
    with pytest.raises(DataError) as caught:
        find_labelled(clinic, parse_label_map(()))
    words = str(caught.value)
    assert "'SCAR', 'WET AMD' is none of" in words and "--label-map SCAR=CNV,DRUSEN" in words
    with pytest.raises(DataError, match=r"--label-map 'WET AMD=CNV,DRUSEN', or leave"):
        find_labelled(clinic, parse_label_map(["SCAR=-"]))
    shutil.rmtree(clinic / "train" / "Normal")
    with pytest.raises(DataError, match="'SCAR', 'WET AMD' is none of"):
        find_labelled(clinic, parse_label_map(()))


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ("CNV=CNV", "the label CNV stands for a part of what AMD may be; score them as one with "),
        ("CNV=CNV", "--label-map CNV=CNV,DRUSEN, or leave one out with --label-map CNV=-"),
        ("CNV=CNV,DME", "the label CNV stands for a part of what AMD may be"),
    ],
)
def test_labels_that_overlap_are_refused_before_any_work(
    clinic: Path, extra: str, says: str
) -> None:
    save(clinic / "cnv" / "x.png", seed=8)
    with pytest.raises(DataError) as caught:
        find_labelled(clinic, parse_label_map([*AMD, extra]))
    assert says in str(caught.value)
    for mended in ("CNV=CNV,DRUSEN", "CNV=-"):
        assert find_labelled(clinic, parse_label_map([*AMD, mended])).scans


def test_links_are_followed_once_and_what_is_no_picture_is_told(clinic: Path) -> None:
    (clinic / "dme").symlink_to(clinic / "amd" / "p1")
    (clinic / "Normal" / "again").symlink_to(clinic)
    (clinic / "Normal" / "a.dcm").write_bytes(b"x")
    (clinic / "Normal" / ".DS_Store").write_bytes(b"x")
    found = find_labelled(clinic, parse_label_map(AMD))
    assert len(found.scans) == 5
    assert [path.name for path in found.passed_over] == ["a.dcm"]
    shutil.move(clinic, clinic.parent / "elsewhere")
    clinic.mkdir()
    (clinic / "NORMAL").symlink_to(clinic.parent / "elsewhere" / "Normal")
    assert {each.label for each in find_labelled(clinic, parse_label_map(())).scans} == {"NORMAL"}


def test_a_number_in_the_name_is_the_patient_in_whatever_folder(tmp_path: Path) -> None:
    save(tmp_path / "CNV" / "batch 1" / "CNV-12-1.png")
    [scan] = find_labelled(tmp_path, parse_label_map(())).scans
    assert (scan.patient, scan.told_by) == ("12", "file names")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("patients", [True, False])
def test_a_csv_gives_paths_labels_and_patients(
    clinic: Path, delimiter: str, patients: bool
) -> None:
    lines = [["Label", "File", *(["Patient_ID"] if patients else [])]]
    lines += [["amd", "amd/p1/left/a.png", *(["mr x"] if patients else [])]]
    lines += [["NORMAL", "Normal\\NORMAL-77-1.png", *([""] if patients else [])], []]
    file = clinic / "list.csv"
    file.write_text("\n".join(delimiter.join(line) for line in lines), encoding="utf-8-sig")
    first, second = find_labelled(file, parse_label_map(AMD)).scans
    assert (first.label, second.label) == ("AMD", "NORMAL")
    assert (first.patient, first.told_by) == (("mr x", "manifest") if patients else ("", "files"))
    assert (second.patient, second.told_by) == ("77", "file names")
    assert first.path.is_file() and second.path.is_file()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has the columns none; needed: path, label"),
        (b"path,finding\n", "has the columns path, finding; needed: path, label"),
        (b"path,label\nb.png,CNV\n", "line 2: there is no file b.png"),
        (b"path,label\n\n,CNV\n", "line 3: there is no file none"),
        (b"path,label\na.png\n", "line 2 has no label"),
        (b"path,label\na.png,odd\n", "'ODD' is none of CNV"),
        (b"path,label\na.png,\xe4\n", "is not UTF-8"),
        (b"path,label\n", "has no row below its header"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said(tmp_path: Path, content: bytes, words: str) -> None:
    save(tmp_path / "a.png")
    file = tmp_path / "list.csv"
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        find_labelled(file, parse_label_map(()))
    assert words in str(caught.value) and str(file) in str(caught.value)


def test_what_is_neither_a_folder_nor_a_csv_is_refused(tmp_path: Path) -> None:
    for source in (tmp_path / "nowhere", save(tmp_path / "a.png")):
        with pytest.raises(DataError, match=r"is neither a folder nor a \.csv"):
            find_labelled(source, parse_label_map(()))


def score(source: Path, run: LoadedRun, *labels: str, name: str = "clinic") -> PredictionTable:
    found = find_labelled(source, parse_label_map(labels))
    return score_labelled(found, [run], name).tables[run.name]


def test_scores_are_the_answers_of_the_run_and_are_kept_beside_it(
    own: LoadedRun, clinic: Path
) -> None:
    found = find_labelled(clinic, parse_label_map([*AMD, "DME=-"]))
    steps: list[tuple[int, int]] = []
    scored = score_labelled(found, [own], "clinic", lambda *step: steps.append(step))
    table = scored.tables[NAME]
    assert steps[-1] == (5, 5) and scored.unreadable == ()
    for place, each in enumerate(found.scans):
        [answer] = predict(read_scan(each.path), own)
        np.testing.assert_allclose(table.logits[place], answer.logits, rtol=1e-3, atol=1e-3)
        assert table.sha256[place] == hashlib.sha256(each.path.read_bytes()).hexdigest()
        assert table.image[place] == each.path.name
    assert table.given is not None and table.truth is not None
    coarse = table.given == "AMD"
    np.testing.assert_array_equal(table.label, np.where(coarse, -1, CLASSES.index("NORMAL")))
    np.testing.assert_array_equal(table.truth[coarse], [[True, False, True, False]] * 2)
    called = [CLASSES[place] for place in table.logits.argmax(1)]
    right = [
        name in ("CNV", "DRUSEN") if label == "AMD" else name == "NORMAL"
        for name, label in zip(called, table.given, strict=True)
    ]
    np.testing.assert_array_equal(table.is_right(table.logits.argmax(1)), right)
    kept = read_scored(own.card, "external/clinic")
    np.testing.assert_allclose(kept.logits, table.logits, atol=1e-4)
    np.testing.assert_array_equal(kept.truth, table.truth)
    about = read_external(own.card, "clinic")
    assert about == scored.about[NAME]
    assert (about.n_scans, about.n_patients, about.seen) == (5, 3, 0)
    assert about.patients_from == "file names, files, folders"
    assert about.labels == {"AMD": ("CNV", "DRUSEN"), "NORMAL": ("NORMAL",)}
    assert (about.weights_sha256, about.temperature) == (
        own.card.weights_sha256,
        own.card.temperature,
    )
    assert sorted(file.name for file in (own.card.folder / "external").iterdir()) == [
        "clinic.csv",
        "clinic.json",
    ], "no picture is kept"


def test_damaged_repeated_and_seen_scans_are_told(own: LoadedRun, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    first = save(folder / "CNV" / "a.png")
    shutil.copy(first, folder / "CNV" / "b.png")
    (folder / "CNV" / "broken.png").write_bytes(b"no picture")
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    lines = (own.card.folder / PREDICTIONS).read_text().splitlines()
    lines[1] = lines[1].replace(lines[1].split(",")[2], digest)
    (own.card.folder / PREDICTIONS).write_text("\n".join(lines) + "\n")
    scored = score_labelled(find_labelled(folder, parse_label_map(())), [own], "set")
    about = scored.about[NAME]
    assert (about.n_scans, about.unreadable, about.repeated, about.seen) == (1, 1, 1, 1)
    [(path, reason)] = scored.unreadable
    assert path.endswith("broken.png") and reason
    assert scored.tables[NAME].patient.tolist() == [f"file-{digest[:16]}"]
    first.unlink()
    (folder / "CNV" / "b.png").unlink()
    with pytest.raises(DataError, match=r"no scan can be read; .*broken\.png: "):
        score_labelled(find_labelled(folder, parse_label_map(())), [own], "set")
    with pytest.raises(DataError, match=r"'a/b' cannot name a set; give it a --name"):
        score_labelled(find_labelled(folder, parse_label_map(())), [own], "a/b")


def test_a_volume_of_the_own_parts_is_told_though_prepare_hashes_pages(
    own: LoadedRun, tmp_path: Path
) -> None:
    raw = class_folders(tmp_path / "raw", [1, 2, 3, 4])
    pages = [Image.fromarray(make_phantom("CNV", 3100 + k, 96, 128).pixels) for k in range(2)]
    volume = raw / "val" / "CNV" / "CNV-9-1.tif"
    volume.parent.mkdir(parents=True)
    pages[0].save(volume, save_all=True, append_images=pages[1:])
    for label in ("DME", "DRUSEN", "NORMAL"):
        save(raw / "val" / label / f"{label}-9-1.png", label, 50)
    prepare(raw, tmp_path / "out", SplitOptions(test_fraction=0.5), size=64, workers=1)
    records = open_pack(tmp_path / "out").records
    first = next(each for each in records if each.path.endswith("CNV-9-1.tif page 1"))
    lines = (own.card.folder / PREDICTIONS).read_text().splitlines()
    lines[1] = lines[1].replace(lines[1].split(",")[2], first.sha256)
    (own.card.folder / PREDICTIONS).write_text("\n".join(lines) + "\n")
    scored = score_labelled(find_labelled(raw / "val" / "CNV", parse_label_map(())), [own], "set")
    assert (scored.about[NAME].seen, scored.first_pages) == (1, 1)


def test_a_picture_under_two_labels_is_not_scored(own: LoadedRun, tmp_path: Path) -> None:
    first = save(tmp_path / "set" / "CNV" / "a.png")
    save(tmp_path / "set" / "CNV" / "b.png", seed=1)
    (tmp_path / "set" / "DME").mkdir()
    shutil.copy(first, tmp_path / "set" / "DME" / "c.png")
    os.mkfifo(tmp_path / "set" / "DME" / "pipe.png")
    scored = score_labelled(find_labelled(tmp_path / "set", parse_label_map(())), [own], "set")
    assert scored.tables[NAME].image.tolist() == ["b.png"]
    reasons = {Path(path).name: reason for path, reason in scored.unreadable}
    assert reasons["a.png"].endswith("c.png, which has the label DME")
    assert reasons["c.png"].endswith("a.png, which has the label CNV")
    assert reasons["pipe.png"].startswith("this is not a file but a folder, a pipe")
    about = scored.about[NAME]
    assert (about.n_scans, about.unreadable, about.repeated) == (1, 3, 0)
    found = find_labelled(tmp_path / "set", parse_label_map(["CNV=CNV,DME", "DME=CNV,DME"]))
    assert score_labelled(found, [own], "set").about[NAME].repeated == 1


def test_whose_scans_they_are_is_not_kept_and_any_name_is(own: LoadedRun, tmp_path: Path) -> None:
    folder = tmp_path / "set" / "DME"
    for seed, name in enumerate(("Last First/a.png", "Last First/b.png", "Other/c.png")):
        save(folder / name, "DME", seed)
    save(folder / os.fsdecode(b"caf\xe9.png"), "DME", 9)
    table = score(tmp_path / "set", own, name="set")
    kept = read_scored(own.card, "external/set")
    first, second, other, alone = kept.patient[np.argsort(kept.image)][[0, 1, 2, 3]].tolist()
    assert {first, second, other, alone} >= {"patient-1", "patient-2"}
    assert len(set(table.patient)) == 3, "two of one person, one of another, one unknown"
    stored = (own.card.folder / "external" / "set.csv").read_text(encoding="utf-8")
    assert "Last First" not in stored and "Other" not in stored and r"caf\udce9.png" in stored


def test_a_run_with_a_gate_keeps_its_scores(own: LoadedRun, clinic: Path) -> None:
    scans = [read_scan(path) for path in sorted(clinic.rglob("*.png"))]
    width = len(np.asarray(own.predict(scans[0])[0].features))
    rng = np.random.default_rng(0)

    def draw(count: int, far: float = 0.0) -> np.ndarray:
        return (rng.random((count, width)) + far).astype(np.float32)

    changed = {change: draw(8, 1.0 + k) for k, change in enumerate(CHANGES)}
    samples = Samples(draw(30), np.arange(30) % 4, draw(5), changed, draw(8, -2.0), draw(20))
    about = {
        "sha256": write_gate(own.card.folder, fit_gate(samples)),
        "weights_sha256": own.card.weights_sha256,
    }
    gated = replace(own, card=replace(own.card, raw={**own.card.raw, "gate": about}))
    table = score(clinic, gated, *AMD)
    gate = read_gate(gated.card)
    assert gate is not None and table.gate is not None
    found = find_labelled(clinic, parse_label_map(AMD))
    for place, each in enumerate(found.scans):
        [answer] = gated.predict(read_scan(each.path))
        expected = gate.scores(np.asarray(answer.features)[None])[0]
        np.testing.assert_allclose(table.gate[place], expected, rtol=1e-2, atol=1e-2)
    kept = read_scored(own.card, "external/clinic").gate
    assert kept is not None
    np.testing.assert_allclose(kept, table.gate, atol=1e-3)


@pytest.fixture
def command(
    own: LoadedRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs ``evaluate`` on the copy of the run: its exit status and all it said."""
    monkeypatch.setenv("OCT_CHECKPOINTS", str(own.card.folder.parent))
    monkeypatch.setattr(out, "width", 200)

    def evaluate(*arguments: str | os.PathLike[str]) -> tuple[int, str]:
        status = cli.main(["evaluate", NAME, *map(os.fspath, arguments)])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return evaluate


def test_the_command_scores_a_folder_with_two_of_the_classes(
    own: LoadedRun, command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """Case c18 of the field."""
    for seed, label in enumerate(("DME", "NORMAL") * 2):
        save(tmp_path / "two.classes" / label / f"{label}-{seed + 1}-1.png", label, seed)
    before = (own.card.folder / CARD).read_bytes()
    status, said = command("--labelled", tmp_path / "two.classes")
    assert status == 0 and "nan" not in said.lower().replace("name", "")
    assert "4 scans of 4 patients (known from: file names); kept as external/two.classes" in said
    table = read_scored(read_card(own.card.folder), "external/two.classes")
    value = accuracy_score(table.label, table.logits.argmax(1))
    assert f"accuracy {value:.3f}" in said
    assert "verdicts: answer 0, caution 4, refer 0; wrong among the answered 0" in said
    assert (own.card.folder / CARD).read_bytes() == before
    status, said = command("--data", tmp_path / "two.classes")
    assert status != 0 and f"evaluate {NAME} --labelled {tmp_path / 'two.classes'}" in said


def test_the_command_takes_coarse_labels_and_a_name_and_tells_what_it_left_out(
    own: LoadedRun, command: Callable[..., tuple[int, str]], clinic: Path
) -> None:
    save(clinic / "Other" / "o.png", "DME", 9)
    (clinic / "amd" / "broken.png").write_bytes(b"no picture")
    shutil.copy(clinic / "Normal" / "c.png", clinic / "Normal" / "d.png")
    maps = ("--label-map", *AMD, "--label-map", "OTHER=-")
    status, said = command("--labelled", clinic, *maps, "--name", "first-visit")
    assert status == 1, "a file was left out"
    assert "broken.png" in said and "left out: 1 scan with the label OTHER" in said
    assert "left out: 1 picture that came before" in said
    assert "kept as external/first-visit" in said and "AMD" in said and "nan" not in said
    assert "each counts as its own patient" in said
    table = read_scored(own.card, "external/first-visit")
    amd = table.given == "AMD"
    called = np.isin(table.logits.argmax(1), [0, 2])
    row = next(line for line in said.splitlines() if "│ AMD" in line)
    cells = [cell.strip() for cell in row.split("│")]
    assert cells[-3].startswith(f"{called[amd].mean():.3f} (")
    assert cells[-2].startswith(f"{1 - called[~amd].mean():.3f} (")
    data = json.loads((own.card.folder / "external" / "first-visit.json").read_text())
    assert data["left_out"] == {"OTHER": 1} and data["unreadable"] == data["repeated"] == 1


def test_files_that_are_passed_over_are_told_with_the_reason(
    own: LoadedRun, command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    for seed, label in enumerate(("DME", "NORMAL")):
        picture = save(tmp_path / "mixed" / label / f"{seed}.png", label, seed)
    (tmp_path / "mixed" / "DME" / "notes.txt").write_text("no picture")
    status, said = command("--labelled", tmp_path / "mixed")
    assert status == 0, "what is no picture is no scan that was left out"
    assert "passed over, for they are no pictures: .txt 1" in said and "left out" not in said
    dicom = tmp_path / "mixed" / "DME" / "a.dcm"
    dicom.write_bytes(bytes(128) + b"DICM" + bytes(200))
    shutil.copy(picture, tmp_path / "mixed" / "DME" / "IM0001")
    status, said = command("--labelled", tmp_path / "mixed")
    assert status == 1 and "several pages" not in said
    with Image.open(picture) as image:
        other = image.rotate(180)
        image.save(dicom.with_name("two.tif"), save_all=True, append_images=[other])
    save(tmp_path / "mixed" / "DME" / ".trash" / "a.png", "DME", 8)
    said += command("--labelled", tmp_path / "mixed")[1]
    assert "warning: 1 file has several pages; the first was scored" in said
    assert "note: 1 hidden folder was passed over: " in said
    assert f"left out: {dicom}: this is a DICOM file, but a PNG" in said
    assert "IM0001: this is a PNG picture by its content, but not by its name" in said


@pytest.mark.parametrize("label", CLASSES)
def test_one_class_one_patient_and_no_right_answer_are_said_without_nan(
    own: LoadedRun, command: Callable[..., tuple[int, str]], tmp_path: Path, label: str
) -> None:
    """Of the four labels given to the same scan three are wrong, and one may be right."""
    for seed in range(2):
        save(tmp_path / "one" / label / "p" / f"{seed}.png", "CNV", seed)
    status, said = command("--labelled", tmp_path / "one")
    assert status == 0 and "2 scans of 1 patient (known from: folders)" in said
    assert "nan" not in said and f"not defined: only {label}" in said


def test_options_that_do_not_go_together_are_refused(
    command: Callable[..., tuple[int, str]], clinic: Path
) -> None:
    for options in (("--name", "x"), ("--label-map", *AMD)):
        status, said = command(*options)
        assert status != 0 and "belong to --labelled FOLDER" in said
    status, said = command("--labelled", clinic, "--data", clinic)
    assert status != 0 and "are two evaluations" in said
    status, said = command("--labelled", clinic)
    assert status != 0 and "--label-map AMD=CNV,DRUSEN" in said
