"""What the command line does to files: score folders, explain one scan, write phantoms."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oct_core.data.sources import SUFFIXES
from oct_core.errors import CheckpointError, DataError, ScanError
from oct_core.explanations import explain_with_predictions
from oct_core.explanations.api import DEFAULT_METHODS
from oct_core.exports import maps_npz
from oct_core.figures.overlay import overlay
from oct_core.runs.files import list_runs
from oct_core.runs.predict import predict
from oct_core.runs.weights import LoadedRun, load_run
from oct_core.scans import read_scan
from oct_core.scans.phantom import phantom_set
from oct_core.types import CLASSES, Explanation, Prediction, Scan

Progress = Callable[[int, int], None]
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Row:
    """One scan and run of a predictions CSV. probabilities : in the order of CLASSES."""

    image: str
    run: str
    predicted: str
    probabilities: tuple[float, ...]


def scan_files(paths: Sequence[Path]) -> list[Path]:
    """The files given, and every picture of the folders given, to any depth, sorted; raises
    DataError if there is none.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
            found += sorted(
                file
                for file in inside
                if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
            )
        else:
            found.append(path)
    if not found:
        raise DataError(
            "no picture ({suffixes}) is in {paths}",
            suffixes=", ".join(sorted(SUFFIXES)),
            paths=", ".join(map(str, paths)),
        )
    return found


def load_runs(names: Sequence[str], device: str) -> list[LoadedRun]:
    """The named runs, or every finished one; raises CheckpointError if there is none."""
    chosen = list(names) or [card.name for card in list_runs() if card.status == "done"]
    if not chosen:
        raise CheckpointError(
            "there is no finished run; train one, or point OCT_CHECKPOINTS at a folder of runs"
        )
    return [load_run(name, device) for name in chosen]


def predict_files(
    paths: Sequence[Path], run_names: Sequence[str], device: str, progress: Progress
) -> tuple[list[Row], list[tuple[str, str]]]:
    """Score files in batches: (rows, [(path, why it could not be read)]), in the order of the
    files, then of the runs.
    """
    files, loaded = scan_files(paths), load_runs(run_names, device)
    rows: list[Row] = []
    unreadable: list[tuple[str, str]] = []
    for start in range(0, len(files), _BATCH):
        part = list(_readable(files[start : start + _BATCH], unreadable))
        found = [predict([scan for _, scan in part], run) for run in loaded]
        for index, (path, _) in enumerate(part):
            rows += [_row(path, predictions[index]) for predictions in found]
        progress(min(start + _BATCH, len(files)), len(files))
    return rows, unreadable


def _readable(
    files: Sequence[Path], unreadable: list[tuple[str, str]]
) -> Iterator[tuple[Path, Scan]]:
    for path in files:
        try:
            yield path, read_scan(path)
        except ScanError as error:
            unreadable.append((str(path), str(error)))


def _row(path: Path, prediction: Prediction) -> Row:
    by_class = dict(zip(prediction.classes, prediction.probabilities, strict=True))
    return Row(
        str(path),
        prediction.run,
        prediction.predicted,
        tuple(float(by_class[label]) for label in CLASSES),
    )


def check_out(out: Path, inputs: Sequence[Path]) -> None:
    """Raise DataError, before any work, for a file that cannot be written or that would replace a
    scan.
    """
    if out.is_dir() or not out.parent.is_dir():
        raise DataError(
            "{out} cannot be written: {value}; choose another --out",
            out=out,
            value="it is a folder" if out.is_dir() else f"there is no folder {out.parent}",
        )
    if out.suffix.lower() in SUFFIXES or any(
        path.exists() and out.exists() and path.samefile(out) for path in inputs
    ):
        raise DataError(
            "{out} is named as a picture is or is one of the scans; choose a --out that ends in "
            ".csv",
            out=out,
        )


def predictions_csv(rows: Sequence[Row]) -> bytes:
    """The rows as CSV in UTF-8; a file name that is not UTF-8 keeps its own bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "run", "predicted", *(f"p_{label}" for label in CLASSES)])
    writer.writerows(
        [row.image, row.run, row.predicted, *(f"{p:.6f}" for p in row.probabilities)]
        for row in rows
    )
    return text.getvalue().encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Explained:
    """What explain wrote. without_evidence : keys of the maps that are zero everywhere."""

    png: Path
    npz: Path
    target: str
    without_evidence: tuple[str, ...]


def explain_file(
    image: Path,
    run_name: str,
    out: Path,
    target: str | None,
    methods: Sequence[str] | None,
    layers: Sequence[str] | None,
    device: str,
) -> Explained:
    """Write ``<image>_<run>.png`` and ``.npz`` into ``out``; raises OctError for a bad scan, run,
    class, method or layer.

    Nothing is written over: with either there, the names are ``<image>_<run>_2`` and so on (two
    folders may hold a scan of one name).
    """
    scan, run = read_scan(image), load_run(run_name, device)
    [(prediction, maps)] = explain_with_predictions(
        scan, run, target, tuple(methods or DEFAULT_METHODS), layers or None
    )
    out.mkdir(parents=True, exist_ok=True)
    png, npz = _unused(out, f"{image.stem}_{run.card.name}")
    Image.fromarray(contact_sheet(scan, maps)).save(png)
    npz.write_bytes(maps_npz(run.card, prediction, maps))
    return Explained(
        png, npz, maps[0].target, tuple(each.key for each in maps if not each.evidence)
    )


def _unused(out: Path, stem: str) -> tuple[Path, Path]:
    ends = chain([""], (f"_{number}" for number in count(2)))
    pairs = ((out / f"{stem}{end}.png", out / f"{stem}{end}.npz") for end in ends)
    return next(pair for pair in pairs if not any(file.exists() for file in pair))


def contact_sheet(
    scan: Scan, maps: Sequence[Explanation], columns: int = 5, width: int = 320
) -> NDArray[np.uint8]:
    """The scan, then every map over it, in rows of ``columns`` at the scan's own aspect ratio:
    uint8 (H, W, 3).
    """
    pictures = [np.repeat(scan.pixels[:, :, None], 3, axis=2)]
    pictures += [
        overlay(scan.pixels, each.values, 1.0 if each.signed else 0.5, signed=each.signed)
        for each in maps
    ]
    height = max(1, round(width * scan.pixels.shape[0] / scan.pixels.shape[1]))
    cells = [np.asarray(Image.fromarray(picture).resize((width, height))) for picture in pictures]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % columns)
    return np.vstack(
        [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    )


def write_phantoms(
    out: Path, per_class: int, seed: int, height: int, width: int, progress: Progress
) -> int:
    """``out/scans/<CLASS>/<CLASS>-<number>-1.png`` and its lesion as
    ``out/masks/<CLASS>-<number>-1.png``; nothing is written over.

    The masks lie in no class folder, so that ``prepare`` does not take them for scans.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(
            "{out} exists and is not empty; nothing is written over: choose another --out", out=out
        )
    phantoms = phantom_set(per_class, seed, height, width)
    for done, phantom in enumerate(phantoms, start=1):
        # A number of its own for each picture: the same one in two classes would be one patient to
        # ``prepare``.
        name = f"{phantom.label}-{phantom.seed * len(CLASSES) + CLASSES.index(phantom.label)}-1.png"
        pairs = (
            (out / "scans" / phantom.label, phantom.pixels),
            (out / "masks", phantom.lesion.astype(np.uint8) * 255),
        )
        for folder, pixels in pairs:
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / name)
        progress(done, len(phantoms))
    return len(phantoms)
