"""A training from configuration to a finished run folder, resumable at any moment."""

from __future__ import annotations

import csv
import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score

from oct_core.data.manifest import count, manifest_sha256
from oct_core.data.pack import Pack
from oct_core.errors import RunExistsError, TrainingError
from oct_core.metrics.calibration import fit_temperature, softmax
from oct_core.models.networks import GrayClassifier, build_model
from oct_core.models.precision import best_precision
from oct_core.runs.files import (
    CARD,
    HISTORY,
    SCHEMA,
    STEPS,
    WEIGHTS,
    append_rows,
    read_card,
    write_atomically,
    write_card,
    write_predictions,
)
from oct_core.runs.predict import logits_of_pack
from oct_core.runs.versions import versions
from oct_core.runs.weights import LoadedRun, load_weights, weights_bytes
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import Preprocessing
from oct_core.training.config import TrainingConfig
from oct_core.training.initial import initial_model
from oct_core.training.loop import EpochResult, Trainer, TrainingData
from oct_core.training.resume import (
    FOLDER,
    Progress,
    best_file,
    drop_other_bests,
    load_state,
    only_writer,
    restore_optimizer,
    save_state,
)
from oct_core.types import CLASSES, Float32Array, PredictionTable

PHANTOM_SEED = 1_000_000
"""Training phantoms count up from here; the app's samples and the tests use smaller seeds, fresh
phantoms 2,000,000 on.
"""

INTENDED_USE = "Research and teaching: comparing networks and explanations on retinal OCT B-scans."
LIMITS = (
    "Not a medical device. Four classes only; one source of scans; no statement about other "
    "scanners, clinics or diseases."
)


@dataclass(frozen=True)
class Events:
    """What a training tells the caller. step : (epoch, step, steps an epoch). epoch : (row of
    history.csv, is best).
    """

    step: Callable[[int, int, int], None] = lambda epoch, done, total: None
    epoch: Callable[[dict[str, float], bool], None] = lambda row, best: None


def train_run(
    config: TrainingConfig,
    pack: Pack,
    folder: Path,
    device: torch.device,
    resume: bool = False,
    events: Events | None = None,
    teachers: Sequence[LoadedRun] = (),
) -> Path:
    """Train, and leave a finished run in ``folder``. teachers : the runs that ``config.teachers``
    names (``teacher_name``), on ``device``.

    Raises RunExistsError if the folder is there and ``resume`` is not asked for; TrainingError if
    what is resumed was started otherwise, the initial weights do not fit, or the device runs out of
    memory. After any stop the last finished epoch is kept. Resuming a finished run leaves it as it
    is.
    """
    events = events or Events()
    _check_teachers(config, teachers, pack)
    if _is_finished(config, pack, folder, resume):
        return folder
    model = initial_model(
        config, len(CLASSES)
    )  # before the folder: weights that do not fit leave no run behind
    card = new_card(config, pack, folder.name, device)
    try:
        with only_writer(folder):
            write_card(folder, card)
            try:
                _train_epochs(config, model, pack, folder, device, card, events, teachers)
                finish(config, pack, folder, device, card)
            except Exception as error:
                with suppress(OSError):  # the disk may be full: then the card still says "training"
                    write_card(
                        folder,
                        card | {"status": "failed", "reason": f"{type(error).__name__}: {error}"},
                    )
                raise
    except OSError as error:
        raise TrainingError(
            "{folder} could not be written ({error}); the last good state is kept: free some "
            "space and use --resume",
            folder=folder,
            error=error,
        ) from error
    except RuntimeError as error:
        if not _out_of_memory(error):
            raise
        smaller = (
            f"start a new run with --batch-size {config.batch_size // 2}"
            if config.batch_size > 1
            else "prepare the scans at a smaller --size"
        )
        raise TrainingError(
            "the device ran out of memory at batch size {batch_size}; {smaller}",
            batch_size=config.batch_size,
            smaller=smaller,
        ) from error
    return folder


def teacher_name(run: LoadedRun) -> str:
    """What ``TrainingConfig.teachers`` calls a run: its name and the start of its weights' hash."""
    return f"{run.card.name}:{run.card.weights_sha256[:12]}"


def _check_teachers(config: TrainingConfig, teachers: Sequence[LoadedRun], pack: Pack) -> None:
    given = tuple(teacher_name(teacher) for teacher in teachers)
    if config.teachers != given:
        raise TrainingError(
            "the configuration names the teachers {teachers}, the runs given are {given}; give "
            "the same",
            teachers=config.teachers,
            given=given,
        )
    for teacher in teachers:
        if teacher.preprocessing.size > pack.size:
            raise TrainingError(
                "the teacher {card_name} reads scans of {size} px, these are packed at {size_2}; "
                "prepare them at its size or above, or take another teacher",
                card_name=teacher.card.name,
                size=teacher.preprocessing.size,
                size_2=pack.size,
            )
        if teacher.card.raw["data"]["manifest_sha256"] != manifest_sha256(pack.records):
            raise TrainingError(
                "the teacher {card_name} was trained on other data or another split: it may have "
                "seen validation or test scans of this one; take a teacher that was trained on "
                "the same scans with the same split",
                card_name=teacher.card.name,
            )


