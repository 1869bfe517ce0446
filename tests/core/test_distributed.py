"""Two real processes, as torchrun starts them, train as one does. With VGG16, which has no batch
normalisation: PyTorch shares its statistics between processes on GPUs only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scan_folders import write_pack

from oct_core.data.pack import Pack
from oct_core.errors import RunExistsError, TrainingError
from oct_core.runs.files import read_card, read_history, read_predictions, read_steps
from oct_core.training import distributed
from oct_core.training.config import TrainingConfig
from oct_core.training.data import TrainingData
from oct_core.training.distributed import ALONE, Crew, is_lost_process, joined
from oct_core.training.execution import Execution
from oct_core.training.initial import initial_model
from oct_core.training.job import TrainingJob
from oct_core.training.loop import Trainer
from oct_core.training.resume import load_state
from oct_core.training.run import train_run

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
TOLERANCE = 2e-3
"""Of a loss, relative: sums in another order, after so many steps, on processors of any kind.
Gradients that are not shared change it by more than a tenth.
"""
CONFIG = TrainingConfig(
    "vgg16",
    initialisation="random",
    epochs=2,
    batch_size=3,
    learning_rate=1e-4,
    styles=0.6,
    lesions=0.5,
    widening=0.5,
    phantoms_per_class=1,
)
ONE_PROCESS = Execution(precision="float32")

WORKER = """
import json, os, signal, sys
from pathlib import Path
import torch
from oct_core.data.pack import open_pack
from oct_core.errors import TrainingError
from oct_core.training import run
from oct_core.training.config import TrainingConfig
from oct_core.training.distributed import joined
from oct_core.training.execution import Execution
from oct_core.training.job import Events, TrainingJob

torch.set_num_threads(1)
given = json.loads(sys.argv[1])
answered, real = [], run.logits_of_pack

def counting(*arguments, **named):
    answered.append(named["rows"].tolist())
    return real(*arguments, **named)

run.logits_of_pack = counting
with joined(torch.device("cpu")) as (crew, device):

    def step(epoch, done, total):
        if [crew.rank, epoch, done] == given["dies"]:
            os.kill(os.getpid(), signal.SIGKILL)

    job = TrainingJob(
        TrainingConfig(**{**given["config"], "teachers": ()}),
        open_pack(Path(given["packs"][crew.rank])),
        Path(given["folder"]),
        device,
        events=Events(step=step),
        execution=Execution(crew, "float32"),
    )
    try:
        run.train_run(job)
    except TrainingError as error:
        sys.exit(f"error: {error}")
    Path(given["answered"].format(crew.rank)).write_text(json.dumps(answered))
"""


def start_two(
    root: Path, dies: tuple[int, int, int] | None = None, second: str = "pack"
) -> subprocess.CompletedProcess[str]:
    """Train root/run by two processes. dies : (rank, epoch, step) after which one is killed.
    second : the pack of the second one.
    """
    (root / "worker.py").write_text(WORKER)
    given = {
        "config": CONFIG.to_dict(),
        "packs": [str(root.parent / name) for name in ("pack", second)],
        "folder": str(root / "run"),
        "answered": str(root / "answered-{}.json"),
        "dies": dies,
    }
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [*torchrun, str(root / "worker.py"), json.dumps(given)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        timeout=300,
    )


@pytest.fixture(scope="module")
def root(tiny_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny pack on disk."""
    folder = tmp_path_factory.mktemp("crew")
    (folder / "pack").mkdir()
    write_pack(folder / "pack", tiny_pack)
    return folder


@pytest.fixture(scope="module")
def alone(root: Path, tiny_pack: Pack) -> Path:
    """The run of one process."""
    return train_run(TrainingJob(CONFIG, tiny_pack, root / "alone", CPU, execution=ONE_PROCESS))


def assert_same_curves(found: Path, expected: Path) -> None:
    for read, names in ((read_steps, ("loss",)), (read_history, ("train_loss", "val_loss"))):
        ours, theirs = read(found), read(expected)
        for name in names:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=TOLERANCE)
    np.testing.assert_array_equal(read_steps(found)["step"], read_steps(expected)["step"])
    assert list(read_history(found)["epoch"]) == [1, 2]
    ours, theirs = read_predictions(found), read_predictions(expected)
    np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-2)


