"""Time and memory against the number of scans: prepare, an epoch's host work, evaluate, intervals,
and the app's page Performance, with generated scans in a temporary folder that is removed.

    python benchmarks/scale.py                       # 1,000, 10,000 and 100,000 scans of 64 px
    python benchmarks/scale.py --quick               # 250, 500 and 1,000; under 50 s
    python benchmarks/scale.py --sizes 1000 10000 --steps intervals page --out scale.svg

A collection of n scans has n / 8 in the validation part and as many in the test part, and two scans
a patient. Networks are stand-ins that cost next to nothing: what is measured is the work around
them.

prepare : JPEGs of --side pixels, by one process. epoch : ``Trainer.epoch`` of the training part,
read, augmented and stepped. evaluate : answers to both parts and to the corrupted scans, 21 each of
at most 1,000, and their files. intervals : all metrics, 2,000 resamples, of three models on the
test part. page : the page Performance with three models, as a browser's first visit.

Seconds are of the processor, on one thread: other work on the machine does not count.
Memory is the most that is held beyond the start and beyond mapped files, in MB (10^6 bytes).
"growth" is how much more the last size takes than the one before, divided by how many more scans it
has: linear is 1 and below, up to the 1.3 that --tolerance allows. The last line is JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from oct_core.types import CLASSES, PredictionTable

SIZES, QUICK = (1000, 10_000, 100_000), (250, 500, 1000)
LEAST_SECONDS, LEAST_MB = 0.5, 20.0
"""Below these a measurement is too small to have a growth."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
SHARE = 8
"""One scan in so many is in the validation part, and one in the test part."""


@dataclass(frozen=True)
class Cost:
    """processor : seconds. wall : seconds. megabytes : of memory beyond the start."""

    processor: float
    wall: float
    megabytes: float


def _held() -> int:
    """Bytes of memory that are the process's own, without mapped files."""
    _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - int(shared)) * _PAGE


