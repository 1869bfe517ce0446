"""What a report of one scan holds, in words of the language of the moment and pictures: what draws
it says nothing of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from oct_core.figures.colours import class_colour, model_colour
from oct_core.figures.final_figure import FigureRow, colour_keys, grounds_of
from oct_core.figures.lettering import VERDICT_INKS, Ink
from oct_core.figures.overlay import COLORMAP, OPACITY
from oct_core.figures.pictures import (
    GUIDED_WARNING,
    Picture,
    draw_map,
    encode_jpeg,
    explain_empty,
    fit_size,
    resize,
)
from oct_core.models.catalog import run_title
from oct_core.reasons import verdict_lines
from oct_core.runs.versions import versions
from oct_core.types import CLASS_TITLES, Judgement, Prediction, Scan
from oct_core.words import RESEARCH_LINE, current_language, message, say

_SCAN, _MAP = 1200, 640
"""Longest side of a picture in pixels: 300 dpi at the size it has on A4."""

MAPS_REMARK = message(
    "Maps show which parts of the scan moved a network's score. A bright region is no proof of a "
    "lesion, and a plausible map does not make the answer right."
)


@dataclass(frozen=True)
class ReportChoices:
    """How a report is made. made : when, with a time zone. name : of the file, None to leave it
    out. opacity, colormap, one_scale : of the maps, as in ``final_figure``.
    """

    made: datetime
    name: str | None = None
    opacity: float = OPACITY
    colormap: str = COLORMAP
    one_scale: bool = False


@dataclass(frozen=True)
class Image:
    """A JPEG without metadata, its size in pixels, and what it shows."""

    data: bytes
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class Fact:
    """A label and its value. long : a hash, which may be broken anywhere."""

    label: str
    value: str
    long: bool = False


@dataclass(frozen=True)
class Bar:
    """One class: its key, its probability from 0 to 1, its colour "#RRGGBB"."""

    label: str
    share: float
    colour: str


@dataclass(frozen=True)
class Predictor:
    """What one model, or the ensemble, says. colour : its own, "#RRGGBB"."""

    title: str
    colour: str
    call: str
    call_title: str
    confidence: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Cell:
    """One map with its title and, where there is something to say, a caption."""

    image: Image
    title: str
    caption: str


@dataclass(frozen=True)
class Key:
    """What the colours of one kind of map mean."""

    image: Image
    words: str


@dataclass(frozen=True)
class MapGroup:
    """The maps of one model, row by row."""

    title: str
    colour: str
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class ScanReport:
    """Everything that is in the report, in the order in which it is drawn.

    kind : of the verdict; without an answer every percentage is gray. ink : of the verdict.
    headings : of the answers, the maps and the origin.
    """

    language: str
    title: str
    made: datetime
    made_words: str
    research: str
    program: str
    kind: str
    ink: Ink
    verdict: str
    verdict_class: str
    reasons: tuple[str, ...]
    headings: tuple[str, str, str]
    scan: Image
    facts: tuple[Fact, ...]
    predictors: tuple[Predictor, ...]
    grounds: tuple[str, ...]
    keys: tuple[Key, ...]
    groups: tuple[MapGroup, ...]
    origin: tuple[Fact, ...]
    remarks: tuple[str, ...]

    @property
    def answered(self) -> bool:
        """Whether the percentages are an answer."""
        return self.kind != "refer"


def make_report(
    scan: Scan, rows: Sequence[FigureRow], judgement: Judgement, choices: ReportChoices
) -> ScanReport:
    """The report of a scan as the models got it, in the language of the moment.

    rows : the models, with the maps to draw. judgement : on the ensemble, or on the one model there
    is. Of the scan's name it holds what ``choices.name`` says, nothing by default. The same
    arguments give the same report.
    """
    title, *reasons = verdict_lines(judgement.verdict)
    label = judgement.verdict.label
    answered = judgement.verdict.kind != "refer"
    return ScanReport(
        language=current_language(),
        title=say("Report of one OCT scan"),
        made=choices.made,
        made_words=f"{choices.made:%Y-%m-%d %H:%M %Z}".strip(),
        research=say(RESEARCH_LINE),
        program=f"oct_core {versions()['oct_core']}",
        kind=judgement.verdict.kind,
        ink=VERDICT_INKS[judgement.verdict.kind],
        verdict=title,
        verdict_class=say(CLASS_TITLES.get(label, label)) if answered else "",
        reasons=tuple(reasons),
        headings=(
            say("What each model says"),
            say("Where each model looked"),
            say("How this report was made"),
        ),
        scan=_image(scan.pixels, _SCAN, say("The scan as the models get it")),
        facts=_facts(scan, choices.name),
        predictors=tuple(_predictors(rows, judgement)),
        grounds=tuple(grounds_of(judgement)),
        keys=tuple(_keys(rows, choices)),
        groups=tuple(_group(scan, row, choices) for row in rows if row.maps),
        origin=_origin(rows),
        remarks=tuple(_remarks(rows)),
    )


def _image(pixels: Picture, longest: int, alt: str) -> Image:
    """A picture with its longer side at most ``longest``."""
    size = fit_size(pixels.shape[0], pixels.shape[1], longest)
    return Image(encode_jpeg(resize(pixels, size)), *size, alt)


def _facts(scan: Scan, name: str | None) -> tuple[Fact, ...]:
    height, width = scan.pixels.shape
    size = say(
        "{width} x {height} pixels, {bits} bit", width=width, height=height, bits=scan.bit_depth
    )
    notes = [say(note) for note in scan.notes]
    if scan.source == "sample":
        notes.insert(0, say("Synthetic sample, no patient.").rstrip("."))
    digest = hashlib.sha256(np.ascontiguousarray(scan.pixels).tobytes()).hexdigest()
    return (
        *([Fact(say("File"), name)] if name is not None else ()),
        Fact(say("Size"), size),
        Fact(say("How it was read"), "; ".join(notes) or say("as it is")),
        Fact(say("sha256 of the pixels as read, 8 bit, row by row"), digest, long=True),
    )


def _predictors(rows: Sequence[FigureRow], judgement: Judgement) -> list[Predictor]:
    """The ensemble first where there is one, then each model."""
    by_run = {row.card.name: row for row in rows}
    predictors = []
    for each in judgement.rows:
        run = each.prediction.run
        row = by_run.get(run)
        title = run_title(run) if row is None else row.title
        colour = model_colour(run if row is None else row.card.architecture)
        predictors.append(_predictor(each.prediction, title, colour))
    return predictors


def _predictor(prediction: Prediction, title: str, colour: str) -> Predictor:
    shares = zip(prediction.classes, map(float, prediction.probabilities), strict=True)
    call = prediction.predicted
    return Predictor(
        title,
        colour,
        call,
        say(CLASS_TITLES.get(call, call)),
        prediction.confidence,
        tuple(Bar(label, share, class_colour(label)) for label, share in shares),
    )


def _keys(rows: Sequence[FigureRow], choices: ReportChoices) -> list[Key]:
    keys = colour_keys(rows, choices.opacity, choices.colormap, choices.one_scale)
    return [Key(_image(resize(colours, (256, 24)), 256, ""), words) for colours, words in keys]


def _group(scan: Scan, row: FigureRow, choices: ReportChoices) -> MapGroup:
    """A model's maps, in the rows of the figure."""
    lines = []
    for line in row.grid():
        cells = []
        for explanation, maximum in line:
            picture = draw_map(
                scan.pixels, explanation, choices.opacity, choices.colormap, maximum, _MAP
            )
            title = row.title_of(explanation)
            alt = say(
                "{title} of {model}, for {target}",
                title=title,
                model=row.title,
                target=explanation.target,
            )
            alt = " ".join(filter(None, [f"{alt}.", explain_empty(explanation)]))
            cells.append(Cell(_image(picture, _MAP, alt), title, row.caption_of(explanation)))
        lines.append(tuple(cells))
    title = say(
        "{model}, maps for {target}: {title}",
        model=row.title,
        target=row.target,
        title=say(CLASS_TITLES.get(row.target, row.target)),
    )
    return MapGroup(title, row.colour, tuple(lines))


