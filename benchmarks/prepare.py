"""How many scans a second and core prepare packs, and where the time goes.

Draws phantoms with white corners, 512 x 496, saves them as JPEGs of about 60 kB, links each several
times and packs the whole in processes. Beside it what decoding the same files alone takes. Pixels
are those that training has always had; tests/core/test_wedges.py holds them to their definition.

    python benchmarks/prepare.py
    python benchmarks/prepare.py --scans 10000 --workers 2 --folder OCT2017

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oct_core.data.pack import prepare
from oct_core.data.split import SplitOptions
from oct_core.scans import is_scan_name, read_scan
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import VERSIONS, bring_to_levels, find_rows, neutralise
from oct_core.types import CLASSES

_DRAWN, _SIDE = 100, 224


def draw(folder: Path) -> list[Path]:
    """JPEGs with speckle and corners as a rotated scan has them."""
    files = []
    generator = np.random.default_rng(0)
    rows, columns = np.indices((496, 512))
    for number in range(_DRAWN):
        pixels = make_phantom(CLASSES[number % 4], number, 496, 512).pixels
        noisy = np.clip(pixels + generator.normal(0, 10, pixels.shape), 0, 255)
        corner = (rows * 3 + columns < 250) | (rows * 3 + columns > 1750)
        files.append(folder / f"{number}.jpeg")
        Image.fromarray(np.where(corner, 255, noisy).astype(np.uint8)).save(files[-1], quality=90)
    return files


def link(files: list[Path], folder: Path, scans: int) -> None:
    """So many names of the files, ten a patient."""
    for number in range(scans):
        label = CLASSES[number % 4]
        path = folder / label / f"{label}-{number // 40}-{number % 40 // 4 + 1}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(files[number % len(files) // 4 * 4 + number % 4])


def seconds_a_scan(work: Callable[[object], object], inputs: list[object]) -> float:
    """Processor seconds of this thread for each."""
    start = time.thread_time()
    for each in inputs:
        work(each)
    return (time.thread_time() - start) / len(inputs)


def parts(files: list[Path]) -> dict[str, float]:
    """Milliseconds of each step of a scan, in this process."""
    rule = VERSIONS[max(VERSIONS)]
    scans = [read_scan(path).pixels for path in files]
    clean = [neutralise(pixels) for pixels in scans]
    rows = [find_rows(pixels, rule) for pixels in clean]

    def shrink(place: int) -> np.ndarray:
        seen = clean[place][rows[place].first : rows[place].last]
        return np.asarray(Image.fromarray(seen).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))

    small = [shrink(place) for place in range(len(files))]
    steps: dict[str, tuple[Callable[[object], object], list[object]]] = {
        "decode": (lambda path: np.asarray(Image.open(path)), [*files]),
        "read_scan": (read_scan, [*files]),
        "wedges": (neutralise, [*scans]),
        "rows": (lambda pixels: find_rows(pixels, rule), [*clean]),
        "resize": (shrink, [*range(len(files))]),
        "levels": (lambda pixels: bring_to_levels(pixels, *rule.levels), [*small]),
    }
    return {name: 1e3 * seconds_a_scan(*step) for name, step in steps.items()}


def main() -> None:
    """Print one line a step, then JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, help="Scans of your own instead of phantoms.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "drawn").mkdir()
        files = (
            sorted(path for path in options.folder.resolve().rglob("*") if is_scan_name(path))
            if options.folder
            else draw(root / "drawn")
        )
        steps = parts(files[:: max(1, len(files) // 200)])
        for step, milliseconds in steps.items():
            print(f"{step}: {milliseconds:.3f} ms a scan")
        link(files, root / "scans", options.scans)
        choice = SplitOptions(keep_copies=True, drop_conflicts=True)
        before, start = spent(), time.perf_counter()
        prepare(root / "scans", root / "out", choice, _SIDE, options.workers)
        wall, cpu = time.perf_counter() - start, spent() - before
    rate = options.scans / cpu
    result = {
        "scans": options.scans,
        "workers": options.workers,
        "seconds": round(wall, 2),
        "processor_seconds": round(cpu, 2),
        "scans_a_second_and_core": round(rate, 1),
        "decoding_alone_a_second": round(1e3 / steps["decode"], 1),
        "milliseconds": {step: round(value, 3) for step, value in steps.items()},
    }
    print(json.dumps(result))


def spent() -> float:
    """Processor seconds of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    main()
