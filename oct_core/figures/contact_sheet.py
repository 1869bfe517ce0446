"""All maps of one scan on one sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from oct_core.figures.lettering import (
    INK,
    PAPER,
    QUIET,
    break_text,
    draw_lines,
    font,
    height_of,
    shorten,
    write_verdict,
)
from oct_core.figures.overlay import overlay
from oct_core.figures.pictures import Picture, caption_of, resize
from oct_core.types import Explanation, Scan, Verdict
from oct_core.words import RESEARCH_LINE, say

_CAPTION, _PAD = 44, 12


def contact_sheet(
    scan: Scan,
    maps: Sequence[Explanation],
    verdict: Verdict,
    titles: Mapping[str, str],
    columns: int = 5,
    width: int = 320,
) -> Picture:
    """The verdict with its reasons, then the scan and every map over it, each with a caption, in
    rows of ``columns``: uint8 (H, W, 3).

    titles : method -> what people call it. Each cell is ``width`` pixels wide, at the scan's own
    aspect ratio. The maps have the scan's own size.
    """
    pictures = [np.repeat(scan.pixels[:, :, None], 3, axis=2)]
    pictures += [
        overlay(scan.pixels, each.values, 1.0 if each.signed else 0.5, signed=each.signed)
        for each in maps
    ]
    captions = [(say("Scan"), ""), *(_caption(each, titles) for each in maps)]
    across = columns * width
    heading = write_verdict(verdict, 26, 17, across - 2 * _PAD)
    heading += break_text(say(RESEARCH_LINE), QUIET, 15, across - 2 * _PAD)
    head = height_of(heading) + 2 * _PAD
    cell = max(1, round(width * scan.pixels.shape[0] / scan.pixels.shape[1])), width
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (across, head + rows * (cell[0] + _CAPTION)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw_lines(draw, heading, _PAD, _PAD)
    for place, (picture, words) in enumerate(zip(pictures, captions, strict=True)):
        top = head + place // columns * (cell[0] + _CAPTION)
        left = place % columns * width
        sheet.paste(Image.fromarray(resize(picture, (width, cell[0]))), (left, top))
        for line, (text, ink) in enumerate(zip(words, (INK, QUIET), strict=True)):
            short = shorten(text, width - 8, 15)
            draw.text((left + 4, top + cell[0] + 3 + 19 * line), short, ink, font(15, short))
    return np.asarray(sheet)


def _caption(explanation: Explanation, titles: Mapping[str, str]) -> tuple[str, str]:
    title = titles.get(explanation.method, explanation.method)
    return f"{title}, {explanation.layer}", caption_of(explanation)
