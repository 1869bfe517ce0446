"""What the verdict says, from pixels on, of pictures that are no B-scan, of scans changed on
purpose and of real scans as recorded.

    python benchmarks/wrong_inputs.py
    python benchmarks/wrong_inputs.py --scans FOLDER --most 100
    python benchmarks/wrong_inputs.py --data PACK --per-kind 0

Drawn pictures have other seeds than the gates were fitted and measured with; photographs are those
that scikit-image and scikit-learn bring. With --scans the scans of a folder, or with --data the
validation scans of a prepared folder, are judged as they are and changed in each way. All finished
runs together; the last column says in how many scans the gate of each run alone objects to a change
(above the rule's caution). The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oct_core.cli.predict import scan_files
from oct_core.data.pack import open_pack
from oct_core.runs.weights import load_runs
from oct_core.scans import read_scan
from oct_core.scans.edit import CHANGES
from oct_core.trust.judge import Judge
from oct_core.trust.verdict import VerdictRule
from oct_core.trust.wrong_inputs import ANATOMY, PICTURES, change_scan, draw_picture
from oct_core.types import VERDICTS, Judgement, Scan

SEED = 5000
PHOTOGRAPHS = (
    "astronaut",
    "camera",
    "coffee",
    "chelsea",
    "rocket",
    "coins",
    "moon",
    "page",
    "text",
    "clock",
    "brick",
    "grass",
    "gravel",
    "cell",
    "immunohistochemistry",
    "hubble_deep_field",
)
"""Of skimage.data; those that are not on this machine are left out."""


def photographs() -> list[Scan]:
    """As a person would upload them, gray and without the colour that would give them away."""
    import skimage.data
    from skimage.color import rgb2gray
    from sklearn.datasets import load_sample_images

    pictures = []
    for name in PHOTOGRAPHS:
        try:
            pictures.append(getattr(skimage.data, name)())
        except (OSError, RuntimeError, ConnectionError, ValueError):
            continue
    pictures += load_sample_images().images
    grays = [rgb2gray(each[..., :3]) * 255 if each.ndim == 3 else each for each in pictures]
    return [Scan(np.clip(each, 0, 255).astype(np.uint8), name="photograph") for each in grays]


def inputs(scans: list[Scan], per_kind: int) -> Iterator[tuple[str, list[Scan]]]:
    """(what, pictures)."""
    for kind in (*PICTURES, *ANATOMY):
        yield kind, [draw_picture(kind, SEED + seed) for seed in range(per_kind)]
    yield "photographs", photographs()
    if scans:
        yield "scans as recorded", scans
        for change in CHANGES:
            yield (
                f"scans, {change}",
                [Scan(change_scan(scan.pixels, change, seed)) for seed, scan in enumerate(scans)],
            )


def objections(judged: list[Judgement], rule: VerdictRule) -> dict[str, int]:
    """By run, and of all together, in how many scans the gate objects to a change."""
    counts: Counter[str] = Counter()
    for whole in judged:
        for one in (whole, *whole.members):
            name = one.prediction.run
            counts[name] += one.scores is not None and one.scores.upright > rule.caution[1]
    return dict(counts)


def row(what: str, judged: list[Judgement], objecting: dict[str, int]) -> str:
    """A row of the table."""
    kinds = Counter(each.verdict.kind for each in judged)
    scores = [each.scores for each in judged if each.scores is not None]
    above = [
        f"{np.mean([getattr(each, name) > 1 for each in scores]):.0%}" if scores else "-"
        for name in ("bscan", "upright", "familiar")
    ]
    told = Counter(each.scores.change for each in judged if each.scores and each.scores.change)
    change = ", ".join(f"{name} {count}" for name, count in told.most_common(2))
    alone = ", ".join(f"{run} {count}" for run, count in objecting.items())
    cells = [what, str(len(judged)), *(str(kinds[kind]) for kind in VERDICTS), *above, change]
    cells.append(alone)
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=Path, nargs="*", default=[], help="scans or folders")
    parser.add_argument("--data", type=Path, help="prepared folder: its validation scans")
    parser.add_argument("--most", type=int, default=100, help="of the scans, evenly drawn")
    parser.add_argument("--per-kind", type=int, default=10, help="drawn pictures of each kind")
    options = parser.parse_args()
    files = scan_files(options.scans) if options.scans else []
    if options.data:
        records = open_pack(options.data).records
        files += [Path(record.path) for record in records if record.split == "val"]
    files = files[:: max(1, len(files) // options.most)][: options.most]
    judge = Judge(load_runs())
    print(
        "| input | n | "
        + " | ".join(VERDICTS)
        + " | no B-scan | changed | unfamiliar | told | objected to |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    totals: dict[str, Counter[str]] = {}
    changed: dict[str, dict[str, int]] = {}
    for what, scans in inputs([read_scan(file) for file in files], options.per_kind):
        judged = [
            one
            for start in range(0, len(scans), 16)
            for one in judge.judge(scans[start : start + 16])
        ]
        if not judged:
            continue
        objecting = objections(judged, judge.rule)
        print(row(what, judged, objecting), flush=True)
        family = "scans" if what.startswith("scans") else "pictures"
        key = what if family == "scans" else family
        totals.setdefault(key, Counter()).update(each.verdict.kind for each in judged)
        if family == "scans":
            changed[what] = objecting
    print(json.dumps({"verdicts": totals, "objected_to": changed}))


if __name__ == "__main__":
    main()
