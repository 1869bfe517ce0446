"""What several models say of one scan on one picture, and single maps as pictures. Nothing of the
scan's name or metadata is in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
from oct_core.figures.pictures import (
    caption_of,
    draw_map,
    encode_png,
    fit_size,
    shrink,
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
    Verdict,
)
from oct_core.words import RESEARCH_LINE, say

CELL, GAP, MARGIN, CAPTION = 300, 14, 36, 44
TRACK = (232, 234, 238)
FAINT = (168, 172, 180)
"""Percentages that are no answer."""
_ENSEMBLE_HEIGHT = 72 + 4 * 29 + 20


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
    judgement: Judgement,
    opacity: float,
    colormap: str,
    one_scale: bool = False,
) -> bytes:
    """One PNG: the verdict with its reasons, the scan, the ensemble's probabilities, and per model
    its probabilities and Grad-CAMs; the footer says what made it.

    judgement : on the ensemble, or on the one model there is. Without an answer every percentage is
    gray. one_scale : whether the maps of a model share the value of the last colour (as in
    FigureRow.maxima). Maps keep the scan's aspect ratio.
    """
    columns = 1 + max((len(row.maps) for row in rows), default=0)
    _, cell_height = fit_size(scan.pixels.shape[0], scan.pixels.shape[1], CELL)
    row_height = max(cell_height, 190) + CAPTION
    width = 2 * MARGIN + columns * (CELL + GAP)
    scale = (
        say("one scale within a model") if one_scale else say("each map scaled to its own maximum")
    )
    colours = say(
        "Colours: {colormap}, from 0 to the maximum, {opacity:.0%} over the scan; {scale}.",
        colormap=colormap,
        opacity=opacity,
        scale=scale,
    )
    heading = _heading(scan, judgement.verdict, colours, width - 2 * MARGIN - CELL - GAP)
    head = max(cell_height, height_of(heading)) + 24
    head += _ENSEMBLE_HEIGHT if judgement.members else 0
    footer = _footer(rows, width - 2 * MARGIN)
    height = 2 * MARGIN + head + len(rows) * (row_height + GAP) + 40 + height_of(footer)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    sheet.paste(Image.fromarray(shrink(scan.pixels, CELL)).convert("RGB"), (MARGIN, MARGIN))
    draw_lines(draw, heading, MARGIN + CELL + GAP, MARGIN)
    if judgement.members:
        _draw_ensemble(draw, judgement, MARGIN + head - _ENSEMBLE_HEIGHT, width)
    top = MARGIN + head + 10
    for row in rows:
        bars = _Bars(row.title, row.colour, row.prediction, judgement.verdict.kind != "refer")
        _draw_bars(draw, bars, MARGIN, top)
        _draw_target(draw, row.target, MARGIN, top)
        for place, (explanation, maximum) in enumerate(
            zip(row.maps, row.maxima, strict=True), start=1
        ):
            left = MARGIN + place * (CELL + GAP)
            picture = draw_map(scan.pixels, explanation, opacity, colormap, maximum, CELL)
            sheet.paste(Image.fromarray(picture), (left, top))
            _draw_caption(draw, explanation, left, top + cell_height + 5)
        top += row_height + GAP
    draw.line((MARGIN, top + 8, width - MARGIN, top + 8), fill=TRACK, width=2)
    draw_lines(draw, footer, MARGIN, top + 20)
    return encode_png(np.asarray(sheet))


def _heading(scan: Scan, verdict: Verdict, colours: str, width: int) -> list[Line]:
    """The lines beside the scan: what the figure is, the verdict and its reasons, what is shown."""
    height, across = scan.pixels.shape
    size = say(
        "Input {width} x {height} pixels, shown at the left as the models see it.",
        width=across,
        height=height,
    )
    maps = say("Maps: Grad-CAM, from the shallowest to the deepest layer.")
    if scan.source == "sample":
        maps = say("Synthetic sample, no patient.") + " " + maps
    return [
        *break_text(say("OCT B-scan classified by CNNs, side by side"), QUIET, 20, width),
        *write_verdict(verdict, 34, 20, width),
        ("", QUIET, 16, 10),
        *(line for words in (size, maps, colours) for line in break_text(words, QUIET, 16, width)),
    ]


def _draw_ensemble(draw: ImageDraw.ImageDraw, judgement: Judgement, top: int, width: int) -> None:
    """The ensemble's probabilities, and beside them what its verdict rests on."""
    prediction, verdict = judgement.prediction, judgement.verdict
    bars = _Bars(run_title(ENSEMBLE), ENSEMBLE_COLOUR, prediction, verdict.kind != "refer")
    _draw_bars(draw, bars, MARGIN, top)
    members = ", ".join(run_title(member.prediction.run) for member in judgement.members)
    facts = [
        say("The mean of the calibrated probabilities of {models}.", models=members),
        say(
            "Possible classes: {labels}.",
            labels=", ".join(verdict.prediction_set) or say("none"),
        ),
    ]
    if judgement.scores is not None:
        facts.append(scores_words(judgement.scores))
    left = MARGIN + CELL + GAP
    lines = [
        line for words in facts for line in break_text(words, QUIET, 16, width - MARGIN - left)
    ]
    draw_lines(draw, lines, left, top)


