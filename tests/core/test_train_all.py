"""train_all.sh as an ML engineer runs it: a folder of scans in, three evaluated runs out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from oct_core.cli.phantom import write_phantoms

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


def test_a_folder_becomes_three_evaluated_runs_and_another_folder_is_not_taken_for_it(
    tmp_path: Path,
) -> None:
    scans = tmp_path / "my scans"
    write_phantoms(scans, 8, 0, 64, 64, lambda done, total: None)
    options = [
        "--prefix=trial",
        "--data",
        str(tmp_path / "data"),
        "--prepare",
        "--size 64",
        "--device",
        "cpu",
    ]
    train = ["--init", "random", "--epochs", "1", "--limit", "8", "--batch-size", "8"]
    done = run(str(scans / "scans"), *options, *train, root=tmp_path)
    assert done.returncode == 0, done.stderr
    for architecture in ("vgg16", "resnet50", "densenet121"):
        card = json.loads((tmp_path / "runs" / f"trial-{architecture}" / "card.json").read_text())
        assert (
            card["status"] == "done"
            and {"val", "test"} <= set(card["metrics"])
            and f"trial-{architecture}" in done.stdout
        )
    again = run(str(tmp_path), *options, *train, root=tmp_path)
    assert again.returncode == 2 and "was not prepared from" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "usage:"),
        (["--prefix", "x"], 2, "comes first"),
        (["nowhere"], 2, "there is no nowhere"),
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
