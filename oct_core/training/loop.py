"""The training loop: batches from the pack, augmented on the device; one epoch is a function of
(state, seed, epoch).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from oct_core.errors import TrainingError
from oct_core.models.catalog import ARCHITECTURES
from oct_core.models.networks import GrayClassifier, first_modules, leaf_modules
from oct_core.models.precision import best_precision, multiplied_in
from oct_core.training.augment import Augmenter
from oct_core.training.composites import add_lesions, widen
from oct_core.training.config import TrainingConfig
from oct_core.types import CLASSES

TEACHER_SHARE = 0.8
"""Of the loss, where there are teachers; the labels have the rest."""
STEPS_PER_ROW = 5
"""steps.csv gets one row for so many steps, and one at the end of an epoch."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """pixels : uint8 (N, S, S). labels : int64 (N,)."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class EpochResult:
    """Means over the epoch."""

    loss: float
    accuracy: float
    learning_rate: float
    seconds: float
    images_per_second: float


class Trainer:
    """A model, its optimizer and its moving average.

    After ``epoch(e)`` for e = 0, 1, ... the averaged weights are in ``average``. All randomness of
    an epoch comes from (seed, e), so an epoch run again after a kill gives the same weights (bit
    for bit on the CPU).

    teachers : each gives the logits (N, 4) of a trained network for gray (N, 1, S, S); their
    probabilities for the same augmented scans, on average, are learned beside the labels.
    Distillation, Hinton et al. 2015, arXiv:1503.02531; all see the same view of a scan, Beyer et
    al. 2022, arXiv:2106.05237.
    precision : "float32" or "bfloat16" instead of what is best for the device.
    """

    def __init__(
        self,
        config: TrainingConfig,
        model: GrayClassifier,
        data: TrainingData,
        device: torch.device,
        teachers: Sequence[Callable[[Tensor], Tensor]] = (),
        precision: str | None = None,
    ) -> None:
        self.config, self.data, self.device, self.teachers = config, data, device, teachers
        self.precision = precision or best_precision(device)
        self.model = model.to(device).to(memory_format=torch.channels_last)
        self.still = self._still_modules()
        self.average = {
            name: tensor.detach().clone()
            for name, tensor in self.model.backbone.state_dict().items()
        }
        self.optimizer = torch.optim.AdamW(self._groups(), betas=(0.9, 0.99))
        self.steps_per_epoch = max(1, len(data.labels) // config.batch_size)
        self.class_weight = self._class_weight()
        self.step = 0

    def _still_modules(self) -> nn.ModuleList:
        """The leaf modules that stay as they are: the frozen layers, and all behind the last
        trained one.
        """
        config = self.config
        still = first_modules(self.model, config.architecture, config.frozen_layers)
        if config.trained_layers:
            reached = len(first_modules(self.model, config.architecture, config.trained_layers))
            still += list(leaf_modules(self.model).values())[reached:]
        return nn.ModuleList(still).requires_grad_(False)

    def _groups(self) -> list[dict[str, object]]:
        """Backbone and head, each with and without weight decay (biases and normalisation have
        none).
        """
        head = ARCHITECTURES.get(self.config.architecture).head
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.model.backbone.named_parameters():
            if parameter.requires_grad:
                groups.setdefault((name.startswith(head), parameter.ndim > 1), []).append(parameter)
        return [
            {
                "params": parameters,
                "peak": self.config.head_learning_rate if in_head else self.config.learning_rate,
                "weight_decay": self.config.weight_decay if decays else 0.0,
            }
            for (in_head, decays), parameters in groups.items()
        ]

    def _class_weight(self) -> Tensor | None:
        if not self.config.class_balance:
            return None
        counts = np.bincount(self.data.labels, minlength=len(CLASSES)).clip(1)
        weight = np.sqrt(counts.mean() / counts)
        return torch.tensor(weight / weight.mean(), dtype=torch.float32, device=self.device)

    def _set_rate(self) -> float:
        """Linear warm-up, then a cosine to zero, as a function of the step alone; returns the
        backbone's rate.
        """
        total = self.steps_per_epoch * self.config.epochs
        warm = max(1, round(total * self.config.warmup))
        share = (
            (self.step + 1) / warm
            if self.step < warm
            else 0.5 * (1 + math.cos(math.pi * (self.step - warm) / max(1, total - warm)))
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        return self.config.learning_rate * share

    def _batches(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        order = np.random.default_rng((self.config.seed, epoch)).permutation(len(self.data.labels))
        size = min(self.config.batch_size, len(order))
        for index in range(self.steps_per_epoch):
            yield np.sort(order[index * size : (index + 1) * size])

    def epoch(
        self,
        epoch: int,
        after_step: Callable[[int, int], None] = lambda done, total: None,
        after_row: Callable[[dict[str, float]], None] = lambda row: None,
    ) -> EpochResult:
        """Train one epoch. ``after_step`` gets (steps done in the epoch, steps an epoch),
        ``after_row`` each row for steps.csv.
        """
        start, losses, hits, rate = time.perf_counter(), [], [], 0.0
        torch.manual_seed(self.config.seed * 100_003 + epoch)
        generator = torch.Generator(self.device).manual_seed(self.config.seed * 100_003 + epoch)
        augment = Augmenter(self.config.augmentation, generator, self.config.styles)
        self.model.train()
        self.still.eval()
        for done, batch in enumerate(self._batches(epoch), start=1):
            rate = self._set_rate()
            loss, correct = self._train_step(batch, augment)
            losses.append(loss)
            hits.append(correct)
            self.step += 1
            if self.step % STEPS_PER_ROW == 0 or done == self.steps_per_epoch:
                recent = losses[-STEPS_PER_ROW:], hits[-STEPS_PER_ROW:]
                means = {"loss": _mean(recent[0]), "accuracy": _mean(recent[1])}
                after_row({"step": self.step, "epoch": epoch + 1, **means, "learning_rate": rate})
            after_step(done, self.steps_per_epoch)
        seconds = time.perf_counter() - start
        images = self.steps_per_epoch * min(self.config.batch_size, len(self.data.labels))
        return EpochResult(_mean(losses), _mean(hits), rate, seconds, images / seconds)

    def _train_step(self, batch: NDArray[np.int64], augment: Augmenter) -> tuple[float, float]:
        gray = (
            torch.from_numpy(np.array(self.data.pixels[batch])).to(self.device)[:, None].float()
            / 255.0
        )
        labels = torch.from_numpy(self.data.labels[batch]).to(self.device)
        with torch.no_grad():
            gray, labels = add_lesions(gray, labels, self.config.lesions, augment.generator)
            gray = widen(gray, labels, self.config.widening, augment.generator)
            gray = augment(gray).contiguous(memory_format=torch.channels_last)
        with multiplied_in(self.precision, self.device):
            logits = self.model(gray)
        loss = F.cross_entropy(
            logits.float(),
            labels,
            weight=self.class_weight,
            label_smoothing=self.config.label_smoothing,
        )
        if self.teachers:
            with torch.no_grad(), multiplied_in(self.precision, self.device):
                answers = torch.stack(
                    [teacher(gray).float().softmax(1) for teacher in self.teachers]
                ).mean(0)
            loss = (1 - TEACHER_SHARE) * loss + TEACHER_SHARE * F.cross_entropy(
                logits.float(), answers
            )
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                "the loss became {value} at step {step}; lower the learning rates and go on from "
                "an earlier run",
                value=value,
                step=self.step + 1,
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self._update_average()
        return value, float((logits.detach().argmax(1) == labels).float().mean())

    @torch.no_grad()
    def _update_average(self) -> None:
        """Moving average of weights and normalisation statistics; its memory grows with the step,
        so the start is forgotten.
        """
        decay = (
            min(self.config.weight_averaging, (1 + self.step) / (10 + self.step))
            if self.config.weight_averaging
            else 0.0
        )
        for name, tensor in self.model.backbone.state_dict().items():
            if tensor.is_floating_point():
                self.average[name].lerp_(tensor, 1 - decay)
            else:
                self.average[name].copy_(tensor)


def _mean(values: list[float]) -> float:
    return float(np.mean(values))
