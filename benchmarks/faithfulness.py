"""What does scoring a map cost beyond the forward passes it needs? Deletion and insertion, and
ROAD, at batch 16.

    python benchmarks/faithfulness.py [--run resnet50] [--steps 16] [--repeats 5] [--threads 2]

One process, in turn, medians: the scores of one map, and as many forward passes of the same frames
without any score. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oct_core.explanations import explain_with_predictions
from oct_core.runs.weights import load_run
from oct_core.scans.phantom import make_phantom
from oct_core.trust.faithfulness import BATCH, FILLS, ROAD_FRACTIONS, Trial, curves, road


def seconds(work: Callable[[], Any]) -> float:
    """Of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure, print a line a score, and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", default="resnet50")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    run, scan = load_run(options.run), make_phantom("DME", 9_000_000).scan
    ((_, (explanation,)),) = explain_with_predictions(
        scan, run, methods=["gradcam"], layers=[run.architecture.last_layer], network_size=True
    )
    x, values, target = (
        run.inputs([scan]),
        torch.from_numpy(explanation.values)[None],
        torch.tensor([0]),
    )
    trial = Trial(run.model, x, values, target)

    def forwards(frames: int) -> None:
        with torch.inference_mode():
            for start in range(0, frames, BATCH):
                run.model(x.expand(min(BATCH, frames - start), -1, -1, -1).contiguous())

    work: dict[str, tuple[Callable[[], Any], int]] = {
        "deletion_insertion": (
            lambda: [curves(trial, fill, options.steps) for fill in FILLS],
            2 * 2 * options.steps,
        ),
        "road": (lambda: road(trial), 2 * len(ROAD_FRACTIONS)),
    }
    result: dict[str, Any] = {
        "run": options.run,
        "size": run.preprocessing.size,
        "steps": options.steps,
        "threads": torch.get_num_threads(),
    }
    for name, (score, frames) in work.items():
        score()
        forwards(frames)
        pairs = [
            (seconds(score), seconds(lambda frames=frames: forwards(frames)))
            for _ in range(options.repeats)
        ]  # type: ignore[misc]
        spent, ratio = (
            statistics.median(one for one, _ in pairs),
            statistics.median(one / other for one, other in pairs),
        )
        result[name] = {
            "frames": frames,
            "seconds": round(spent, 3),
            "ratio_to_forwards": round(ratio, 3),
        }
        print(f"{name:20} {frames:3} frames {spent:6.2f} s, {ratio:.2f} times their forward passes")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