def _lesson(teacher: LoadedRun, size: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Gray (N, 1, size, size) -> the teacher's logits, at the size that it reads."""
    own = teacher.preprocessing.size
    if own == size:
        return teacher.model
    return lambda gray: teacher.model(
        F.interpolate(gray, size=own, mode="bilinear", antialias=True)
    )


def _out_of_memory(error: RuntimeError) -> bool:
    """Each device says it in its own words; only CUDA has a class for it."""
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "not enough memory" in str(error)
        or "out of memory" in str(error)
    )


def _settings(config: TrainingConfig, pack: Pack) -> dict[str, Any]:
    """What must be the same when a run is resumed."""
    return {"training": config.to_dict(), "data": manifest_sha256(pack.records), "size": pack.size}


def _is_finished(config: TrainingConfig, pack: Pack, folder: Path, resume: bool) -> bool:
    """Whether there is nothing left to do; raises if the folder is another run's or may not be gone
    on with.
    """
    if not folder.exists():
        return False
    if not resume:
        raise RunExistsError(
            "run {folder_name} exists; choose another --run, or go on with --resume",
            folder_name=folder.name,
        )
    if not (folder / CARD).is_file():
        if any(
            not path.name.endswith(".part") and path.name != FOLDER for path in folder.iterdir()
        ):
            raise RunExistsError(
                "{folder} is there and is no run; choose another --run", folder=folder
            )
        return False
    raw = read_card(folder).raw
    training = {"teachers": [], "trained_layers": 0, **raw["training"]}  # older cards know of none
    found = {
        "training": training,
        "data": raw["data"]["manifest_sha256"],
        "size": raw["preprocessing"]["size"],
    }
    if found != _settings(config, pack):
        raise TrainingError(
            "run {folder_name} was started with other settings or data; give the same ones, or "
            "another --run",
            folder_name=folder.name,
        )
    return bool(raw["status"] == "done")


def new_card(config: TrainingConfig, pack: Pack, name: str, device: torch.device) -> dict[str, Any]:
    """The card of a run that starts now."""
    mean, std = config.normalisation
    return {
        "schema": SCHEMA,
        "name": name,
        "status": "training",
        "architecture": config.architecture,
        "classes": list(CLASSES),
        "preprocessing": Preprocessing(pack.size, mean, std).to_dict(),
        "weights_sha256": "",
        "initialisation": config.to_dict()["initialisation"],
        "initial_weights_sha256": _file_sha256(config.initialisation),
        "data": {"manifest_sha256": manifest_sha256(pack.records), "counts": count(pack.records)},
        "training": config.to_dict(),
        "versions": versions(),
        "git_commit": git_commit(),
        "device": device_name(device),
        "precision": best_precision(device),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_seconds": 0.0,
        "best_epoch": None,
        "temperature": 1.0,
        "operating_points": {},
        "metrics": {},
        "intended_use": INTENDED_USE,
        "limits": LIMITS,
        "licence": "Apache-2.0",
    }


def _file_sha256(initialisation: str) -> str:
    """The hash of a file of initial weights, "" for the named ways to start."""
    return (
        ""
        if initialisation in ("imagenet", "random")
        else hashlib.sha256(Path(initialisation).read_bytes()).hexdigest()
    )


