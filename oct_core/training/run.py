"""The life of a training: started or gone on with, epoch by epoch, to a finished run folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from oct_core.errors import RunExistsError, TrainingError
from oct_core.models.catalog import ENSEMBLE
from oct_core.models.networks import GrayClassifier, build_model
from oct_core.runs.files import (
    CARD,
    HISTORY,
    STEPS,
    append_rows,
    read_card,
    write_atomically,
    write_card,
)
from oct_core.runs.predict import logits_of_pack
from oct_core.runs.weights import weights_bytes
from oct_core.training.card import new_card, settings, settings_of
from oct_core.training.data import training_data
from oct_core.training.history import cut_rows, history_row
from oct_core.training.initial import initial_model
from oct_core.training.job import TrainingJob
from oct_core.training.loop import Trainer
from oct_core.training.publish import finish
from oct_core.training.resume import (
    FOLDER,
    Progress,
    best_file,
    drop_other_bests,
    drop_state,
    load_state,
    only_writer,
    restore_optimizer,
    save_state,
)
from oct_core.training.teachers import check_teachers, lesson
from oct_core.types import CLASSES


def train_run(job: TrainingJob, resume: bool = False) -> Path:
    """Train, and leave a finished run in ``job.folder``, which is returned.

    Raises RunExistsError if the folder is there and ``resume`` is not asked for, or if another
    process trains it; TrainingError if what is resumed was started otherwise, the teachers or the
    initial weights do not fit, or the device runs out of memory. After any stop the last finished
    epoch is kept. Resuming a finished run leaves it as it is.
    """
    check_teachers(job)
    _check_folder(job.folder, resume)
    if _is_finished(job):
        return job.folder
    # Before the folder: weights that do not fit leave no run behind.
    model = initial_model(job.config, len(CLASSES))
    card = new_card(job.config, job.pack, job.folder.name, job.device)
    with _errors_in_words(job):
        if not resume:
            _make_folder(job.folder)
        with only_writer(job.folder):
            # Another process may have trained it between the first look and the lock.
            if _is_finished(job):
                drop_state(job.folder)
            else:
                _train(job, model, card)
    return job.folder


def _check_folder(folder: Path, resume: bool) -> None:
    """Raise RunExistsError if the folder may not be written to: taken, or no run's."""
    if folder.name == ENSEMBLE:
        raise RunExistsError(
            "{name} is what several runs asked together are called; choose another --run",
            name=ENSEMBLE,
        )
    if not folder.exists():
        return
    if not resume:
        raise _taken(folder)
    if not (folder / CARD).is_file() and any(
        not path.name.endswith(".part") and path.name != FOLDER for path in folder.iterdir()
    ):
        raise RunExistsError("{folder} is there and is no run; choose another --run", folder=folder)


def _make_folder(folder: Path) -> None:
    """A new folder; raises RunExistsError if another process made it meanwhile."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise _taken(folder) from error


def _taken(folder: Path) -> RunExistsError:
    return RunExistsError(
        "run {run} exists; choose another --run, or go on with --resume",
        run=folder.name,
    )


def _is_finished(job: TrainingJob) -> bool:
    """Whether there is nothing left to do; raises TrainingError if the run of this folder was
    started with other settings.
    """
    if not (job.folder / CARD).is_file():
        return False
    card = read_card(job.folder)
    if settings_of(card) != settings(job.config, job.pack):
        raise TrainingError(
            "run {run} was started with other settings or data; give the same ones, or "
            "another --run",
            run=job.folder.name,
        )
    return card.status == "done"


@contextmanager
def _errors_in_words(job: TrainingJob) -> Iterator[None]:
    """A full disk and a full device become TrainingErrors that say the way out."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            "{folder} could not be written ({error}); the last good state is kept: free some "
            "space and use --resume",
            folder=job.folder,
            error=error,
        ) from error
    except RuntimeError as error:
        if not _out_of_memory(error):
            raise
        if job.config.batch_size > 1:
            raise TrainingError(
                "the device ran out of memory at batch size {batch_size}; start a new run with "
                "--batch-size {smaller}",
                batch_size=job.config.batch_size,
                smaller=job.config.batch_size // 2,
            ) from error
        raise TrainingError(
            "the device ran out of memory at batch size 1; prepare the scans at a smaller --size"
        ) from error


def _out_of_memory(error: RuntimeError) -> bool:
    """Each device says it in its own words; only CUDA has a class for it."""
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "not enough memory" in str(error)
        or "out of memory" in str(error)
    )


def _train(job: TrainingJob, model: GrayClassifier, card: dict[str, Any]) -> None:
    write_card(job.folder, card)
    try:
        _train_epochs(job, model, card)
        finish(job, card)
    except Exception as error:
        with suppress(OSError):  # the disk may be full: then the card still says "training"
            write_card(
                job.folder,
                card | {"status": "failed", "reason": f"{type(error).__name__}: {error}"},
            )
        raise


def _train_epochs(job: TrainingJob, model: GrayClassifier, card: dict[str, Any]) -> None:
    config, pack, folder, events = job.config, job.pack, job.folder, job.events
    trainer = Trainer(
        config,
        model,
        training_data(config, pack),
        job.device,
        [lesson(teacher, pack.size) for teacher in job.teachers],
    )
    progress = _restore(trainer, folder) or Progress(settings=settings(config, pack))
    cut_rows(folder / HISTORY, "epoch", progress.epoch)
    cut_rows(folder / STEPS, "step", progress.step)
    start = time.perf_counter() - progress.seconds
    average = build_model(config.architecture, len(CLASSES), *config.normalisation).to(job.device)
    for epoch in range(progress.epoch, config.epochs):
        result = trainer.epoch(
            epoch,
            lambda done, total, number=epoch: events.step(number + 1, done, total),  # type: ignore[misc]
            lambda row: append_rows(folder / STEPS, [row]),
        )
        average.backbone.load_state_dict(
            {name: _rounded(tensor) for name, tensor in trainer.average.items()}
        )
        row = history_row(
            epoch, result, pack, logits_of_pack(average, pack.pixels[pack.rows("val")], job.device)
        )
        progress.epoch, progress.step, progress.seconds = (
            epoch + 1,
            trainer.step,
            time.perf_counter() - start,
        )
        is_best = row["val_loss"] < progress.best_loss
        if is_best:
            progress.best_epoch, progress.best_loss = epoch + 1, row["val_loss"]
            write_atomically(best_file(folder, epoch + 1), weights_bytes(average))
        append_rows(folder / HISTORY, [row])
        save_state(
            folder,
            progress,
            trainer.model.backbone.state_dict(),
            trainer.average,
            trainer.optimizer,
        )
        drop_other_bests(folder, progress.best_epoch)
        events.epoch(row, is_best)
    card["best_epoch"], card["wall_seconds"] = progress.best_epoch, round(progress.seconds, 1)


def _rounded(tensor: torch.Tensor) -> torch.Tensor:
    """As it will be on disk."""
    return tensor.half().float() if tensor.is_floating_point() else tensor


def _restore(trainer: Trainer, folder: Path) -> Progress | None:
    state = load_state(folder)
    if state is None:
        return None
    trainer.model.backbone.load_state_dict(state.model)
    for name, tensor in state.average.items():
        trainer.average[name].copy_(tensor)
    restore_optimizer(trainer.optimizer, state.optimizer)
    trainer.step = state.progress.step
    return state.progress


__all__ = ["TrainingJob", "train_run"]
