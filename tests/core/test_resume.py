"""A training may be stopped at any moment: it goes on to the same weights, and the last good state
is always there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scan_folders import write_pack

from oct_core.data.pack import Pack
from oct_core.errors import CheckpointError, RunExistsError, TrainingError
from oct_core.metrics.calibration import softmax
from oct_core.models.precision import best_precision
from oct_core.runs import files as runfiles
from oct_core.runs.files import (
    CARD,
    PREDICTIONS,
    WEIGHTS,
    list_runs,
    read_card,
    read_history,
    read_predictions,
    read_steps,
)
from oct_core.runs.predict import logits_of_pack
from oct_core.runs.weights import load_run
from oct_core.training import publish
from oct_core.training import run as training_run
from oct_core.training.job import Events, TrainingJob
from oct_core.training.loop import Trainer
from oct_core.training.recipes import recipe
from oct_core.training.resume import FOLDER, STATE, best_file, load_state
from oct_core.training.run import train_run

torch.set_num_threads(1)
CPU = torch.device("cpu")
CONFIG = recipe(
    "densenet121",
    initialisation="random",
    epochs=3,
    batch_size=4,
    learning_rate=1e-3,
    head_learning_rate=1e-3,
    limit=8,
)
ROOT = Path(__file__).resolve().parents[2]


class Stop(BaseException):
    """Stands for a kill: nothing in the library may catch it."""


@pytest.fixture(scope="module")
def whole(tiny_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing stopped."""
    return train_run(TrainingJob(CONFIG, tiny_pack, tmp_path_factory.mktemp("whole") / "run", CPU))


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def assert_same_run(found: Path, whole: Path) -> None:
    """Bit for bit the same weights, and the same rows but for the clock."""
    assert digest(found) == digest(whole)
    assert (found / PREDICTIONS).read_bytes() == (whole / PREDICTIONS).read_bytes()
    for read in (read_history, read_steps):
        ours, theirs = read(found), read(whole)
        assert list(ours) == list(theirs)
        for name in set(ours) - {"seconds", "images_per_second"}:
            np.testing.assert_array_equal(ours[name], theirs[name])
    assert list(read_history(found)["epoch"]) == [1, 2, 3]
    assert not (found / FOLDER).exists() and read_card(found).status == "done"


def stopped(pack: Pack, folder: Path, error: BaseException, epoch: int, step: int) -> Path:
    """A run stopped by ``error`` in the given epoch after the given step."""

    def after_step(at_epoch: int, done: int, total: int) -> None:
        if (at_epoch, done) == (epoch, step):
            raise error

    with pytest.raises(type(error)):
        train_run(TrainingJob(CONFIG, pack, folder, CPU, events=Events(step=after_step)))
    return folder


# The command as a user's process, with a pause after each epoch in which to be killed.
COMMAND = """
import signal, sys, time, torch
from oct_core import cli
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have switched it off
from oct_core.cli import train
torch.set_num_threads(1)
events = train.training_events
def slow(bar, run, epochs):
    inner = events(bar, run, epochs)
    def step(epoch, done, total):
        inner.step(epoch, done, total)
        if epoch == 2 and done == 1 and "--resume" not in sys.argv:
            print("in epoch 2", flush=True)
            time.sleep(120)
    return type(inner)(step, inner.epoch)
train.training_events = slow
sys.exit(cli.main(sys.argv[1:]))
"""


def start(pack: Path, root: Path, *more: str) -> subprocess.Popen[str]:
    options = [
        "--init",
        "random",
        "--epochs",
        "3",
        "--batch-size",
        "4",
        "--learning-rate",
        "1e-3",
        "--head-learning-rate",
        "1e-3",
    ]
    same = [*options, "--limit", "8", "--device", "cpu", "--data", str(pack), "--run", "run", *more]
    environment = {
        **os.environ,
        "OCT_CHECKPOINTS": str(root),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "train", "densenet121", *same],
        env=environment,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture(scope="module")
