"""python -m oct_core export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oct_core.cli.app import out, progress_bar
from oct_core.errors import DataError


def export(
    run: Annotated[str, typer.Argument(help="Name of a finished run.")],
    onnx: Annotated[Path, typer.Option(help="The file to write.")],
) -> None:
    """Write a run as an ONNX file that gives probabilities, checked against torch and timed beside
    it on the CPU. Needs the extra "onnx".
    """
    from oct_core.runs.onnx_file import export_onnx
    from oct_core.runs.weights import load_run

    if onnx.exists():
        raise DataError("{out} exists; nothing is written over: choose another --onnx", out=onnx)
    with progress_bar("exporting"):
        result = export_onnx(load_run(run), onnx)
    out.print(
        f"{onnx}: {result.bytes / 1e6:.1f} MB; on {result.scans} phantoms no probability differs "
        f"from torch's by more than {result.difference:.1e}",
        soft_wrap=True,
    )
    each, torch_each = (
        1000 * seconds / result.scans for seconds in (result.seconds, result.torch_seconds)
    )
    out.print(
        f"a scan takes {each:.1f} ms with ONNX Runtime and {torch_each:.1f} ms with torch on the "
        f"CPU: {result.ratio:.2f} times as fast",
        soft_wrap=True,
    )
