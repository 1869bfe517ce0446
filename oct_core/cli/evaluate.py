"""python -m oct_core evaluate. Imported at the end of cli.py, which registers it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from oct_core.cli import Device, _bar, _device, app, out

if TYPE_CHECKING:
    from oct_core.metrics.intervals import Interval
    from oct_core.metrics.summary import Evaluation


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(help="Name of a finished run.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="The prepared folder it was trained on: predicts anew, adds corruptions and "
            "phantoms."
        ),
    ] = None,
    validation_only: Annotated[
        bool,
        typer.Option(
            "--validation-only",
            help="Do not score the test part: to choose between trainings without having seen it.",
        ),
    ] = False,
    device: Device = "",
) -> None:
    """Measure a run on validation and test scans, with intervals by patient, and write the figures
    into its card.
    """
    from oct_core.data.pack import open_pack
    from oct_core.evaluation import evaluate_run
    from oct_core.runs.files import checkpoints_root, read_card

    pack = open_pack(data) if data else None
    with _bar("evaluating") as bar:
        found = evaluate_run(
            checkpoints_root() / run,
            pack,
            str(_device(device)),
            lambda what: bar.update(bar.task_ids[0], description=what),
            ("val",) if validation_only else ("val", "test"),
        )
    _print_parts(run, found)
    card = read_card(checkpoints_root() / run).raw
    if "robustness" in card:
        _print_corruptions(card["robustness"])
        out.print(
            f"accuracy on {card['phantoms']['n']} fresh phantoms {card['phantoms']['accuracy']:.3f}"
        )


def _print_parts(run: str, found: Mapping[str, Evaluation]) -> None:
    table = Table("part", "scans", "patients", "accuracy", "macro AUC", title=run)
    for split, evaluation in found.items():
        figures = [_interval(evaluation.accuracy), _interval(evaluation.macro_auc)]
        table.add_row(split, str(evaluation.n_scans), str(evaluation.n_patients), *figures)
    out.print(table)


def _interval(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _print_corruptions(robustness: Mapping[str, Any]) -> None:
    grades = max(map(len, robustness["accuracy"].values()))
    table = Table(
        "validation scans under",
        *(f"grade {grade}" for grade in range(1, grades + 1)),
        title="accuracy under corruption",
    )
    for name, accuracies in robustness["accuracy"].items():
        table.add_row(name, *(f"{accuracy:.3f}" for accuracy in accuracies))
    out.print(table)
    out.print(
        f"validation accuracy {robustness['clean']:.3f}, mean over graded corruptions "
        f"{robustness['mean_corrupted']:.3f}"
    )
