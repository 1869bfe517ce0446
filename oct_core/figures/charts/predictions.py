"""Bars: the class probabilities of one scan, and how many scans a data set has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import plotly.graph_objects as go

from oct_core.figures.charts.style import describe, finish, plain, say_empty
from oct_core.figures.colours import class_colour
from oct_core.words import message, say

SPLIT_TITLES = {
    "train": message("Training"),
    "val": message("Validation"),
    "test": message("Test"),
}
UNITS = {"images": message("Number of scans"), "patients": message("Number of patients")}
_HOVER = {"images": message("%{x}: %{y} scans"), "patients": message("%{x}: %{y} patients")}


def _number(cell: Any, unit: str) -> int:
    return int(cell[unit] if isinstance(cell, Mapping) else cell)


def class_distribution(
    counts: Mapping[str, Mapping[str, Any]],
    unit: Literal["images", "patients"] = "images",
    title: str | None = None,
) -> go.Figure:
    """How many scans (or patients) each split has of each class.

    counts : split -> class -> a number, or {"images": n, "patients": m} as in the run card. unit :
    which of the two.
    """
    figure, lines = go.Figure(), []
    splits = [say(SPLIT_TITLES.get(split, split)) for split in counts]
    for name in dict.fromkeys(name for row in counts.values() for name in row):
        values = [_number(row.get(name, {unit: 0}), unit) for row in counts.values()]
        figure.add_trace(
            go.Bar(
                x=splits,
                y=values,
                name=plain(name),
                marker={"color": class_colour(name)},
                text=values,
                textposition="outside",
                cliponaxis=False,
                hovertemplate=f"{say(_HOVER[unit])}<extra>{plain(name)}</extra>",
            )
        )
        cells = [f"{split} {value}" for split, value in zip(splits, values, strict=True)]
        lines.append(f"{name}: {', '.join(cells)}")
    if not lines:
        say_empty(figure, say("No counts"))
    figure.update_layout(barmode="group")
    title = say("Scans by class and split") if title is None else title
    alt = describe(title, lines or [say("No counts")])
    return finish(figure, title, say("Split"), say(UNITS[unit]), alt)
