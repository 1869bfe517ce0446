"""A report as a PDF on A4: text that can be searched and copied, letters of the font inside."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial

from fpdf import FPDF
from fpdf.enums import TextMode, WrapMode, XPos, YPos
from fpdf.fonts import TTFFont

from oct_core.figures.lettering import HANGUL, INK, QUIET, Ink
from oct_core.scan_report.content import (
    Cell,
    Fact,
    Image,
    Key,
    MapGroup,
    Predictor,
    ScanReport,
)

_MARGIN, _ACROSS, _BOTTOM = 14.0, 182.0, 281.0
"""Millimetres on A4: the margins, what lies between them, where the footer begins."""
_HIGHEST = 46.0
"""Of a map."""
_LINE: Ink = (223, 226, 232)
_FAINT: Ink = (168, 172, 180)
_FONT = "letters"


def pdf_page(report: ScanReport) -> bytes:
    """The report as a PDF. Its metadata holds the title, the program and the date, nothing else."""
    page = _Page(report)
    page.write_head()
    page.write_verdict()
    page.write_scan()
    page.write_answers()
    page.write_maps()
    page.write_remarks()
    if not page.short:
        page.write_origin()
    return bytes(page.output())


class _Page(FPDF):
    """The report being drawn, from top to bottom; every part begins at ``y``."""

    def __init__(self, report: ScanReport) -> None:
        super().__init__(unit="mm", format="A4")
        self.report = report
        self.short = _is_short(report)
        self.add_font(_FONT, fname=HANGUL)
        letters = self.fonts[_FONT]
        assert isinstance(letters, TTFFont)
        self._letters = set(letters.cmap)
        self.set_margins(_MARGIN, _MARGIN)
        self.set_auto_page_break(False)
        self.c_margin = 0  # text begins where it is said to
        self.set_title(self._known(report.title))
        self.set_creator(report.program)
        self.set_creation_date(report.made)
        self.set_lang(report.language)
        self.add_page()

    def footer(self) -> None:
        """On every page what the report is not, and the number."""
        self._rule(_BOTTOM + 1)
        top = _BOTTOM + 2.5
        self._write(f"{self.report.program} · {self.report.research}", _MARGIN, top, 6.5, QUIET)
        # {nb} becomes the number of pages, which is narrower, when all are drawn.
        width = _ACROSS + self.get_string_width("{nb}") - self.get_string_width("2")
        self.set_xy(_MARGIN, top)
        self.cell(width, 3.2, f"{self.page_no()} / {{nb}}", align="R")

    def _known(self, text: str) -> str:
        """The text with "?" for letters that the font has not; only names have such."""
        return "".join(
            letter if ord(letter) in self._letters else "?"
            for letter in text.replace("\n", " ").replace("\t", " ")
        )

    def _write(  # noqa: PLR0913 - a text, where it stands and how it looks
        self,
        text: str,
        left: float,
        top: float,
        size: float,
        ink: Ink = INK,
        *,
        width: float = _ACROSS,
        bold: bool = False,
        anywhere: bool = False,
        right: bool = False,
        dry: bool = False,
    ) -> float:
        """Draw a text broken into lines of ``width``; returns the y below it. dry : only measure.
        anywhere : it may be broken between any two letters.
        """
        before = self.get_x(), self.get_y()
        self.set_font(_FONT, size=size)
        self.set_text_color(*ink)
        self.set_xy(left, top)
        with self.local_context(
            text_mode=TextMode.FILL_STROKE if bold else TextMode.FILL,
            line_width=size * 0.009,
            draw_color=ink,
        ):
            height = self.multi_cell(
                width,
                size * 0.49,
                self._known(text),
                align="R" if right else "L",
                new_x=XPos.LMARGIN,
                new_y=YPos.NEXT,
                wrapmode=WrapMode.CHAR if anywhere else WrapMode.WORD,
                dry_run=dry,
                output="HEIGHT",
            )
        assert isinstance(height, float | int)
        self.set_xy(*before)
        return top + float(height)

    def _measure(self, text: str, size: float, width: float) -> float:
        return self._write(text, _MARGIN, 0, size, width=width, dry=True)

    def _rule(self, top: float, ink: Ink = _LINE, width: float = 0.2) -> None:
        self.set_draw_color(*ink)
        self.set_line_width(width)
        self.line(_MARGIN, top, _MARGIN + _ACROSS, top)

    def _fill(self, box: tuple[float, float, float, float], ink: Ink) -> None:
        self.set_fill_color(*ink)
        self.rect(*box, style="F")

    def _picture(self, image: Image, left: float, top: float, width: float) -> float:
        """Draw a picture ``width`` wide; returns the y below it."""
        height = width * image.height / image.width
        self.image(io.BytesIO(image.data), left, top, width, height, alt_text=image.alt or None)
        return top + height

    def _heading(self, text: str, needed: float) -> None:
        """A heading with room for what follows it."""
        self._room(needed + 12)
        top = self.get_y() + 5
        self.set_y(self._write(text, _MARGIN, top, 10.5, bold=True) + 1.6)

    def _room(self, needed: float) -> None:
        if self.get_y() + needed > _BOTTOM:
            self.add_page()
            self.set_y(_MARGIN)

    def write_head(self) -> None:
        report, top = self.report, _MARGIN
        below = self._write(report.title, _MARGIN, top, 15, bold=True)
        self._write(report.made_words, _MARGIN, top + 2.6, 8, QUIET, right=True)
        self._rule(below + 1.5, INK, 0.5)
        self.set_y(self._write(report.research, _MARGIN, below + 3, 7.5, QUIET))

    def write_verdict(self) -> None:
        report, left, top = self.report, _MARGIN + 6, self.get_y() + 3
        lines = [(report.verdict, 16.0, report.ink), (report.verdict_class, 9.5, INK)]
        lines += [(f"·  {reason}", 9.5, INK) for reason in report.reasons]
        lines = [line for line in lines if line[0]]
        width = _ACROSS - 10
        height = sum(self._measure(text, size, width) + 0.8 for text, size, _ in lines) + 5
        tint = tuple(round(255 - (255 - part) * 0.07) for part in report.ink)
        self._fill((_MARGIN, top, _ACROSS, height), (tint[0], tint[1], tint[2]))
        self._fill((_MARGIN, top, 1.8, height), report.ink)
        below = top + 3
        for place, (text, size, ink) in enumerate(lines):
            below = self._write(text, left, below, size, ink, width=width, bold=not place) + 0.8
        self.set_y(top + height)

    def write_scan(self) -> None:
        report, top = self.report, self.get_y() + 5
        ratio = report.scan.height / report.scan.width
        width = min(60.0, 46.0 / ratio) if self.short else min(100.0, 72.0 / ratio)
        below = self._picture(report.scan, _MARGIN, top, width)
        left = _MARGIN + width + 6
        y = top
        for fact in report.facts:
            y = self._fact(fact, left, y, _MARGIN + _ACROSS - left) + (0.6 if self.short else 2)
        if self.short:
            y = self._write(report.headings[2], left, y + 1.4, 8.5, bold=True) + 0.6
            for fact in report.origin:
                y = self._origin_beside(fact, left, y)
        self.set_y(max(below, y - 2))

    def _origin_beside(self, fact: Fact, left: float, top: float) -> float:
        width, split = _MARGIN + _ACROSS - left, 34.0
        label = self._write(fact.label, left, top, 5.6, QUIET, width=split - 2)
        value = self._write(
            fact.value, left + split, top, 5.6, width=width - split, anywhere=fact.long
        )
        return max(label, value) + 0.5

    def _fact(self, fact: Fact, left: float, top: float, width: float) -> float:
        below = self._write(fact.label, left, top, 7, QUIET, width=width)
        size = 7.0 if fact.long else 9.0
        return self._write(fact.value, left, below + 0.4, size, width=width, anywhere=fact.long)

    def write_answers(self) -> None:
        report, gap = self.report, 3.5
        self._heading(report.headings[0], 40)
        width = (_ACROSS - 3 * gap) / 4
        for start in range(0, len(report.predictors), 4):
            line = report.predictors[start : start + 4]
            self._room(38)
            top = self.get_y()
            ends = [
                self._model(predictor, _MARGIN + place * (width + gap), top, width)
                for place, predictor in enumerate(line)
            ]
            self.set_y(max(ends) + gap)
        for words in report.grounds:
            self.set_y(self._write(words, _MARGIN, self.get_y(), 7.5, QUIET) + 0.6)

    def _model(self, predictor: Predictor, left: float, top: float, width: float) -> float:
        """A predictor's card; returns the y below it."""
        answered = self.report.answered
        ink, inner = INK if answered else _FAINT, width - 6
        self._fill((left, top, width, 1.1), _rgb(predictor.colour))
        y = self._write(predictor.title, left + 3, top + 2.8, 7.5, QUIET, width=inner)
        call = f"{predictor.call} {predictor.confidence:.1%}"
        y = self._write(call, left + 3, y + 0.6, 12, ink, width=inner, bold=True)
        y = self._write(predictor.call_title, left + 3, y + 0.4, 7, QUIET, width=inner) + 1.8
        for bar in predictor.bars:
            self._write(bar.label, left + 3, y, 6.8, ink)
            self._fill((left + 16, y + 0.5, width - 29, 2.3), (232, 234, 238))
            colour = _rgb(bar.colour) if answered else _FAINT
            if round(bar.share, 4):
                self._fill((left + 16, y + 0.5, (width - 29) * bar.share, 2.3), colour)
            self._write(f"{bar.share:.1%}", left, y, 6.8, ink, width=width - 3, right=True)
            y += 4.2
        self.set_draw_color(*_LINE)
        self.set_line_width(0.2)
        self.rect(left, top, width, y + 1.4 - top)
        return y + 1.4

    def write_maps(self) -> None:
        report = self.report
        if not report.groups:
            return
        self._heading(report.headings[1], 30)
        for key in report.keys:
            self._key(key)
        for group in report.groups:
            if self.short:
                self._line(group)
            else:
                self._group(group)

    def _line(self, group: MapGroup) -> None:
        """A model's few maps in one line: its title, then each map with its words at the right."""
        [cells], label, height = group.rows, 30.0, 18.0
        column = (_ACROSS - label) / 3
        self._room(height + 2)
        top = self.get_y() + 1
        self._fill((_MARGIN, top, 1.2, height), _rgb(group.colour))
        self._write(group.title, _MARGIN + 3, top, 7.5, width=label - 6)
        for place, cell in enumerate(cells):
            left = _MARGIN + label + place * column
            width = min(column * 0.6, height * cell.image.width / cell.image.height)
            self._picture(cell.image, left, top, width)
            beside = left + width + 1.6
            y = self._write(cell.title, beside, top, 7, width=column - width - 3.2)
            if cell.caption:
                self._write(cell.caption, beside, y, 6.5, QUIET, width=column - width - 3.2)
        self.set_y(top + height + 1)

    def _key(self, key: Key) -> None:
        top = self.get_y()
        self.image(io.BytesIO(key.image.data), _MARGIN, top + 0.4, 26, 2.6)
        self.set_y(max(self._write(key.words, _MARGIN + 29, top, 7, QUIET, width=153), top + 4))

    def _group(self, group: MapGroup) -> None:
        columns, gap = max([3, *map(len, group.rows)]), 3.0
        width = (_ACROSS - gap * (columns - 1)) / columns
        image = group.rows[0][0].image
        width = min(width, _HIGHEST * image.width / image.height)
        first = True
        for row in group.rows:
            needed = self._row(row, width, gap, dry=True)
            self._room(needed + (8 if first else 0))
            if first:
                top = self.get_y() + 2
                self._fill((_MARGIN, top, 1.2, 4.2), _rgb(group.colour))
                self.set_y(self._write(group.title, _MARGIN + 3, top, 8.5) + 1.4)
            self.set_y(self.get_y() + self._row(row, width, gap))
            first = False

    def _row(self, row: Sequence[Cell], width: float, gap: float, dry: bool = False) -> float:
        """Draw maps side by side; returns the height that they take. dry : only measure."""
        top, heights = self.get_y(), []
        for place, cell in enumerate(row):
            left = _MARGIN + place * (width + gap)
            y = top + width * cell.image.height / cell.image.width
            if not dry:
                self._picture(cell.image, left, top, width)
            y = self._write(cell.title, left, y + 0.8, 7, width=width, dry=dry)
            if cell.caption:
                y = self._write(cell.caption, left, y, 6.5, QUIET, width=width, dry=dry)
            heights.append(y - top)
        return max(heights) + 2.2

    def write_remarks(self) -> None:
        for remark in self.report.remarks:
            self._keep(partial(self._remark, remark))

    def write_origin(self) -> None:
        report = self.report
        self._heading(report.headings[2], 8 * len(report.origin))
        for fact in report.origin:
            self._keep(partial(self._origin, fact))

    def _keep(self, draw: Callable[[bool], float]) -> None:
        """Draw something on one page. draw : measures if told so; returns its height."""
        self._room(draw(True))
        self.set_y(self.get_y() + draw(False))

    def _remark(self, words: str, dry: bool) -> float:
        top = self.get_y()
        return self._write(words, _MARGIN, top + 0.8, 7.5, QUIET, dry=dry) - top

    def _origin(self, fact: Fact, dry: bool) -> float:
        top, split = self.get_y(), 52.0
        label = self._write(fact.label, _MARGIN, top, 7.5, QUIET, width=split - 3, dry=dry)
        value = self._write(
            fact.value,
            _MARGIN + split,
            top,
            7.5,
            width=_ACROSS - split,
            anywhere=fact.long,
            dry=dry,
        )
        return max(label, value) + 0.8 - top


def _is_short(report: ScanReport) -> bool:
    """Whether it is to be on one page: a few models, each with a line of at most three maps."""
    few = all(len(group.rows) == 1 and len(group.rows[0]) <= 3 for group in report.groups)
    return few and 0 < len(report.groups) <= 3


def _rgb(colour: str) -> Ink:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return red, green, blue
