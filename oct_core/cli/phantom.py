"""python -m oct_core phantom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from oct_core.cli.app import out, progress_bar
from oct_core.errors import DataError
from oct_core.types import CLASSES


def phantom(
    out_folder: Annotated[
        Path, typer.Option("--out", help="Folder for the pictures and lesion masks.")
    ],
    per_class: Annotated[int, typer.Option(help="Pictures a class.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the first picture; the next count up.")] = 0,
    height: Annotated[int, typer.Option(help="Pixels.")] = 496,
    width: Annotated[int, typer.Option(help="Pixels.")] = 512,
) -> None:
    """Draw synthetic B-scans with their lesion masks, as class folders that prepare can read."""
    with progress_bar("drawing") as bar:
        count = write_phantoms(out_folder, per_class, seed, height, width, bar.step)
    out.print(f"{count} synthetic scans and their masks in {out_folder}", soft_wrap=True)


def write_phantoms(
    out: Path,
    per_class: int,
    seed: int,
    height: int,
    width: int,
    progress: Callable[[int, int], None],
) -> int:
    """``out/scans/<CLASS>/<CLASS>-<number>-1.png`` and its lesion as
    ``out/masks/<CLASS>-<number>-1.png``; nothing is written over.

    The masks lie in no class folder, so that ``prepare`` does not take them for scans.
    """
    import numpy as np
    from PIL import Image

    from oct_core.scans.phantom import phantom_set

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(
            "{out} exists and is not empty; nothing is written over: choose another --out", out=out
        )
    phantoms = phantom_set(per_class, seed, height, width)
    for done, phantom in enumerate(phantoms, start=1):
        # A number of its own for each picture: the same one in two classes would be one patient to
        # ``prepare``.
        name = f"{phantom.label}-{phantom.seed * len(CLASSES) + CLASSES.index(phantom.label)}-1.png"
        pairs = (
            (out / "scans" / phantom.label, phantom.pixels),
            (out / "masks", phantom.lesion.astype(np.uint8) * 255),
        )
        for folder, pixels in pairs:
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / name)
        progress(done, len(phantoms))
    return len(phantoms)
