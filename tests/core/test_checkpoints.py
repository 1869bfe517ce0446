"""Run folders: only whole, unchanged, known runs are loaded, and every refusal says why and what to
do.
"""

from __future__ import annotations

import csv
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oct_core.errors import CheckpointError, UnknownNameError
from oct_core.runs import files
from oct_core.runs.files import (
    CARD,
    HISTORY,
    PREDICTIONS,
    STEPS,
    WEIGHTS,
    append_rows,
    checkpoints_root,
    damaged_runs,
    list_runs,
    read_card,
    read_history,
    read_predictions,
    read_steps,
    write_atomically,
    write_card,
    write_predictions,
)
from oct_core.runs.weights import LoadedRun, load_run, load_weights, weights_bytes
from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES, PredictionTable

ROOT = Path(__file__).resolve().parents[2]
HISTORY_COLUMNS = [
    "epoch",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "val_auc",
    "learning_rate",
    "seconds",
    "images_per_second",
    *(f"val_sensitivity_{name}" for name in CLASSES),
]
CARD_KEYS = {
    "schema",
    "name",
    "status",
    "architecture",
    "classes",
    "preprocessing",
    "weights_sha256",
    "initialisation",
    "data",
    "training",
    "versions",
    "git_commit",
    "device",
    "wall_seconds",
    "best_epoch",
    "temperature",
    "operating_points",
    "metrics",
    "intended_use",
    "limits",
    "licence",
}


@pytest.fixture
def own_run(demo_root: Path, tmp_path: Path) -> Path:
    """A copy of the DenseNet run, to be damaged."""
    return Path(shutil.copytree(demo_root / "densenet121", tmp_path / "densenet121"))


def change_card(folder: Path, **changes: Any) -> None:
    raw = json.loads((folder / CARD).read_text())
    write_card(folder, {**raw, **changes})


def test_a_trained_run_has_everything_of_the_contract(demo_root: Path) -> None:
    for name in ("vgg16", "resnet50", "densenet121"):
        folder = demo_root / name
        assert {path.name for path in folder.iterdir()} == {
            WEIGHTS,
            CARD,
            HISTORY,
            STEPS,
            PREDICTIONS,
        }
        card = read_card(folder)
        assert set(card.raw) >= CARD_KEYS
        assert (card.name, card.status, card.architecture, card.classes) == (
            name,
            "done",
            name,
            CLASSES,
        )
        assert set(card.raw["metrics"]) == {"val", "test"} and set(card.raw["data"]) >= {
            "manifest_sha256",
            "counts",
        }
        assert list(read_history(folder)) == HISTORY_COLUMNS
        assert set(read_steps(folder)) == {
            "step",
            "epoch",
            "loss",
            "accuracy",
            "learning_rate",
        } or not read_steps(folder)
        header = next(csv.reader((folder / PREDICTIONS).open()))
        assert header == [
            "split",
            "image",
            "sha256",
            "patient",
            "label",
            *(f"logit_{label}" for label in CLASSES),
        ]


def test_a_loaded_run_is_frozen_in_eval_mode_and_float32(
    demo_run: Callable[[str], LoadedRun],
) -> None:
    run = demo_run("densenet121")
    assert not any(module.training for module in run.model.modules())
    assert not any(parameter.requires_grad for parameter in run.model.parameters())
    assert {parameter.dtype for parameter in run.model.parameters()} == {torch.float32}
    assert list(run.layers) == list(run.architecture.layers)
    batch = run.inputs(
        [make_phantom("CNV", 1, 90, 130).scan, make_phantom("DME", 1, 200, 100).scan]
    )
    assert (
        batch.shape == (2, 1, 64, 64)
        and batch.dtype == torch.float32
        and batch.min() >= 0
        and batch.max() <= 1
    )


