"""python -m oct_core predict."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oct_core.cli.app import Device, err, out, progress_bar
from oct_core.errors import DataError, ScanError
from oct_core.scans import is_scan_name, read_scan, suffixes
from oct_core.types import Prediction, Scan

if TYPE_CHECKING:
    from oct_core.runs.predictor import Predictor

_BATCH = 16


def predict(
    paths: Annotated[
        list[Path], typer.Argument(help="Scans and folders of scans (searched to any depth).")
    ],
    out_file: Annotated[Path, typer.Option("--out", help="CSV file to write.")],
    run: Annotated[
        list[str] | None,
        typer.Option("--run", help="Run to use, may be repeated; all finished runs by default."),
    ] = None,
    device: Device = "",
) -> None:
    """Classify scans with one or all runs. Unreadable files, and without --run unusable runs, are
    named on stderr, the rest is scored, exit status 1.
    """
    from oct_core.exports import predictions_csv
    from oct_core.models.device import choose_device
    from oct_core.runs.files import write_atomically
    from oct_core.runs.weights import load_runs, load_sound_runs

    check_out(out_file, paths)
    with progress_bar("predicting") as bar:
        where = choose_device(device)
        predictors, unusable = (load_runs(run, where), {}) if run else load_sound_runs(where)
        answers, unreadable = predict_files(paths, predictors, bar.step)
    write_atomically(out_file, predictions_csv(answers))
    for name, reason in unusable.items():
        err.print(f"left out: the run {name}: {reason}", soft_wrap=True)
    for path, reason in unreadable:
        err.print(f"left out: {path}: {reason}", soft_wrap=True)
    out.print(f"{len(answers)} rows in {out_file}", soft_wrap=True)
    if unreadable or unusable:
        raise typer.Exit(1)


def check_out(out: Path, inputs: Sequence[Path]) -> None:
    """Raise DataError, before any work, for a file that cannot be written or that would replace a
    scan.
    """
    if out.is_dir():
        raise DataError("{out} cannot be written: it is a folder; choose another --out", out=out)
    if not out.parent.is_dir():
        raise DataError(
            "{out} cannot be written: there is no folder {folder}; choose another --out",
            out=out,
            folder=out.parent,
        )
    if out.suffix.lower() in suffixes() or any(
        path.exists() and out.exists() and path.samefile(out) for path in inputs
    ):
        raise DataError(
            "{out} is named as a picture is or is one of the scans; choose a --out that ends in "
            ".csv",
            out=out,
        )


def scan_files(paths: Sequence[Path]) -> list[Path]:
    """The files given, and every picture of the folders given, to any depth, sorted; raises
    DataError if there is none.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
            files += sorted(file for file in inside if is_scan_name(file))
        else:
            files.append(path)
    if not files:
        raise DataError(
            "no picture ({suffixes}) is in {paths}; give a scan or a folder of scans",
            suffixes=", ".join(suffixes()),
            paths=", ".join(map(str, paths)),
        )
    return files


def predict_files(
    paths: Sequence[Path],
    predictors: Sequence[Predictor],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[tuple[str, Prediction]], list[tuple[str, str]]]:
    """Score files in batches: ([(path, prediction)], [(path, why it could not be read)]), in the
    order of the files, then of the predictors.
    """
    files = scan_files(paths)
    answers: list[tuple[str, Prediction]] = []
    unreadable: list[tuple[str, str]] = []
    for start in range(0, len(files), _BATCH):
        batch = list(_readable(files[start : start + _BATCH], unreadable))
        columns = [predictor.predict([scan for _, scan in batch]) for predictor in predictors]
        for index, (path, _) in enumerate(batch):
            answers += [(str(path), predictions[index]) for predictions in columns]
        progress(min(start + _BATCH, len(files)), len(files))
    return answers, unreadable


def _readable(
    files: Sequence[Path], unreadable: list[tuple[str, str]]
) -> Iterator[tuple[Path, Scan]]:
    for path in files:
        try:
            yield path, read_scan(path)
        except ScanError as error:
            unreadable.append((str(path), str(error)))
