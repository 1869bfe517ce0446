"""train_all.sh as an ML engineer runs it: a folder of scans in, three evaluated runs out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from oct_core.cli.phantom import write_phantoms
from oct_core.models.catalog import ARCHITECTURES
from oct_core.runs.files import read_card

SCRIPT = Path(__file__).resolve().parents[2] / "train_all.sh"


def run(*arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "OCT_CHECKPOINTS": str(root / "runs"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=root,
        check=False,
    )


def test_a_quick_trial_draws_its_scans_and_the_app_shows_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorter = ["--epochs", "1", "--limit", "8", "--batch-size", "8", "--device=cpu"]
    done = run("--quick", "--prefix=quick", f"--data={tmp_path / 'pack'}", *shorter, root=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "pack-phantoms" / "scans").rglob("*.png"))) == 80
    names = [f"quick-{architecture}" for architecture in ARCHITECTURES]
    for name in names:
        card = read_card(tmp_path / "runs" / name)
        assert card.status == "done" and "gate" in card.raw and "test" in card.raw["metrics"]
        assert card.preprocessing["size"] == 64
    st.cache_data.clear()
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "runs"))
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    page = AppTest.from_file(str(SCRIPT.parent / "streamlit_app.py"), default_timeout=120).run()
    curves = page.switch_page("pages/2_Training_curves.py").run()
    assert not curves.exception and not curves.error
    assert sorted(curves.pills[0].value) == sorted(names)
    again = run(str(tmp_path), "--quick", f"--data={tmp_path / 'pack'}", root=tmp_path)
    assert again.returncode == 2 and "was not prepared from" in again.stderr


def test_a_training_that_stops_says_how_to_go_on(tmp_path: Path) -> None:
    """By way of torchrun, whose own options are not mistaken for those of the training."""
    scans = tmp_path / "scans"
    write_phantoms(scans, 8, 0, 64, 64, lambda done, total: None)
    options = ["--quick", "--prefix=x", f"--data={tmp_path / 'data'}", "--epochs", "0", "--gpus=2"]
    done = run(str(scans / "scans"), *options, root=tmp_path)
    assert done.returncode == 1 and "epochs must be over 0" in done.stderr
    assert (
        "x-vgg16 is not trained to its end; the same line with --prefix x --resume" in done.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "usage:"),
        (["--prefix", "x"], 2, "comes first"),
        (["nowhere"], 2, "there is no nowhere"),
        (["--quick", "--gpus", "all"], 2, "--gpus takes a number of GPUs, not all"),
        ([".", "--prefix"], 2, "--prefix needs a value"),
        ([".", "--epochs", "3", "--help"], 0, "usage:"),
    ],
)
def test_wrong_options_are_said_before_any_work(
    arguments: list[str], status: int, said: str, tmp_path: Path
) -> None:
    done = run(*arguments, root=tmp_path)
    assert done.returncode == status and said in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())
