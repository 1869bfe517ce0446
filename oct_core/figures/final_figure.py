"""What several models say of one scan on one picture, and single maps as pictures. Nothing of the
scan's name or metadata is in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from oct_core import __version__
from oct_core.figures.colours import class_colour
from oct_core.figures.pictures import (
    draw_map,
    encode_png,
    fit_size,
    format_maximum,
    maximum_of,
    shrink,
)
from oct_core.types import CLASS_TITLES, Explanation, Prediction, RunCard, Scan
from oct_core.words import RESEARCH_LINE, say

CELL, GAP, MARGIN, CAPTION = 300, 14, 36, 44
INK, QUIET, PAPER, TRACK = (28, 30, 36), (105, 110, 120), (255, 255, 255), (232, 234, 238)


@dataclass(frozen=True, eq=False)
class FigureRow:
    """One model in the final figure.

    title : what people call it. colour : its own, "#RRGGBB". target : the class explained. maps :
    its Grad-CAMs, shallow to deep. maxima : the value of the last colour, one a map.
    """

    card: RunCard
    title: str
    colour: str
    prediction: Prediction
    target: str
    maps: Sequence[Explanation]
    maxima: Sequence[float]


def overlay_png(
    scan: Scan, explanation: Explanation, opacity: float, colormap: str, maximum: float
) -> bytes:
    """One map over the scan at the scan's own size, as PNG."""
    longest = max(scan.pixels.shape)
    return encode_png(draw_map(scan.pixels, explanation, opacity, colormap, maximum, longest))


def final_figure(
    scan: Scan,
    rows: Sequence[FigureRow],
    summary: str,
    opacity: float,
    colormap: str,
    one_scale: bool = False,
) -> bytes:
    """One PNG: the scan, and per model its probabilities and Grad-CAMs; the footer says what made
    it.

    summary : one sentence on whether the models agree. one_scale : whether the maps of a model
    share the value of the last colour (as in FigureRow.maxima). Maps keep the scan's aspect ratio.
    """
    columns = 1 + max((len(row.maps) for row in rows), default=0)
    _, cell_height = fit_size(scan.pixels.shape[0], scan.pixels.shape[1], CELL)
    row_height = max(cell_height, 190) + CAPTION
    head = max(cell_height, 175) + 24
    width = 2 * MARGIN + columns * (CELL + GAP)
    height = 2 * MARGIN + head + len(rows) * (row_height + GAP) + 40 + 24 * (len(rows) + 1)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    sheet.paste(Image.fromarray(shrink(scan.pixels, CELL)).convert("RGB"), (MARGIN, MARGIN))
    scale = (
        say("one scale within a model") if one_scale else say("each map scaled to its own maximum")
    )
    colours = say(
        "Colours: {colormap}, from 0 to the maximum, {opacity:.0%} over the scan; {scale}.",
        colormap=colormap,
        opacity=opacity,
        scale=scale,
    )
    _draw_heading(draw, scan, summary, colours, MARGIN + CELL + GAP)
    top = MARGIN + head + 10
    for row in rows:
        _draw_bars(draw, row, MARGIN, top)
        for place, (explanation, maximum) in enumerate(
            zip(row.maps, row.maxima, strict=True), start=1
        ):
            left = MARGIN + place * (CELL + GAP)
            picture = draw_map(scan.pixels, explanation, opacity, colormap, maximum, CELL)
            sheet.paste(Image.fromarray(picture), (left, top))
            _draw_caption(draw, explanation, left, top + cell_height + 5)
        top += row_height + GAP
    _draw_footer(draw, rows, top + 8, width)
    return encode_png(np.asarray(sheet))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _draw_heading(
    draw: ImageDraw.ImageDraw, scan: Scan, summary: str, colours: str, left: int
) -> None:
    height, width = scan.pixels.shape
    size = say(
        "Input {width} x {height} pixels, shown at the left as the models see it.",
        width=width,
        height=height,
    )
    maps = say("Maps: Grad-CAM, from the shallowest to the deepest layer.")
    if scan.source == "sample":
        maps = say("Synthetic sample, no patient.") + " " + maps
    draw.text((left, MARGIN), say("OCT B-scan classified by CNNs, side by side"), INK, _font(34))
    draw.text((left, MARGIN + 52), summary, INK, _font(23))
    draw.text((left, MARGIN + 88), size, QUIET, _font(18))
    draw.text((left, MARGIN + 114), maps, QUIET, _font(18))
    draw.text((left, MARGIN + 140), colours, QUIET, _font(18))


def _draw_bars(draw: ImageDraw.ImageDraw, row: FigureRow, left: int, top: int) -> None:
    draw.rectangle((left, top, left + 5, top + 56), fill=row.colour)
    draw.text((left + 16, top - 2), _shorten(row.title, CELL - 24, 18), QUIET, _font(18))
    answer = f"{row.prediction.predicted}  {row.prediction.confidence:.1%}"
    draw.text((left + 16, top + 20), answer, INK, _font(28))
    for place, (name, p) in enumerate(
        zip(row.prediction.classes, row.prediction.probabilities, strict=True)
    ):
        y = top + 72 + place * 29
        draw.text((left, y), name, INK, _font(16))
        draw.rectangle((left + 84, y + 2, left + 234, y + 18), fill=TRACK)
        draw.rectangle(
            (left + 84, y + 2, left + 84 + round(150 * float(p)), y + 18), fill=class_colour(name)
        )
        draw.text((left + 242, y), f"{p:.1%}", QUIET, _font(16))
    target = say(
        "Maps for {target}: {title}",
        target=row.target,
        title=say(CLASS_TITLES.get(row.target, row.target)),
    )
    draw.text((left, top + 192), target, QUIET, _font(15))


def _shorten(text: str, width: float, size: int) -> str:
    """The text, cut with an ellipsis to ``width`` pixels."""
    font = _font(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _draw_caption(draw: ImageDraw.ImageDraw, explanation: Explanation, left: int, top: int) -> None:
    words = (
        say(
            "max {maximum}, target {target}",
            maximum=format_maximum(maximum_of(explanation)),
            target=explanation.target,
        )
        if explanation.evidence
        else say("no evidence, target {target}", target=explanation.target)
    )
    draw.text((left, top), explanation.layer, INK, _font(16))
    draw.text((left, top + 19), words, QUIET, _font(15))


def _draw_footer(
    draw: ImageDraw.ImageDraw, rows: Sequence[FigureRow], top: int, width: int
) -> None:
    draw.line((MARGIN, top, width - MARGIN, top), fill=TRACK, width=2)
    for place, row in enumerate(rows):
        line = say(
            "run {name} ({model}), weights sha256 {weights_sha256}",
            name=row.card.name,
            model=row.title,
            weights_sha256=row.card.weights_sha256[:16],
        )
        draw.text((MARGIN, top + 12 + place * 22), line, QUIET, _font(16))
    last = f"oct_core {__version__}. {say(RESEARCH_LINE)}"
    draw.text((MARGIN, top + 12 + len(rows) * 22), last, INK, _font(16))
