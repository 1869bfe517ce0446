"""How well ways of noticing an unusual picture tell it from validation scans as recorded: areas
under the ROC curve.

    python benchmarks/gate.py vgg16 resnet50 --data PACK --cache features.npz
    python benchmarks/gate.py vgg16 --data PACK --labelled FOLDER --quick

Compares Mahalanobis' distance with a shrunk covariance, the cosine and the Euclidean distance to
the fifth nearest training scan, logistic regression with outliers, and the product's mix of them,
on drawn pictures (each kind left out of the fit in turn), other anatomy, changed validation scans,
the photographs that scikit-image and scikit-learn bring, and the scans of a folder. The features
are computed once and kept in --cache, without pictures. --quick takes fewer scans. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.neighbors import NearestNeighbors

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oct_core.cli.predict import scan_files
from oct_core.data.pack import Pack, open_pack
from oct_core.errors import OctError, ScanError
from oct_core.evaluation import refuse_other_data
from oct_core.metrics.curves import auc
from oct_core.runs.predict import answers_of_pack
from oct_core.runs.weights import LoadedRun, load_runs
from oct_core.scans import read_scan
from oct_core.scans.corruptions import CORRUPTIONS, corrupt
from oct_core.scans.edit import CHANGES
from oct_core.trust.gate import NEIGHBOUR, Gate, Samples, fit_gate, project_features
from oct_core.trust.wrong_inputs import ANATOMY, PICTURES, change_scan, draw_picture
from oct_core.types import Float32Array, FloatArray, IntArray

METHODS = ("Mahalanobis", "cosine", "Euclidean", "regression", "gate")
PHOTOGRAPHS = ("skimage/data", "sklearn/datasets/images")
TEST_SEED = 1000
Pixels = NDArray[np.uint8]
Features = dict[str, Float32Array]
"""By what was shown: "train", "plain", "val", "fit/KIND", "picture/KIND", "anatomy/KIND",
"trained/CHANGE", "change/CHANGE", "photographs", "folder".
"""


@dataclass(frozen=True)
class Sizes:
    """How many of each are taken at most."""

    train: int = 2000
    validation: int = 500
    changed: int = 200
    pictures: int = 20
    folder: int = 1000


QUICK = Sizes(300, 150, 30, 6, 150)


def draw(pack: Pack, part: str, most: int) -> IntArray:
    rows = pack.rows(part)
    return np.sort(np.random.default_rng(0).permutation(rows)[:most])


def readable(run: LoadedRun, paths: Iterable[Path]) -> Pixels:
    """Prepared pictures (N, S, S) of the files that can be read."""
    prepared = []
    for path in paths:
        try:
            prepared.append(run.preprocessing.prepare(read_scan(path).pixels))
        except ScanError as error:
            print(f"left out: {path.name}: {error}", file=sys.stderr)
    return np.stack(prepared)


def photographs() -> list[Path]:
    """The pictures that lie in the installed packages."""
    folders = []
    for place in PHOTOGRAPHS:
        package, _, below = place.partition("/")
        found = importlib.util.find_spec(package)
        if found is not None and found.submodule_search_locations:
            folders.append(Path(found.submodule_search_locations[0]) / below)
    return scan_files(folders)


def changed(run: LoadedRun, pixels: Pixels, change: str) -> Pixels:
    return np.stack(
        [run.preprocessing.prepare(change_scan(each, change, k)) for k, each in enumerate(pixels)]
    )


def drawn(run: LoadedRun, kind: str, first: int, count: int) -> Pixels:
    seeds = range(first, first + count)
    return np.stack([run.preprocessing.prepare(draw_picture(kind, seed).pixels) for seed in seeds])


def compute(run: LoadedRun, pack: Pack, folder: Path | None, sizes: Sizes) -> Features:
    """One pass of the network over everything."""
    found: Features = {}

    def ask(name: str, pixels: Pixels) -> None:
        print(f"{run.name}: {name} ({len(pixels)})", file=sys.stderr)
        found[name] = answers_of_pack(run, pixels, batch_size=16)[1]

    train = np.array(pack.pixels[draw(pack, "train", sizes.train)])
    validation = np.array(pack.pixels[draw(pack, "val", sizes.validation)])
    order = np.random.default_rng(0).permutation(len(train))
    parts = zip(CORRUPTIONS, np.array_split(order, len(CORRUPTIONS)), strict=True)
    ask("train", train)
    ask("plain", np.concatenate([corrupt(train[part], name, 2) for name, part in parts]))
    ask("val", validation)
    for k, change in enumerate(CHANGES):
        ask(f"trained/{change}", changed(run, train[order[k :: len(CHANGES)]], change))
        ask(f"change/{change}", changed(run, validation[: sizes.changed], change))
    for kind in PICTURES:
        ask(f"fit/{kind}", drawn(run, kind, 0, sizes.pictures))
        ask(f"picture/{kind}", drawn(run, kind, TEST_SEED, sizes.pictures))
    for kind in ANATOMY:
        ask(f"anatomy/{kind}", drawn(run, kind, TEST_SEED, sizes.pictures))
    ask("photographs", readable(run, photographs()))
    if folder is not None:
        files = np.random.default_rng(0).permutation(np.array(scan_files([folder]), dtype=object))
        ask("folder", readable(run, files[: sizes.folder].tolist()))
    return found


def features_of(
    run: LoadedRun, pack: Pack, folder: Path | None, sizes: Sizes, cache: Path | None
) -> Features:
    """From the cache, where it has those of the same weights and sizes; written to it else."""
    stem = f"{run.card.weights_sha256[:16]}/{sizes}/{folder or '-'}/"
    stored: Features = {}
    if cache is not None and cache.is_file():
        with np.load(cache, allow_pickle=False) as arrays:
            stored = {name: arrays[name] for name in arrays.files}
    held = {name.removeprefix(stem): rows for name, rows in stored.items() if name.startswith(stem)}
    if held:
        return held
    found = compute(run, pack, folder, sizes)
    if cache is not None:
        np.savez(cache, **stored, **{stem + name: rows for name, rows in found.items()})  # type: ignore[arg-type]
    return found


def fit(features: Features, labels: IntArray, left_out: str = "") -> Gate:
    pictures = [features[f"fit/{kind}"] for kind in PICTURES if kind != left_out]
    by_change = {change: features[f"trained/{change}"] for change in CHANGES}
    samples = Samples(
        train=features["train"],
        labels=labels,
        plain=features["plain"],
        changed=by_change,
        pictures=np.concatenate(pictures),
        validation=features["val"],
    )
    return fit_gate(samples)


def measure(gate: Gate, train: Float32Array, rows: Float32Array) -> FloatArray:
    """(N, 5), a column a method, higher for what is less usual."""

    def project(features: Float32Array) -> FloatArray:
        return project_features(features, gate.centre, gate.scale, gate.basis)

    projected = project(rows)
    cosine, mahalanobis = gate.measure_distances(projected).T
    neighbours = NearestNeighbors(n_neighbors=NEIGHBOUR).fit(project(train))
    euclidean = neighbours.kneighbors(projected)[0][:, -1]
    odds = projected @ gate.weights[:-1] + gate.weights[-1]
    regression = logsumexp(odds[:, 1:], axis=1) - odds[:, 0]
    mix = gate.scores(rows).max(1)
    return np.stack([mahalanobis, cosine, euclidean, regression, mix], 1)


def areas(gate: Gate, features: Features, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """By input, by method: how well it is told from validation scans as recorded, and the share
    of it above any of the gate's thresholds.
    """
    usual = measure(gate, features["train"], features["val"])
    found = {}
    for name in names:
        scores = measure(gate, features["train"], features[name])
        truth = np.arange(len(usual) + len(scores)) >= len(usual)
        columns = np.concatenate([usual, scores]).T
        found[name] = {
            method: auc(truth, column) for method, column in zip(METHODS, columns, strict=True)
        }
        found[name]["noticed"] = float((scores[:, -1] > 1).mean())
    return found


def compare(features: Features, labels: IntArray) -> dict[str, dict[str, float]]:
    """All inputs: each kind of drawn picture with a gate that was fitted without it."""
    found = {}
    for kind in PICTURES:
        name = f"picture/{kind}"
        found |= areas(fit(features, labels, kind), features, [name])
    others = [
        name
        for name in features
        if name.startswith(("anatomy/", "change/")) or name in ("photographs", "folder")
    ]
    return found | areas(fit(features, labels), features, others)


def show(run: str, found: dict[str, dict[str, float]]) -> None:
    print(f"\n{run}\n\n| input | {' | '.join(METHODS)} | noticed |")
    print("|---" * (len(METHODS) + 2) + "|")
    families = {name.partition("/")[0] for name in found if "/" in name}
    means = {
        f"mean of {family}": {
            key: float(
                np.mean([row[key] for name, row in found.items() if name.startswith(family + "/")])
            )
            for key in (*METHODS, "noticed")
        }
        for family in sorted(families)
    }
    for name, row in {**found, **means}.items():
        figures = " | ".join(f"{row[method]:.3f}" for method in METHODS)
        print(f"| {name} | {figures} | {row['noticed']:.0%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", nargs="+", help="names of finished runs")
    parser.add_argument("--data", type=Path, required=True, help="what they were trained on")
    parser.add_argument("--labelled", type=Path, help="a folder of scans from elsewhere")
    parser.add_argument("--cache", type=Path, help=".npz that keeps the features")
    parser.add_argument("--quick", action="store_true", help="fewer scans")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else Sizes()
    try:
        pack = open_pack(arguments.data)
        labels = pack.labels[draw(pack, "train", sizes.train)]
        results = {}
        for run in load_runs(arguments.runs, "cpu"):
            refuse_other_data(run.card.raw, pack)
            found = features_of(run, pack, arguments.labelled, sizes, arguments.cache)
            results[run.name] = compare(found, labels)
            show(run.name, results[run.name])
    except OctError as error:
        sys.exit(f"error: {error}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
