"""python -m oct_core prepare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from oct_core.cli.app import err, out, printable, progress_bar
from oct_core.types import CLASSES
from oct_core.words import say, say_count

if TYPE_CHECKING:
    from oct_core.data.pack import PrepareReport


def prepare(
    folder: Annotated[
        Path,
        typer.Argument(
            help="OCT2017 folder, a folder of class folders or a ZIP of one, a CSV (path, label, "
            "patient, split), octmnist_224.npz of MedMNIST, or kaggle:OWNER/NAME."
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
    keep_copies: Annotated[
        bool,
        typer.Option(
            "--keep-copies",
            help="Keep training and validation scans that are copies of test scans, or official "
            "test images of OCT2017 beside a given test part.",
        ),
    ] = False,
    drop_conflicts: Annotated[
        bool,
        typer.Option(
            "--drop-conflicts", help="Leave out scans that stand under two labels; else they stop."
        ),
    ] = False,
    page: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of files with several pages the one to read; by default each is a scan.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that decode; 0 takes one a core.")] = 0,
) -> None:
    """Check, split by patient and pack a folder of scans, once. Nothing is written over.

    kaggle:paultimothymooney/kermany2018 is OCT2017: the package kagglehub downloads it once into
    its own cache.

    Folders named train, val and test, or as people write these, stay the parts that they are; only
    OCT2017's own val folder of 32 scans is pooled. Whose a scan is: the number in a name
    CLASS-PATIENT-NUMBER, a folder CLASS/PATIENT, or the CSV's column. Copies of test scans, and
    other scans of the patients in test and val, leave the training part; how many is printed.
    """
    from oct_core.data.kaggle import fetch
    from oct_core.data.pack import prepare as prepare_folder
    from oct_core.data.split import SplitOptions

    options = SplitOptions(repool, test_fraction, val_fraction, seed, keep_copies, drop_conflicts)
    source, told = fetch(folder)  # before the bar: a download has its own
    for text in told:
        err.print(f"note: {text}", soft_wrap=True)
    with progress_bar("reading scans") as bar:
        report = prepare_folder(
            source, out_folder, options, size, workers or None, bar.step, page=page
        )
    _print_report(report)


def _print_reading(report: PrepareReport) -> None:
    """How the scans were read, where that is not as they came or not alike for all."""
    if len(report.formats) > 1:
        formats = "; ".join(
            f"{name} {sum(numbers.values())} ({_by_label(numbers)})"
            for name, numbers in report.formats.items()
        )
        out.print(say("formats of the files: {formats}", formats=formats), soft_wrap=True)
    for each in report.reading:
        text = say_count(
            "{count} scan was read with a note: {note} ({numbers}; {where})",
            "{count} scans were read with a note such as: {note} ({numbers}; {where})",
            sum(each.by_label.values()),
            note=each.note,
            numbers=_by_label(each.by_label),
            where=each.where,
        )
        err.print(printable(f"note: {text}"), soft_wrap=True)


def _by_label(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{label} {number}" for label, number in numbers.items())


def _print_report(report: PrepareReport) -> None:
    from oct_core.data.split import LEFT_OUT

    table = Table("part", *CLASSES, title="scans (patients)")
    for split, classes in report.counts.items():
        table.add_row(
            split,
            *(f"{classes[label]['images']} ({classes[label]['patients']})" for label in CLASSES),
        )
    out.print(table)
    for text in report.patients.sentences():
        out.print(printable(text), soft_wrap=True)
    for reason, by_label in report.left_out.items():
        out.print(
            say_count(
                "{count} scan was left out, because {reason}: {numbers}",
                "{count} scans were left out, because {reason}: {numbers}",
                sum(by_label.values()),
                reason=say(LEFT_OUT[reason]),
                numbers=_by_label(by_label),
            ),
            soft_wrap=True,
        )
    _print_reading(report)
    for text in report.notes:
        err.print(printable(f"note: {text}"), soft_wrap=True)
    if report.official_test:
        err.print(
            f"warning: {report.official_test} training or validation scans are images of OCT2017's "
            f"official test set; "
            "do not report a score on that set",
            soft_wrap=True,
        )
    for group in report.duplicates:
        err.print(
            f"warning: the same picture stands in several parts: {', '.join(group)}",
            soft_wrap=True,
        )
    for path, reason in report.unreadable:
        err.print(f"left out: {path}: {reason}", soft_wrap=True)
