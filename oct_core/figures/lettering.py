"""Words in pictures: lines of text measured, broken and drawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PIL import ImageDraw, ImageFont

from oct_core.reasons import verdict_lines
from oct_core.types import Verdict

INK, QUIET, PAPER = (28, 30, 36), (105, 110, 120), (255, 255, 255)
VERDICT_INKS = {"answer": (17, 120, 60), "caution": (160, 90, 0), "refer": (176, 32, 32)}

HANGUL = Path(__file__).resolve().parent / "fonts" / "hangul.ttf"
"""A part of NanumGothic under the SIL Open Font License, made by .ci/font."""
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")

Ink = tuple[int, int, int]
Line = tuple[str, Ink, int, int]
"""Text, ink, size of the font, height of the line in pixels."""


def font(size: int, text: str) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that a text is measured and drawn in, ``size`` pixels high: Pillow's own, which has
    no Hangul, or for a text with Hangul one that has Latin letters too.
    """
    return (
        ImageFont.truetype(HANGUL, size) if _HANGUL.search(text) else ImageFont.load_default(size)
    )


def break_text(text: str, ink: Ink, size: int, width: int) -> list[Line]:
    """The text broken at spaces into lines of at most ``width`` pixels; a longer word is cut."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font(size, longer).getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(shorten(word, width, size))
    return [(line, ink, size, round(size * 1.4)) for line in lines]


def write_verdict(verdict: Verdict, title: int, words: int, width: int) -> list[Line]:
    """The verdict in its colour, and a line a reason. title, words : sizes of the font."""
    first, *reasons = verdict_lines(verdict)
    return [
        *break_text(first, VERDICT_INKS[verdict.kind], title, width),
        *(line for reason in reasons for line in break_text(reason, INK, words, width)),
    ]


def height_of(lines: Sequence[Line]) -> int:
    """How many pixels the lines take."""
    return sum(height for *_, height in lines)


def draw_lines(draw: ImageDraw.ImageDraw, lines: Sequence[Line], left: int, top: int) -> None:
    """The lines below each other, the first at (left, top)."""
    for text, ink, size, height in lines:
        draw.text((left, top), text, ink, font(size, text))
        top += height


def shorten(text: str, width: float, size: int) -> str:
    """The text, cut with an ellipsis to ``width`` pixels."""
    if font(size, text).getlength(text) <= width:
        return text
    while text and font(size, text).getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
