"""How much slower are the answers and the maps of the three networks while the cores have other
work?

    python benchmarks/busy.py [--repeats 5]

The shipped runs, one phantom; medians of the seconds for three predictions, and for Grad-CAM at
every layer and the guided pair. Three ways: as torch comes (one network after the other, threads
that spin while they wait), with the app's way of waiting, and as the app does it: the networks at
the same time, each on its share of the cores. "half" runs an endless loop beside on half of the
cores (a browser that draws the page, say), "busy" on all of them (a training). Each row is a
process of its own. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from oct_core.runs.weights import LoadedRun

WAYS = ("spinning", "yielding", "side_by_side")


def measure(repeats: int, way: str) -> tuple[float, float]:
    """Seconds for the predictions and the maps of the three runs, medians over ``repeats``; in this
    process.
    """
    from oct_core.system import yield_when_waiting

    if way != "spinning":
        yield_when_waiting()
    from oct_core import explain, load_run, predict
    from oct_core.runs.files import list_runs
    from oct_core.scans.phantom import make_phantom
    from oct_core.system import run_side_by_side

    runs, scan = (
        [load_run(card.name) for card in list_runs() if card.status == "done"],
        make_phantom("CNV", 7_000_000).scan,
    )

    def seconds(work: Callable[[LoadedRun], object]) -> float:
        started = time.perf_counter()
        if way == "side_by_side":
            with run_side_by_side([partial(work, run) for run in runs]) as results:
                for wait in results:
                    wait()
        else:
            for run in runs:
                work(run)
        return time.perf_counter() - started

    found = [
        (seconds(lambda run: predict([scan], run)), seconds(lambda run: explain(scan, run)))
        for _ in range(repeats + 1)
    ][1:]
    return statistics.median(one for one, _ in found), statistics.median(two for _, two in found)


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """``count`` processes that never rest."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()


def row(beside: int, way: str, repeats: int) -> tuple[float, float]:
    """``measure`` in a process of its own, as how threads wait is settled when torch is loaded."""
    command = [sys.executable, __file__, "--repeats", str(repeats), "--row", way]
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    with busy_cores(beside):
        predictions, maps = json.loads(
            subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            ).stdout
        )
    return round(predictions, 3), round(maps, 3)


def main() -> None:
    """Print the rows, and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--row", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(options.repeats, options.row)))
        return
    cores = os.cpu_count() or 1
    found: dict[str, float] = {}
    for name, beside in (("idle", 0), ("half", max(1, cores // 2)), ("busy", cores)):
        for way in WAYS:
            predictions, maps = row(beside, way, options.repeats)
            found |= {f"predictions_{name}_{way}": predictions, f"maps_{name}_{way}": maps}
            print(
                f"{name} {way:12}   predictions {predictions:5.2f} s, maps {maps:5.2f} s",
                flush=True,
            )
    print(json.dumps({"cores": cores, "repeats": options.repeats, **found}))


if __name__ == "__main__":
    main()
