"""How much does it help a long job that freed memory is used again? The command line's choice, and
the C library's own.

    python benchmarks/heap.py [--size 224] [--repeats 3]

Scans a second through each architecture with random weights, in batches of 16 (scoring a map) and
of 64 (validation), one thread; medians. Each row is a process of its own, in turn. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

BATCHES = (16, 64)


def measure(size: int, keeping: bool) -> dict[str, float]:
    """Scans a second of each architecture and batch; in this process."""
    from oct_core.system import keep_freed_memory

    if keeping:
        keep_freed_memory()
    import torch

    from oct_core.models.networks import ARCHITECTURES, build_model
    from oct_core.scans.preprocess import GRAY_MEAN, GRAY_STD
    from oct_core.types import CLASSES

    torch.set_num_threads(1)
    found = {}
    for name in ARCHITECTURES:
        model = (
            build_model(name, len(CLASSES), GRAY_MEAN, GRAY_STD)
            .eval()
            .to(memory_format=torch.channels_last)
        )
        for batch in BATCHES:
            scans = torch.rand(batch, 1, size, size)
            with torch.inference_mode():
                model(scans[:16])
                started = time.perf_counter()
                for _ in range(max(BATCHES) // batch):
                    model(scans)
            found[f"{name}, batch {batch}"] = max(BATCHES) / (time.perf_counter() - started)
    return found


def row(size: int, keeping: bool) -> dict[str, float]:
    """``measure`` in a process of its own: what is set cannot be unset."""
    command = [
        sys.executable,
        __file__,
        "--size",
        str(size),
        "--row",
        "keeping" if keeping else "returning",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure, print a line a network and batch, and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--row", choices=("keeping", "returning"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(options.size, options.row == "keeping")))
        return
    rounds = [(row(options.size, False), row(options.size, True)) for _ in range(options.repeats)]
    result: dict[str, object] = {"size": options.size, "repeats": options.repeats}
    for name in rounds[0][0]:
        plain, kept = (statistics.median(one[side][name] for one in rounds) for side in (0, 1))
        ratio = statistics.median(one[1][name] / one[0][name] for one in rounds)
        result[name] = {
            "returning": round(plain, 2),
            "keeping": round(kept, 2),
            "ratio": round(ratio, 2),
        }
        print(
            f"{name:24} returning {plain:6.1f} scans/s, keeping {kept:6.1f} scans/s, ratio "
            f"{ratio:.2f}"
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
