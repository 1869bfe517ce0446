"""What several models say of one scan on one picture in print, and single maps as pictures. Nothing
of the scan's name or metadata is in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from oct_core import __version__
from oct_core.figures.colours import class_colour
from oct_core.figures.lettering import (
    INK,
    PAPER,
    QUIET,
    Line,
    break_text,
    draw_lines,
    font,
    height_of,
    shorten,
    write_verdict,
)
from oct_core.figures.overlay import COLORMAPS, paint_signed
from oct_core.figures.pictures import (
    Picture,
    caption_of,
    draw_map,
    encode_png,
    resize,
)
from oct_core.models.catalog import ENSEMBLE, ENSEMBLE_COLOUR, run_title
from oct_core.reasons import scores_words
from oct_core.types import (
    CLASS_TITLES,
    Explanation,
    Judgement,
    Prediction,
    RunCard,
    Scan,
)
from oct_core.words import RESEARCH_LINE, say

DPI = 300
WIDTH = 2480
"""Pixels of an A4 page's width."""
MARGIN, GAP = 110, 26
SIDE = 480
"""Width of the probabilities beside the maps."""
SCAN_SIDE = 700
COLUMNS = 5
"""Maps in a row at most: no network has more named layers."""
_TITLE, _HEAD, _BODY, _SMALL = 66, 44, 34, 27
_BARS = 130 + 4 * 46
_KEY = 40, 320
TRACK = (232, 234, 238)
FAINT = (168, 172, 180)
"""Percentages that are no answer."""


@dataclass(frozen=True, eq=False)
class FigureRow:
    """One model in the final figure.

    title : what people call it. colour : its own, "#RRGGBB". target : the class explained. maps :
    those to draw, of each method shallow to deep. maxima : the value of the last colour, one a map.
    titles : method -> what people call it.
    """

    card: RunCard
    title: str
    colour: str
    prediction: Prediction
    target: str
    maps: Sequence[Explanation]
    maxima: Sequence[float]
    titles: Mapping[str, str] = field(default_factory=dict)

    def title_of(self, explanation: Explanation) -> str:
        """The method of a map for people, and its layer where it has one."""
        method = self.titles.get(explanation.method, explanation.method)
        return method if explanation.layer == "input" else f"{method}, {explanation.layer}"

    def caption_of(self, explanation: Explanation) -> str:
        """What is to be said of a map beside the class that the whole row is for; "" if nothing."""
        plain = explanation.evidence and explanation.target == self.target
        return "" if plain else caption_of(explanation)

    def grid(self) -> list[list[tuple[Explanation, float]]]:
        """The maps with their maxima in rows of at most COLUMNS: a row or more for each method that
        has several, then the single ones together.
        """
        counts = Counter(each.method for each in self.maps)
        groups: dict[str, list[tuple[Explanation, float]]] = {}
        for each, maximum in zip(self.maps, self.maxima, strict=True):
            group = each.method if counts[each.method] > 1 else ""
            groups.setdefault(group, []).append((each, maximum))
        groups[""] = groups.pop("", [])
        return [
            group[start : start + COLUMNS]
            for group in groups.values()
            for start in range(0, len(group), COLUMNS)
        ]


def overlay_png(
    scan: Scan, explanation: Explanation, opacity: float, colormap: str, maximum: float
) -> bytes:
    """One map at the scan's own size, as PNG."""
    longest = max(scan.pixels.shape)
    return encode_png(draw_map(scan.pixels, explanation, opacity, colormap, maximum, longest))


def final_figure(
    scan: Scan,
    rows: Sequence[FigureRow],
    judgement: Judgement,
    opacity: float,
    colormap: str,
    one_scale: bool = False,
) -> bytes:
    """One PNG as wide as an A4 page at 300 dpi: the verdict with its reasons, the scan, the
    ensemble's probabilities, and of each model its probabilities and all maps given; the footer
    says what made it.

    judgement : on the ensemble, or on the one model there is. Without an answer every percentage is
    gray. one_scale : whether the maps of a method share the value of the last colour within a
    model (as in FigureRow.maxima). Maps keep the scan's aspect ratio.
    """
    answered = judgement.verdict.kind != "refer"
    blocks = [
        _heading(scan, rows, judgement),
        *([_ensemble(judgement)] if judgement.members else []),
        _keys(colour_keys(rows, opacity, colormap, one_scale)),
        *(_model(scan, row, answered, opacity, colormap) for row in rows),
        _footer(rows),
    ]
    height = sum(map(len, blocks)) + 2 * MARGIN + GAP * (len(blocks) - 1)
    sheet = np.full((height, WIDTH, 3), 255, dtype=np.uint8)
    top = MARGIN
    for block in blocks:
        sheet[top : top + len(block), MARGIN : MARGIN + _ACROSS] = block
        top += len(block) + GAP
    return encode_png(sheet, DPI)


