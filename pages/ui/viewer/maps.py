"""The maps: the deepest of each model beside its answer, and one grid of layers, shallow to deep:
of all models for one method, or of one model for all methods.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from contextlib import suppress

import streamlit as st

from oct_core.errors import ReportError
from oct_core.figures.colours import model_colour
from oct_core.figures.overlay import COLORMAPS, MIDDLE, NEGATIVE, POSITIVE
from oct_core.figures.pictures import GUIDED_WARNING, caption_of, draw_map, explain_empty
from oct_core.types import Explanation, RunCard, Scan
from oct_core.words import say
from pages.ui.app.services import report
from pages.ui.app.session import keep_choice
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.pictures import draw_figure
from pages.ui.viewer.controls import Choices
from pages.ui.viewer.reading import Reading

GUIDED = ("guided_backprop", "guided_gradcam")
ALL = "all"
"""The choice of all models, one method."""
SIDE = 480
"""Longer side of a map on the page, in pixels: the light table makes it larger."""


def map_figure(
    scan: Scan,
    reading: Reading,
    explanation: Explanation,
    choices: Choices,
    title: str,
    place: tuple[int, int] = (0, 0),
) -> str:
    """The HTML of one map with its caption: method and layer, that it is zero everywhere, its
    maximum where asked for, and its class where that is not the model's answer. place : (row,
    column) in its grid.
    """
    picture = draw_map(
        scan.pixels,
        explanation,
        choices.opacity,
        choices.colormap,
        reading.scale_of(explanation, choices.one_scale),
        SIDE,
    )
    words = [
        say(
            "{title} at {layer}, {model}, target {target}",
            title=title,
            layer=explanation.layer,
            model=reading.title,
            target=explanation.target,
        )
    ]
    caption = f"<b>{html.escape(title)}</b> · {html.escape(explanation.layer)}"
    foreign = reading.target != reading.prediction.predicted
    if foreign or choices.scale or not explanation.evidence:
        more = caption_of(explanation, choices.scale)
        if choices.scale or not explanation.evidence:
            words.append(explain_empty(explanation) or more)
        caption += f"<br><span>{html.escape(more)}</span>"
    alt = ", ".join(words)
    row, column = place
    zoom = {
        "key": f"{reading.card.name}|{explanation.key}",
        "row": str(row),
        "column": str(column),
        "caption": alt,
    }
    return draw_figure(picture, alt, caption, zoom)


def deepest_map(
    scan: Scan, reading: Reading, choices: Choices, titles: dict[str, str], row: int
) -> str:
    """The HTML of a model's deepest map of the first method chosen; "" if it has none."""
    for method in choices.methods:
        if maps := reading.of(method):
            return map_figure(scan, reading, maps[-1], choices, titles[method], (row, 0))
    return ""


def layers(
    scan: Scan, readings: Sequence[Reading], choices: Choices, titles: dict[str, str]
) -> None:
    """The pickers and the grid they choose."""
    methods = [method for method in choices.methods if any(one.of(method) for one in readings)]
    if not methods:
        return
    by_name = {reading.card.name: reading for reading in readings}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        shown = ALL
        if len(by_name) > 1:
            shown = keep_choice(
                "shown_model",
                ALL,
                st.segmented_control,
                say("Layers of"),
                [ALL, *by_name],
                format_func=lambda name: say("All models") if name == ALL else by_name[name].title,
            )
        method = methods[0]
        if shown == ALL and len(methods) > 1:
            method = keep_choice(
                "shown_method",
                methods[0],
                st.segmented_control,
                say("Method"),
                methods,
                format_func=titles.get,
            )
    if shown != ALL and not any(by_name[shown].of(one) for one in methods):
        st.info(
            say("None of the methods chosen has a map of this model."),
            icon=":material/filter_alt_off:",
        )
        return
    if shown == ALL:
        rows = [(reading, titles[method], reading.of(method)) for reading in readings]
    else:
        rows = [(by_name[shown], titles[one], by_name[shown].of(one)) for one in methods]
    st.html(_grid(scan, rows, choices, titles))
    _say_of_guided(
        [reading for reading, _, _ in rows], [method] if shown == ALL else methods, titles
    )


