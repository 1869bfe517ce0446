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
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from oct_core.errors import TrainingError
from oct_core.models.catalog import ARCHITECTURES
from oct_core.models.device import upload
from oct_core.models.networks import GrayClassifier, first_modules, leaf_modules
from oct_core.models.precision import best_precision, multiplied_in
from oct_core.training.augment import Augmenter
from oct_core.training.composites import add_lesions, plan_composites, widen
from oct_core.training.config import TrainingConfig
from oct_core.training.data import Scans, TrainingData
from oct_core.training.draws import Draws, take_over_dropout
from oct_core.training.execution import Execution
from oct_core.types import CLASSES, FloatArray, IntArray

TEACHER_SHARE = 0.8
"""Of the loss, where there are teachers; the labels have the rest."""
STEPS_PER_ROW = 5
"""steps.csv gets one row for so many steps, and one at the end of an epoch."""


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
    for bit on the CPU). Several processes share each batch: the same scans, in the same order, with
    the same changes as one process would give them.

    teachers : each gives the logits (N, 4) of a trained network for gray (N, 1, S, S); their
    probabilities for the same augmented scans, on average, are learned beside the labels.
    Distillation, Hinton et al. 2015, arXiv:1503.02531; all see the same view of a scan, Beyer et
    al. 2022, arXiv:2106.05237.

    Raises TrainingError if a batch has fewer scans than there are processes.
    """

    def __init__(
        self,
        config: TrainingConfig,
        model: GrayClassifier,
        data: TrainingData,
        device: torch.device,
        teachers: Sequence[Callable[[Tensor], Tensor]] = (),
        execution: Execution = Execution(),
    ) -> None:
        self.config, self.data, self.device, self.teachers = config, data, device, teachers
        self.crew = execution.crew
        self.batch_size = min(config.batch_size, len(data))
        if self.batch_size < self.crew.size:
            raise TrainingError(
                "a step of {scans} scans cannot be shared by {processes} processes; start fewer, "
                "or give a larger --batch-size",
                scans=self.batch_size,
                processes=self.crew.size,
            )
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True
        self.precision = execution.precision or best_precision(device)
        self.scans = Scans(data, device)
        model = self.crew.share_statistics(model, device)
        self.model = model.to(device).to(memory_format=torch.channels_last)
        self.dropouts = take_over_dropout(self.model)
        self.still = self._still_modules()
        self.network = execution.network(self.model, device)
        own = self.model.backbone.state_dict()
        self.average = {name: tensor.detach().clone() for name, tensor in own.items()}
        self._averaged = [
            (self.average[name], own[name]) for name in own if own[name].is_floating_point()
        ]
        self._counted = [
            (self.average[name], own[name]) for name in own if not own[name].is_floating_point()
        ]
        self.optimizer = torch.optim.AdamW(self._groups(), betas=(0.9, 0.99), fused=True)
        self.steps_per_epoch = max(1, len(data) // config.batch_size)
        self._weights = self._class_weights()
        self.class_weight = torch.tensor(self._weights, dtype=torch.float32, device=device)
        self.augment = Augmenter(config.augmentation, config.styles)
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

    def _class_weights(self) -> FloatArray:
        """Of each class in the loss, 1 on average."""
        if not self.config.class_balance:
            return np.ones(len(CLASSES))
        counts = np.bincount(self.data.labels, minlength=len(CLASSES)).clip(1)
        weights = np.sqrt(counts.mean() / counts)
        return weights / weights.mean()  # type: ignore[no-any-return]

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

    def _batches(self, epoch: int) -> Iterator[IntArray]:
        order = np.random.default_rng((self.config.seed, epoch)).permutation(len(self.data))
        size = self.batch_size
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

        The device is waited for once a row. Raises TrainingError then if a loss was no number.
        """
        start, rate = time.perf_counter(), 0.0
        rows: list[FloatArray] = []
        recent: list[Tensor] = []
        draws = Draws.seeded(self.config.seed * 100_003 + epoch, self.device)
        self.model.train()
        self.still.eval()
        for done, batch in enumerate(self._batches(epoch), start=1):
            rate = self._set_rate()
            recent.append(self._train_step(batch, draws))
            self.step += 1
            if self.step % STEPS_PER_ROW == 0 or done == self.steps_per_epoch:
                rows.append(self._read(recent))
                recent = []
                means = dict(zip(("loss", "accuracy"), rows[-1].mean(0).tolist(), strict=True))
                after_row({"step": self.step, "epoch": epoch + 1, **means, "learning_rate": rate})
            after_step(done, self.steps_per_epoch)
        for average, count in self._counted:
            average.copy_(count)
        seconds = time.perf_counter() - start
        loss, accuracy = np.concatenate(rows).mean(0).tolist()
        images = self.steps_per_epoch * self.batch_size
        return EpochResult(loss, accuracy, rate, seconds, images / seconds)

    def _read(self, recent: Sequence[Tensor]) -> FloatArray:
        """Loss and accuracy of the last steps, (steps, 2), of all processes together."""
        values = self.crew.total(torch.stack(list(recent))).cpu().double().numpy()
        wrong = np.flatnonzero(~np.isfinite(values[:, 0]))
        if wrong.size:
            raise TrainingError(
                "the loss became {value} at step {step}; lower the learning rates and go on from "
                "an earlier run",
                value=float(values[wrong[0], 0]),
                step=self.step - len(recent) + int(wrong[0]) + 1,
            )
        return values

    def _train_step(self, batch: IntArray, draws: Draws) -> Tensor:
        """Learn the scans of these numbers. This process's part of the batch's loss and accuracy,
        (2,), on the device.
        """
        draws = draws.over(len(batch), self.crew.own(len(batch)))
        for dropout in self.dropouts:
            dropout.draws = draws
        gray, labels, weight = self._make(batch, draws)
        with multiplied_in(self.precision, self.device):
            logits = self.network(gray).float()
        loss = self._loss(logits, labels, gray, weight)
        self.optimizer.zero_grad(set_to_none=True)
        (loss * self.crew.size).backward()  # type: ignore[no-untyped-call]  # the mean of all is taken
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self._update_average()
        hits = (logits.detach().argmax(1) == labels).float().sum() / len(batch)
        return torch.stack([loss.detach(), hits])

    @torch.no_grad()
    def _make(self, batch: IntArray, draws: Draws) -> tuple[Tensor, Tensor, float]:
        """This process's scans of a batch as they are learned, (N, 1, S, S), their labels (N,), and
        the sum of the class weights over the whole batch.
        """
        config, own = self.config, draws.own
        made = plan_composites(self.data.labels[batch], config.lesions, config.widening, draws.host)
        gray = self.scans.batch(batch[own])
        gray = add_lesions(gray, made.lesions, draws)
        beside = batch[made.beside[own][made.wider[own]]]
        gray = widen(gray, self.scans.batch(beside), made.wider, draws)
        gray = self.augment(gray, draws).contiguous(memory_format=torch.channels_last)
        weight = float(self._weights[made.labels].sum())
        return gray, upload(made.labels[own], self.device), weight

    def _loss(self, logits: Tensor, labels: Tensor, gray: Tensor, weight: float) -> Tensor:
        """This process's part of the batch's loss: over all processes the parts add up to it."""
        loss = F.cross_entropy(
            logits,
            labels,
            weight=self.class_weight,
            reduction="sum",
            label_smoothing=self.config.label_smoothing,
        )
        loss = loss / weight
        if not self.teachers:
            return loss
        with torch.no_grad(), multiplied_in(self.precision, self.device):
            answers = torch.stack([teacher(gray).float().softmax(1) for teacher in self.teachers])
        taught = F.cross_entropy(logits, answers.mean(0), reduction="sum") / self.batch_size
        return (1 - TEACHER_SHARE) * loss + TEACHER_SHARE * taught

    def _update_average(self) -> None:
        """Moving average of weights and normalisation statistics; its memory grows with the step,
        so the start is forgotten.
        """
        decay = (
            min(self.config.weight_averaging, (1 + self.step) / (10 + self.step))
            if self.config.weight_averaging
            else 0.0
        )
        averages, own = zip(*self._averaged, strict=True)
        get_ema_multi_avg_fn(decay)(averages, own, 0)  # type: ignore[no-untyped-call]