_ACROSS = WIDTH - 2 * MARGIN


def _paper(height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    sheet = Image.new("RGB", (_ACROSS, height), PAPER)
    return sheet, ImageDraw.Draw(sheet)


def _scan_size(scan: Scan, box: int) -> tuple[int, int]:
    """(width, height) of the scan with its longer side ``box`` pixels."""
    height, width = scan.pixels.shape
    scale = box / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _heading(scan: Scan, rows: Sequence[FigureRow], judgement: Judgement) -> Picture:
    """The scan, and beside it what the figure is, the verdict and its reasons, what is shown."""
    size = _scan_size(scan, SCAN_SIDE)
    left = size[0] + 2 * GAP
    width = _ACROSS - left
    height, across = scan.pixels.shape
    facts = [
        say(
            "Input {width} x {height} pixels, shown at the left as the models see it.",
            width=across,
            height=height,
        )
    ]
    if scan.source == "sample":
        facts.append(say("Synthetic sample, no patient."))
    methods = [row.titles.get(each.method, each.method) for row in rows for each in row.maps]
    if methods:
        names = ", ".join(dict.fromkeys(methods))
        facts.append(say("Maps: {methods}; of each method shallow to deep.", methods=names))
    lines = [
        *break_text(say("OCT B-scan classified by CNNs, side by side"), QUIET, _BODY, width),
        ("", QUIET, _BODY, 8),
        *write_verdict(judgement.verdict, _TITLE, _BODY, width),
        ("", QUIET, _BODY, 20),
        *(line for words in facts for line in break_text(words, QUIET, _SMALL, width)),
    ]
    sheet, draw = _paper(max(size[1], height_of(lines)) + GAP)
    sheet.paste(Image.fromarray(resize(scan.pixels, size)).convert("RGB"), (0, 0))
    draw_lines(draw, lines, left, 0)
    return np.asarray(sheet)


def grounds_of(judgement: Judgement) -> list[str]:
    """What a verdict rests on beside the probabilities, in sentences."""
    possible = ", ".join(judgement.verdict.prediction_set) or say("none")
    grounds = [say("Possible classes: {labels}.", labels=possible)]
    if judgement.members:
        models = ", ".join(run_title(member.prediction.run) for member in judgement.members)
        grounds.insert(
            0, say("The mean of the calibrated probabilities of {models}.", models=models)
        )
    if judgement.scores is not None:
        grounds.append(scores_words(judgement.scores))
    return grounds


def _ensemble(judgement: Judgement) -> Picture:
    """The ensemble's probabilities, and beside them what its verdict rests on."""
    left = SIDE + GAP
    grounds = grounds_of(judgement)
    lines = [line for words in grounds for line in break_text(words, INK, _SMALL, _ACROSS - left)]
    sheet, draw = _paper(max(_BARS, height_of(lines)) + GAP)
    answered = judgement.verdict.kind != "refer"
    title = run_title(ENSEMBLE)
    _draw_bars(draw, _Bars(title, ENSEMBLE_COLOUR, judgement.prediction, answered))
    draw_lines(draw, lines, left, 4)
    return np.asarray(sheet)


def colour_keys(
    rows: Sequence[FigureRow], opacity: float, colormap: str, one_scale: bool
) -> list[tuple[Picture, str]]:
    """Of each kind of map that is drawn its colours, uint8 (1, 256, 3), and what they mean."""
    kinds = {each.signed for row in rows for each in row.maps}
    scale = (
        say("one scale for the maps of a method within a model")
        if one_scale
        else say("each map scaled to its own maximum")
    )
    keys = []
    if False in kinds:
        words = say(
            "Colours: {colormap}, from 0 to the maximum, {opacity:.0%} over the scan; {scale}.",
            colormap=colormap,
            opacity=opacity,
            scale=scale,
        )
        keys.append((COLORMAPS.get(colormap)[None], words))
    if True in kinds:
        words = say(
            "Signed maps, on mid-gray: orange is evidence for the class, blue against it; {scale}.",
            scale=scale,
        )
        keys.append((paint_signed(np.linspace(-0.25, 0.25, 256, dtype=np.float32)[None], 1), words))
    return keys


def _keys(keys: Sequence[tuple[Picture, str]]) -> Picture:
    height, length = _KEY
    sheet, draw = _paper(len(keys) * (height + 14) + GAP)
    for place, (colours, words) in enumerate(keys):
        top = place * (height + 14)
        sheet.paste(Image.fromarray(resize(colours, (length, height))), (0, top))
        short = shorten(words, _ACROSS - length - GAP, _SMALL)
        draw.text((length + GAP, top + 4), short, QUIET, font(_SMALL, short))
    return np.asarray(sheet)


def _model(scan: Scan, row: FigureRow, answered: bool, opacity: float, colormap: str) -> Picture:
    """A model's probabilities, and at their right its maps, each with its caption."""
    grid = row.grid()
    columns = max([3, *map(len, grid)])
    left = SIDE + GAP
    cell = (_ACROSS - left - (columns - 1) * GAP) // columns
    size = _scan_size(scan, cell)
    captions = [[_caption(row, each, size[0]) for each, _ in line] for line in grid]
    heights = [size[1] + 10 + max(map(height_of, line)) + GAP for line in captions]
    target = say(
        "Maps for {target}: {title}",
        target=row.target,
        title=say(CLASS_TITLES.get(row.target, row.target)),
    )
    words = break_text(target, QUIET, _SMALL, SIDE - GAP) if grid else []
    sheet, draw = _paper(max(sum(heights), _BARS + 12 + height_of(words)) + GAP)
    draw.line((0, 0, _ACROSS, 0), fill=TRACK, width=3)
    _draw_bars(draw, _Bars(row.title, row.colour, row.prediction, answered), 16)
    draw_lines(draw, words, 0, 16 + _BARS + 12)
    top = 16
    for line, texts, height in zip(grid, captions, heights, strict=True):
        for place, ((explanation, maximum), lines) in enumerate(zip(line, texts, strict=True)):
            x = left + place * (cell + GAP)
            picture = draw_map(scan.pixels, explanation, opacity, colormap, maximum, cell)
            sheet.paste(Image.fromarray(resize(picture, size)), (x, top))
            draw_lines(draw, lines, x, top + size[1] + 10)
        top += height
    return np.asarray(sheet)


def _caption(row: FigureRow, explanation: Explanation, width: int) -> list[Line]:
    words = row.caption_of(explanation)
    return [
        *break_text(row.title_of(explanation), INK, _SMALL, width),
        *(break_text(words, QUIET, _SMALL, width) if words else ()),
    ]


@dataclass(frozen=True, eq=False)
class _Bars:
    """What is drawn of one prediction; ``answered``: percentages in ink and colour, else gray."""

    title: str
    colour: str
    prediction: Prediction
    answered: bool


def _draw_bars(draw: ImageDraw.ImageDraw, bars: _Bars, top: int = 0) -> None:
    prediction = bars.prediction
    ink = INK if bars.answered else FAINT
    draw.rectangle((0, top, 9, top + 96), fill=bars.colour)
    title = shorten(bars.title, SIDE - 60, _BODY)
    draw.text((30, top - 2), title, QUIET, font(_BODY, title))
    answer = f"{prediction.predicted}  {prediction.confidence:.1%}"
    draw.text((30, top + 42), answer, ink, font(_HEAD, answer))
    for place, (name, p) in enumerate(
        zip(prediction.classes, prediction.probabilities, strict=True)
    ):
        y = top + 122 + place * 46
        draw.text((0, y), name, ink, font(_SMALL, name))
        draw.rectangle((136, y + 4, 345, y + 32), fill=TRACK)
        end = 136 + round(210 * float(p))
        colour = class_colour(name) if bars.answered else FAINT
        if end > 136:  # Pillow draws a pixel for no width
            draw.rectangle((136, y + 4, end - 1, y + 32), fill=colour)
        share = f"{p:.1%}"
        draw.text((362, y), share, ink, font(_SMALL, share))


def _footer(rows: Sequence[FigureRow]) -> Picture:
    runs = [
        say(
            "run {name} ({model}), weights sha256 {weights_sha256}",
            name=row.card.name,
            model=row.title,
            weights_sha256=row.card.weights_sha256[:16],
        )
        for row in rows
    ]
    research = f"oct_core {__version__}. {say(RESEARCH_LINE)}"
    lines = [
        *(line for words in runs for line in break_text(words, QUIET, _SMALL, _ACROSS)),
        *break_text(research, INK, _SMALL, _ACROSS),
    ]
    sheet, draw = _paper(20 + height_of(lines))
    draw.line((0, 0, _ACROSS, 0), fill=TRACK, width=3)
    draw_lines(draw, lines, 0, 20)
    return np.asarray(sheet)
