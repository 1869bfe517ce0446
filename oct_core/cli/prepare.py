"""python -m oct_core prepare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from oct_core.cli.app import err, out, progress_bar
from oct_core.types import CLASSES

if TYPE_CHECKING:
    from oct_core.data.pack import PrepareReport


def prepare(
    folder: Annotated[
        Path,
        typer.Argument(
            help="OCT2017 folder, a folder of class folders, or a CSV (path, label, patient, "
            "split)."
        ),
    ],
    out_folder: Annotated[
        Path, typer.Option("--out", help="New folder for the manifest and the pack.")
    ],
    size: Annotated[
        int, typer.Option(help="Side of the packed scans in pixels: 224, 192 or 128.")
    ] = 224,
    repool: Annotated[
        bool, typer.Option(help="Pool every given part and split anew by patient.")
    ] = False,
    test_fraction: Annotated[
        float, typer.Option(help="Share of the scans for the test part, if one is made.")
    ] = 0.2,
    val_fraction: Annotated[
        float, typer.Option(help="Share of the remaining scans for validation.")
    ] = 0.15,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that decode; 0 takes one a core.")] = 0,
) -> None:
    """Check, split by patient and pack a folder of scans, once. Nothing is written over."""
    from oct_core.data.pack import prepare as prepare_folder
    from oct_core.data.split import SplitOptions

    options = SplitOptions(repool, test_fraction, val_fraction, seed)
    with progress_bar("reading scans") as bar:
        report = prepare_folder(folder, out_folder, options, size, workers or None, bar.step)
    _print_report(report)


def _print_report(report: PrepareReport) -> None:
    table = Table("part", *CLASSES, title="scans (patients)")
    for split, classes in report.counts.items():
        table.add_row(
            split,
            *(f"{classes[label]['images']} ({classes[label]['patients']})" for label in CLASSES),
        )
    out.print(table)
    if any(report.left_out.values()):
        left = ", ".join(f"{label} {number}" for label, number in report.left_out.items())
        out.print(f"left out of training because their patients are in the test part: {left}")
    if report.no_patient:
        err.print(
            f"warning: {report.no_patient} file names have no patient number; each such file "
            f"counts as its own patient"
        )
    if report.official_test:
        err.print(
            f"warning: {report.official_test} training or validation scans are images of OCT2017's "
            f"official test set; "
            "do not report a score on that set",
            soft_wrap=True,
        )
    for group in report.duplicates:
        err.print(
            f"warning: the same picture stands in several parts or classes: {', '.join(group)}",
            soft_wrap=True,
        )
    for path, reason in report.unreadable:
        err.print(f"left out: {path}: {reason}", soft_wrap=True)
