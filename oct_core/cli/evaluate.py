"""python -m oct_core evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from oct_core.cli.app import Device, out, progress_bar

if TYPE_CHECKING:
    from oct_core.metrics.summary import Evaluation


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
    from oct_core.models.device import choose_device
    from oct_core.runs.files import checkpoints_root, read_card

    pack = open_pack(data) if data else None
    with progress_bar("evaluating") as bar:
        evaluations = evaluate_run(
            checkpoints_root() / run,
            pack,
            choose_device(device),
            bar.describe,
            ("val",) if validation_only else ("val", "test"),
        )
    _print_parts(run, evaluations)
    _print_figures(evaluations)
    card = read_card(checkpoints_root() / run).raw
    if "robustness" in card:
        _print_corruptions(card["robustness"])
        out.print(
            f"accuracy on {card['phantoms']['n']} fresh phantoms {card['phantoms']['accuracy']:.3f}"
        )


def _print_parts(run: str, evaluations: Mapping[str, Evaluation]) -> None:
    table = Table("part", "scans", "patients", "accuracy", "macro AUC", title=run)
    for split, evaluation in evaluations.items():
        figures = [evaluation.describe(name) for name in ("accuracy", "macro_auc")]
        table.add_row(split, str(evaluation.n_scans), str(evaluation.n_patients), *figures)
    out.print(table)


def _print_figures(evaluations: Mapping[str, Evaluation]) -> None:
    """What is one number, beside accuracy and macro AUC: a row a metric, a column a part."""
    from oct_core.metrics import METRICS

    table = Table("figure", *evaluations, title="other figures (95% interval by patient)")
    for name in METRICS:
        metric = METRICS.get(name)
        if metric.kind == "scalar" and name not in ("accuracy", "macro_auc"):
            cells = [evaluation.describe(name) for evaluation in evaluations.values()]
            table.add_row(metric.title, *cells)
    out.print(table)


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
