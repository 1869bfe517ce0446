"""How much slower are the maps while every core has other work? With the app's way of waiting, and with OpenMP's own.

    python benchmarks/busy.py [--repeats 5]

The shipped runs, one phantom, Grad-CAM at every layer and the guided pair; medians of the sum over the three. Each row is a process
of its own, in turn; "busy" runs one endless loop a core beside it. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def measure(repeats: int, yielding: bool) -> float:
    """Seconds for the maps of the three runs, the median over ``repeats``; in this process."""
    from oct_core.threads import yield_when_waiting

    if yielding:
        yield_when_waiting()
    from oct_core import explain, load_run
    from oct_core.phantom import make_phantom
    from oct_core.runfiles import SHIPPED

    runs, scan, seconds = [load_run(name) for name in SHIPPED], make_phantom("CNV", 7_000_000).scan, []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        for run in runs:
            explain(scan, run)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """``count`` processes that never rest."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()


def row(busy: bool, yielding: bool, repeats: int) -> float:
    """``measure`` in a process of its own: the choice is made when torch is loaded."""
    command = [sys.executable, __file__, "--repeats", str(repeats), "--row", "yielding" if yielding else "spinning"]
    environment = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    with busy_cores((os.cpu_count() or 1) if busy else 0):
        return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print the four figures, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--row", choices=("yielding", "spinning"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(measure(options.repeats, options.row == "yielding"))
        return
    found = {}
    for busy in (False, True):
        for yielding in (True, False):
            name = f"seconds_{'busy' if busy else 'idle'}_{'yielding' if yielding else 'spinning'}"
            found[name] = round(row(busy, yielding, options.repeats), 3)
            print(f"{name:24} {found[name]:7.2f}", flush=True)
    print(json.dumps({"cores": os.cpu_count(), "repeats": options.repeats, **found}))


if __name__ == "__main__":
    main()