def test_a_run_is_found_by_name_by_folder_and_by_the_path_as_text(
    demo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = demo_root / "densenet121"
    assert load_run("densenet121", root=demo_root).card.folder == folder
    assert load_run(folder).card.name == load_run(str(folder)).card.name == "densenet121"
    monkeypatch.setenv("OCT_CHECKPOINTS", str(demo_root))
    assert checkpoints_root() == demo_root and load_run("densenet121").card.folder == folder
    monkeypatch.delenv("OCT_CHECKPOINTS")
    assert (
        checkpoints_root().name == "checkpoints"
        and (checkpoints_root().parent / "oct_core").is_dir()
    )


def test_a_run_that_is_not_there_lists_those_that_are(demo_root: Path, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"no run 'vgg61' in .*; there are: vgg16, resnet50, densenet121"
    ):
        load_run("vgg61", root=demo_root)
    with pytest.raises(CheckpointError, match="there are: none yet"):
        load_run("vgg16", root=tmp_path / "missing")
    with pytest.raises(CheckpointError, match=r"is no run: it has no card\.json"):
        load_run(tmp_path)


def test_weights_that_are_not_the_cards_are_refused(own_run: Path) -> None:
    data = bytearray((own_run / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (own_run / WEIGHTS).write_bytes(data)
    with pytest.raises(
        CheckpointError, match=r"is not the file of its card: sha256 \w{12}, expected \w{12}"
    ):
        load_run(own_run)


def test_missing_weights_say_so(own_run: Path) -> None:
    (own_run / WEIGHTS).unlink()
    with pytest.raises(
        CheckpointError, match=r"weights\.safetensors cannot be read \(No such file"
    ):
        load_run(own_run)


class Trap:
    """Unpickling this would fail the test."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return pytest.fail, ("a pickle was loaded",)


@pytest.mark.parametrize(
    "data", [pickle.dumps(Trap()), b"", b"\xff" * 64], ids=["pickle", "empty", "noise"]
)
def test_weights_that_are_no_safetensors_are_refused_even_with_the_right_hash(
    own_run: Path, data: bytes
) -> None:
    import hashlib

    (own_run / WEIGHTS).write_bytes(data)
    change_card(own_run, weights_sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(CheckpointError, match="does not fit the architecture of its card"):
        load_run(own_run)


def test_weights_of_another_architecture_leave_the_model_as_it_was(
    own_run: Path, demo_root: Path
) -> None:
    model = load_run("vgg16", root=demo_root).model
    before = weights_bytes(model)
    with pytest.raises(CheckpointError, match="does not fit the architecture"):
        load_weights(model, own_run / WEIGHTS, read_card(own_run).weights_sha256)
    assert weights_bytes(model) == before


@pytest.mark.parametrize("status", ["training", "failed"])
def test_an_unfinished_run_is_not_used(own_run: Path, status: str) -> None:
    change_card(own_run, status=status)
    with pytest.raises(CheckpointError, match=f"run densenet121 is '{status}'"):
        load_run(own_run)


def test_a_card_of_an_unknown_architecture_is_refused(own_run: Path) -> None:
    change_card(own_run, architecture="vgg17")
    with pytest.raises(UnknownNameError, match="did you mean vgg16"):
        load_run(own_run)


def test_another_schema_is_named(own_run: Path) -> None:
    change_card(own_run, schema=99)
    with pytest.raises(CheckpointError, match="has schema 99, this version reads 1"):
        read_card(own_run)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"schema": 1}',
        '{"schema": 1, "status": "done", "architecture": "vgg16", "classes": 3}',
    ],
)
def test_a_damaged_card_is_refused_and_listed_as_damaged(own_run: Path, text: str) -> None:
    (own_run / CARD).write_text(text)
    with pytest.raises(
        CheckpointError, match=r"card\.json cannot be read .*; restore it or train the run again"
    ):
        read_card(own_run)
    assert list_runs(own_run.parent) == []
    assert list(damaged_runs(own_run.parent)) == ["densenet121"]


def test_runs_come_in_the_order_of_the_architectures_then_by_name(
    tmp_path: Path, demo_root: Path
) -> None:
    for name in ("b", "resnet50", "a", "vgg16"):
        (tmp_path / name).mkdir()
        shutil.copy(demo_root / "vgg16" / CARD, tmp_path / name / CARD)
    (tmp_path / "no run").mkdir()
    assert [card.name for card in list_runs(tmp_path)] == ["vgg16", "resnet50", "a", "b"]
    assert list_runs(tmp_path / "missing") == [] and damaged_runs(tmp_path) == {}


def test_weights_are_half_precision_on_disk_and_come_back_exactly(
    demo_run: Callable[[str], LoadedRun], own_run: Path
) -> None:
    from safetensors.torch import load

    stored = load((own_run / WEIGHTS).read_bytes())
    model = demo_run("densenet121").model
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16, torch.int64}
    assert set(stored) == set(model.backbone.state_dict())
    assert weights_bytes(model) == (own_run / WEIGHTS).read_bytes()


def table(**changes: Any) -> PredictionTable:
    columns = {
        "split": np.array(["val", "test"]),
        "image": np.array(["a, b.png", 'say "x".png']),
        "sha256": np.array(["00", "11"]),
        "patient": np.array(["7", "p,8"]),
        "label": np.array([0, 3]),
        "logits": np.array([[1, -2, 3.25, 0], [0, 0, 0, 1e-3]], np.float32),
    }
    return PredictionTable(**{**columns, **changes})


def test_predictions_come_back_whatever_the_file_names(own_run: Path) -> None:
    ours = table()
    write_predictions(own_run, ours)
    found = read_predictions(own_run)
    for column in ("split", "image", "sha256", "patient", "label", "logits"):
        np.testing.assert_array_equal(getattr(found, column), getattr(ours, column))
    assert len(found.of_split("val")) == 1 and found.of_split("val").image[0] == "a, b.png"


@pytest.mark.parametrize(
    ("old", "new"),
    [("CNV,", "AMD,"), ("3.25000", "high"), ("logit_DME", "logit_XYZ"), ("patient", "person")],
)
def test_predictions_that_do_not_fit_are_refused_with_the_way_out(
    own_run: Path, old: str, new: str
) -> None:
    write_predictions(own_run, table())
    text = (own_run / PREDICTIONS).read_text()
    assert old in text
    (own_run / PREDICTIONS).write_text(text.replace(old, new))
    with pytest.raises(CheckpointError, match="run: python -m oct_core evaluate densenet121"):
        read_predictions(own_run)


def test_predictions_that_are_not_there_yet_say_so(own_run: Path) -> None:
    (own_run / PREDICTIONS).unlink()
    with pytest.raises(CheckpointError, match=r"has no predictions\.csv yet"):
        read_predictions(own_run)


def test_a_history_being_written_is_read_without_its_last_line(tmp_path: Path) -> None:
    assert read_history(tmp_path) == {} and read_steps(tmp_path) == {}
    append_rows(tmp_path / HISTORY, [{"epoch": 1, "val_loss": 0.5}])
    append_rows(tmp_path / HISTORY, [{"epoch": 2, "val_loss": 0.25}])
    append_rows(tmp_path / HISTORY, [])
    with (tmp_path / HISTORY).open("a") as file:
        file.write("3")
    assert {name: list(column) for name, column in read_history(tmp_path).items()} == {
        "epoch": [1, 2],
        "val_loss": [0.5, 0.25],
    }
    (tmp_path / STEPS).write_text("step,loss\n")
    assert {name: list(column) for name, column in read_steps(tmp_path).items()} == {
        "step": [],
        "loss": [],
    }


def test_a_history_of_words_is_refused(tmp_path: Path) -> None:
    (tmp_path / HISTORY).write_text("epoch,val_loss\n1,low\n")
    with pytest.raises(CheckpointError, match="holds something that is no number"):
        read_history(tmp_path)


def test_a_write_that_fails_leaves_the_old_file_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "new folder" / "file"
    write_atomically(target, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("oct_core.runs.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old" and list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (None, "expected the name or the folder of a run, got NoneType"),
        (5, "expected the name or the folder of a run, got int"),
        ("", "there is no run ''"),
    ],
)
def test_what_names_no_run_is_refused_in_words(
    demo_root: Path, run: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo_root / "vgg16")  # where "" would be a folder with a card
    with pytest.raises(CheckpointError, match=message):
        load_run(run, root=demo_root)


@pytest.mark.parametrize("device", ["tpu", "cpu:x", "cpu:3", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_in_words(demo_root: Path, device: str) -> None:
    with pytest.raises(UnknownNameError, match=f"device .*'?{device}"):
        load_run("vgg16", device, demo_root)


def test_an_installed_library_looks_for_runs_in_the_current_folder(
    demo_root: Path, tmp_path: Path
) -> None:
    """Never among the installed packages, and it says where it looked."""
    shutil.copytree(ROOT / "oct_core", tmp_path / "site-packages" / "oct_core")
    here = tmp_path / "here"
    here.mkdir()
    code = """
from oct_core.errors import CheckpointError
from oct_core.runs.files import checkpoints_root, list_runs
from oct_core.runs.weights import load_run
from oct_core.trust.report_file import report_path
print(checkpoints_root(), report_path(), [card.name for card in list_runs()], sep="|")
try:
    load_run("nothing")
except CheckpointError as error:
    print(error)
"""

    def outcome(*, runs: bool) -> list[str]:
        if runs:
            (here / "checkpoints").symlink_to(demo_root)
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=here,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "site-packages")},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip().splitlines()

    root = here / "checkpoints"
    places, error = outcome(runs=False)
    assert places == f"{root}|{here / 'reports' / 'explanations.json'}|[]"
    assert error.startswith(f"there is no run 'nothing' in {root}; there are: none yet")
    assert "OCT_CHECKPOINTS" in error and "--run" in error
    places, error = outcome(runs=True)
    assert places.endswith("['vgg16', 'resnet50', 'densenet121']")
    assert error == (
        f"there is no run 'nothing' in {root}; there are: vgg16, resnet50, densenet121"
    )


def test_runs_beside_a_library_that_was_copied_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that holds the library and the runs, without pyproject.toml."""
    monkeypatch.delenv("OCT_CHECKPOINTS", raising=False)
    monkeypatch.setattr(files, "_HOME", tmp_path)
    assert checkpoints_root() == Path.cwd() / "checkpoints"
    (tmp_path / "checkpoints" / "mine").mkdir(parents=True)
    (tmp_path / "checkpoints" / "mine" / "card.json").write_text("{}")
    assert checkpoints_root() == tmp_path / "checkpoints"
