"""The life of a training: started or gone on with, epoch by epoch, to a finished run folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
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
from oct_core.training.card import initial_sha256, new_card, settings, settings_of
from oct_core.training.data import training_data
from oct_core.training.distributed import LOST, is_lost_process
from oct_core.training.history import cut_rows, history_row
from oct_core.training.initial import initial_model
from oct_core.training.job import TrainingJob
from oct_core.training.loop import Trainer
from oct_core.training.publish import finish
from oct_core.training.resume import (
    FOLDER,
    Progress,
    State,
    best_file,
    drop_other_bests,
    drop_state,
    load_state,
    only_writer,
    restore_optimizer,
    save_state,
)
from oct_core.training.teachers import check_teachers, lesson
from oct_core.types import CLASSES, Float32Array

_VALIDATED_AT_ONCE = 128


def train_run(job: TrainingJob, resume: bool = False) -> Path:
    """Train, and leave a finished run in ``job.folder``, which is returned.

    Raises RunExistsError if the folder is there and ``resume`` is not asked for, or if another
    process trains it; TrainingError if what is resumed was started otherwise, the teachers or the
    initial weights do not fit, or the device runs out of memory. After any stop the last finished
    epoch is kept. Resuming a finished run leaves it as it is.
    """
    check_teachers(job)
    crew = job.execution.crew
    if not crew.leads:
        if crew.told(False):
            with _errors_in_words(job):
                _train_epochs(job, initial_model(job.config, len(CLASSES)))
        return job.folder
    with ExitStack() as waiting:
        waiting.callback(crew.told, False)  # lets the others go, unless the training begins
        _lead(job, resume, waiting)
    return job.folder


def _lead(job: TrainingJob, resume: bool, waiting: ExitStack) -> None:
    """What the one process does that writes."""
    _check_folder(job.folder, resume)
    if _is_finished(job):
        return
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
                return
            waiting.pop_all()
            job.execution.crew.told(True)
            _train(job, model, card)


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
        if is_lost_process(error):
            raise TrainingError(LOST) from error
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
        progress = _train_epochs(job, model)
        card["best_epoch"], card["wall_seconds"] = progress.best_epoch, round(progress.seconds, 1)
        finish(job, card)
    except Exception as error:
        with suppress(OSError):  # the disk may be full: then the card still says "training"
            write_card(
                job.folder,
                card | {"status": "failed", "reason": f"{type(error).__name__}: {error}"},
            )
        raise


def _refuse_other_work(job: TrainingJob) -> None:
    """Raise TrainingError, in every process, if one was given other scans or settings than the
    first: two machines that each prepared the scans may have split them otherwise.
    """
    crew = job.execution.crew
    own = {
        **settings(job.config, job.pack),
        "preprocessing": job.pack.preprocessing_version,
        "initial weights": initial_sha256(job.config.initialisation),
        "teachers": [teacher.card.weights_sha256 for teacher in job.teachers],
    }
    first = crew.told(own)
    differing = torch.tensor(float(own != first), device=job.device)
    if crew.total(differing) > 0:
        names = ", ".join(name for name in own if own[name] != first[name])
        raise TrainingError(
            "the processes of this training were given different scans or settings ({names}); "
            "give each the same prepared folder, copied and not prepared anew, and the same "
            "options",
            names=names or "?",
        )


def _train_epochs(job: TrainingJob, model: GrayClassifier) -> Progress:
    """Train the epochs that are left; the leader writes each. All processes of a crew call it."""
    config, pack, folder, crew = job.config, job.pack, job.folder, job.execution.crew
    _refuse_other_work(job)
    trainer = Trainer(
        config,
        model,
        training_data(config, pack),
        job.device,
        [lesson(teacher, pack.size) for teacher in job.teachers],
        job.execution,
    )
    state = crew.told(load_state(folder) if crew.leads else None)
    progress = Progress(settings=settings(config, pack))
    if state is not None:
        progress = _restore(trainer, state)
    if crew.leads:
        cut_rows(folder / HISTORY, "epoch", progress.epoch)
        cut_rows(folder / STEPS, "step", progress.step)
    start = time.perf_counter() - progress.seconds
    average = build_model(config.architecture, len(CLASSES), *config.normalisation).to(job.device)
    average.to(memory_format=torch.channels_last)
    for epoch in range(progress.epoch, config.epochs):
        result = trainer.epoch(
            epoch,
            lambda done, total, number=epoch: job.events.step(number + 1, done, total),  # type: ignore[misc]
            lambda row: append_rows(folder / STEPS, [row]) if crew.leads else None,
        )
        average.backbone.load_state_dict(
            {name: _rounded(tensor) for name, tensor in trainer.average.items()}
        )
        row = history_row(epoch, result, pack, _validate(job, average, trainer.precision))
        progress.epoch, progress.step, progress.seconds = (
            epoch + 1,
            trainer.step,
            time.perf_counter() - start,
        )
        if crew.leads:
            _keep(job, trainer, average, progress, row)
    return progress


def _keep(
    job: TrainingJob,
    trainer: Trainer,
    average: GrayClassifier,
    progress: Progress,
    row: dict[str, float],
) -> None:
    """Write a finished epoch: its weights if they are the best, its row, the state."""
    folder, epoch = job.folder, progress.epoch
    is_best = row["val_loss"] < progress.best_loss
    if is_best:
        progress.best_epoch, progress.best_loss = epoch, row["val_loss"]
        write_atomically(best_file(folder, epoch), weights_bytes(average))
    append_rows(folder / HISTORY, [row])
    save_state(
        folder, progress, trainer.model.backbone.state_dict(), trainer.average, trainer.optimizer
    )
    drop_other_bests(folder, progress.best_epoch)
    job.events.epoch(row, is_best)


def _validate(job: TrainingJob, average: GrayClassifier, precision: str) -> Float32Array:
    """Logits (N, classes) of the validation part. Each process answers its part of the scans; each
    scan is answered once.
    """
    crew, rows = job.execution.crew, job.pack.rows("val")
    own = crew.own(len(rows))
    logits = torch.zeros((len(rows), len(CLASSES)), device=job.device)
    if len(rows[own]):
        answered = logits_of_pack(
            average,
            job.pack.pixels,
            job.device,
            _VALIDATED_AT_ONCE,
            rows=rows[own],
            precision=precision,
        )
        logits[own] = torch.from_numpy(answered).to(job.device)
    return crew.total(logits).cpu().numpy()


def _rounded(tensor: torch.Tensor) -> torch.Tensor:
    """As it will be on disk."""
    return tensor.half().float() if tensor.is_floating_point() else tensor


def _restore(trainer: Trainer, state: State) -> Progress:
    trainer.model.backbone.load_state_dict(state.model)
    for name, tensor in state.average.items():
        trainer.average[name].copy_(tensor)
    restore_optimizer(trainer.optimizer, state.optimizer)
    trainer.step = state.progress.step
    return state.progress


__all__ = ["TrainingJob", "train_run"]
