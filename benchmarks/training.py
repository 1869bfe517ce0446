"""How many scans a second does a training learn, and how near is that to the limit?

    python benchmarks/training.py [--quick] [--data PACK] [--size 224] [--batch-size 16]

For each network, in images a second:

- the whole step on packed scans, through the product's own loop: reading, drawn lesions, wider
  scans, augmentation, network, clipping, AdamW, moving average, rows of steps.csv;
- the limit: the bare step on one constant batch of the same size, in the same precision: forward,
  loss, backward, fused AdamW. Both are measured in turn, a step each on a CPU and a row of
  steps.csv each on a GPU; the first is left out, and medians are compared;
- what a DataLoader delivers that decodes JPEGs with PIL, resizes, flips and normalises them, as
  tutorials do, with a process a core: a training through it cannot be faster.

All weights are random and no layer is frozen. Without --data, phantoms are packed in a temporary
folder. --quick: 128 px and fewer steps. The rows of a GPU stay empty where there is none. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oct_core.data.pack import open_pack, prepare
from oct_core.models.catalog import ARCHITECTURES
from oct_core.models.precision import best_precision, multiplied_in
from oct_core.scans.phantom import make_phantom
from oct_core.training.card import device_name
from oct_core.training.config import TrainingConfig
from oct_core.training.data import TrainingData, training_data
from oct_core.training.execution import Execution
from oct_core.training.initial import initial_model
from oct_core.training.loop import STEPS_PER_ROW, Trainer
from oct_core.training.recipes import recipe
from oct_core.types import CLASSES

PATIENTS, FIRST_SEED = 12, 8_000_000
JPEG_SIZE = (512, 496)
"""As OCT2017 has them."""
_QUICK_PAIRS, _PAIRS, _QUICK_SECONDS, _SECONDS = 2, 6, 7.0, 60.0


def draw_jpegs(folder: Path) -> Path:
    """A folder of JPEGs, four classes, one a patient."""
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for patient in range(PATIENTS):
            pixels = make_phantom(label, FIRST_SEED + patient, 248, 256).pixels
            name = f"{label}-{1000 + patient}-1.jpeg"
            Image.fromarray(pixels).resize(JPEG_SIZE).save(folder / label / name, quality=90)
    return folder


def bare_step(
    config: TrainingConfig, size: int, device: torch.device, compiled: bool
) -> Callable[[], None]:
    """A step on a constant batch with nothing around it."""
    model = initial_model(config, len(CLASSES)).to(device).to(memory_format=torch.channels_last)
    network = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    gray = torch.rand((config.batch_size, 1, size, size), device=device)
    labels = torch.arange(config.batch_size, device=device) % len(CLASSES)

    def step() -> None:
        with multiplied_in(best_precision(device), device):
            logits = network(gray)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return step


def measure(
    architecture: str, data: TrainingData, options: argparse.Namespace
) -> tuple[float, float]:
    """Images a second of the whole step and of the bare one."""
    device = torch.device(options.device)
    every = STEPS_PER_ROW if device.type == "cuda" else 1
    pairs, most = (_QUICK_PAIRS, _QUICK_SECONDS) if options.quick else (_PAIRS, _SECONDS)
    config = recipe(
        architecture,
        initialisation="random",
        epochs=1000,
        batch_size=options.batch_size,
        learning_rate=1e-5,
        head_learning_rate=1e-5,
    )
    trainer = Trainer(
        config,
        initial_model(config, len(CLASSES)),
        data,
        device,
        execution=Execution(compiled=options.compile, tell=print),
    )
    step = bare_step(config, data.pixels.shape[1], device, options.compile)
    whole, bare = [], []

    def wait() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    start = mark = wait()

    def after_step(done: int, total: int) -> None:
        nonlocal start, mark
        if trainer.step % every:
            return
        whole.append((wait() - mark) / every)
        mark = wait()
        for _ in range(every):
            step()
        bare.append((wait() - mark) / every)
        if len(bare) == 1:  # which warmed up
            start = wait()
        mark = wait()

    epoch = 0
    while len(bare) < 1 + pairs or mark - start < most:
        trainer.epoch(epoch, after_step)
        epoch += 1
    return tuple(options.batch_size / float(np.median(part[1:])) for part in (whole, bare))


def loader_rate(folder: Path, size: int, batch_size: int) -> float:
    """Images a second that a tutorial's DataLoader delivers."""
    transform = v2.Compose(
        [
            v2.Resize((size, size)),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    folders = torch.utils.data.ConcatDataset([ImageFolder(folder, transform)] * 12)
    workers = os.cpu_count() or 1
    batches = iter(DataLoader(folders, batch_size, shuffle=True, num_workers=workers))
    next(batches)
    start, count = time.perf_counter(), 0
    for pixels, _ in batches:
        count += len(pixels)
    return count / (time.perf_counter() - start)


def main() -> None:
    """Measure, print a line a network, and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path, help="a prepared folder")
    parser.add_argument("--size", type=int, help="of the phantoms; 224, with --quick 128")
    parser.add_argument("--batch-size", type=int, help="16, on a GPU 128")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true", help="both steps by torch.compile")
    options = parser.parse_args()
    device = torch.device(options.device)
    options.batch_size = options.batch_size or (128 if device.type == "cuda" else 16)
    rates: dict[str, dict[str, float]] = {
        name: {} for name in ("images_per_second", "limit", "ratio_to_limit", "tutorial_loader")
    }
    with tempfile.TemporaryDirectory() as folder:
        scans = draw_jpegs(Path(folder) / "scans")
        packed = options.data or Path(folder) / "pack"
        if options.data is None:
            prepare(scans, packed, size=options.size or (128 if options.quick else 224), workers=1)
        pack = open_pack(packed)
        whole_part = recipe("vgg16", initialisation="random", phantoms_per_class=0)
        data = training_data(whole_part, pack)
        tutorial = loader_rate(scans, pack.size, options.batch_size)
        for architecture in ARCHITECTURES:
            whole, bare = measure(architecture, data, options)
            values = (whole, bare, whole / bare, tutorial)
            for name, value in zip(rates, values, strict=True):
                rates[name][architecture] = round(value, 3 if name == "ratio_to_limit" else 1)
            print(
                f"{architecture:12} {whole:7.1f} images/s, limit {bare:7.1f}, ratio "
                f"{whole / bare:.3f}, tutorial loader {tutorial:7.1f}",
                flush=True,
            )
    if device.type != "cuda":
        print("on a GPU: not measured, there is none here" if not torch.cuda.is_available() else "")
    print(
        json.dumps(
            rates
            | {
                "device": device_name(device),
                "size": pack.size,
                "batch_size": options.batch_size,
                "precision": best_precision(device),
                "compiled": options.compile,
                "gpu": device.type == "cuda" or None,
            }
        )
    )


if __name__ == "__main__":
    main()
