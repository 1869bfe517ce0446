"""python -m oct_core runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from oct_core.cli.app import err, out
from oct_core.errors import CheckpointError
from oct_core.types import RunCard


def runs(
    names: Annotated[list[str] | None, typer.Argument(help="Runs to list; all by default.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the cards' main fields as JSON.")
    ] = False,
) -> None:
    """List the runs, finished, being trained, failed and damaged, with test accuracy and its
    interval by patient; and what the finished ones do together, as an ensemble.
    """
    from oct_core.runs.files import checkpoints_root, damaged_runs, list_runs, no_finished_run

    cards = [card for card in list_runs() if not names or card.name in names]
    damaged = {
        name: reason for name, reason in damaged_runs().items() if not names or name in names
    }
    if as_json:
        fields = ("status", "architecture", "best_epoch")
        print(
            json.dumps(
                [
                    {"run": card.name} | {field: getattr(card, field) for field in fields}
                    for card in cards
                ]
            )
        )
        return
    table = Table(
        "run", "status", "architecture", "size", "test accuracy", title=str(checkpoints_root())
    )
    for card in cards:
        table.add_row(
            card.name,
            card.status,
            card.architecture,
            f"{card.preprocessing.get('size', '?')} px",
            _test_accuracy(card),
        )
    if together := _ensemble_row(cards):
        table.add_row(*together)
    out.print(table)
    for name, reason in damaged.items():
        err.print(f"damaged: {name}: {reason}", soft_wrap=True)
    if not cards and not names:
        err.print(str(no_finished_run()), soft_wrap=True)


def _test_accuracy(card: RunCard) -> str:
    from oct_core.metrics.intervals import Interval, interval_text

    test = (card.raw.get("metrics") or {}).get("test") or {}
    if "accuracy" not in test:
        return ""
    try:
        return interval_text(Interval.from_dict(test["accuracy"]), patients=test.get("n_patients"))
    except (KeyError, TypeError, ValueError):
        return "cannot be read; evaluate the run again"


def _ensemble_row(cards: Sequence[RunCard]) -> tuple[str, ...]:
    """The row of the ensemble of the finished runs, from their stored answers; empty for fewer than
    two runs or for runs without test scans in common.
    """
    from oct_core.metrics import METRICS
    from oct_core.metrics.calibration import softmax
    from oct_core.metrics.intervals import bootstrap_metrics, interval_text
    from oct_core.runs.ensemble import ENSEMBLE, ensemble_table
    from oct_core.runs.files import read_predictions

    done = [card for card in cards if card.status == "done"]
    if len(done) < 2:
        return ()
    try:
        tables = {card.name: read_predictions(card.folder).of_split("test") for card in done}
        test = ensemble_table(tables, {card.name: card.temperature for card in done})
    except CheckpointError:
        return ()
    chances = softmax(test.logits)
    metric = METRICS.get("accuracy")
    [accuracy] = bootstrap_metrics([metric], test.label, chances, test.patient)[metric.name]
    words = interval_text(accuracy, patients=len(set(test.patient.tolist())))
    return ENSEMBLE, "", f"of {len(done)} runs", "", words