def packed(tiny_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pack on disk."""
    return write_pack(tmp_path_factory.mktemp("packed"), tiny_pack)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_a_stopped_process_goes_on_to_the_same_weights(
    packed: Path, whole: Path, tmp_path: Path, how: signal.Signals
) -> None:
    process = start(packed, tmp_path)
    try:
        assert process.stdout is not None and process.stdout.readline() == "in epoch 2\n"
        process.send_signal(how)
        _, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == (-9 if how is signal.SIGKILL else 130)
    if how is signal.SIGINT:
        assert (
            "the last finished epoch is kept, and --resume goes on from it" in errors
            and "Traceback" not in errors
        )
    folder = tmp_path / "run"
    assert read_card(folder).status == "training" and list(read_history(folder)["epoch"]) == [1]
    assert not (folder / WEIGHTS).exists()
    state = load_state(folder)
    assert state is not None and state.progress.epoch == 1
    again = start(packed, tmp_path, "--resume")
    output, errors = again.communicate(timeout=600)
    assert again.returncode == 0, errors
    assert "run is trained" in output
    assert_same_run(folder, whole)


@pytest.mark.parametrize(("epoch", "step"), [(1, 1), (3, 2)])
def test_stopped_in_the_first_or_last_epoch(
    tiny_pack: Pack, whole: Path, tmp_path: Path, epoch: int, step: int
) -> None:
    folder = stopped(tiny_pack, tmp_path / "run", Stop(), epoch, step)
    assert_same_run(train_run(TrainingJob(CONFIG, tiny_pack, folder, CPU), resume=True), whole)


@pytest.mark.parametrize(
    "moment", ["append_rows", "save_state", "finish", "write_predictions", "rmtree"]
)
def test_stopped_between_two_writes(
    tiny_pack: Pack, whole: Path, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call of a writer stops the run after it wrote; the only call of those that finish,
    before.
    """
    holder = {"rmtree": shutil, "write_predictions": publish}.get(moment, training_run)
    original: Callable[..., object] = getattr(holder, moment)
    calls: list[int] = []

    def stopping(*given: object, **named: object) -> None:
        calls.append(1)
        if moment in ("append_rows", "save_state"):
            original(*given, **named)
        if moment not in ("append_rows", "save_state") or len(calls) == 2:
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(holder, moment, stopping)
        with pytest.raises(Stop):
            train_run(TrainingJob(CONFIG, tiny_pack, tmp_path / "run", CPU))
    train_run(TrainingJob(CONFIG, tiny_pack, tmp_path / "run", CPU), resume=True)
    shutil.rmtree(tmp_path / "run" / FOLDER, ignore_errors=True)
    assert_same_run(tmp_path / "run", whole)


BEST = best_file(Path(), 1).name


@pytest.mark.parametrize("name", [STATE, BEST])
def test_a_full_disk_leaves_the_last_good_state_and_says_so(
    tiny_pack: Pack, whole: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync
    writes: list[str] = []

    def fsync(descriptor: int) -> None:
        writes.append(
            os.readlink(f"/proc/self/fd/{descriptor}") if sys.platform == "linux" else name
        )
        if writes[-1].endswith(name + ".part") and sum(
            write.endswith(name + ".part") for write in writes
        ) == (2 if name == STATE else 1):
            raise OSError(28, "No space left on device")
        real(descriptor)

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(runfiles.os, "fsync", fsync)
        with pytest.raises(
            TrainingError,
            match=r"could not be written .*No space left.*last good state is kept: .*--resume",
        ):
            train_run(TrainingJob(CONFIG, tiny_pack, folder, CPU))
    state = load_state(folder)
    assert (state.progress.epoch if state else 0) == (1 if name == STATE else 0)
    assert not list(folder.rglob("*.part"))
    assert_same_run(train_run(TrainingJob(CONFIG, tiny_pack, folder, CPU), resume=True), whole)


def test_weights_of_an_epoch_whose_state_was_not_written_do_not_take_the_place_of_the_best(
    tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, which is not exact: the second epoch is better before the kill, and worse when
    it is trained again.
    """
    losses, real = iter([1.0, 0.5, 2.0, 3.0]), training_run.history_row

    def row(*arguments: Any) -> dict[str, float]:
        return real(*arguments) | {"val_loss": next(losses)}

    folder, stops, save = (
        tmp_path / "run",
        iter([False, True, False, False]),
        training_run.save_state,
    )

    def saving(*arguments: Any) -> None:
        if next(stops):
            raise Stop
        save(*arguments)

    monkeypatch.setattr(training_run, "history_row", row)
    monkeypatch.setattr(training_run, "save_state", saving)
    with pytest.raises(Stop):
        train_run(TrainingJob(CONFIG, tiny_pack, folder, CPU))
    first = best_file(folder, 1).read_bytes()
    assert best_file(folder, 2).read_bytes() != first
    train_run(TrainingJob(CONFIG, tiny_pack, folder, CPU), resume=True)
    assert read_card(folder).best_epoch == 1 and (folder / WEIGHTS).read_bytes() == first


def test_an_existing_run_is_an_error_and_stays_as_it_is(tiny_pack: Pack, whole: Path) -> None:
    before = digest(whole)
    with pytest.raises(
        RunExistsError, match="run run exists; choose another --run, or go on with --resume"
    ):
        train_run(TrainingJob(CONFIG, tiny_pack, whole, CPU))
    assert digest(whole) == before and read_card(whole).status == "done"


def test_two_that_resume_at_once_train_a_run_once(
    tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second looks at the run before the first has finished it, and comes to the lock when it
    is free again.
    """
    folder, started, finished = tmp_path / "run", threading.Event(), threading.Event()
    epochs: list[str] = []

    def job(who: str) -> TrainingJob:
        events = Events(epoch=lambda row, best: epochs.append(who))
        return TrainingJob(CONFIG, tiny_pack, folder, CPU, events=events)

    real = training_run.initial_model

    def slow_for_the_second(*given: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            started.set()
            assert finished.wait(120)
        return real(*given)

    monkeypatch.setattr(training_run, "initial_model", slow_for_the_second)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(train_run, job("second"), True)
        assert started.wait(60)
        train_run(job("first"), resume=True)
        before = digest(folder)
        finished.set()
        assert second.result(120) == folder
    assert digest(folder) == before and read_card(folder).status == "done"
    assert set(epochs) == {"first"}


def test_who_did_not_ask_to_resume_does_not_touch_a_run_finished_meanwhile(
    tiny_pack: Pack, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    monkeypatch.setattr(
        training_run, "initial_model", lambda *given: shutil.copytree(whole, folder)
    )
    with pytest.raises(RunExistsError, match="run run exists"):
        train_run(TrainingJob(CONFIG, tiny_pack, folder, CPU))
    assert sorted(path.name for path in folder.iterdir()) == sorted(os.listdir(whole))


def test_resuming_a_finished_run_changes_nothing(tiny_pack: Pack, whole: Path) -> None:
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    assert train_run(TrainingJob(CONFIG, tiny_pack, whole, CPU), resume=True) == whole
    assert {path.name: path.read_bytes() for path in whole.iterdir()} == before


def test_other_settings_or_data_are_refused(tiny_pack: Pack, whole: Path) -> None:
    other = replace(tiny_pack.records[0], split="val")
    moved = Pack(
        tiny_pack.folder, (other, *tiny_pack.records[1:]), tiny_pack.pixels, tiny_pack.size
    )
    for config, pack in (
        (replace(CONFIG, epochs=4), tiny_pack),
        (replace(CONFIG, seed=1), tiny_pack),
        (CONFIG, moved),
    ):
        with pytest.raises(
            TrainingError,
            match="run run was started with other settings or data; give the same ones, or "
            "another --run",
        ):
            train_run(TrainingJob(config, pack, whole, CPU), resume=True)


def test_a_run_of_before_a_setting_was_there_goes_on(
    tiny_pack: Pack, whole: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    raw = json.loads((folder / CARD).read_text())
    for setting in ("teachers", "trained_layers"):
        del raw["training"][setting]
    (folder / CARD).write_text(json.dumps(raw))
    assert train_run(TrainingJob(CONFIG, tiny_pack, folder, CPU), resume=True) == folder
    with pytest.raises(TrainingError, match="was started with other settings"):
        train_run(
            TrainingJob(
                replace(CONFIG, initialisation="w.safetensors", trained_layers=2),
                tiny_pack,
                folder,
                CPU,
            ),
            resume=True,
        )


def test_a_folder_that_is_no_run_is_never_filled(tiny_pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunExistsError, match="is there and is no run; choose another --run"):
        train_run(TrainingJob(CONFIG, tiny_pack, tmp_path, CPU), resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_damaged_state_is_named(tiny_pack: Pack, tmp_path: Path) -> None:
    folder = stopped(tiny_pack, tmp_path / "run", Stop(), 2, 1)
    (folder / FOLDER / STATE).write_bytes(b"not safetensors")
    with pytest.raises(
        TrainingError,
        match=r"state\.safetensors cannot be read .*; remove the run run and train it anew",
    ):
        train_run(TrainingJob(CONFIG, tiny_pack, folder, CPU), resume=True)


def test_a_run_being_trained_is_listed_and_cannot_be_used(tiny_pack: Pack, tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []

    def after_epoch(row: dict[str, float], best: bool) -> None:
        [card] = list_runs(tmp_path)
        seen.append((card.status, len(read_history(tmp_path / "run")["epoch"])))
        with pytest.raises(CheckpointError, match="is 'training'"):
            load_run("run", root=tmp_path)

    train_run(
        TrainingJob(
            replace(CONFIG, epochs=2),
            tiny_pack,
            tmp_path / "run",
            CPU,
            events=Events(epoch=after_epoch),
        )
    )
    assert seen == [("training", 1), ("training", 2)]


def test_the_kept_epoch_has_the_lowest_validation_loss_of_the_weights_that_are_saved(
    tiny_pack: Pack, whole: Path
) -> None:
    card, history = read_card(whole), read_history(whole)
    assert card.best_epoch == int(history["epoch"][np.argmin(history["val_loss"])])
    run, rows = load_run(whole), tiny_pack.rows("val")
    probabilities = softmax(
        logits_of_pack(run.model, tiny_pack.pixels, CPU, rows=rows, precision=best_precision(CPU)),
        1.0,
    )
    loss = -np.log(probabilities[np.arange(len(rows)), tiny_pack.labels[rows]]).mean()
    assert loss == pytest.approx(history["val_loss"].min(), rel=1e-4)


def test_predictions_come_from_the_weights_on_disk(tiny_pack: Pack, whole: Path) -> None:
    table, run = read_predictions(whole), load_run(whole)
    for split in ("val", "test"):
        part, rows = table.of_split(split), tiny_pack.rows(split)
        np.testing.assert_allclose(
            part.logits, logits_of_pack(run.model, tiny_pack.pixels[rows], CPU), atol=1e-4
        )
        assert list(part.sha256) == [tiny_pack.records[row].sha256 for row in rows]
        np.testing.assert_array_equal(part.label, tiny_pack.labels[rows])


def test_the_state_and_the_weights_are_safetensors_and_the_card_names_the_hash(
    tiny_pack: Pack, whole: Path, tmp_path: Path
) -> None:
    folder = stopped(tiny_pack, tmp_path / "run", Stop(), 2, 1)
    with safe_open(folder / FOLDER / STATE, framework="pt") as file:
        assert json.loads(file.metadata()["progress"])["epoch"] == 1
    assert json.loads((whole / CARD).read_text())["weights_sha256"] == digest(whole)


def test_the_seconds_before_a_stop_count(tiny_pack: Pack, tmp_path: Path) -> None:
    folder = stopped(tiny_pack, tmp_path / "run", Stop(), 2, 1)
    state = load_state(folder)
    assert state is not None and state.progress.seconds > 0
    start_again = time.perf_counter()
    train_run(TrainingJob(CONFIG, tiny_pack, folder, CPU), resume=True)
    assert (
        read_card(folder).raw["wall_seconds"]
        <= state.progress.seconds + time.perf_counter() - start_again + 0.1
    )
    assert read_card(folder).raw["wall_seconds"] >= state.progress.seconds


def test_a_failed_training_says_so_in_its_card_and_goes_on(
    tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = (
        recipe("resnet50", initialisation="random", epochs=2, batch_size=8),
        tmp_path / "run",
    )
    real = Trainer.epoch

    def fails(self: Trainer, epoch: int, *rest: Any) -> Any:
        if epoch == 1:
            raise RuntimeError(
                "DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."
            )
        return real(self, epoch, *rest)

    monkeypatch.setattr(Trainer, "epoch", fails)
    with pytest.raises(
        TrainingError,
        match="ran out of memory at batch size 8; start a new run with --batch-size 4",
    ):
        train_run(TrainingJob(config, tiny_pack, folder, torch.device("cpu")))
    card = read_card(folder)
    assert card.status == "failed" and "not enough memory" in card.raw["reason"]
    monkeypatch.undo()
    train_run(TrainingJob(config, tiny_pack, folder, torch.device("cpu")), resume=True)
    assert read_card(folder).status == "done" and "reason" not in read_card(folder).raw


def test_killed_during_its_first_write_a_run_can_be_started_again(
    tiny_pack: Pack, tmp_path: Path
) -> None:
    config, folder = (
        recipe("resnet50", initialisation="random", epochs=1, batch_size=8),
        tmp_path / "run",
    )
    folder.mkdir()
    (folder / "card.json.part").write_bytes(b'{"sch')
    train_run(TrainingJob(config, tiny_pack, folder, torch.device("cpu")), resume=True)
    assert read_card(folder).status == "done"
