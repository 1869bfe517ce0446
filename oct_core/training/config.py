"""What a training is told: one frozen, checked configuration."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oct_core.errors import TrainingError
from oct_core.models.catalog import ARCHITECTURES
from oct_core.runs.files import CARD, read_card
from oct_core.scans.preprocess import (
    GRAY_MEAN,
    GRAY_STD,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preprocessing,
)


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the result of a training, apart from the data.

    architecture : a registry name.
    initialisation : "imagenet" (torchvision downloads it), "random", or the path of a .safetensors
    of backbone keys.
    fill_missing : what a file of initial weights lacks starts fresh instead of being refused.
    epochs : passes over the training part. batch_size : scans a step.
    learning_rate : peak for the backbone. head_learning_rate : peak for the classifier.
    weight_decay : AdamW's, decoupled; not applied to biases and normalisation.
    warmup : share of the steps that rise linearly to the peak; a cosine to zero follows.
    label_smoothing : 0 to 1. class_balance : weight the loss by the inverse root of class
    frequency.
    weight_averaging : decay per step of the exponential moving average that is saved; 0 saves the
    raw weights.
    augmentation : strength of every augmentation, 0 off to 1 full.
    styles : 0 (off) to 1, how far each scan's look is changed as other devices would.
    lesions : share of the NORMAL scans that small cysts and bright foci are drawn into, and that
    are DME then. widening : share of the scans that a NORMAL one is put beside.
    frozen_layers : so many of the named layers, from the input on, keep their initial weights.
    trained_layers : only the first so many named layers are trained (the frozen ones count); deeper
    ones and the head keep the weights of the finished run whose file is given, and
    head_learning_rate says nothing. 0 trains all. For scans that look otherwise but show the same:
    Lee et al. 2023, arXiv:2210.11466.
    phantoms_per_class : synthetic scans added to the training part, seeds apart from the app's
    samples.
    phantom_views : share of them of which only a part of the width is taken, so that the fovea lies
    at the side or outside.
    teachers : "RUN:HASH" of each finished run whose answers, on average, are learned beside the
    labels (distillation).
    seed : of order, augmentation, initial weights and phantoms. limit : use only so many training
    scans; None is all.
    """

    architecture: str
    initialisation: str = "imagenet"
    fill_missing: bool = False
    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 3e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    label_smoothing: float = 0.05
    class_balance: bool = True
    weight_averaging: float = 0.98
    augmentation: float = 1.0
    styles: float = 0.0
    lesions: float = 0.0
    widening: float = 0.0
    frozen_layers: int = 0
    trained_layers: int = 0
    phantoms_per_class: int = 0
    phantom_views: float = 0.0
    teachers: tuple[str, ...] = ()
    seed: int = 0
    limit: int | None = None

    def __post_init__(self) -> None:
        ARCHITECTURES.get(self.architecture)
        _positive(self, "epochs", "batch_size", "learning_rate", "head_learning_rate")
        _check_ranges(self)
        _check_layers(self)
        if self.limit is not None and self.limit < 8:
            raise TrainingError("limit must be at least 8 scans, not {limit}", limit=self.limit)

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation that fit the initial weights; a run's own bring those of the
        card beside them.
        """
        if self.initialisation == "random":
            return GRAY_MEAN, GRAY_STD
        beside = Path(self.initialisation).parent
        if self.initialisation != "imagenet" and (beside / CARD).is_file():
            preprocessing = Preprocessing.from_dict(read_card(beside).preprocessing)
            return preprocessing.mean, preprocessing.std
        return IMAGENET_MEAN, IMAGENET_STD

    def to_dict(self) -> dict[str, Any]:
        """The JSON form stored in the run card. A weights file is named without its folder."""
        raw = asdict(self)
        raw["teachers"] = list(self.teachers)  # as JSON gives it back
        raw["initialisation"] = self.initialisation.replace("\\", "/").rsplit("/", 1)[-1]
        return raw


def _positive(config: TrainingConfig, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not value > 0 or not math.isfinite(value):
            raise TrainingError("{name} must be over 0, not {value}", name=name, value=value)


def _check_ranges(config: TrainingConfig) -> None:
    for name in ("weight_decay", "phantoms_per_class", "seed"):
        if not getattr(config, name) >= 0:  # NaN fails too
            raise TrainingError(
                "{name} must be 0 or more, not {value}", name=name, value=getattr(config, name)
            )
    for name in ("warmup", "label_smoothing", "weight_averaging"):
        if not 0 <= getattr(config, name) < 1:
            raise TrainingError(
                "{name} must be at least 0 and under 1, not {value}",
                name=name,
                value=getattr(config, name),
            )
    for name in ("augmentation", "styles", "lesions", "widening", "phantom_views"):
        if not 0 <= getattr(config, name) <= 1:
            raise TrainingError(
                "{name} must be 0 (off) to 1 (full), not {value}",
                name=name,
                value=getattr(config, name),
            )


def _check_layers(config: TrainingConfig) -> None:
    deepest = len(ARCHITECTURES.get(config.architecture).layers)
    if not 0 <= config.frozen_layers < deepest:
        raise TrainingError(
            "frozen_layers must be 0 to {deepest} for {architecture}, not {frozen_layers}",
            deepest=deepest - 1,
            architecture=config.architecture,
            frozen_layers=config.frozen_layers,
        )
    if config.trained_layers and not config.frozen_layers < config.trained_layers <= deepest:
        raise TrainingError(
            "trained_layers must be 0 (all) or {least} to {deepest} for "
            "{architecture} with {frozen} frozen, not {trained_layers}",
            least=config.frozen_layers + 1,
            deepest=deepest,
            architecture=config.architecture,
            frozen=config.frozen_layers,
            trained_layers=config.trained_layers,
        )
    if config.trained_layers and config.initialisation in ("imagenet", "random"):
        raise TrainingError(
            "trained_layers keeps the head of a finished run: give its weights.safetensors as "
            "initialisation"
        )
