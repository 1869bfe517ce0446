"""Confusion matrix, sensitivity and specificity, reliability, and accuracy under corruption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from oct_core.errors import MetricError
from oct_core.figures.charts.style import describe, finish, plain, say_empty
from oct_core.figures.colours import INK, NEUTRAL
from oct_core.metrics.calibration import Reliability
from oct_core.metrics.intervals import Interval, interval_text
from oct_core.metrics.summary import Evaluation
from oct_core.types import CLASSES, FloatArray, IntArray
from oct_core.words import say, say_count

# Light enough for dark numbers on all of it.
_BLUES = [[0.0, "#EAF2FB"], [0.5, "#8FC1E3"], [1.0, "#3C8DC5"]]


def confusion_matrix(
    confusion: ArrayLike,
    classes: Sequence[str] = CLASSES,
    title: str | None = None,
    per_cent: bool = False,
    cell: tuple[str, str] | None = None,
) -> go.Figure:
    """Counts (or per cent of each true class, empty where a class has no scan), truth down,
    prediction across. Its second trace has a point for each cell, so that cells can be clicked: x
    is the predicted class, y the true one.

    confusion : (K, K), rows are the truth. cell : (true, predicted), gets a frame. Raises
    MetricError for another shape.
    """
    counts = np.asarray(confusion)
    if counts.shape != (len(classes), len(classes)):
        raise MetricError(
            "expected a confusion matrix of shape ({size}, {size}), got {shape}; pass its classes",
            size=len(classes),
            shape=counts.shape,
        )
    counts = counts.astype(np.int64)
    rows = counts.sum(axis=1, keepdims=True)
    share = np.divide(100.0 * counts, rows, out=np.full(counts.shape, np.nan), where=rows > 0)
    text = (
        [["" if np.isnan(part) else f"{part:.1f}%" for part in row] for row in share]
        if per_cent
        else counts.astype(str)
    )
    names = list(classes)
    heat = go.Heatmap(
        z=share,
        x=names,
        y=names,
        text=text,
        texttemplate="%{text}",
        textfont={"size": 16, "color": INK},
        colorscale=_BLUES,
        zmin=0,
        zmax=100,
        xgap=2,
        ygap=2,
        showscale=False,
        hoverinfo="skip",
    )
    figure = go.Figure([heat, _cells(counts, share, names)])
    axis = {"type": "category", "constrain": "domain", "showgrid": False, "tickfont": {"size": 11}}
    figure.update_xaxes(**axis, tickangle=0)
    figure.update_yaxes(**axis, tickangle=-90, autorange="reversed", scaleanchor="x")
    if cell is not None:
        down, across = (names.index(name) for name in cell)
        figure.add_shape(
            type="rect",
            x0=across - 0.5,
            x1=across + 0.5,
            y0=down - 0.5,
            y1=down + 0.5,
            line={"color": "#D55E00", "width": 3},
        )
    right, total = int(np.trace(counts)), int(counts.sum())
    each = "; ".join(
        say("{name} {right} of {total}", name=name, right=int(counts[k, k]), total=int(rows[k, 0]))
        for k, name in enumerate(names)
    )
    title = say("Confusion matrix") if title is None else title
    alt = say(
        "{title}: {right} of {total} scans correct. By true class: {each}.",
        title=title,
        right=right,
        total=total,
        each=each,
    )
    return finish(figure, title, say("Predicted class"), say("True class"), alt)


def _cells(counts: IntArray, share: FloatArray, names: Sequence[str]) -> go.Scatter:
    """An invisible point on each cell: a heat map cannot be clicked."""
    places = [(down, across) for down in range(len(names)) for across in range(len(names))]
    hover = [
        say(
            "True class {true}, predicted {predicted}: {scans}",
            true=names[down],
            predicted=names[across],
            scans=say_count("{count} scan", "{count} scans", int(counts[down, across])),
        )
        + ("" if np.isnan(share[down, across]) else f" ({share[down, across]:.1f}%)")
        for down, across in places
    ]
    invisible = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=[names[across] for _, across in places],
        y=[names[down] for down, _ in places],
        mode="markers",
        marker={"symbol": "square", "size": 40, "opacity": 0},
        selected=invisible,
        unselected=invisible,
        showlegend=False,
        name="",
        text=[plain(words) for words in hover],
        hovertemplate="%{text}<extra></extra>",
    )


def _points(run: str, evaluation: Evaluation, metric: str, colour: str) -> go.Scatter:
    table: dict[str, Interval] = evaluation.intervals(metric)
    value = np.array([cell.value for cell in table.values()])
    low, high = (
        np.array([getattr(cell, end) for cell in table.values()]) for end in ("low", "high")
    )
    errors = {
        "type": "data",
        "array": np.nan_to_num(high - value),
        "arrayminus": np.nan_to_num(value - low),
        "thickness": 1.5,
    }
    hover = [plain(f"{run}, {name}: {evaluation.describe(metric, name)}") for name in table]
    return go.Scatter(
        x=list(table),
        y=value,
        error_y=errors,
        name=plain(run),
        legendgroup=run,
        offsetgroup=run,
        mode="markers",
        showlegend=metric == "sensitivity",
        marker={"color": colour, "size": 11},
        text=hover,
        hovertemplate="%{text}<extra></extra>",
    )


def _short(evaluation: Evaluation, metric: str, name: str) -> str:
    value = evaluation.intervals(metric)[name].value
    return evaluation.describe(metric, name) if np.isnan(value) else f"{value:.2f}"


def sensitivity_specificity(
    evaluations: Mapping[str, Evaluation],
    colours: Mapping[str, str],
    title: str | None = None,
) -> go.Figure:
    """Sensitivity (left) and specificity (right) of each class and run, with 95% intervals by
    patient. colours : run -> its colour.
    """
    figure = make_subplots(
        rows=1,
        cols=2,
        shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=(say("Sensitivity"), say("Specificity")),
    )
    lines = []
    for run, evaluation in evaluations.items():
        for column, metric in enumerate(("sensitivity", "specificity"), start=1):
            trace = _points(run, evaluation, metric, colours[run])
            figure.add_trace(trace, row=1, col=column)
        pairs = [
            say(
                "{name} {sensitivity} and {specificity}",
                name=name,
                sensitivity=_short(evaluation, "sensitivity", name),
                specificity=_short(evaluation, "specificity", name),
            )
            for name in evaluation.classes
        ]
        lines.append(f"{run}: {', '.join(pairs)}")
    if not evaluations:
        say_empty(figure, say("No evaluated run"))
    figure.update_layout(scattermode="group", scattergap=0.5)
    title = say("Sensitivity and specificity by class") if title is None else title
    heading = say("{title} (sensitivity first, then specificity)", title=title)
    finish(figure, title, say("Class"), "", describe(heading, lines or [say("No evaluated run")]))
    figure.update_yaxes(title_text=say("Share of scans (95% interval)"), row=1, col=1)
    figure.update_layout(margin={"t": 80})  # room for the two headings under the title
    return figure


def reliability_diagram(
    by_run: Mapping[str, Reliability], colours: Mapping[str, str], title: str | None = None
) -> go.Figure:
    """Accuracy against confidence in bins with 95% intervals, one colour a run; on the diagonal a
    confidence of 0.8 is right eight times in ten. The more scans, the larger the point.

    colours : run -> its colour.
    """
    figure = go.Figure()
    for run, points in by_run.items():
        figure.add_trace(
            go.Scatter(
                x=points.confidence,
                y=points.accuracy,
                error_y={
                    "type": "data",
                    "array": np.nan_to_num(points.high - points.accuracy),
                    "arrayminus": np.nan_to_num(points.accuracy - points.low),
                    "thickness": 1,
                },
                customdata=points.count,
                name=plain(run),
                mode="markers",
                opacity=0.75,
                marker={
                    "color": colours[run],
                    "size": 6 + 16 * np.sqrt(points.count / max(1, points.count.sum())),
                },
                hovertemplate=say("confidence %{x:.2f}, accuracy %{y:.2f}, %{customdata} scans")
                + f"<extra>{plain(run)}</extra>",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            name=say("ideal"),
            line={"color": NEUTRAL, "dash": "dot", "width": 1},
            hoverinfo="skip",
        )
    )
    figure.update_xaxes(range=[0, 1.05])
    figure.update_yaxes(range=[-0.02, 1.07])
    lines = [
        f"{run}: {say_count('{count} scan', '{count} scans', int(points.count.sum()))}"
        for run, points in by_run.items()
    ]
    title = say("Reliability of the confidence") if title is None else title
    alt = describe(title, lines or [say("No run")])
    return finish(figure, title, say("Mean confidence"), say("Accuracy"), alt)


def corruption_lines(
    by_run: Mapping[str, Mapping[str, Sequence[Interval]]],
    colours: Mapping[str, str],
    title: str | None = None,
) -> go.Figure:
    """Accuracy by corruption and grade, one line a run in each corruption, from the clean scans
    (grade 0, open) on, with 95% intervals.

    by_run : run -> corruption in words -> accuracy at grade 0, 1, 2 ..., all as long. colours : run
    -> its colour.
    """
    figure = go.Figure()
    corruptions = list(next(iter(by_run.values()), {}))
    ticks: list[float] = []
    for number, (run, table) in enumerate(by_run.items()):
        shift = 0.14 * (number - (len(by_run) - 1) / 2)
        for place, (name, cells) in enumerate(table.items()):
            start = place * (len(cells) + 0.6)
            if not number:
                ticks.append(start + (len(cells) - 1) / 2)
            figure.add_trace(_grades(run, name, cells, colours[run], start + shift))
            figure.data[-1].showlegend = place == 0
    if not by_run:
        say_empty(figure, say("No run"))
    figure.update_xaxes(tickvals=ticks, ticktext=[plain(name) for name in corruptions])
    figure.update_xaxes(showgrid=False, zeroline=False)
    lines = [
        say(
            "{run}: clean {clean:.3f}, at the highest grade {worst}",
            run=run,
            clean=next(iter(table.values()))[0].value,
            worst=", ".join(f"{name} {cells[-1].value:.3f}" for name, cells in table.items()),
        )
        for run, table in by_run.items()
        if table
    ]
    title = say("Accuracy under corruption") if title is None else title
    alt = describe(title, lines or [say("No run")])
    return finish(
        figure, title, say("Corruption, from clean to the highest grade"), say("Accuracy"), alt
    )


def _grades(
    run: str, name: str, cells: Sequence[Interval], colour: str, start: float
) -> go.Scatter:
    value = np.array([cell.value for cell in cells])
    low, high = (np.array([getattr(cell, end) for cell in cells]) for end in ("low", "high"))
    hover = [
        plain(
            say(
                "{run}, {name}, grade {grade}: {figure}",
                run=run,
                name=name,
                grade=grade,
                figure=interval_text(cell),
            )
        )
        for grade, cell in enumerate(cells)
    ]
    return go.Scatter(
        x=start + np.arange(len(cells)),
        y=value,
        error_y={
            "type": "data",
            "array": np.nan_to_num(high - value),
            "arrayminus": np.nan_to_num(value - low),
            "thickness": 1,
            "width": 0,
        },
        name=plain(run),
        legendgroup=run,
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={
            "color": colour,
            "size": 7,
            "symbol": ["circle-open", *["circle"] * (len(cells) - 1)],
        },
        text=hover,
        hovertemplate="%{text}<extra></extra>",
    )