def _origin(rows: Sequence[FigureRow]) -> tuple[Fact, ...]:
    """Weights and preprocessing of each run, and the versions that count."""
    runs = [
        Fact(
            say("Weights of {model}, sha256", model=row.title),
            row.card.weights_sha256,
            long=True,
        )
        for row in rows
    ]
    kinds = [_preprocessing(row) for row in rows]
    preprocessing = (
        kinds[0]
        if len(set(kinds)) == 1
        else "; ".join(f"{row.title}: {kind}" for row, kind in zip(rows, kinds, strict=True))
    )
    names = {"oct_core": "oct_core", "python": "Python", "torch": "torch"}
    found = versions()
    programs = ", ".join(f"{names[key]} {found[key]}" for key in names if key in found)
    return (
        *runs,
        *([Fact(say("Preprocessing"), preprocessing)] if rows else ()),
        Fact(say("Versions"), programs),
    )


def _preprocessing(row: FigureRow) -> str:
    given = row.card.preprocessing
    return say(
        "version {version}, {size} x {size} pixels",
        version=given.get("version", 1),
        size=given.get("size", "?"),
    )


def _remarks(rows: Sequence[FigureRow]) -> list[str]:
    methods = {each.method for row in rows for each in row.maps}
    remarks = [say(MAPS_REMARK)] if methods else []
    if any(method.startswith("guided") for method in methods):
        remarks.append(say(GUIDED_WARNING))
    return remarks
