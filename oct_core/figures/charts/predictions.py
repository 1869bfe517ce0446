"""Bars: the class probabilities of one scan, and how many scans a data set has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import plotly.graph_objects as go

from oct_core.errors import MetricError
from oct_core.figures.charts.style import class_colour, finish, run_colours, say_empty
from oct_core.types import Prediction
from oct_core.words import say

SPLIT_TITLES = {"train": "Training", "val": "Validation", "test": "Test"}


def probability_bars(
    predictions: Sequence[Prediction], title: str = "Class probabilities"
) -> go.Figure:
    """The probabilities of one scan by class, one bar a run. Raises MetricError for a run given
    twice.

    The bars lie, so that class names fit in narrow places.
    """
    runs = [prediction.run for prediction in predictions]
    if len(set(runs)) != len(runs):
        raise MetricError(
            "expected one prediction a run, got {runs}; draw one scan at a time",
            runs=", ".join(runs),
        )
    figure, colours = go.Figure(), run_colours(runs)
    for prediction in predictions:
        values = prediction.probabilities
        figure.add_trace(
            go.Bar(
                x=values,
                y=list(prediction.classes),
                orientation="h",
                name=prediction.run,
                marker={"color": colours[prediction.run]},
                text=[f"{value:.0%}" for value in values],
                textposition="outside",
                cliponaxis=False,
                hovertemplate="%{y}: %{x:.4f}<extra>" + prediction.run + "</extra>",
            )
        )
    if not predictions:
        say_empty(figure, say("No prediction"))
    figure.update_xaxes(
        range=[0, 1.45], tickformat=".0%", tickvals=[0, 1]
    )  # room for "100%" beside a full bar
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(barmode="group", bargap=0.25)
    said = "; ".join(f"{p.run}: {_shares(p)}" for p in predictions)
    return finish(figure, title, "Probability", "Class", f"{title}. {said or 'No prediction'}.")


def _number(cell: Any, unit: str) -> int:
    return int(cell[unit] if isinstance(cell, Mapping) else cell)


def _shares(prediction: Prediction) -> str:
    pairs = zip(prediction.classes, prediction.probabilities, strict=True)
    return ", ".join(f"{name} {share:.1%}" for name, share in pairs)


def class_distribution(
    counts: Mapping[str, Mapping[str, Any]],
    unit: Literal["images", "patients"] = "images",
    title: str = "Scans by class and split",
) -> go.Figure:
    """How many scans (or patients) each split has of each class.

    counts : split -> class -> a number, or {"images": n, "patients": m} as in the run card. unit :
    which of the two.
    """
    figure, said = go.Figure(), []
    splits = [SPLIT_TITLES.get(split, split) for split in counts]
    for name in dict.fromkeys(name for row in counts.values() for name in row):
        values = [_number(row.get(name, {unit: 0}), unit) for row in counts.values()]
        figure.add_trace(
            go.Bar(
                x=splits,
                y=values,
                name=name,
                marker={"color": class_colour(name)},
                text=values,
                textposition="outside",
                cliponaxis=False,
                hovertemplate="%{x}, " + name + ": %{y} " + unit + "<extra></extra>",
            )
        )
        said.append(
            f"{name}: "
            + ", ".join(f"{split} {value}" for split, value in zip(splits, values, strict=True))
        )
    if not said:
        say_empty(figure, say("No counts"))
    figure.update_layout(barmode="group")
    return finish(
        figure,
        title,
        "Split",
        say("Number of {unit}", unit=unit),
        f"{title}, {unit}. {'; '.join(said) or 'No counts'}.",
    )
