"""The scans a training learns from."""

from __future__ import annotations

import numpy as np

from oct_core.data.pack import Pack
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import Preprocessing
from oct_core.training.config import TrainingConfig
from oct_core.training.loop import TrainingData
from oct_core.types import CLASSES, GrayImage, Phantom

PHANTOM_SEED = 1_000_000
"""Training phantoms count up from here; the app's samples and the tests use smaller seeds, fresh
phantoms 2,000,000 on.
"""


def training_data(config: TrainingConfig, pack: Pack) -> TrainingData:
    """The training part, cut to the limit, with the recipe's phantoms behind it."""
    rows = pack.rows("train")
    if config.limit is not None and config.limit < len(rows):
        rows = np.sort(np.random.default_rng(config.seed).choice(rows, config.limit, replace=False))
    preprocessing = Preprocessing(pack.size, version=pack.preprocessing_version)
    views = np.random.default_rng((config.seed, PHANTOM_SEED))
    phantoms = [
        (
            preprocessing.prepare(view_off_fovea(phantom, config.phantom_views, views)),
            CLASSES.index(label),
        )
        for index in range(config.phantoms_per_class)
        for label in CLASSES
        for phantom in [make_phantom(label, PHANTOM_SEED + index)]
    ]
    pixels = np.concatenate([pack.pixels[rows], *(picture[None] for picture, _ in phantoms)])
    labels = np.concatenate(
        [pack.labels[rows], np.array([label for _, label in phantoms], dtype=np.int64)]
    )
    return TrainingData(pixels, labels)


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
