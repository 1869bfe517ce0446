"""What the viewer shows of one scan, to take along: the figure's rows, and a report as HTML and
PDF.
"""

from __future__ import annotations

from collections.abc import Sequence

from oct_core.figures.colours import model_colour
from oct_core.figures.final_figure import FigureRow
from pages.ui.viewer.controls import Choices, method_titles
from pages.ui.viewer.reading import Reading


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
