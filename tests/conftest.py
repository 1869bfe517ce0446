"""What every test may use: three tiny runs with random weights, made from phantoms."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout

from oct_core.data.manifest import Record
from oct_core.data.pack import Pack
from oct_core.runs.weights import LoadedRun, load_run
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import Preprocessing
from oct_core.types import CLASSES

torch.set_num_threads(1)  # the workers fill the cores: more threads would wait for one another

SIZE = 64
DEMO_RUNS = ("vgg16", "resnet50", "densenet121")


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


def make_once(folder: Path, make: Callable[[Path], None], timeout: float = -1) -> bool:
    """Whether ``folder`` is there, made by this process or another one; False only when another one
    still makes it after ``timeout`` seconds (-1: wait for it).
    """
    workshop = folder.parent.with_name(f"{folder.parent.name}.part")
    workshop.mkdir(exist_ok=True)
    part = workshop / folder.name
    try:
        with FileLock(f"{part}.lock", timeout):
            if not folder.is_dir():
                shutil.rmtree(part, ignore_errors=True)  # of one that failed
                make(part)
                part.rename(folder)
    except Timeout:
        return False
    return True


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of pytest-xdist: each has its base folder inside it."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def demo_folder(shared_folder: Path) -> Path:
    """Where the demo runs are once they are trained."""
    root = shared_folder / "checkpoints"
    root.mkdir(exist_ok=True)
    return root


@pytest.fixture(scope="session")
def demo_root(demo_folder: Path) -> Path:
    """A checkpoints root with vgg16, resnet50 and densenet121, trained for two epochs on the tiny
    pack. All workers read the same: copy a run before you change it.
    """
    for timeout in (0, -1):  # first those that nobody else trains just now
        for name in DEMO_RUNS:
            make_once(demo_folder / name, train_demo_run, timeout)
    return demo_folder


def train_demo_run(folder: Path) -> None:
    """Train a tiny run of the architecture that the folder is named for through the real loop, and
    evaluate it.
    """
    from oct_core.evaluation import evaluate_run
    from oct_core.training.job import TrainingJob
    from oct_core.training.recipes import recipe
    from oct_core.training.run import train_run

    config = recipe(folder.name, initialisation="random", epochs=2, batch_size=8)
    train_run(TrainingJob(config, phantom_pack(folder), folder, torch.device("cpu")))
    evaluate_run(folder)


@pytest.fixture(scope="session")
def demo_run(demo_folder: Path) -> Callable[[str], LoadedRun]:
    """Load one of the tiny runs; the others need not be there."""

    def load(name: str) -> LoadedRun:
        make_once(demo_folder / name, train_demo_run)
        return load_run(name, root=demo_folder)

    return load