def git_commit() -> str:
    """The commit of the library's own checkout, with "-changed" if files differ from it, or ""
    outside of one.
    """
    try:
        here = Path(__file__).resolve().parent
        asked = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=-changed"]
        return subprocess.run(
            asked, cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def device_name(device: torch.device) -> str:
    """The device as a person knows it."""
    return (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{device.type}, {torch.get_num_threads()} threads"
    )


def training_data(config: TrainingConfig, pack: Pack) -> TrainingData:
    """The training part, cut to the limit, with the recipe's phantoms behind it."""
    rows = pack.rows("train")
    if config.limit is not None and config.limit < len(rows):
        rows = np.sort(np.random.default_rng(config.seed).choice(rows, config.limit, replace=False))
    preprocessing = Preprocessing(pack.size)
    phantoms = [
        (
            preprocessing.prepare(make_phantom(label, PHANTOM_SEED + index).pixels),
            CLASSES.index(label),
        )
        for index in range(config.phantoms_per_class)
        for label in CLASSES
    ]
    pixels = np.concatenate([pack.pixels[rows], *(picture[None] for picture, _ in phantoms)])
    labels = np.concatenate(
        [pack.labels[rows], np.array([label for _, label in phantoms], dtype=np.int64)]
    )
    return TrainingData(pixels, labels)


def _train_epochs(
    config: TrainingConfig,
    model: GrayClassifier,
    pack: Pack,
    folder: Path,
    device: torch.device,
    card: dict[str, Any],
    events: Events,
    teachers: Sequence[LoadedRun],
) -> None:
    trainer = Trainer(
        config,
        model,
        training_data(config, pack),
        device,
        [_lesson(teacher, pack.size) for teacher in teachers],
    )
    progress = _restore(trainer, folder) or Progress(settings=_settings(config, pack))
    _cut_rows(folder / HISTORY, "epoch", progress.epoch)
    _cut_rows(folder / STEPS, "step", progress.step)
    start = time.perf_counter() - progress.seconds
    saved = build_model(config.architecture, len(CLASSES), *config.normalisation).to(device)
    for epoch in range(progress.epoch, config.epochs):
        result = trainer.epoch(
            epoch,
            lambda done, total, number=epoch: events.step(number + 1, done, total),  # type: ignore[misc]
            lambda row: append_rows(folder / STEPS, [row]),
        )
        saved.backbone.load_state_dict(
            {name: _rounded(tensor) for name, tensor in trainer.average.items()}
        )
        row = _history_row(
            epoch, result, pack, logits_of_pack(saved, pack.pixels[pack.rows("val")], device)
        )
        progress.epoch, progress.step, progress.seconds = (
            epoch + 1,
            trainer.step,
            time.perf_counter() - start,
        )
        is_best = row["val_loss"] < progress.best_loss
        if is_best:
            progress.best_epoch, progress.best_loss = epoch + 1, row["val_loss"]
            write_atomically(best_file(folder, epoch + 1), weights_bytes(saved))
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


def _cut_rows(path: Path, column: str, last: int) -> None:
    """Drop the rows after ``last``: they belong to an epoch that was not finished and is trained
    again.
    """
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    header = lines[0] if lines else []
    keep = [
        row
        for row in lines[1:]
        if len(row) == len(header) and float(row[header.index(column)]) <= last
    ]
    if keep:
        write_atomically(
            path, ("\n".join(",".join(row) for row in [header, *keep]) + "\n").encode()
        )
    else:
        path.unlink()


def _history_row(
    epoch: int, result: EpochResult, pack: Pack, logits: Float32Array
) -> dict[str, float]:
    labels = pack.labels[pack.rows("val")]
    probabilities = softmax(logits, 1.0)
    return {
        "epoch": epoch + 1,
        "train_loss": result.loss,
        "train_accuracy": result.accuracy,
        "val_loss": float(
            -np.log(probabilities[np.arange(len(labels)), labels].clip(1e-12)).mean()
        ),
        "val_accuracy": float((logits.argmax(1) == labels).mean()),
        "val_auc": float(
            roc_auc_score(labels, probabilities, multi_class="ovr", labels=range(len(CLASSES)))
        ),
        "learning_rate": result.learning_rate,
        "seconds": result.seconds,
        "images_per_second": result.images_per_second,
    }


def finish(
    config: TrainingConfig, pack: Pack, folder: Path, device: torch.device, card: dict[str, Any]
) -> None:
    """Publish the best weights, reload them from disk, predict validation and test, fit the
    temperature, close the card.
    """
    best = best_file(folder, card["best_epoch"])
    if not best.is_file():
        raise TrainingError(
            "run {folder_name} has no usable epoch; train it anew", folder_name=folder.name
        )
    write_atomically(folder / WEIGHTS, best.read_bytes())
    card["weights_sha256"] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    model = build_model(config.architecture, len(CLASSES), *config.normalisation, hollow=True)
    load_weights(model, folder / WEIGHTS, card["weights_sha256"])
    table = predict_pack(model.to(device), pack, device)
    write_predictions(folder, table)
    val = table.of_split("val")
    card["temperature"] = round(float(fit_temperature(val.logits, val.label)), 4)
    card["status"] = "done"
    write_card(folder, card)
    shutil.rmtree(folder / FOLDER)


def predict_pack(model: GrayClassifier, pack: Pack, device: torch.device) -> PredictionTable:
    """Logits of the validation and test parts of a pack."""
    rows = np.concatenate([pack.rows("val"), pack.rows("test")])
    records = [pack.records[row] for row in rows]
    return PredictionTable(
        np.array([record.split for record in records], dtype=np.str_),
        np.array([Path(record.path).name for record in records], dtype=np.str_),
        np.array([record.sha256 for record in records], dtype=np.str_),
        np.array([record.patient for record in records], dtype=np.str_),
        pack.labels[rows],
        logits_of_pack(model, pack.pixels[rows], device),
    )


__all__ = [
    "Events",
    "finish",
    "new_card",
    "predict_pack",
    "teacher_name",
    "train_run",
    "training_data",
]
