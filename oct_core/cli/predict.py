"""python -m oct_core predict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from oct_core.cli.app import Device, Level, err, named_runs, out, progress_bar
from oct_core.errors import DataError, ScanError
from oct_core.reasons import verdict_words
from oct_core.scans import PassedOver, is_scan_name, read_scan, suffixes, walk
from oct_core.trust.conformal import LEVEL
from oct_core.types import VERDICTS, Judgement, Scan

_BATCH = 16
_WARNINGS = 40
"""Lines on stderr: more than a screen of them nobody reads."""


def predict(
    paths: Annotated[
        list[Path], typer.Argument(help="Scans and folders of scans (searched to any depth).")
    ],
    out_file: Annotated[Path, typer.Option("--out", help="CSV file to write.")],
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            help="Run to use, may be repeated; all finished runs, the ensemble, by default.",
        ),
    ] = None,
    level: Level = LEVEL,
    device: Device = "",
) -> None:
    """Classify scans with one or all runs, and say of each what may be made of the answer.

    Several runs answer as an ensemble: its row (run = ensemble) is the first of each scan. Scans
    without a plain answer are named on stderr with the reason. Unreadable files, and without --run
    unusable runs, are named there too, the rest is scored, exit status 1.
    """
    from oct_core.exports import predictions_csv
    from oct_core.models.device import choose_device
    from oct_core.runs.files import write_atomically
    from oct_core.runs.weights import load_runs, load_sound_runs
    from oct_core.trust.judge import Judge

    check_out(out_file, paths)
    passed = PassedOver()
    with progress_bar("predicting") as bar:
        where = choose_device(device)
        some = named_runs(run)
        runs, unusable = (load_runs(some, where), {}) if some else load_sound_runs(where)
        judge = Judge(runs, level)
        judged, unreadable = predict_files(paths, judge.judge, bar.step, passed)
    write_atomically(out_file, predictions_csv(judged))
    for text in passed.sentences():
        err.print(f"note: {text}", soft_wrap=True)
    for name, reason in unusable.items():
        err.print(f"left out: the run {name}: {reason}", soft_wrap=True)
    for problem in judge.problems:
        err.print(f"warning: {problem}", soft_wrap=True)
    for path, reason in unreadable:
        err.print(f"left out: {path}: {reason}", soft_wrap=True)
    warn_of(judged, out_file)
    rows = sum(len(judgement.rows) for _, judgement in judged)
    out.print(f"{rows} rows in {out_file}", soft_wrap=True)
    out.print(count_verdicts(judged), soft_wrap=True)
    if unreadable or unusable:
        raise typer.Exit(1)


def warn_of(judged: Sequence[tuple[str, Judgement]], out_file: Path) -> None:
    """One line on stderr for each scan that has no plain answer, the worst first; of many, the
    first lines and how many more there are.
    """
    doubtful = sorted(
        ((name, each.verdict) for name, each in judged if each.verdict.kind != "answer"),
        key=lambda item: -VERDICTS.index(item[1].kind),
    )
    for name, verdict in doubtful[:_WARNINGS]:
        err.print(f"{verdict.kind}: {name}: {verdict_words(verdict)}", soft_wrap=True)
    if len(doubtful) > _WARNINGS:
        err.print(
            f"and {len(doubtful) - _WARNINGS} more scans without a plain answer: see the columns "
            f"verdict and reason of {out_file}",
            soft_wrap=True,
        )


def count_verdicts(judged: Sequence[tuple[str, Judgement]]) -> str:
    """ "5 scans: answer 3, caution 1, refer 1"."""
    kinds = [judgement.verdict.kind for _, judgement in judged]
    counts = ", ".join(f"{kind} {kinds.count(kind)}" for kind in VERDICTS)
    return f"{len(kinds)} scans: {counts}"


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


def scan_files(paths: Sequence[Path], passed: PassedOver | None = None) -> list[Path]:
    """The files given, and every picture of the folders given, to any depth, sorted; raises
    DataError if there is none. What is not looked into goes to ``passed``.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (folder / name for folder, names in walk(path, passed) for name in names)
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
    judge: Callable[[Sequence[Scan]], list[Judgement]],
    progress: Callable[[int, int], None] = lambda done, total: None,
    passed: PassedOver | None = None,
) -> tuple[list[tuple[str, Judgement]], list[tuple[str, str]]]:
    """Judge files in batches: ([(path, judgement)], [(path, why it could not be read)]), in the
    order of the files.

    judge : one Judgement a scan, in order, such as ``Judge(runs).judge``. passed : see scan_files.
    """
    files = scan_files(paths, passed)
    judged: list[tuple[str, Judgement]] = []
    unreadable: list[tuple[str, str]] = []
    for start in range(0, len(files), _BATCH):
        batch = list(_readable(files[start : start + _BATCH], unreadable))
        judgements = judge([scan for _, scan in batch])
        judged += [
            (str(path), judgement) for (path, _), judgement in zip(batch, judgements, strict=True)
        ]
        progress(min(start + _BATCH, len(files)), len(files))
    return judged, unreadable


def _readable(
    files: Sequence[Path], unreadable: list[tuple[str, str]]
) -> Iterator[tuple[Path, Scan]]:
    for path in files:
        try:
            yield path, read_scan(path)
        except ScanError as error:
            unreadable.append((str(path), str(error)))
