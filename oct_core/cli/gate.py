"""python -m oct_core gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from oct_core.cli.app import Device, out, progress_bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oct_core.trust.gate_fit import Detection


def gate(
    run: Annotated[list[str], typer.Argument(help="Names of finished runs.")],
    data: Annotated[Path, typer.Option(help="The prepared folder they were trained on.")],
    device: Device = "",
) -> None:
    """Fit what tells whether a picture is a B-scan, as it was recorded, like the training scans.
    Without it no verdict is better than a caution.
    """
    from oct_core.data.pack import open_pack
    from oct_core.evaluation import fit_and_measure_gate
    from oct_core.models.device import choose_device
    from oct_core.runs.files import checkpoints_root

    pack, where = open_pack(data), choose_device(device)
    for name in run:
        with progress_bar("gate") as bar:
            detections = fit_and_measure_gate(checkpoints_root() / name, pack, where, bar.describe)
        _print(name, detections)


def _print(name: str, detections: Sequence[Detection]) -> None:
    table = Table("input", "kind", "scans", "AUROC", "noticed", title=name)
    for each in detections:
        shares = (f"{each.auroc:.3f}", f"{each.noticed:.1%}")
        table.add_row(each.name, each.family, str(each.n), *shares)
    out.print(table)
