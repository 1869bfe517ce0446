"""Finished runs whose answers a training learns beside the labels."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from oct_core.data.manifest import manifest_sha256
from oct_core.errors import TrainingError
from oct_core.runs.weights import LoadedRun
from oct_core.training.job import TrainingJob


def teacher_name(run: LoadedRun) -> str:
    """What ``TrainingConfig.teachers`` calls a run: its name and the start of its weights' hash."""
    return f"{run.card.name}:{run.card.weights_sha256[:12]}"


def check_teachers(job: TrainingJob) -> None:
    """Raise TrainingError unless the teachers are those of the configuration, read scans of this
    size or below, and were trained on the same scans with the same split.
    """
    given = tuple(teacher_name(teacher) for teacher in job.teachers)
    if job.config.teachers != given:
        raise TrainingError(
            "the configuration names the teachers {teachers}, the runs given are {given}; give "
            "the same",
            teachers=job.config.teachers,
            given=given,
        )
    for teacher in job.teachers:
        if teacher.preprocessing.size > job.pack.size:
            raise TrainingError(
                "the teacher {teacher} reads scans of {size} px, these are packed at {packed} px; "
                "prepare them at its size or above, or take another teacher",
                teacher=teacher.card.name,
                size=teacher.preprocessing.size,
                packed=job.pack.size,
            )
        if teacher.preprocessing.version != job.pack.preprocessing_version:
            raise TrainingError(
                "the teacher {teacher} reads scans of version {own} of the preprocessing, these "
                "are of version {packed}; take a teacher that was trained on scans prepared alike",
                teacher=teacher.card.name,
                own=teacher.preprocessing.version,
                packed=job.pack.preprocessing_version,
            )
        if teacher.card.raw["data"]["manifest_sha256"] != manifest_sha256(job.pack.records):
            raise TrainingError(
                "the teacher {teacher} was trained on other data or another split: it may have "
                "seen validation or test scans of this one; take a teacher that was trained on "
                "the same scans with the same split",
                teacher=teacher.card.name,
            )


def lesson(teacher: LoadedRun, size: int) -> Callable[[Tensor], Tensor]:
    """Gray (N, 1, size, size) -> the teacher's logits, at the size that it reads."""
    own = teacher.preprocessing.size
    if own == size:
        return teacher.model
    return lambda gray: teacher.model(
        F.interpolate(gray, size=own, mode="bilinear", antialias=True)
    )
