"""How many scans a second does a training step take, in float32 and in the precision that this
machine's training uses?

    python benchmarks/training.py [--size 128] [--batch-size 16] [--steps 8] [--device cpu]

One process, random weights, phantoms in random order, augmentation included, the two precisions in
turn on the same batches; the first epoch of each is left out. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oct_core.models.catalog import ARCHITECTURES
from oct_core.models.precision import best_precision
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import Preprocessing
from oct_core.training import loop
from oct_core.training.card import device_name
from oct_core.training.initial import initial_model
from oct_core.training.recipes import recipe
from oct_core.types import CLASSES


def images_per_second(
    architecture: str,
    data: loop.TrainingData,
    batch_size: int,
    precision: str,
    device: torch.device,
) -> float:
    """Of the second epoch."""
    config = recipe(architecture, initialisation="random", epochs=2, batch_size=batch_size)
    trainer = loop.Trainer(
        config, initial_model(config, len(CLASSES)), data, device, precision=precision
    )
    trainer.epoch(0)
    return trainer.epoch(1).images_per_second


def main() -> None:
    """Measure, print a line a network, and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device, preprocessing = torch.device(options.device), Preprocessing(options.size)
    labels = np.arange(options.steps * options.batch_size) % len(CLASSES)
    pixels = np.stack(
        [
            preprocessing.prepare(make_phantom(CLASSES[label], 8_000_000 + row).pixels)
            for row, label in enumerate(labels)
        ]
    )
    data, used = loop.TrainingData(pixels, labels), best_precision(device)
    result: dict[str, object] = {
        "device": device_name(device),
        "size": options.size,
        "batch_size": options.batch_size,
        "precision": used,
    }
    for architecture in ARCHITECTURES:
        plain, quick = (
            images_per_second(architecture, data, options.batch_size, one, device)
            for one in ("float32", used)
        )
        result[architecture] = {
            "float32": round(plain, 1),
            used: round(quick, 1),
            "ratio": round(quick / plain, 2),
        }
        print(
            f"{architecture:12} float32 {plain:6.1f} images/s, {used} {quick:6.1f} images/s, ratio "
            f"{quick / plain:.2f}"
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
