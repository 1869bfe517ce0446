"""python -m oct_core report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oct_core.cli.app import Device, Level, Methods, err, named_runs, out, progress_bar
from oct_core.cli.explain import MapChoice, unused_files
from oct_core.reasons import verdict_words
from oct_core.trust.conformal import LEVEL
from oct_core.types import Judgement, Scan
from oct_core.words import language, say

if TYPE_CHECKING:
    from oct_core.figures.final_figure import FigureRow
    from oct_core.runs.weights import LoadedRun

ALL = "all"


class Language(StrEnum):
    """Of the report; what the command prints is English."""

    en = "en"
    ko = "ko"


def report(
    image: Annotated[Path, typer.Argument(help="One scan.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder for the HTML and the PDF.")],
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            help="Run to ask, may be repeated; all finished runs, the ensemble, by default.",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Class to explain; the one predicted by default.")
    ] = None,
    method: Methods = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            help="Named layer, may be repeated; each run takes those it has. The last one of each "
            "by default; all: every one."
        ),
    ] = None,
    lang: Annotated[Language, typer.Option(help="Language of the report.")] = Language.en,
    name: Annotated[
        bool, typer.Option("--name", help="Have the file's name in the report and in its own name.")
    ] = False,
    page: Annotated[
        int, typer.Option(min=1, help="Of a file with several pages the one to report on.")
    ] = 1,
    level: Level = LEVEL,
    device: Device = "",
) -> None:
    """Write a report of one scan, an HTML file and the same as a PDF: the verdict and its reasons,
    what each model says, where it looked, and what all was made with. Without --name nothing of the
    file's name is in it, and never anything of its metadata.
    """
    choice = MapChoice(target, tuple(method or ()), tuple(layer or ()), page)
    with progress_bar("making the report"):
        made = report_file(image, run or (), out_folder, choice, lang, name, device, level)
    verdict = made.judgement.verdict
    for reason in made.left_out:
        err.print(f"left out: {reason}", soft_wrap=True)
    for words in made.notes:
        err.print(f"note: {words}", soft_wrap=True)
    (out if verdict.kind == "answer" else err).print(verdict_words(verdict), soft_wrap=True)
    out.print(f"{made.html}\n{made.pdf}", soft_wrap=True)


@dataclass(frozen=True)
class Made:
    """What report wrote. left_out : runs that cannot be used, and why. notes : how the scan was
    read, and doubts about the runs.
    """

    html: Path
    pdf: Path
    judgement: Judgement
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def report_file(
    image: Path,
    run: Sequence[str],
    out_folder: Path,
    choice: MapChoice,
    lang: str = "en",
    name: bool = False,
    device: str = "",
    level: float = LEVEL,
) -> Made:
    """Write ``oct_report.html`` and ``.pdf`` into ``out_folder``, with ``name``
    ``<image>_report``; raises OctError for a bad scan, run, class, method or layer.

    Nothing is written over: with either there, the names end in ``_2`` and so on. choice.layers :
    () for the last of each run, (ALL,) for every one.
    """
    from oct_core.models.device import choose_device
    from oct_core.runs.weights import load_runs, load_sound_runs
    from oct_core.scan_report.content import ReportChoices, make_report
    from oct_core.scan_report.html_page import html_page
    from oct_core.scan_report.pdf_page import pdf_page
    from oct_core.scans import inspect, read_file, read_scan
    from oct_core.trust.judge import Judge

    data, where, some = read_file(image), choose_device(device), named_runs(run)
    scan = read_scan(data, image.name, choice.page - 1)
    several = inspect(data).pages > 1
    runs, unusable = (load_runs(some, where), {}) if some else load_sound_runs(where)
    judge = Judge(runs, level)
    [judgement] = judge.judge([scan])
    made = datetime.now().astimezone()
    with language(lang):
        rows = _rows(scan, runs, judgement, choice)
        choices = ReportChoices(made, image.name if name else None)
        content = make_report(scan, rows, judgement, choices)
        html, pdf = html_page(content), pdf_page(content)
    out_folder.mkdir(parents=True, exist_ok=True)
    stem = f"{image.stem}_report" if name else "oct_report"
    files = unused_files(out_folder, stem, (".html", ".pdf"))
    files[0].write_text(html, encoding="utf-8")
    files[1].write_bytes(pdf)
    left_out = tuple(f"the run {name}: {reason}" for name, reason in unusable.items())
    hint = [say("choose another page with --page")] if several else []
    return Made(files[0], files[1], judgement, left_out, (*scan.notes, *hint, *judge.problems))


def _rows(
    scan: Scan, runs: Sequence[LoadedRun], judgement: Judgement, choice: MapChoice
) -> list[FigureRow]:
    """Each run with its maps, all for one class."""
    from oct_core.explanations import METHODS
    from oct_core.explanations import explain as make_maps
    from oct_core.explanations.api import default_methods
    from oct_core.figures.final_figure import FigureRow
    from oct_core.figures.pictures import maximum_of

    target = choice.target or judgement.prediction.predicted
    titles = {name: say(METHODS.get(name).title) for name in METHODS}
    _check_layers(runs, choice.layers)
    rows = []
    for run, own in zip(runs, judgement.members or (judgement,), strict=True):
        layers = _layers(run, choice.layers)
        methods = [
            method
            for method in choice.methods or default_methods(run.model)
            if layers or METHODS.get(method).kind == "input"
        ]
        maps = make_maps(scan, run, target, methods, layers or None)[0] if methods else []
        tops = [maximum_of(each) for each in maps]
        rows.append(
            FigureRow(run.card, run.title, run.colour, own.prediction, target, maps, tops, titles)
        )
    return rows


def _check_layers(runs: Sequence[LoadedRun], names: Sequence[str]) -> None:
    """Raise ExplanationError for a name that no run has."""
    from oct_core.explanations.api import select_layers

    known = {layer: module for run in runs for layer, module in run.layers.items()}
    if ALL not in names:
        select_layers(known, names)


def _layers(run: LoadedRun, names: Sequence[str]) -> list[str]:
    """The layers of a run to explain; empty if it has none of those that are named."""
    if ALL in names:
        return list(run.layers)
    return [layer for layer in run.layers if layer in names] if names else list(run.layers)[-1:]