@dataclass(frozen=True, eq=False)
class _Bars:
    """What is drawn of one prediction; ``answered``: percentages in ink and colour, else gray."""

    title: str
    colour: str
    prediction: Prediction
    answered: bool


def _draw_bars(draw: ImageDraw.ImageDraw, bars: _Bars, left: int, top: int) -> None:
    prediction = bars.prediction
    draw.rectangle((left, top, left + 5, top + 56), fill=bars.colour)
    title = shorten(bars.title, CELL - 24, 18)
    draw.text((left + 16, top - 2), title, QUIET, font(18, title))
    answer = f"{prediction.predicted}  {prediction.confidence:.1%}"
    draw.text((left + 16, top + 20), answer, INK if bars.answered else FAINT, font(28, answer))
    for place, (name, p) in enumerate(
        zip(prediction.classes, prediction.probabilities, strict=True)
    ):
        y = top + 72 + place * 29
        draw.text((left, y), name, INK if bars.answered else FAINT, font(16, name))
        draw.rectangle((left + 84, y + 2, left + 234, y + 18), fill=TRACK)
        draw.rectangle(
            (left + 84, y + 2, left + 84 + round(150 * float(p)), y + 18),
            fill=class_colour(name) if bars.answered else FAINT,
        )
        share = f"{p:.1%}"
        draw.text((left + 242, y), share, QUIET if bars.answered else FAINT, font(16, share))


def _draw_target(draw: ImageDraw.ImageDraw, target: str, left: int, top: int) -> None:
    words = say(
        "Maps for {target}: {title}",
        target=target,
        title=say(CLASS_TITLES.get(target, target)),
    )
    draw.text((left, top + 192), words, QUIET, font(15, words))


def _draw_caption(draw: ImageDraw.ImageDraw, explanation: Explanation, left: int, top: int) -> None:
    words = caption_of(explanation)
    draw.text((left, top), explanation.layer, INK, font(16, explanation.layer))
    draw.text((left, top + 19), words, QUIET, font(15, words))


def _footer(rows: Sequence[FigureRow], width: int) -> list[Line]:
    runs = [
        say(
            "run {name} ({model}), weights sha256 {weights_sha256}",
            name=row.card.name,
            model=row.title,
            weights_sha256=row.card.weights_sha256[:16],
        )
        for row in rows
    ]
    return [
        *(line for words in runs for line in break_text(words, QUIET, 16, width)),
        *break_text(f"oct_core {__version__}. {say(RESEARCH_LINE)}", INK, 16, width),
    ]
