"""Do the white wedges that rotation leaves change what the networks say?

Paints wedges into 100 scans and compares every run's answers with and without. Aims: 99 % keep
their class, and the median change of a probability stays under 0.02.

    python benchmarks/wedges.py                     # on phantoms
    python benchmarks/wedges.py --scans FOLDER      # on the first 100 scans of a folder

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oct_core.cli.predict import scan_files
from oct_core.runs.predict import predict
from oct_core.runs.weights import load_runs
from oct_core.scans import read_scan
from oct_core.scans.phantom import phantom_set
from oct_core.types import GrayImage, Scan


def paint_wedges(pixels: GrayImage, generator: np.random.Generator) -> GrayImage:
    """White triangles at the top and the bottom, of 3 to 10 degrees, as a page shows behind a
    rotated scan.
    """
    height, width = pixels.shape
    slope = np.tan(np.radians(generator.uniform(3, 10))) * generator.choice([-1, 1])
    columns, rows = np.arange(width)[None, :] - width / 2, np.arange(height)[:, None]
    margin = abs(slope) * width / 2 * generator.uniform(0.2, 0.6)
    painted = pixels.copy()
    painted[rows < slope * columns + margin] = 255
    painted[rows > height + slope * columns - margin] = 255
    return painted


def main() -> None:
    """Print one line a run, then JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=Path, help="folder of scans; phantoms without it")
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    if options.scans:
        files = scan_files([options.scans])
        chosen = np.random.default_rng(0).permutation(len(files))[: options.count]
        scans = [read_scan(files[index]) for index in chosen]
    else:
        scans = [phantom.scan for phantom in phantom_set(options.count // 4, seed=31)]
    generator = np.random.default_rng(1)
    painted = [Scan(paint_wedges(scan.pixels, generator)) for scan in scans]
    result: dict[str, object] = {
        "scans": len(scans),
        "kind": "real" if options.scans else "phantoms",
    }
    for run in load_runs():
        plain, wedged = predict(scans, run), predict(painted, run)
        same = float(
            np.mean([a.predicted == b.predicted for a, b in zip(plain, wedged, strict=True)])
        )
        change = float(
            np.median(
                [
                    np.abs(a.probabilities - b.probabilities)
                    for a, b in zip(plain, wedged, strict=True)
                ]
            )
        )
        print(
            f"{run.card.name}: {same:.3f} keep their class, median change of a probability "
            f"{change:.4f}"
        )
        result[run.card.name] = {"kept": same, "median_change": round(change, 5)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