@contextmanager
def measured(costs: list[Cost]) -> Iterator[None]:
    """Append what the block takes."""
    start, done = _held(), threading.Event()
    most = [start]

    def watch() -> None:
        while not done.wait(0.005):
            most.append(max(most.pop(), _held()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    wall, processor = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        processor, wall = time.process_time() - processor, time.perf_counter() - wall
        done.set()
        watcher.join()
    costs.append(Cost(processor, wall, (max(most[0], _held()) - start) / 1e6))


def write_pack(folder: Path, scans: int, side: int) -> None:
    """A prepared folder of noise."""
    from oct_core.data.manifest import Record, write_manifest
    from oct_core.data.pack import MANIFEST, PACK, REPORT
    from oct_core.scans.preprocess import NEWEST

    folder.mkdir(parents=True)
    shape = (scans, side, side)
    pixels = np.lib.format.open_memmap(folder / PACK, "w+", np.uint8, shape)
    generator = np.random.default_rng(0)
    for start in range(0, scans, 1000):
        some = pixels[start : start + 1000]
        some[:] = generator.integers(0, 256, some.shape, np.uint8)
    pixels.flush()
    splits = ["val", "test", *["train"] * (SHARE - 2)]
    records = (
        Record(
            f"/scans/{CLASSES[row % 4]}-{row // SHARE // 2}-{row}.jpeg",
            CLASSES[row // SHARE % 4],
            f"{splits[row % SHARE]}-{row // SHARE // 2}",
            f"{row:064x}",
            side,
            side,
            splits[row % SHARE],
        )
        for row in range(scans)
    )
    write_manifest(folder / MANIFEST, records)
    (folder / REPORT).write_text(json.dumps({"preprocessing_version": NEWEST}))


def measure_prepare(folder: Path, scans: int, side: int, costs: list[Cost]) -> None:
    """JPEGs of phantoms, each with noise of its own."""
    from PIL import Image

    from oct_core.data.pack import prepare
    from oct_core.scans.phantom import make_phantom

    generator = np.random.default_rng(0)
    bases = [make_phantom(label, seed, side, side).pixels for seed in (1, 2) for label in CLASSES]
    for row in range(scans):
        base = row % len(bases)
        path = folder / "raw" / CLASSES[base % 4] / f"{CLASSES[base % 4]}-{row // 8}-{row}.jpeg"
        if row < 4:
            path.parent.mkdir(parents=True)
        noise = generator.integers(0, 16, (side, side), np.uint8)
        Image.fromarray(bases[base] // 2 + noise).save(path, quality=90)
    with measured(costs):
        prepare(folder / "raw", folder / "pack", size=side, workers=1)


def measure_epoch(folder: Path, scans: int, side: int, costs: list[Cost]) -> None:
    """Without phantoms, whose number does not depend on n."""
    import torch
    from torch import nn

    from oct_core.data.pack import open_pack
    from oct_core.models.networks import GrayClassifier
    from oct_core.training.data import training_data
    from oct_core.training.loop import Trainer
    from oct_core.training.recipes import recipe

    write_pack(folder / "pack", scans, side)
    config = recipe("vgg16", initialisation="random", epochs=1, phantoms_per_class=0, batch_size=32)
    backbone = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, len(CLASSES)))
    model = GrayClassifier(backbone, (0.5,) * 3, (0.25,) * 3)
    with measured(costs):
        pack = open_pack(folder / "pack")
        Trainer(config, model, training_data(config, pack), torch.device("cpu")).epoch(0)


def measure_evaluate(folder: Path, scans: int, side: int, costs: list[Cost]) -> None:
    """By a stand-in run, with the gate of a shipped one on features of its width."""
    from oct_core.data.pack import open_pack
    from oct_core.evaluation import answer_corrupted, answer_parts, corruption_accuracy
    from oct_core.runs.evaluations import write_corrupted
    from oct_core.runs.files import list_runs, write_predictions
    from oct_core.trust.gate import read_gate

    write_pack(folder / "pack", scans, side)
    gate = next((read_gate(card) for card in list_runs(ROOT / "checkpoints")), None)
    run = stand_in(1024 if gate is None else len(gate.centre))
    with measured(costs):
        pack = open_pack(folder / "pack")
        table = answer_parts(run, pack, gate)
        write_predictions(folder, table)
        corrupted = answer_corrupted(run, pack, gate)
        write_corrupted(folder, corrupted)
        corruption_accuracy(corrupted, table)


def stand_in(features: int):
    """What ``answers_of_pack`` asks of a run: two layers of half the features each, four logits."""
    import torch
    from torch import nn

    from oct_core.runs.turns import ModelLock

    torch.manual_seed(0)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(1, features // 2, 1), nn.Identity()
            self.head = nn.Linear(features // 2, len(CLASSES))

        def forward(self, gray: torch.Tensor) -> torch.Tensor:
            small = nn.functional.adaptive_avg_pool2d(gray, 1)
            return self.head(self.second(self.first(small)).flatten(1))

    class Run:
        def __init__(self) -> None:
            self.model, self.classes = Network().eval(), CLASSES
            self.layers = {"first": self.model.first, "second": self.model.second}
            self.device, self.lock = torch.device("cpu"), ModelLock()

    return Run()


def make_answers(scans: int, seed: int, split: str) -> PredictionTable:
    """Answers about as good as those of the shipped runs, two scans a patient."""
    generator = np.random.default_rng(0)
    label = generator.integers(0, len(CLASSES), scans)
    common = generator.normal(size=(scans, len(CLASSES))) + 4 * np.eye(len(CLASSES))[label]
    logits = common + np.random.default_rng(seed).normal(size=common.shape)
    rows = range(scans)
    return PredictionTable(
        np.full(scans, split),
        np.array([f"{CLASSES[label[row]]}-{row // 2}-{row}.jpeg" for row in rows]),
        np.array([hashlib.sha256(f"{split}{row}".encode()).hexdigest() for row in rows]),
        np.array([f"{split}-{row // 2}" for row in rows]),
        label,
        logits.astype(np.float32),
    )


def measure_intervals(folder: Path, scans: int, side: int, costs: list[Cost]) -> None:
    """What ``evaluate`` computes of the test part of three runs."""
    from oct_core.metrics.summary import evaluate_table

    tables = [make_answers(scans // SHARE, seed, "test") for seed in (1, 2, 3)]
    with measured(costs):
        for table in tables:
            evaluate_table(table, "test", 1.2)


def measure_page(folder: Path, scans: int, side: int, costs: list[Cost]) -> None:
    """Three runs with cards as the shipped ones have them, of which the answers are these."""
    import streamlit as st
    from streamlit.testing.v1 import AppTest

    from oct_core.metrics.summary import evaluate_table
    from oct_core.runs.files import list_runs, write_card, write_predictions
    from oct_core.types import join_tables

    for seed, card in enumerate(list_runs(ROOT / "checkpoints")):
        run = folder / "checkpoints" / card.name
        run.mkdir(parents=True)
        parts = [make_answers(max(8, scans // SHARE), seed, split) for split in ("val", "test")]
        metrics = {
            split: evaluate_table(part, split, resamples=20).to_dict()
            for split, part in zip(("val", "test"), parts, strict=True)
        }
        raw = {key: value for key, value in card.raw.items() if key not in ("gate", "robustness")}
        write_card(run, raw | {"metrics": metrics})
        write_predictions(run, join_tables(parts))
        for name in ("history.csv", "steps.csv"):
            shutil.copy(card.folder / name, run)
    os.environ["OCT_CHECKPOINTS"] = str(folder / "checkpoints")
    st.cache_data.clear()
    st.cache_resource.clear()
    with measured(costs):
        page = AppTest.from_file(str(ROOT / "pages" / "3_Performance.py"), default_timeout=3600)
        page.run()
    if page.exception:
        raise SystemExit(f"the page failed: {page.exception[0].message}")


Step = Callable[[Path, int, int, list[Cost]], None]
STEPS: dict[str, Step] = {
    "prepare": measure_prepare,
    "epoch": measure_epoch,
    "evaluate": measure_evaluate,
    "intervals": measure_intervals,
    "page": measure_page,
}


def run_step(name: str, sizes: Sequence[int], side: int) -> list[Cost]:
    """Each size in turn, the smallest once before to have everything loaded."""
    costs: list[Cost] = []
    for scans in (min(200, *sizes), *sizes):
        with tempfile.TemporaryDirectory() as folder:
            STEPS[name](Path(folder), scans, side, costs)
    return costs[1:]


def growth(values: Sequence[float], sizes: Sequence[int], least: float) -> float | None:
    """How much faster than the scans the last value grows; None if there is too little of it."""
    if len(values) < 2 or values[-1] < least:
        return None
    before = max(values[-2], least * sizes[-2] / sizes[-1])
    return round(values[-1] / before / (sizes[-1] / sizes[-2]), 2)


def draw(results: dict[str, list[Cost]], sizes: Sequence[int], path: Path) -> None:
    """Seconds and megabytes against n, with a line that is linear."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, field, title in zip(
        axes, ("processor", "megabytes"), ("seconds of processor", "MB of memory"), strict=True
    ):
        for name, costs in results.items():
            values = [max(getattr(cost, field), 1e-2) for cost in costs]
            axis.plot(sizes, values, marker="o", label=name)
        first = min(max(getattr(costs[0], field), 1e-2) for costs in results.values())
        linear = [first * size / sizes[0] for size in sizes]
        axis.plot(sizes, linear, "k:", label="linear")
        axis.set(xscale="log", yscale="log", xlabel="scans", title=title)
        axis.legend()
    figure.savefig(path)


def main() -> None:
    """Print the table, write the plot, end with JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=None, help="scans, rising")
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--side", type=int, default=64, help="pixels of a generated scan's side")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tolerance", type=float, default=1.3)
    parser.add_argument("--out", type=Path, default=None, help="PNG or SVG of the plot")
    parser.add_argument("--alone", choices=list(STEPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = options.sizes or (QUICK if options.quick else SIZES)
    if options.alone:
        costs = run_step(options.alone, sizes, options.side)
        print(json.dumps([vars(cost) for cost in costs]))
        return
    results = {name: _in_own_process(name, sizes, options.side) for name in options.steps}
    report = {name: _report(name, costs, sizes, options) for name, costs in results.items()}
    if options.out:
        draw(results, sizes, options.out)
        print(f"plot: {options.out}")
    print(json.dumps({"sizes": list(sizes), "side": options.side, "steps": report}))


def _in_own_process(name: str, sizes: Sequence[int], side: int) -> list[Cost]:
    """Of one step, so that its memory is its own; on one thread, since threads that wait for each
    other cost processor time too.
    """
    command = [sys.executable, __file__, "--alone", name, "--side", str(side)]
    command += ["--sizes", *map(str, sizes)]
    surroundings = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True)
    if done.returncode:
        # Otherwise there is but what Streamlit says of a page without a browser.
        raise SystemExit(done.stderr)
    return [Cost(**cost) for cost in json.loads(done.stdout.splitlines()[-1])]


def _report(
    name: str, costs: Sequence[Cost], sizes: Sequence[int], options: argparse.Namespace
) -> dict[str, object]:
    """A row of the table, printed, and what the JSON says of it."""
    seconds = [round(cost.processor, 3) for cost in costs]
    megabytes = [round(cost.megabytes, 1) for cost in costs]
    grown = growth(seconds, sizes, LEAST_SECONDS), growth(megabytes, sizes, LEAST_MB)
    linear = all(value is None or value <= options.tolerance for value in grown)
    cells = [
        f"{size:,}: {second:.2f} s, {megabyte:.0f} MB"
        for size, second, megabyte in zip(sizes, seconds, megabytes, strict=True)
    ]
    shown = " and ".join("-" if value is None else f"{value:.2f}" for value in grown)
    verdict = "linear" if linear else "NOT linear"
    print(f"{name:9}  {' | '.join(cells)} | growth {shown} | {verdict}", flush=True)
    return {
        "seconds": seconds,
        "wall_seconds": [round(cost.wall, 3) for cost in costs],
        "megabytes": megabytes,
        "growth_of_seconds": grown[0],
        "growth_of_memory": grown[1],
        "linear": linear,
    }


if __name__ == "__main__":
    main()