def _grid(
    scan: Scan,
    rows: Sequence[tuple[Reading, str, list[Explanation]]],
    choices: Choices,
    titles: dict[str, str],
) -> str:
    """The HTML of rows of maps, deepest at the right; where every row has one map, they stand
    beside each other.
    """
    rows = [row for row in rows if row[2]]
    most = max(len(maps) for _, _, maps in rows)
    if most == 1:
        cells = [
            _label(reading, title)
            + map_figure(scan, reading, maps[0], choices, titles[maps[0].method], (column, 0))
            for column, (reading, title, maps) in enumerate(rows)
        ]
        columns = f"repeat({len(cells)}, minmax(9rem, 1fr))"
        inside = "".join(f"<div>{cell}</div>" for cell in cells)
    else:
        columns = f"minmax(5.5rem, 7rem) repeat({most}, minmax(8.5rem, 1fr))"
        inside = ""
        for row, (reading, title, maps) in enumerate(rows):
            start = most - len(maps)
            inside += _label(reading, title) + "<div></div>" * start
            inside += "".join(
                map_figure(scan, reading, each, choices, titles[each.method], (row, column))
                for column, each in enumerate(maps, start)
            )
    return (
        f'<div class="oct-scroll"><div class="oct-maps oct-layers" data-group="layers" '
        f'style="grid-template-columns: {columns}">{inside}</div></div>'
    )


def _label(reading: Reading, title: str) -> str:
    return (
        f'<p class="oct-row" style="--own:{model_colour(reading.card.architecture)}">'
        f"<b>{html.escape(reading.title)}</b>"
        f"<span>{html.escape(title)}</span><span>{html.escape(reading.target)}</span></p>"
    )


def colour_key(choices: Choices) -> str:
    """The HTML of what the colours say, of maps that are not signed and of those that are."""
    from oct_core.explanations import METHODS

    kinds = {METHODS.get(method).signed for method in choices.methods}
    table = COLORMAPS.get(choices.colormap)
    unsigned = ", ".join(
        f"rgb({r},{g},{b})" for r, g, b in table[:: (len(table) - 1) // 5].tolist()
    )
    signed = f"rgb{NEGATIVE}, rgb{MIDDLE}, rgb{POSITIVE}"
    highest = say("largest in this model") if choices.one_scale else say("its maximum")
    keys = []
    if False in kinds:
        keys.append((say("CAM: 0"), unsigned, highest))
    if True in kinds:
        keys.append((say("Signed: against the class"), signed, say("for the class")))
    bars = "".join(
        f"<span>{html.escape(low)} "
        f'<i style="background:linear-gradient(to right, {stops})"></i> {html.escape(high)}</span>'
        for low, stops, high in keys
    )
    label = html.escape(say("Colours of the maps"), quote=True)
    return f'<div class="oct-key" role="img" aria-label="{label}">{bars}</div>'


def _say_of_guided(
    readings: Sequence[Reading], methods: Sequence[str], titles: dict[str, str]
) -> None:
    """Beside guided maps, once: how they do with random weights, and how these did."""
    guided = [method for method in GUIDED if method in methods]
    if not guided:
        return
    with st.expander(say("How far to trust guided maps")):
        st.markdown(say(GUIDED_WARNING))
        for reading in {reading.card.name: reading for reading in readings}.values():
            for explanation in (reading.of(method)[-1] for method in guided if reading.of(method)):
                if words := report_verdict(reading.card, explanation):
                    st.markdown(
                        say(
                            "- Measured on {model}: {title}, {layer}: {words}",
                            model=escape_markdown(reading.title),
                            title=titles[explanation.method],
                            layer=escape_markdown(explanation.layer),
                            words=escape_markdown(words),
                        )
                    )


def report_verdict(card: RunCard, explanation: Explanation) -> str:
    """What the report says of this map with random weights, over many scans; "" if it was not
    measured with these weights.
    """
    with suppress(ReportError):  # the page Explanations says what is wrong with the report
        whole = report()
        if whole is not None:
            return whole.verdict_of(
                card.name, card.weights_sha256, explanation.method, explanation.layer
            )
    return ""
