"""python -m oct_core explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Annotated

import typer

from oct_core.cli.app import Device, RunName, err, out, progress_bar
from oct_core.reasons import verdict_words
from oct_core.types import Verdict
from oct_core.words import say


def explain(
    image: Annotated[Path, typer.Argument(help="One scan.")],
    run: RunName,
    out_folder: Annotated[Path, typer.Option("--out", help="Folder for the PNG and the .npz.")],
    target: Annotated[
        str | None, typer.Option(help="Class to explain; the model's own prediction by default.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Method, may be repeated; gradcam and the guided pair by default."),
    ] = None,
    layer: Annotated[
        list[str] | None, typer.Option(help="Named layer, may be repeated; all by default.")
    ] = None,
    page: Annotated[
        int, typer.Option(min=1, help="Of a file with several pages the one to explain.")
    ] = 1,
    device: Device = "",
) -> None:
    """Show where one network looked: a PNG, and an .npz of float32 maps named method/layer in the
    scan's own pixels; and say what may be made of its answer, and how the scan was read.
    """
    with progress_bar("making maps"):
        written = explain_file(image, run, out_folder, (target, method, layer), device, page)
    if written.verdict.kind != "answer":
        err.print(f"{written.verdict.kind}: {verdict_words(written.verdict)}", soft_wrap=True)
    for note in written.notes:
        err.print(f"note: {note}", soft_wrap=True)
    if written.left_out:
        err.print(written.left_out, soft_wrap=True)
    if written.without_evidence:
        err.print(
            f"no evidence for {written.target}: these maps are zero everywhere: "
            f"{', '.join(written.without_evidence)}",
            soft_wrap=True,
        )
    if written.verdict.kind == "answer":
        out.print(verdict_words(written.verdict), soft_wrap=True)
    out.print(f"{written.png}\n{written.npz}", soft_wrap=True)


@dataclass(frozen=True)
class Written:
    """What explain wrote. verdict : on this run's answer. without_evidence : keys of the maps that
    are zero everywhere. left_out : which default methods do not hold for the network, in words.
    notes : how the scan was read.
    """

    png: Path
    npz: Path
    verdict: Verdict
    target: str
    without_evidence: tuple[str, ...]
    left_out: str
    notes: tuple[str, ...]


def explain_file(
    image: Path,
    run_name: str,
    out: Path,
    choice: tuple[str | None, Sequence[str] | None, Sequence[str] | None],
    device: str,
    page: int = 1,
) -> Written:
    """Write ``<image>_<run>.png`` and ``.npz`` into ``out``; raises OctError for a bad scan, page
    (from 1), run, class, method or layer. choice : target, methods and layers.

    Nothing is written over: with either there, the names are ``<image>_<run>_2`` and so on (two
    folders may hold a scan of one name).
    """
    from PIL import Image

    from oct_core.explanations import explain as make_maps
    from oct_core.explanations.api import default_methods, say_left_out
    from oct_core.exports import maps_npz
    from oct_core.figures.contact_sheet import contact_sheet
    from oct_core.models.device import choose_device
    from oct_core.runs.weights import load_run
    from oct_core.scans import inspect, read_bytes, read_scan
    from oct_core.trust.judge import Judge

    target, methods, layers = choice
    data = read_bytes(image)
    scan = read_scan(data, image.name, page - 1)
    several = inspect(data).pages > 1
    run = load_run(run_name, choose_device(device))
    [maps] = make_maps(
        scan, run, target, tuple(methods or default_methods(run.model)), layers or None
    )
    [judgement] = Judge([run]).judge([scan])
    out.mkdir(parents=True, exist_ok=True)
    png, npz = _unused(out, f"{image.stem}{f'_page{page}' if several else ''}_{run.card.name}")
    Image.fromarray(contact_sheet(scan, maps)).save(png)
    npz.write_bytes(maps_npz(run.card, judgement, maps))
    return Written(
        png,
        npz,
        judgement.verdict,
        maps[0].target,
        tuple(each.key for each in maps if not each.evidence),
        "" if methods else say_left_out(run.model),
        (*scan.notes, *([say("choose another page with --page")] if several else ())),
    )


def _unused(out: Path, stem: str) -> tuple[Path, Path]:
    ends = chain([""], (f"_{number}" for number in count(2)))
    pairs = ((out / f"{stem}{end}.png", out / f"{stem}{end}.npz") for end in ends)
    return next(pair for pair in pairs if not any(file.exists() for file in pair))
