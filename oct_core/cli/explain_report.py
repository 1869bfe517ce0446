"""python -m oct_core explain-report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from oct_core.cli.app import Device, err, out, progress_bar


def explain_report(
    data: Annotated[
        Path | None,
        typer.Option(help="A prepared folder: adds its validation scans, never its test part."),
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            help="Run to measure, may be repeated; the figures of others stay. All finished ones "
            "by default.",
        ),
    ] = None,
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="JSON file to write; by default the one that the page shows: $OCT_REPORT or "
            "reports/explanations.json.",
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so long; the next call goes on.")
    ] = None,
    phantoms: Annotated[int, typer.Option(help="Synthetic scans.")] = 24,
    validation: Annotated[int, typer.Option(help="Validation scans, with --data.")] = 24,
    wider: Annotated[
        int,
        typer.Option(
            help="Scans for the randomisation, and for the wider family of methods at the last "
            "layer."
        ),
    ] = 8,
    steps: Annotated[int, typer.Option(help="Steps of the deletion and insertion curves.")] = 16,
    precision: Annotated[
        str,
        typer.Option(
            help="Of the passes that score a map: float32, or bfloat16 where hardware has it."
        ),
    ] = "float32",
    device: Device = "",
) -> None:
    """Measure how far the maps can be trusted: faithfulness, randomisation and localisation, beside
    baselines.
    """
    from oct_core.models.device import choose_device
    from oct_core.runs.weights import load_runs
    from oct_core.trust.report import ReportOptions, write_report
    from oct_core.trust.report_file import report_path

    target = out_file or report_path()
    options = ReportOptions(
        phantoms, validation, wider, steps, minutes=minutes, precision=precision
    )
    with progress_bar("measuring maps") as bar:
        runs = load_runs(run or (), choose_device(device))
        report = write_report(target, runs, data, options, progress=bar.step)
    _print_summary(report)
    done, planned = report["tasks"]["done"], report["tasks"]["planned"]
    if not report["complete"]:
        err.print(
            f"{done} of {planned} tasks are done; the same command goes on with the rest",
            soft_wrap=True,
        )
    out.print(f"{target}: {report['note']} {report['seconds']:.0f} s in all.", soft_wrap=True)


def _print_summary(report: dict[str, object]) -> None:
    """Grad-CAM at the last layer, guided backpropagation and the baselines, a few lines a run."""
    from oct_core.trust.baselines import BASELINES

    rows, runs = report["rows"], report["runs"]
    assert isinstance(rows, list) and isinstance(runs, dict)
    table = Table(
        "run",
        "map",
        "deletion",
        "insertion",
        "pointing game",
        "energy on lesion",
        title="phantoms, last layer",
    )
    for name, about in runs.items():
        for method, layer in [
            ("gradcam", about["layers"][-1]),
            ("guided_backprop", "input"),
            *((baseline, "input") for baseline in BASELINES),
        ]:
            cells = {
                row["measure"]: f"{row['value']:.3f}"
                for row in rows
                if (row["kind"], row["run"], row["method"], row["layer"], row["source"])
                == ("core", name, method, layer, "phantoms")
            }
            figures = [
                cells.get(measure, "-")
                for measure in ("deletion_mean", "insertion_mean", "pointing", "energy")
            ]
            if cells:  # a method that does not hold for the network has none
                table.add_row(name, f"{method}/{layer}", *figures)
    out.print(table)
