"""The scans a training learns from: one copy, where they lie or on the GPU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oct_core.data.pack import Pack
from oct_core.models.device import upload
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import Preprocessing
from oct_core.training.config import TrainingConfig
from oct_core.types import CLASSES, GrayImage, IntArray, Phantom

PHANTOM_SEED = 1_000_000
"""Training phantoms count up from here; the app's samples and the tests use smaller seeds, fresh
phantoms 2,000,000 on.
"""
_AT_ONCE = 1024
"""Scans that are copied to a GPU at once."""
_SHARE_OF_GPU = 0.5
"""Of a GPU's free memory at most this much is given to the scans; the rest is for the network."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Rows of a pack, which stays where it is, and phantoms behind them.

    pixels : uint8 (P, S, S) of the whole pack, memory-mapped as a rule. rows : int64 (R,), those
    that are learned. phantoms : uint8 (M, S, S). labels : int64 (R + M,).
    """

    pixels: NDArray[np.uint8]
    rows: IntArray
    phantoms: NDArray[np.uint8]
    labels: IntArray

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], labels: IntArray) -> TrainingData:
        """All of some scans, without phantoms."""
        return cls(pixels, np.arange(len(pixels)), pixels[:0], labels)

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, numbers: IntArray) -> NDArray[np.uint8]:
        """The scans of these numbers, uint8 (N, S, S): a copy of them alone."""
        scans = np.empty((len(numbers), *self.pixels.shape[1:]), np.uint8)
        real = numbers < len(self.rows)
        scans[real] = self.pixels[self.rows[numbers[real]]]
        scans[~real] = self.phantoms[numbers[~real] - len(self.rows)]
        return scans


class Scans:
    """Where batches come from.

    A GPU holds all scans as uint8, if there is room, and picks them there; else a batch is read
    from the pack as it is wanted.
    """

    def __init__(self, data: TrainingData, device: torch.device) -> None:
        self.data, self.device = data, device
        self.held = hold(data, device) if has_room(data, device) else None

    def batch(self, numbers: IntArray) -> Tensor:
        """The scans of these numbers, float32 (N, 1, S, S) in [0, 1]."""
        if self.held is None:
            scans = upload(self.data.read(numbers), self.device)
        else:
            scans = self.held[upload(numbers, self.device)]
        return scans[:, None].float().div_(255.0)


def has_room(data: TrainingData, device: torch.device) -> bool:
    """Whether the device has a memory of its own with room for all scans beside a network."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return len(data) * int(np.prod(data.pixels.shape[1:])) < _SHARE_OF_GPU * free


def hold(data: TrainingData, device: torch.device) -> Tensor:
    """All scans on the device, uint8 (N, S, S); the host holds a small part of them at a time."""
    held = torch.empty((len(data), *data.pixels.shape[1:]), dtype=torch.uint8, device=device)
    for start in range(0, len(data), _AT_ONCE):
        numbers = np.arange(start, min(start + _AT_ONCE, len(data)))
        held[start : start + len(numbers)] = torch.from_numpy(data.read(numbers)).to(device)
    return held


def training_data(config: TrainingConfig, pack: Pack) -> TrainingData:
    """The training part, cut to the limit, with the recipe's phantoms behind it."""
    rows = pack.rows("train")
    if config.limit is not None and config.limit < len(rows):
        rows = np.sort(np.random.default_rng(config.seed).choice(rows, config.limit, replace=False))
    preprocessing = Preprocessing(pack.size, version=pack.preprocessing_version)
    views = np.random.default_rng((config.seed, PHANTOM_SEED))
    phantoms = [
        preprocessing.prepare(
            view_off_fovea(make_phantom(label, PHANTOM_SEED + index), config.phantom_views, views)
        )
        for index in range(config.phantoms_per_class)
        for label in CLASSES
    ]
    return TrainingData(
        pack.pixels,
        rows,
        np.stack(phantoms) if phantoms else pack.pixels[:0],
        np.r_[pack.labels[rows], np.tile(np.arange(len(CLASSES)), config.phantoms_per_class)],
    )


def view_off_fovea(phantom: Phantom, share: float, generator: np.random.Generator) -> GrayImage:
    """The phantom's pixels; of a ``share`` of them 45 to 75 % of the width, which hold the middle
    of the lesion, if there is one, and otherwise lie anywhere.
    """
    if generator.random() >= share:
        return phantom.pixels
    width = phantom.pixels.shape[1]
    part = round(width * generator.uniform(0.45, 0.75))
    lowest, highest = 0, width - part
    columns = np.flatnonzero(phantom.lesion.any(0))
    if columns.size:
        middle = int(np.median(columns))
        lowest = min(max(0, middle - round(0.9 * part)), highest)
        highest = max(min(highest, middle - round(0.1 * part)), lowest)
    first = int(generator.integers(lowest, highest + 1))
    return phantom.pixels[:, first : first + part]
