"""A run as an ONNX file: the same probabilities at any number of scans, what it says of itself, and
errors before anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from random_runs import fingerprint, random_run, scans

from oct_core import cli
from oct_core.errors import ExportError
from oct_core.models.catalog import ARCHITECTURES
from oct_core.runs import onnx_file
from oct_core.runs.onnx_file import INPUT, OUTPUT, PACKAGES, export_onnx
from oct_core.runs.weights import LoadedRun
from oct_core.scans.preprocess import Preprocessing
from oct_core.types import CLASSES

torch.set_num_threads(1)


@pytest.fixture
def runs_root(
    demo_run: Callable[[str], LoadedRun], demo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo_run("vgg16")
    monkeypatch.setenv("OCT_CHECKPOINTS", str(demo_folder))


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_the_file_answers_as_the_run_does_for_any_number_of_scans(
    name: str, tmp_path: Path
) -> None:
    run, path = random_run(name), tmp_path / "folder" / "run.onnx"
    before = fingerprint(run.model)
    result = export_onnx(run, path)
    assert result.bytes == path.stat().st_size and result.scans == 8
    assert 0 < result.difference < 1e-4 and result.ratio == result.torch_seconds / result.seconds
    assert fingerprint(run.model) == before
    onnx.checker.check_model(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (1, 2, 7):
        some = (scans() * 4)[:count]
        expected = [prediction.probabilities for prediction in run.predict(some)]
        [found] = session.run([OUTPUT], {INPUT: run.inputs(some).numpy()})
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert np.ptp(found) > 0.01, "or any file would do"


def test_the_file_says_how_scans_are_prepared_and_what_it_answers(tmp_path: Path) -> None:
    run = random_run("vgg16")
    export_onnx(run, tmp_path / "run.onnx")
    session = onnxruntime.InferenceSession(
        tmp_path / "run.onnx", providers=["CPUExecutionProvider"]
    )
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == list(CLASSES)
    assert float(about["temperature"]) == run.card.temperature == 1.5
    assert Preprocessing.from_dict(json.loads(about["preprocessing"])) == run.preprocessing
    assert (about["run"], about["architecture"]) == ("vgg16", "vgg16")
    assert about[INPUT].startswith("float32 (scans, 1, 64, 64)")
    assert [each.shape for each in session.get_inputs()] == [["scans", 1, 64, 64]]


def test_what_differs_from_torch_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, path = random_run("vgg16"), tmp_path / "run.onnx"
    whole = onnx_file._convert

    def warmer(run: object) -> bytes:
        model = onnx.load_from_string(whole(random_run("vgg16")))
        [bias] = [each for each in model.graph.initializer if each.dims == [len(CLASSES)]]
        bias.raw_data = np.array([0.01, 0, 0, 0], np.float32).tobytes()
        return bytes(model.SerializeToString())

    monkeypatch.setattr(onnx_file, "_convert", warmer)
    with pytest.raises(
        ExportError, match=r"differ from torch's by 0\.00\d+, over 1e-04; .* is not"
    ):
        export_onnx(run, path)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("runs_root")
def test_a_missing_package_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        onnx_file, "find_spec", lambda name: None if name == "onnxscript" else find_spec(name)
    )
    assert cli.main(["export", "vgg16", "--onnx", str(tmp_path / "run.onnx")]) == 1
    assert capsys.readouterr().err == (
        "error: writing ONNX needs onnxscript, which the app does not; install what it takes: "
        f"python -m pip install {' '.join(PACKAGES)}\n"
    )
    assert not (tmp_path / "run.onnx").exists()


@pytest.mark.usefixtures("runs_root")
def test_the_command_prints_the_difference_and_the_ratio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.onnx"
    assert cli.main(["export", "vgg16", "--onnx", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "on 8 phantoms no probability differs from torch's by more than" in shown
    assert "ms with ONNX Runtime" in shown and shown.rstrip().endswith("times as fast")
    assert path.is_file()
    path.write_text("something else")
    assert cli.main(["export", "vgg16", "--onnx", str(path)]) == 1
    assert "nothing is written over" in capsys.readouterr().err
    assert path.read_text() == "something else"
