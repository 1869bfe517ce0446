"""python -m oct_core audit."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from oct_core.cli.app import err, out, printable, progress_bar
from oct_core.errors import DataError
from oct_core.words import say

_LINES = 20
"""Of one check, on the screen; the page has them all."""


def audit(
    data: Annotated[
        Path,
        typer.Argument(
            help="OCT2017 folder, folder of class folders, ZIP of one, CSV, OCTMNIST, "
            "kaggle:OWNER/NAME, or what prepare wrote of one."
        ),
    ],
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out", help="HTML file to write, new; audit.html here, or the next free name."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that decode; 0 takes one a core.")] = 0,
) -> None:
    """Look for what a reviewer would: near duplicates across parts (perceptual hash), copies,
    official test images under any name, patients in several parts, labels, sizes, version of
    OCT2017.

    Nothing of the data is changed. Writes a page of evidence that needs nothing else.
    """
    from oct_core.data.audit import audit as audit_data
    from oct_core.data.audit_page import audit_page
    from oct_core.data.kaggle import fetch
    from oct_core.runs.files import write_atomically

    page = out_file or _unused()
    if page.exists():
        raise DataError("{out} exists; nothing is written over: choose another --out", out=page)
    source, told = fetch(data)
    for text in told:
        err.print(f"note: {text}", soft_wrap=True)
    with progress_bar("reading scans") as bar:
        report = audit_data(source, workers or None, bar.step)
    write_atomically(page, audit_page(report).encode("utf-8"))
    for finding in report.findings:
        console, mark = (out, say("ok")) if finding.sound else (err, say("look"))
        console.print(printable(f"{mark}: {finding.title}: {finding.text}"), soft_wrap=True)
        for row in () if finding.sound else finding.rows[:_LINES]:
            console.print(printable("  " + "  ".join(row)), soft_wrap=True)
        if not finding.sound and len(finding.rows) > _LINES:
            more = say("and {number} more", number=len(finding.rows) - _LINES)
            console.print(f"  {more}", soft_wrap=True)
    out.print(say("evidence: {page}", page=page), soft_wrap=True)


def _unused() -> Path:
    names = (Path("audit.html" if number == 1 else f"audit_{number}.html") for number in count(1))
    return next(path for path in names if not path.exists())
