"""What every test may use: three tiny runs with random weights, made from phantoms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from oct_core.data.manifest import Record
from oct_core.data.pack import Pack
from oct_core.runs.weights import LoadedRun, load_run
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import Preprocessing
from oct_core.types import CLASSES

SIZE = 64


def phantom_pack(folder: Path, per_class: int = 6) -> Pack:
    """A small pack of phantoms with a train, val and test part; each scan its own patient."""
    preprocessing = Preprocessing(SIZE)
    records, pixels = [], []
    for index in range(per_class):
        for label in CLASSES:
            split = ("train", "val", "test")[index % 3]
            pixels.append(preprocessing.prepare(make_phantom(label, 500 + index, 128, 160).pixels))
            name = f"{label}-{1000 + index}-1.png"
            records.append(
                Record(
                    name, label, f"{1000 + index}{label}", f"{len(records):064x}", 160, 128, split
                )
            )
    return Pack(folder, tuple(records), np.stack(pixels), SIZE)


@pytest.fixture(scope="session")
def tiny_pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """24 phantoms at 64 px."""
    return phantom_pack(tmp_path_factory.mktemp("pack"))


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoints root with vgg16, resnet50 and densenet121, trained for two epochs on the tiny
    pack.
    """
    root = tmp_path_factory.mktemp("checkpoints")
    make_demo_runs(root)
    return root


def make_demo_runs(root: Path) -> None:
    """Train the three tiny runs through the real loop and evaluate them."""
    from oct_core.evaluation import evaluate_run
    from oct_core.training.config import recipe
    from oct_core.training.run import train_run

    pack = phantom_pack(root)
    for name in ("vgg16", "resnet50", "densenet121"):
        config = recipe(name, initialisation="random", epochs=2, batch_size=8)
        train_run(config, pack, root / name, torch.device("cpu"))
        evaluate_run(root / name)


@pytest.fixture(scope="session")
def demo_run(demo_root: Path) -> Callable[[str], LoadedRun]:
    """Load one of the tiny runs."""
    return lambda name: load_run(name, root=demo_root)
