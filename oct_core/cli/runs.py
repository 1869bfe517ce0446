"""python -m oct_core runs."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from oct_core.cli.app import err, out
from oct_core.types import RunCard


def runs(
    names: Annotated[list[str] | None, typer.Argument(help="Runs to list; all by default.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the cards' main fields as JSON.")
    ] = False,
) -> None:
    """List the runs, finished, being trained, failed and damaged, with test accuracy and its
    interval by patient.
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
