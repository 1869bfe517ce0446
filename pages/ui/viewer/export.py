"""What leaves the viewer: the final figure, single overlays and raw maps. Nothing of the upload's
name or metadata is in them.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from oct_core.figures.charts import class_colour, model_colour
from oct_core.types import CLASS_TITLES, Explanation, Prediction, RunCard, Scan
from oct_core.words import say
from pages.ui.app.layout import RESEARCH_LINE
from pages.ui.app.services import app_version, title_of
from pages.ui.viewer.pictures import drawn, fitted, maximum_of, number, shrunk

CELL, GAP, MARGIN, CAPTION = 300, 14, 36, 44
INK, QUIET, PAPER, TRACK = (28, 30, 36), (105, 110, 120), (255, 255, 255), (232, 234, 238)


@dataclass(frozen=True, eq=False)
class Row:
    """One model in the final figure. maps : its Grad-CAMs, shallow to deep. maxima : the value of
    the last colour, one a map.
    """

    card: RunCard
    prediction: Prediction
    target: str
    maps: Sequence[Explanation]
    maxima: Sequence[float]


def png(pixels: NDArray[np.uint8]) -> bytes:
    """The picture as PNG, without any text or EXIF in it."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def overlay_png(
    scan: Scan, explanation: Explanation, opacity: float, colormap: str, maximum: float
) -> bytes:
    """One map over the scan at the scan's own size."""
    return png(drawn(scan.pixels, explanation, opacity, colormap, maximum, max(scan.pixels.shape)))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def final_figure(
    scan: Scan,
    rows: Sequence[Row],
    words: str,
    opacity: float,
    colormap: str,
    one_scale: bool = False,
) -> bytes:
    """The page as one PNG: the scan, and per model its probabilities and Grad-CAMs; the footer says
    what made it.

    words : the agreement sentence. one_scale : whether the maps of a model share the value of the
    last colour (as in Row.maxima). Maps keep the scan's aspect ratio.
    """
    columns = 1 + max((len(row.maps) for row in rows), default=0)
    _, cell_height = fitted(scan.pixels.shape[0], scan.pixels.shape[1], CELL)
    row_height = max(cell_height, 190) + CAPTION
    head = max(cell_height, 175) + 24
    width = 2 * MARGIN + columns * (CELL + GAP)
    height = 2 * MARGIN + head + len(rows) * (row_height + GAP) + 40 + 24 * (len(rows) + 1)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    sheet.paste(Image.fromarray(shrunk(scan.pixels, CELL)).convert("RGB"), (MARGIN, MARGIN))
    scale = (
        say("one scale within a model") if one_scale else say("each map scaled to its own maximum")
    )
    colours = say(
        "Colours: {colormap}, from 0 to the maximum, {opacity:.0%} over the scan; {scale}.",
        colormap=colormap,
        opacity=opacity,
        scale=scale,
    )
    _heading(draw, scan, words, colours, MARGIN + CELL + GAP)
    top = MARGIN + head + 10
    for row in rows:
        _bars(draw, row, MARGIN, top)
        for place, (explanation, maximum) in enumerate(
            zip(row.maps, row.maxima, strict=True), start=1
        ):
            left = MARGIN + place * (CELL + GAP)
            picture = drawn(scan.pixels, explanation, opacity, colormap, maximum, CELL)
            sheet.paste(Image.fromarray(picture), (left, top))
            _caption(draw, explanation, left, top + cell_height + 5)
        top += row_height + GAP
    _footer(draw, [row.card for row in rows], top + 8, width)
    return png(np.asarray(sheet))


def _heading(draw: ImageDraw.ImageDraw, scan: Scan, words: str, colours: str, left: int) -> None:
    height, width = scan.pixels.shape
    draw.text((left, MARGIN), say("OCT B-scan read by CNNs, side by side"), INK, _font(34))
    draw.text((left, MARGIN + 52), words, INK, _font(23))
    draw.text(
        (left, MARGIN + 88),
        say(
            "Input {width} x {height} pixels, at the left as the models get it.",
            width=width,
            height=height,
        ),
        QUIET,
        _font(18),
    )
    synthetic = say("Synthetic sample, no patient. ") if scan.source == "sample" else ""
    draw.text(
        (left, MARGIN + 114),
        say(
            "{synthetic}Maps: Grad-CAM, from the shallowest to the deepest layer.",
            synthetic=synthetic,
        ),
        QUIET,
        _font(18),
    )
    draw.text((left, MARGIN + 140), colours, QUIET, _font(18))


def _bars(draw: ImageDraw.ImageDraw, row: Row, left: int, top: int) -> None:
    draw.rectangle((left, top, left + 5, top + 56), fill=model_colour(row.card.architecture))
    draw.text((left + 16, top - 2), _fitting(title_of(row.card), CELL - 24, 18), QUIET, _font(18))
    draw.text(
        (left + 16, top + 20),
        f"{row.prediction.predicted}  {row.prediction.confidence:.1%}",
        INK,
        _font(28),
    )
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
    draw.text(
        (left, top + 192),
        say(
            "Maps for {target}: {class_titles}",
            target=row.target,
            class_titles=CLASS_TITLES.get(row.target, row.target),
        ),
        QUIET,
        _font(15),
    )


def _fitting(text: str, width: float, size: int) -> str:
    """The text, cut with an ellipsis to ``width`` pixels."""
    font = _font(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _caption(draw: ImageDraw.ImageDraw, explanation: Explanation, left: int, top: int) -> None:
    said = f"max {number(maximum_of(explanation))}" if explanation.evidence else say("no evidence")
    draw.text((left, top), explanation.layer, INK, _font(16))
    draw.text((left, top + 19), f"{said}, target {explanation.target}", QUIET, _font(15))


def _footer(draw: ImageDraw.ImageDraw, cards: Sequence[RunCard], top: int, width: int) -> None:
    draw.line((MARGIN, top, width - MARGIN, top), fill=TRACK, width=2)
    for place, card in enumerate(cards):
        line = say(
            "run {card_name} ({model}), weights sha256 {weights_sha256}",
            card_name=card.name,
            model=title_of(card),
            weights_sha256=card.weights_sha256[:16],
        )
        draw.text((MARGIN, top + 12 + place * 22), line, QUIET, _font(16))
    last = say(
        "oct_core {app_version}. {research_line}",
        app_version=app_version(),
        research_line=RESEARCH_LINE,
    )
    draw.text((MARGIN, top + 12 + len(cards) * 22), last, INK, _font(16))
