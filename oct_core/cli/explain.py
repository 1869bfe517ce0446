"""python -m oct_core explain."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Annotated

import typer

from oct_core.cli.app import Device, Level, Methods, RunName, err, out, progress_bar
from oct_core.models.catalog import ENSEMBLE
from oct_core.reasons import verdict_words
from oct_core.trust.conformal import LEVEL
from oct_core.types import Verdict
from oct_core.words import say


def explain(
    image: Annotated[Path, typer.Argument(help="One scan.")],
    run: RunName,
    out_folder: Annotated[Path, typer.Option("--out", help="Folder for the PNG and the .npz.")],
    target: Annotated[
        str | None, typer.Option(help="Class to explain; the model's own prediction by default.")
    ] = None,
    method: Methods = None,
    layer: Annotated[
        list[str] | None, typer.Option(help="Named layer, may be repeated; all by default.")
    ] = None,
    level: Level = LEVEL,
    page: Annotated[
        int, typer.Option(min=1, help="Of a file with several pages the one to explain.")
    ] = 1,
    device: Device = "",
) -> None:
    """Show where one network looked: a PNG, and an .npz of float32 maps named method/layer in the
    scan's own pixels; and say what may be made of its answer, and how the scan was read. --run
    ensemble shows where each of its members looked, for the class that the ensemble predicts.
    """
    choice = MapChoice(target, tuple(method or ()), tuple(layer or ()), page)
    with progress_bar("making maps"):
        files = explain_file(image, run, out_folder, choice, device, level)
    for written in files:
        tell(written)


def tell(written: Written) -> None:
    """What was written, and what may be made of it."""
    if written.verdict.kind != "answer":
        err.print(f"{written.verdict.kind}: {verdict_words(written.verdict)}", soft_wrap=True)
    for note in written.notes:
        err.print(f"note: {note}", soft_wrap=True)
    if written.left_out:
        err.print(written.left_out, soft_wrap=True)
    if written.without_evidence:
        err.print(
            f"these maps are zero everywhere: nothing in these layers raises {written.target}. "
            f"That does not mean that {written.target} is absent: "
            f"{', '.join(written.without_evidence)}",
            soft_wrap=True,
        )
    if written.verdict.kind == "answer":
        out.print(verdict_words(written.verdict), soft_wrap=True)
    out.print(f"{written.png}\n{written.npz}", soft_wrap=True)


@dataclass(frozen=True)
class MapChoice:
    """target : the class explained, None for the one predicted. methods, layers : () for those by
    default. page : of the file, from 1.
    """

    target: str | None = None
    methods: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    page: int = 1


@dataclass(frozen=True)
class Written:
    """What explain wrote of one run. verdict : on its answer, or on the ensemble's.
    without_evidence : keys of the maps that are zero everywhere. left_out : which default methods
    do not hold for the network, in words. notes : how the scan was read.
    """

    png: Path
    npz: Path
    verdict: Verdict
    target: str
    without_evidence: tuple[str, ...]
    left_out: str
    notes: tuple[str, ...]


def explain_file(
    image: Path, run: str, out: Path, choice: MapChoice, device: str, level: float = LEVEL
) -> list[Written]:
    """Write ``<image>_<run>.png`` and ``.npz`` into ``out``, of the ensemble those of each member;
    raises OctError for a bad scan, run, class, method or layer.

    Nothing is written over: with either there, the names are ``<image>_<run>_2`` and so on (two
    folders may hold a scan of one name).
    """
    from oct_core.explanations import METHODS
    from oct_core.explanations import explain as make_maps
    from oct_core.explanations.api import default_methods, say_left_out
    from oct_core.exports import maps_npz
    from oct_core.figures.final_figure import FigureRow, final_figure
    from oct_core.figures.overlay import COLORMAP, OPACITY
    from oct_core.figures.pictures import maximum_of
    from oct_core.models.device import choose_device
    from oct_core.runs.weights import load_run, load_runs
    from oct_core.scans import inspect, read_file, read_scan
    from oct_core.trust.judge import Judge

    data, where = read_file(image), choose_device(device)
    scan = read_scan(data, image.name, choice.page - 1)
    several = inspect(data).pages > 1
    stem = f"{image.stem}_page{choice.page}" if several else image.stem
    notes = (*scan.notes, *([say("choose another page with --page")] if several else ()))
    runs = load_runs([], where) if run == ENSEMBLE else [load_run(run, where)]
    # By the networks' answers and not by the maps' passes, which have no features for the gate.
    [judgement] = Judge(runs, level).judge([scan])
    members = judgement.members or (judgement,)
    target = choice.target or judgement.prediction.predicted  # one class for all members
    titles = {name: say(METHODS.get(name).title) for name in METHODS}
    files = []
    for member, own in zip(runs, members, strict=True):
        methods = choice.methods or default_methods(member.model)
        [maps] = make_maps(scan, member, target, methods, choice.layers or None)
        out.mkdir(parents=True, exist_ok=True)
        png, npz = unused_files(out, f"{stem}_{member.card.name}", (".png", ".npz"))
        tops = [maximum_of(each) for each in maps]
        row = FigureRow(
            member.card, member.title, member.colour, own.prediction, target, maps, tops, titles
        )
        png.write_bytes(final_figure(scan, [row], judgement, OPACITY, COLORMAP))
        npz.write_bytes(maps_npz(member.card, own, maps))
        zero = tuple(each.key for each in maps if not each.evidence)
        left_out = "" if choice.methods else say_left_out(member.model)
        files.append(Written(png, npz, judgement.verdict, maps[0].target, zero, left_out, notes))
    return files


def unused_files(folder: Path, stem: str, suffixes: tuple[str, str]) -> tuple[Path, Path]:
    """The first of ``stem``, ``stem_2`` ... of which no file with either suffix is there."""
    ends = chain([""], (f"_{number}" for number in count(2)))
    pairs = (
        (folder / f"{stem}{end}{suffixes[0]}", folder / f"{stem}{end}{suffixes[1]}") for end in ends
    )
    return next(pair for pair in pairs if not any(file.exists() for file in pair))
