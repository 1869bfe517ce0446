"""python -m oct_core: columns, keys, exit statuses and one readable line for an error."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from oct_core import cli, evaluation
from oct_core.cli.predict import count_verdicts, scan_files, warn_of
from oct_core.errors import DataError
from oct_core.exports import PREDICTION_COLUMNS
from oct_core.models.catalog import ARCHITECTURES
from oct_core.runs.files import read_card, write_card
from oct_core.scans.corruptions import CORRUPTIONS
from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES, Judgement, Prediction, Reason, Verdict

torch.set_num_threads(1)
COMMANDS = (
    "prepare",
    "train",
    "evaluate",
    "predict",
    "explain",
    "report",
    "runs",
    "phantom",
    "export",
)
RUNS = ["vgg16", "resnet50", "densenet121"]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def runs_here(demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OCT_CHECKPOINTS", str(demo_root))
    return demo_root


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two scans, one of them two folders down, with names that a markup language would eat."""
    folder = tmp_path / "scans"
    for path, label in ((folder / "a [bold].png", "CNV"), (folder / "b" / "c" / "d.jpeg", "DME")):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_phantom(label, 70, 96, 130).pixels).save(path)
    (folder / "notes.txt").write_text("no picture")
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_for_itself_and_its_options(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--help"]) == 0
    assert command in capsys.readouterr().out
    assert cli.main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage" in shown and "Options" in shown and len(shown) > 200


def test_the_module_runs_as_a_command_and_tells_its_status() -> None:
    def module(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "oct_core", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    good, bad = module("--help"), module("prepare", "/no/such/folder", "--out", "/no/out")
    assert good.returncode == 0 and all(command in good.stdout for command in COMMANDS)
    assert bad.returncode == 1 and bad.stdout == "" and "Traceback" not in bad.stderr
    assert bad.stderr.startswith("error: /no/such/folder is neither a folder nor a .csv manifest")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "--help"),
        (["pradict"], 2, "No such command 'pradict'"),
        (["[/x]"], 2, "No such command '[/x]'"),
        (["predict", "x.png"], 2, "Missing option '--out'"),
        (
            ["train", "vgg16", "--data", "x", "--run", "r", "--epochs", "many"],
            2,
            "Invalid value for '--epochs'",
        ),
        (
            ["train", "vgg61", "--data", "x", "--run", "r"],
            1,
            "no architecture is called 'vgg61'; did you mean vgg16",
        ),
        (
            ["train", "vgg16", "--data", "x", "--run", "r", "--epochs", "0"],
            1,
            "epochs must be over 0",
        ),
        (
            ["train", "vgg16", "--data", "x", "--run", "r", "--device", "cpu"],
            1,
            "x is not prepared",
        ),
        (
            ["train", "vgg16", "--data", "x", "--run", "../r"],
            1,
            "the name of a run is one folder name, not '../r'",
        ),
        (["evaluate", "nothing"], 1, "is no run: it has no card.json"),
        (["predict", "x.png", "--out", "o.csv", "--run", "vgg61"], 1, "there is no run 'vgg61'"),
        (["predict", "x.png", "--out", "o.csv", "--device", "tpu"], 1, "no device is called 'tpu'"),
        (
            ["prepare", ".", "--out", "o", "--val-fraction", "0.9"],
            1,
            "val_fraction must be over 0 and at most 0.5",
        ),
    ],
)
@pytest.mark.usefixtures("runs_here")
def test_an_error_is_one_readable_line(
    arguments: list[str],
    status: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == status
    output, errors = capsys.readouterr()
    assert message in errors and "Traceback" not in errors
    if arguments:
        assert output == "" and len(errors.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_only_with_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a bug [of] ours")

    monkeypatch.setattr("oct_core.models.device.choose_device", lambda name: broken())
    arguments = ["predict", "x.png", "--out", "o.csv"]
    assert cli.main(arguments) == 1
    assert (
        "error: ZeroDivisionError: a bug [of] ours (run again with --debug"
        in capsys.readouterr().err
    )
    with pytest.raises(ZeroDivisionError):
        cli.main([*arguments, "--debug"])


def test_ctrl_c_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("oct_core.models.device.choose_device", stop)
    assert cli.main(["predict", "x.png", "--out", "o.csv"]) == 130
    assert capsys.readouterr().err == "stopped\n"
    assert cli.main(["train", "vgg16", "--data", "d", "--run", "r", "--init", "random"]) in (1, 130)


@pytest.mark.usefixtures("runs_here")
def test_predict_writes_one_row_a_scan_and_run(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    assert cli.main(["predict", str(scans), "--out", str(out), "--device", "cpu"]) == 0
    rows = rows_of(out)
    assert tuple(rows[0]) == PREDICTION_COLUMNS
    expected = [
        (str(scans / name), run)
        for name in ("a [bold].png", "b/c/d.jpeg")
        for run in ("ensemble", *RUNS)
    ]
    assert [(row["image"], row["run"]) for row in rows] == expected
    for row in rows:
        probabilities = [float(row[f"p_{label}"]) for label in CLASSES]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert row["predicted"] == CLASSES[int(np.argmax(probabilities))]
        assert row["verdict"] == "caution" and "no gate that can be used" in row["reason"]
    for first in (0, 4):
        mean = np.mean([[float(row["p_CNV"]) for row in rows[first + 1 : first + 4]]])
        assert float(rows[first]["p_CNV"]) == pytest.approx(mean, abs=2e-6)
    told = capsys.readouterr()
    assert "8 rows in" in told.out and "2 scans: answer 0, caution 2, refer 0" in told.out
    *warnings, other = sorted(told.err.strip().splitlines())
    assert other == "passed over, for they are no pictures: .txt 1"
    assert len(warnings) == 2 and all(line.startswith("caution: ") for line in warnings)
    assert all("this run has no gate that can be used" in line for line in warnings)


@pytest.mark.usefixtures("runs_here")
def test_the_ensemble_can_be_asked_for_by_name_and_one_run_has_its_rows_alone(
    scans: Path, tmp_path: Path
) -> None:
    rows = {}
    for name in ("ensemble", "vgg16"):
        out = tmp_path / f"{name}.csv"
        options = ["--run", name, "--out", str(out), "--device", "cpu"]
        assert cli.main(["predict", str(scans), *options]) == 0
        rows[name] = rows_of(out)
    assert [row["run"] for row in rows["ensemble"]] == ["ensemble", *RUNS] * 2
    assert [row for row in rows["ensemble"] if row["run"] == "vgg16"] == rows["vgg16"]


def test_the_worst_scans_are_named_first_and_of_many_the_rest_is_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    chances = np.array([0.97, 0.01, 0.01, 0.01])
    answer = Prediction("vgg16", np.log(chances).astype(np.float32), chances)
    kinds = ["caution"] * 45 + ["answer", "refer"]
    reasons = {"answer": (), "caution": (Reason("no gate"),), "refer": (Reason("bscan"),)}
    judged = [
        (f"{place}.png", Judgement(answer, Verdict(kind, "CNV", 0.97, reasons[kind])))
        for place, kind in enumerate(kinds)
    ]
    warn_of(judged, Path("out.csv"))
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[0] == (
        "refer: 46.png: No answer: show it to a person, because it does not look like a retinal "
        "B-scan."
    )
    assert len(lines) == 41 and not any("45.png" in line for line in lines)
    assert lines[-1].startswith("and 6 more scans without a plain answer")
    assert count_verdicts(judged) == "47 scans: answer 1, caution 45, refer 1"


@pytest.mark.usefixtures("runs_here")
def test_unreadable_files_go_to_stderr_and_the_rest_is_scored(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (scans / "a [bold].png").read_bytes()
    (scans / "b" / "cut [off].png").write_bytes(whole[: len(whole) // 2])
    (scans / "empty.tif").write_bytes(b"")
    out = tmp_path / "out.csv"
    arguments = [
        "predict",
        str(scans),
        str(tmp_path / "gone.png"),
        "--run",
        "densenet121",
        "--out",
        str(out),
        "--device",
        "cpu",
    ]
    assert cli.main(arguments) == 1
    assert [Path(row["image"]).name for row in rows_of(out)] == ["a [bold].png", "d.jpeg"]
    errors = capsys.readouterr().err.strip().splitlines()
    lines = [line for line in errors if not line.startswith(("caution: ", "passed over"))]
    assert len(lines) == 3 and all(line.startswith("left out: ") for line in lines)
    for name, reason in (
        ("cut [off].png", "cut off and cannot be read"),
        ("empty.tif", "the file is empty"),
        ("gone.png", "cannot be opened"),
    ):
        assert any(name in line and reason in line for line in lines), name


@pytest.mark.usefixtures("runs_here")
def test_a_path_is_written_as_given(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scans)
    arguments = [
        "predict",
        "b/c/d.jpeg",
        "b/../b",
        "--run",
        "densenet121",
        "--out",
        str(tmp_path / "o.csv"),
        "--device",
        "cpu",
    ]
    assert cli.main(arguments) == 0
    assert [row["image"] for row in rows_of(tmp_path / "o.csv")] == [
        "b/c/d.jpeg",
        "b/../b/c/d.jpeg",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/o.csv", "there is no folder"),
        ("over.png", "ends in .csv"),
        ("scan.csv", "one of the scans"),
    ],
)
def test_an_out_that_cannot_be_or_is_a_scan_is_refused_before_the_work(
    name: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "scan.csv").write_bytes(b"a scan under a strange name")
    monkeypatch.setattr(
        "oct_core.cli.predict.predict_files", lambda *_: pytest.fail("it began to work")
    )
    assert cli.main(["predict", str(tmp_path / "scan.csv"), "--out", str(tmp_path / name)]) == 1
    assert message in capsys.readouterr().err and (tmp_path / "scan.csv").read_bytes().startswith(
        b"a scan"
    )


@pytest.mark.usefixtures("runs_here")
def test_a_file_name_that_is_not_utf_8_keeps_its_bytes(scans: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"b\xe4d.png")
    odd.write_bytes((scans / "a [bold].png").read_bytes())
    assert (
        cli.main(
            [
                "predict",
                str(odd),
                "--run",
                "resnet50",
                "--out",
                str(tmp_path / "o.csv"),
                "--device",
                "cpu",
            ]
        )
        == 0
    )
    assert b"b\xe4d.png,resnet50," in (tmp_path / "o.csv").read_bytes()


@pytest.mark.usefixtures("runs_here")
def test_several_methods_and_layers_and_a_scan_without_evidence(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = tmp_path / "flat.png"
    Image.fromarray(np.full((96, 130), 90, dtype=np.uint8)).save(flat)
    options = [
        "--method",
        "gradcam",
        "--method",
        "hirescam",
        "--layer",
        "stem",
        "--layer",
        "layer4",
        "--device",
        "cpu",
    ]
    for image in (flat, scans / "a [bold].png"):
        assert (
            cli.main(
                ["explain", str(image), "--run", "resnet50", "--out", str(tmp_path / "m"), *options]
            )
            == 0
        )
        with np.load(tmp_path / "m" / f"{image.stem}_resnet50.npz") as arrays:
            assert set(arrays.files) == {
                "meta",
                "gradcam/stem",
                "gradcam/layer4",
                "hirescam/stem",
                "hirescam/layer4",
            }
        assert ("these maps are zero everywhere" in capsys.readouterr().err) is (image is flat)


@pytest.mark.usefixtures("runs_here")
def test_maps_are_never_written_over(scans: Path, tmp_path: Path) -> None:
    arguments = [
        "explain",
        str(scans / "a [bold].png"),
        "--run",
        "resnet50",
        "--out",
        str(tmp_path / "m"),
        "--layer",
        "stem",
        "--device",
        "cpu",
    ]
    assert cli.main([*arguments, "--target", "CNV"]) == 0
    first = (tmp_path / "m" / "a [bold]_resnet50.npz").read_bytes()
    (tmp_path / "m" / "a [bold]_resnet50_2.png").write_bytes(b"another's")
    assert cli.main([*arguments, "--target", "DME"]) == 0
    names = {path.name for path in (tmp_path / "m").iterdir()}
    assert names == {
        f"a [bold]_resnet50{end}" for end in (".png", ".npz", "_2.png", "_3.png", "_3.npz")
    }
    assert (tmp_path / "m" / "a [bold]_resnet50.npz").read_bytes() == first
    assert (tmp_path / "m" / "a [bold]_resnet50_2.png").read_bytes() == b"another's"


def test_the_report_is_made_and_cut_short_by_the_clock(
    demo_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OCT_CHECKPOINTS", str(demo_root))
    monkeypatch.setenv("OCT_REPORT", str(tmp_path / "shown.json"))
    arguments = [
        "explain-report",
        "--run",
        "resnet50",
        "--phantoms",
        "2",
        "--wider",
        "0",
        "--steps",
        "1",
        "--device",
        "cpu",
    ]
    assert cli.main([*arguments, "--minutes", "0.000001"]) == 0
    assert "the same command goes on with the rest" in capsys.readouterr().err
    assert cli.main(arguments) == 0
    report = json.loads((tmp_path / "shown.json").read_text())
    assert report["complete"] and report["tasks"] == {"done": 2, "planned": 2}, (
        "where the page looks"
    )


def test_phantoms_can_be_prepared_as_they_are(tmp_path: Path) -> None:
    assert (
        cli.main(
            [
                "phantom",
                "--out",
                str(tmp_path / "p"),
                "--per-class",
                "8",
                "--height",
                "64",
                "--width",
                "64",
            ]
        )
        == 0
    )
    assert (
        cli.main(
            [
                "prepare",
                str(tmp_path / "p" / "scans"),
                "--out",
                str(tmp_path / "d"),
                "--size",
                "128",
                "--workers",
                "1",
            ]
        )
        == 0
    )


def test_no_scans_and_no_runs_say_so(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no picture"):
        scan_files([tmp_path / "empty"])
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "empty"))
    assert cli.main(["predict", str(scans), "--out", str(tmp_path / "o.csv")]) == 1
    assert (
        "there is no finished run" in capsys.readouterr().err and not (tmp_path / "o.csv").exists()
    )


@pytest.mark.usefixtures("runs_here")
def test_explain_writes_the_keys_of_the_contract(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, out = scans / "b" / "c" / "d.jpeg", tmp_path / "maps"
    assert (
        cli.main(
            [
                "explain",
                str(image),
                "--run",
                "densenet121",
                "--target",
                "CNV",
                "--out",
                str(out),
                "--device",
                "cpu",
            ]
        )
        == 0
    )
    [png], [npz] = out.glob("*.png"), out.glob("*.npz")
    assert Image.open(png).mode == "RGB"
    with np.load(npz, allow_pickle=False) as arrays:
        maps = {key: arrays[key] for key in arrays.files if "/" in key}
        assert set(arrays.files) - set(maps) == {"meta"}
        meta = json.loads(str(arrays["meta"]))
    layers = list(ARCHITECTURES.get("densenet121").layers)
    wanted = {
        f"{method}/{layer}" for method in ("gradcam", "guided_gradcam") for layer in layers
    } | {"guided_backprop/input"}
    assert set(maps) == wanted == set(meta["maps"])
    for key, values in maps.items():
        assert (
            values.dtype == np.float32 and values.shape == (96, 130) and np.isfinite(values).all()
        )
        assert meta["maps"][key]["signed"] is not key.startswith("gradcam/")
        assert meta["maps"][key]["maximum"] == pytest.approx(float(values.max()))
        assert not key.startswith("gradcam/") or values.min() >= 0
    assert (maps["guided_backprop/input"] < 0).any()
    assert (
        meta["target"] == "CNV"
        and meta["run"] == "densenet121"
        and len(meta["weights_sha256"]) == 64
    )
    assert set(meta["versions"]) >= {"oct_core", "torch", "numpy"}
    assert meta["verdict"] == "caution" and "no gate that can be used" in meta["reason"]
    assert meta["gate"] is None
    assert capsys.readouterr().err.startswith("caution: Caution: ")


@pytest.mark.usefixtures("runs_here")
def test_explain_of_the_ensemble_writes_the_maps_of_each_member(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan, csv_file = str(scans / "a [bold].png"), tmp_path / "answers.csv"
    assert cli.main(["predict", scan, "--out", str(csv_file), "--device", "cpu"]) == 0
    together = rows_of(csv_file)[0]
    assert together["run"] == "ensemble"
    command = ["explain", scan, "--run", "ensemble", "--method", "gradcam", "--device", "cpu"]
    assert cli.main([*command, "--out", str(tmp_path / "maps"), "--level", "0.1"]) == 0
    assert sorted(file.name for file in (tmp_path / "maps").glob("*.npz")) == [
        f"a [bold]_{run}.npz" for run in sorted(RUNS)
    ]
    for file in (tmp_path / "maps").glob("*.npz"):
        with np.load(file, allow_pickle=False) as arrays:
            assert json.loads(str(arrays["meta"]))["target"] == together["predicted"]
    assert "Caution: " in capsys.readouterr().err


@pytest.mark.usefixtures("runs_here")
def test_the_ensemble_stands_alone_and_a_run_is_asked_once(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, command = tmp_path / "out.csv", ["predict", str(scans / "a [bold].png"), "--device", "cpu"]
    both = ["--run", "ensemble", "--run", "vgg16"]
    assert cli.main([*command, "--out", str(out), *both]) == 1
    assert "all finished runs together" in capsys.readouterr().err and not out.exists()
    twice = ["--run", "vgg16", "--run", "vgg16"]
    assert cli.main([*command, "--out", str(out), *twice]) == 0
    assert [row["run"] for row in rows_of(out)] == ["vgg16"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "AMD"], "AMD"),
        (["--layer", "block9"], "block9"),
        (["--method", "gradcan"], "gradcan"),
        (["--run", "vgg61"], "vgg61"),
    ],
)
@pytest.mark.usefixtures("runs_here")
def test_explain_refuses_what_is_not_there(
    options: list[str],
    message: str,
    scans: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [
        "explain",
        str(scans / "b" / "c" / "d.jpeg"),
        "--run",
        "densenet121",
        "--out",
        str(tmp_path / "m"),
        "--device",
        "cpu",
    ]
    assert cli.main([*arguments, *options]) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "m").exists()


def test_runs_lists_figures_and_names_the_damaged(
    demo_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in RUNS:
        (tmp_path / name).symlink_to(demo_root / name)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "card.json").write_text("{")
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path))
    assert cli.main(["runs"]) == 0
    output, errors = capsys.readouterr()
    assert all(name in output for name in RUNS) and "64 px" in output and "(" in output
    assert "ensemble" in output and "of 3 runs" in output
    assert "damaged: broken:" in errors
    assert cli.main(["runs", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(row["run"], row["status"]) for row in found] == [(name, "done") for name in RUNS]


def test_predict_says_which_run_is_damaged_and_asks_the_others(
    demo_root: Path,
    scans: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "some"
    (root / "broken").mkdir(parents=True)
    (root / "broken" / "card.json").write_text("{")
    (root / "densenet121").symlink_to(demo_root / "densenet121")
    monkeypatch.setenv("OCT_CHECKPOINTS", str(root))
    for options, left_out in (([], 1), (["--run", "densenet121"], 0)):
        assert (
            cli.main(
                [
                    "predict",
                    str(scans),
                    *options,
                    "--out",
                    str(tmp_path / "out.csv"),
                    "--device",
                    "cpu",
                ]
            )
            == left_out
        )
        assert capsys.readouterr().err.count("left out: the run broken:") == left_out
        assert {row["run"] for row in rows_of(tmp_path / "out.csv")} == {"densenet121"}


@pytest.fixture
def odd_runs(demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound run, one whose test part is of one patient, and one without a class in it."""
    root = tmp_path / "odd"
    for name, rows in (("sound", None), ("one-patient", "CNV"), ("three-classes", "NORMAL")):
        shutil.copytree(demo_root / "densenet121", root / name)
        path = root / name / "predictions.csv"
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            table, columns = list(reader), reader.fieldnames or []
        for row in table:
            if rows == "CNV" and row["split"] == "test":
                row["patient"] = "7"
        if rows == "NORMAL":
            table = [row for row in table if (row["split"], row["label"]) != ("test", "NORMAL")]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
    monkeypatch.setenv("OCT_CHECKPOINTS", str(root))
    return root


@pytest.mark.usefixtures("odd_runs")
def test_a_figure_without_an_interval_says_why_and_hides_no_other_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a narrow terminal the words of a cell stand on several lines.
    monkeypatch.setattr("oct_core.cli.app.out.width", 200)
    for name, reason in (
        ("one-patient", "no interval: one patient"),
        ("three-classes", "not defined: no NORMAL"),
    ):
        assert cli.main(["evaluate", name]) == 0
        shown = capsys.readouterr().out
        assert reason in shown and "nan" not in shown
    assert cli.main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    [one] = [line for line in lines if "one-patient" in line]
    [sound] = [line for line in lines if "sound" in line]
    assert re.search(r"0\.\d{3} \(no interval: one patient\)", one)
    assert re.search(r"0\.\d{3} \(0\.\d{3} to \d\.\d{3}\)", sound)


def test_a_card_with_broken_figures_hides_no_other_run(
    odd_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = json.loads((odd_runs / "sound" / "card.json").read_text())
    raw["metrics"]["test"]["accuracy"] = {"value": "much"}
    write_card(odd_runs / "sound", raw)
    assert cli.main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("sound" in line and "cannot be read" in line for line in lines)
    assert any("three-classes" in line for line in lines)


def test_no_runs_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path))
    assert cli.main(["runs"]) == 0
    assert f"there is no finished run in {tmp_path}; train one" in capsys.readouterr().err


def cut_off(root: Path, sound: Path) -> None:
    """A run beside ``sound`` whose weights end early."""
    shutil.copytree(sound, root / "cut")
    weights = root / "cut" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])


def test_a_run_with_damaged_weights_is_left_out_and_named(
    demo_root: Path,
    scans: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, out = tmp_path / "some", tmp_path / "out.csv"
    root.mkdir()
    (root / "densenet121").symlink_to(demo_root / "densenet121")
    cut_off(root, demo_root / "densenet121")
    monkeypatch.setenv("OCT_CHECKPOINTS", str(root))
    arguments = ["predict", str(scans), "--out", str(out), "--device", "cpu"]
    assert cli.main(arguments) == 1
    errors = capsys.readouterr().err
    assert re.search(r"left out: the run cut: .*weights.safetensors is not the file of its", errors)
    assert [row["run"] for row in rows_of(out)] == ["densenet121"] * 2
    out.unlink()
    assert cli.main([*arguments, "--run", "cut", "--run", "densenet121"]) == 1
    assert "error: " in capsys.readouterr().err and not out.exists()
    (root / "densenet121").unlink()
    assert cli.main(arguments) == 1
    errors = capsys.readouterr().err
    assert f"error: no run in {root} can be used: cut: " in errors and not out.exists()


def test_phantoms_are_prepared_trained_and_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way of an engineer, at 64 px: phantom, prepare, train, evaluate."""
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "runs"))
    drawn, data = str(tmp_path / "drawn"), str(tmp_path / "data")
    draw = ["phantom", "--out", drawn, "--per-class", "6", "--height", "96", "--width", "128"]
    assert cli.main(draw) == 0
    assert {path.parent.name for path in (tmp_path / "drawn" / "scans").rglob("*.png")} == set(
        CLASSES
    )
    assert cli.main(draw) == 1
    assert "not empty; nothing is written over" in capsys.readouterr().err
    prepare = [
        "prepare",
        drawn,
        "--out",
        data,
        "--size",
        "64",
        "--workers",
        "1",
        "--test-fraction",
        "0.5",
        "--val-fraction",
        "0.5",
    ]
    assert cli.main(prepare) == 0
    assert "scans (patients)" in capsys.readouterr().out
    assert len(rows_of(tmp_path / "data" / "manifest.csv")) == 6 * len(
        CLASSES
    )  # the masks are no scans
    train = [
        "train",
        "densenet121",
        "--data",
        data,
        "--run",
        "mine",
        "--init",
        "random",
        "--epochs",
        "2",
        "--batch-size",
        "4",
        "--device",
        "cpu",
    ]
    assert cli.main(train) == 0
    output, errors = capsys.readouterr()
    assert "mine is trained" in output and "epoch 2  training loss" in errors and "to go" in errors
    assert cli.main(train) == 1
    assert (
        "run mine exists; choose another --run, or go on with --resume" in capsys.readouterr().err
    )
    assert cli.main([*train, "--resume"]) == 0
    monkeypatch.setattr(
        evaluation, "phantom_accuracy", lambda run: {"n": 4, "accuracy": 0.25}
    )  # measured in test_evaluation.py
    assert (
        cli.main(["evaluate", "mine", "--data", data, "--validation-only", "--device", "cpu"]) == 0
    )
    shown = capsys.readouterr().out
    assert (
        "│ val " in shown
        and "│ test " not in shown
        and set(read_card(tmp_path / "runs" / "mine").raw["metrics"]) == {"val"}
    )
    assert all(
        re.search(rf"│ {name} +│ [01]\.\d{{3}} +│ [01]\.\d{{3}} +│ [01]\.\d{{3}} +│", shown)
        for name in CORRUPTIONS
    )
    assert cli.main(["evaluate", "mine", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "accuracy" in shown and "│ val " in shown and "│ test " in shown
    assert "Cohen's kappa" in shown and "nan" not in shown
    assert sorted(os.listdir(tmp_path / "runs")) == ["mine"]