def test_two_processes_train_as_one_and_each_validation_scan_is_answered_once(
    root: Path, alone: Path, tiny_pack: Pack
) -> None:
    (root / "two").mkdir()
    done = start_two(root / "two")
    assert done.returncode == 0, done.stderr
    assert_same_curves(root / "two" / "run", alone)
    assert read_card(root / "two" / "run").status == "done"
    answered = [json.loads((root / "two" / f"answered-{rank}.json").read_text()) for rank in (0, 1)]
    for first, second in zip(*answered, strict=True):
        assert sorted(first + second) == tiny_pack.rows("val").tolist() and first and second


def test_when_a_process_is_killed_the_others_say_so_and_one_goes_on(
    root: Path, alone: Path, tiny_pack: Pack
) -> None:
    (root / "killed").mkdir()
    done = start_two(root / "killed", dies=(1, 2, 2))
    assert done.returncode != 0
    assert "another process of this training ended" in done.stderr
    assert "the last finished epoch is kept: start all processes again with --res" in done.stderr
    folder = root / "killed" / "run"
    state = load_state(folder)
    assert state is not None and state.progress.epoch == 1
    job = TrainingJob(CONFIG, tiny_pack, folder, CPU, execution=ONE_PROCESS)
    assert_same_curves(train_run(job, resume=True), alone)


def test_processes_with_other_scans_stop_before_they_train(root: Path, tiny_pack: Pack) -> None:
    swapped = {"train": "test", "test": "train", "val": "val"}
    records = tuple(replace(each, split=swapped[each.split]) for each in tiny_pack.records)
    (root / "other").mkdir()
    write_pack(root / "other", replace(tiny_pack, records=records))
    (root / "mixed").mkdir()
    done = start_two(root / "mixed", second="other")
    assert done.returncode != 0 and "given different scans or settings (data)" in done.stderr
    assert not (root / "mixed" / "run" / "history.csv").exists()


def test_the_others_go_when_there_is_nothing_to_train(
    alone: Path, tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(Crew, "told", lambda self, value: told.append(value))
    job = TrainingJob(CONFIG, tiny_pack, alone, CPU, execution=ONE_PROCESS)
    train_run(job, resume=True)
    with pytest.raises(RunExistsError, match="run alone exists"):
        train_run(job)
    assert told == [False, False]
    follower = Execution(Crew(1, 2), "float32")
    train_run(TrainingJob(CONFIG, tiny_pack, tmp_path / "run", CPU, execution=follower))
    assert not (tmp_path / "run").exists()


def test_a_lost_process_is_said_in_words_by_who_notices_and_by_who_is_stopped(
    tiny_pack: Pack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def lost(self: Trainer, *given: object) -> None:
        raise RuntimeError("[gloo/transport/tcp/pair.cc:545] Read error: Connection reset by peer")

    monkeypatch.setattr(Trainer, "epoch", lost)
    with pytest.raises(TrainingError, match="another process of this training ended"):
        train_run(TrainingJob(CONFIG, tiny_pack, tmp_path / "run", CPU, execution=ONE_PROCESS))
    ends: list[int] = []
    monkeypatch.setattr(distributed.os, "_exit", ends.append)
    distributed._stopped(15, None)
    assert ends == [143] and "another process of this training ended" in capsys.readouterr().err


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [0, 3, 16])
def test_each_scan_belongs_to_one_process(size: int, count: int) -> None:
    parts = [list(range(count))[Crew(rank, size).own(count)] for rank in range(size)]
    assert [number for part in parts for number in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_step_of_fewer_scans_than_processes_is_refused() -> None:
    data = TrainingData.of(np.zeros((8, 64, 64), np.uint8), np.arange(8) % 4)
    with pytest.raises(TrainingError, match="a step of 3 scans cannot be shared by 4 processes"):
        Trainer(
            CONFIG, initial_model(CONFIG, 4), data, CPU, execution=Execution(Crew(0, 4), "float32")
        )


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with (
        pytest.raises(TrainingError, match="process 2 of this machine has no GPU of its own"),
        joined(torch.device("cuda")),
    ):
        pass


def test_without_torchrun_a_process_is_alone() -> None:
    with joined(CPU) as (crew, device):
        assert crew is ALONE and device == CPU and crew.told("a") == "a"


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (torch.distributed.DistBackendError("NCCL"), True),
        (RuntimeError("[gloo/tcp/pair.cc:534] Connection closed by peer [::1]:1"), True),
        (RuntimeError("shapes do not fit"), False),
    ],
)
def test_the_errors_of_a_lost_process_are_known(error: Exception, lost: bool) -> None:
    assert is_lost_process(error) is lost
