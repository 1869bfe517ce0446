"""Look for the worst wrong answer to synthetic scans, which the home page shows.

    python benchmarks/wrong_example.py [--out reports/wrong_example.json]

Asks the ensemble of the shipped runs for every class, seed and corruption of
oct_core/trust/wrong_example.py: 320 scans, some minutes on two cores. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from oct_core.models.catalog import ARCHITECTURES
from oct_core.runs.weights import load_run
from oct_core.trust.judge import Judge
from oct_core.trust.wrong_example import SEEDS, example_file, find_wrong_example, write_example


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=example_file())
    path = parser.parse_args().out
    judge = Judge([load_run(name) for name in ARCHITECTURES])
    example = find_wrong_example(judge, SEEDS, lambda done, total: print(f"{done} of {total}"))
    if example is None:
        path.unlink(missing_ok=True)
        print(json.dumps({"wrong": 0}))
        return
    write_example(path, example)
    print(json.dumps({"tried": example.tried, "wrong": example.wrong}))


if __name__ == "__main__":
    main()
