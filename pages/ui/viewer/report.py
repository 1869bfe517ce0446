"""What the viewer shows of one scan, to take along: the figure's rows, and a report as HTML and
PDF.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import streamlit as st

from oct_core.figures.colours import model_colour
from oct_core.figures.final_figure import FigureRow
from oct_core.types import Judgement, Scan
from oct_core.words import keep_language, say
from pages.ui.app.session import Item
from pages.ui.viewer.controls import Choices, method_titles
from pages.ui.viewer.reading import Reading

if TYPE_CHECKING:
    from oct_core.scan_report.content import ScanReport


def figure_rows(readings: Sequence[Reading], choices: Choices) -> list[FigureRow]:
    """Each model with those of its maps that are chosen."""
    titles = method_titles([reading.card for reading in readings])
    rows = []
    for reading in readings:
        maps = [each for each in reading.maps if each.method in choices.methods]
        rows.append(
            FigureRow(
                reading.card,
                reading.title,
                model_colour(reading.card.architecture),
                reading.prediction,
                reading.target,
                maps,
                [reading.scale_of(each, choices.one_scale) for each in maps],
                titles,
            )
        )
    return rows


def report_downloads(
    item: Item, scan: Scan, lead: Judgement, readings: Sequence[Reading], choices: Choices
) -> None:
    """Two buttons for the report of the scan shown, as HTML and as PDF, made when they are clicked;
    the file's name is in it only where its box is ticked, which is there unless names are hidden.

    lead : the judgement that the page leads with.
    """
    place = st.container(horizontal=True, vertical_alignment="center")
    buttons = [place.container(width="content") for _ in range(2)]
    name = None
    if not choices.hide_names and place.checkbox(
        say("File name in the report"),
        key=f"report_name_{item.id}",
        help=say("File names may carry patient names."),
    ):
        name = item.scan.name

    def content() -> ScanReport:
        from oct_core.scan_report.content import ReportChoices, make_report

        made = datetime.now().astimezone()
        options = ReportChoices(made, name, choices.opacity, choices.colormap, choices.one_scale)
        return make_report(scan, figure_rows(readings, choices), lead, options)

    def html() -> bytes:
        from oct_core.scan_report.html_page import html_page

        return html_page(content()).encode("utf-8")

    def pdf() -> bytes:
        from oct_core.scan_report.pdf_page import pdf_page

        return pdf_page(content())

    for button, label, make, suffix, kind in (
        (buttons[0], say("Report (HTML)"), html, "html", "text/html"),
        (buttons[1], say("Report (PDF)"), pdf, "pdf", "application/pdf"),
    ):
        button.download_button(
            label,
            keep_language(make),
            f"oct_report.{suffix}",
            kind,
            key=f"report_{suffix}",
            icon=":material/lab_profile:",
            on_click="ignore",
        )
