"""python -m oct_core predict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from oct_core.cli.app import Device, Level, err, named_runs, out, progress_bar
from oct_core.errors import DataError, ScanError
from oct_core.reasons import verdict_words
from oct_core.scans import (
    PassedOver,
    format_names,
    inspect,
    is_scan_name,
    read_file,
    read_scan,
    suffixes,
    tell_apart,
    walk,
)
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
    page: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of files with several pages the one to read; by default each is a scan.",
        ),
    ] = None,
    level: Level = LEVEL,
    device: Device = "",
) -> None:
    """Classify scans with one or all runs, and say of each what may be made of the answer.

    Several runs answer as an ensemble: its row (run = ensemble) is the first of each scan. Scans
    without a plain answer are named on stderr with the reason, and so are doubts about how one was
    read. Files that cannot be read, scans of other formats in the folders, and without --run
    unusable runs, are named there too, the rest is scored, exit status 1.
    """
    from oct_core.exports import predictions_csv
    from oct_core.models.device import choose_device
    from oct_core.runs.files import write_atomically
    from oct_core.runs.weights import load_runs, load_sound_runs
    from oct_core.trust.judge import Judge

    check_out(out_file, paths)
    found = find_files(paths)
    tell_left_out(found.passed_over)
    tell_others(found.others)
    with progress_bar("predicting") as bar:
        where = choose_device(device)
        some = named_runs(run)
        runs, unusable = (load_runs(some, where), {}) if some else load_sound_runs(where)
        judge = Judge(runs, level)
        judged, unreadable = predict_files(found.files, judge.judge, bar.step, page)
    write_atomically(out_file, predictions_csv(judged))
    for text in found.folders.sentences():
        err.print(f"note: {text}", soft_wrap=True)
    for name, reason in unusable.items():
        err.print(f"left out: the run {name}: {reason}", soft_wrap=True)
    for problem in judge.problems:
        err.print(f"warning: {problem}", soft_wrap=True)
    tell_left_out(unreadable)
    warn_of(judged, out_file)
    tell_doubts(judged, out_file)
    rows = sum(len(judgement.rows) for _, judgement in judged)
    out.print(f"{rows} rows in {out_file}", soft_wrap=True)
    left_out = len(found.passed_over) + len(unreadable)
    out.print(
        count_verdicts(judged) + (f"; left out {left_out}" if left_out else ""), soft_wrap=True
    )
    if left_out or unusable:
        raise typer.Exit(1)


def warn_of(judged: Sequence[tuple[str, Judgement]], out_file: Path) -> None:
    """One line on stderr for each scan that has no plain answer, the worst first; of many, the
    first lines and how many more there are.
    """
    doubtful = sorted(
        ((name, each.verdict) for name, each in judged if each.verdict.kind != "answer"),
        key=lambda item: -VERDICTS.index(item[1].kind),
    )
    _tell_first(
        [f"{verdict.kind}: {name}: {verdict_words(verdict)}" for name, verdict in doubtful],
        f"scans without a plain answer: see the columns verdict and reason of {out_file}",
    )


def tell_doubts(judged: Sequence[tuple[str, Judgement]], out_file: Path) -> None:
    """One line on stderr for each scan that may have been read wrongly; of many, the first."""
    _tell_first(
        [f"note: {name}: {'; '.join(each.warnings)}" for name, each in judged if each.warnings],
        f"scans with notes: see the column notes of {out_file}",
    )


def _tell_first(lines: Sequence[str], rest: str) -> None:
    """The first lines on stderr, and how many more there are of what ``rest`` says."""
    for line in lines[:_WARNINGS]:
        err.print(line, soft_wrap=True)
    if len(lines) > _WARNINGS:
        err.print(f"and {len(lines) - _WARNINGS} more {rest}", soft_wrap=True)


def tell_left_out(files: Sequence[tuple[str, str]]) -> None:
    """One line on stderr a file, (path, why)."""
    for path, reason in files:
        err.print(f"left out: {path}: {reason}", soft_wrap=True)


def tell_others(others: Counter[str]) -> None:
    """One line on stderr: how many files by suffix are no pictures at all."""
    if others:
        kinds = ", ".join(f"{suffix} {number}" for suffix, number in others.most_common())
        err.print(f"passed over, for they are no pictures: {kinds}", soft_wrap=True)


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


@dataclass(frozen=True)
class Found:
    """What the paths given hold. files : the files given, and every picture of the folders, to any
    depth, sorted. passed_over : (path, why) of scans of other formats or with other names. others :
    suffixes of what is no picture. folders : what was not looked into.
    """

    files: list[Path]
    passed_over: list[tuple[str, str]]
    others: Counter[str]
    folders: PassedOver


def find_files(paths: Sequence[Path]) -> Found:
    """Look through the paths, once; raises DataError if there is no picture."""
    files: list[Path] = []
    rest: list[Path] = []
    passed = PassedOver()
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(folder / name for folder, names in walk(path, passed) for name in names)
        for file in inside:
            (files if is_scan_name(file) else rest).append(file)
    if not files:
        raise DataError(
            "no picture ({formats}) is in {paths}; give a scan or a folder of scans",
            formats=format_names(),
            paths=", ".join(map(str, paths)),
        )
    return Found(files, *tell_apart(rest), passed)


def scan_files(paths: Sequence[Path]) -> list[Path]:
    """The pictures of ``find_files`` alone."""
    return find_files(paths).files


def predict_files(
    files: Sequence[Path],
    judge: Callable[[Sequence[Scan]], list[Judgement]],
    progress: Callable[[int, int], None] = lambda done, total: None,
    page: int | None = None,
) -> tuple[list[tuple[str, Judgement]], list[tuple[str, str]]]:
    """Judge files in batches: ([(name, judgement)], [(name, why it could not be read)]), in the
    order of the files. Each page of a file is a scan, or that ``page`` alone, from 1.

    judge : one Judgement a scan, in order, such as ``Judge(runs).judge``. The names are the paths,
    with the page where there are several.
    """
    judged: list[tuple[str, Judgement]] = []
    unreadable: list[tuple[str, str]] = []
    scans = _read_all(files, page, unreadable)
    while batch := list(islice(scans, _BATCH)):
        judgements = judge([scan for _, scan, _ in batch])
        judged += [
            (name, replace(judgement, notes=scan.notes, warnings=scan.warnings))
            for (name, scan, _), judgement in zip(batch, judgements, strict=True)
        ]
        progress(batch[-1][2], len(files))
    progress(len(files), len(files))
    return judged, unreadable


def _read_all(
    files: Sequence[Path], page: int | None, unreadable: list[tuple[str, str]]
) -> Iterator[tuple[str, Scan, int]]:
    """(name, scan, files begun) of every page that can be read."""
    for done, path in enumerate(files, start=1):
        try:
            data = read_file(path)
            pages = inspect(data).pages
        except ScanError as error:
            unreadable.append((str(path), str(error)))
            continue
        wanted = range(1, pages + 1) if page is None or pages == 1 else [page]
        for number in wanted:
            name = str(path) if pages == 1 else f"{path} page {number}"
            try:
                yield name, read_scan(data, path.name, number - 1), done
            except ScanError as error:
                unreadable.append((name, str(error)))
