"""The maps of each model as a grid: Grad-CAM at five depths, guided Grad-CAM below it, the scan and
guided backpropagation at the left.
"""

from __future__ import annotations

import html
from contextlib import suppress

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from oct_core.errors import ReportError
from oct_core.figures.overlay import COLORMAPS, NEGATIVE, POSITIVE
from oct_core.figures.pictures import draw_map, format_maximum, maximum_of, shrink
from oct_core.types import Explanation, RunCard, Scan
from oct_core.words import message, say
from pages.ui.app.services import report
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.pictures import data_uri, figure, grid
from pages.ui.viewer.controls import Choices
from pages.ui.viewer.reading import Reading

GUIDED_WARNING = message(
    "Guided maps look sharp but follow edges more than the decision: they are known to fail the "
    "test of random weights (Adebayo et al. 2018). Read them together with Grad-CAM."
)
GUIDED = ("guided_backprop", "guided_gradcam")


def _caption(explanation: Explanation) -> str:
    if not explanation.evidence:
        return say("no evidence for {target}", target=explanation.target)
    return say("maximum {maximum}", maximum=format_maximum(maximum_of(explanation)))


def map_figure(
    scan: Scan, reading: Reading, explanation: Explanation, choices: Choices, title: str
) -> str:
    """The HTML of one map with its caption: layer, maximum, or that there is no evidence."""
    picture = draw_map(
        scan.pixels,
        explanation,
        choices.opacity,
        choices.colormap,
        reading.scale_of(explanation, choices.one_scale),
    )
    caption = _caption(explanation)
    alt = say(
        "{title} at {layer}, {model}, target {target}, {caption}",
        title=title,
        layer=explanation.layer,
        model=reading.title,
        target=explanation.target,
        caption=caption,
    )
    heading = f"<b>{html.escape(title)}</b> · {html.escape(explanation.layer)}"
    return figure(data_uri(picture), alt, f"{heading}<br><span>{html.escape(caption)}</span>")


def _blank() -> str:
    return "<figure></figure>"


def grid_of(
    scan: Scan,
    reading: Reading,
    choices: Choices,
    titles: dict[str, str],
    reference: NDArray[np.uint8],
) -> str:
    """The HTML of one model's maps. reference : the scan as shown at the left, uint8 (h, w) or (h,
    w, 3).
    """
    name, state = html.escape(say("Scan")), html.escape(say("as read"))
    label = f"<b>{name}</b><br><span>{state}</span>"
    cells = [figure(data_uri(shrink(reference, 320)), say("The scan as the models get it"), label)]
    columns = len(reading.layers) + 1

    def row(method: str) -> list[str]:
        if method not in choices.methods:
            return []
        title = titles.get(method, method)
        return [
            map_figure(scan, reading, each, choices, title)
            for each in reading.trio
            if each.method == method
        ]

    first, guided, second = row("gradcam"), row("guided_backprop"), row("guided_gradcam")
    cells += first
    if guided or second:
        cells += (
            [_blank()] * (-len(cells) % columns if first else 0) + (guided or [_blank()]) + second
        )
    cells += [_blank()] * (-len(cells) % columns if reading.extra and first else 0)
    cells += [
        map_figure(scan, reading, each, choices, titles.get(each.method, each.method))
        for each in reading.extra
    ]
    return grid(cells, columns)


def colour_key(choices: Choices) -> str:
    """The HTML of what the colours say, of maps that are not signed and of those that are."""
    from oct_core.explanations import METHODS

    kinds = {METHODS.get(method).signed for method in choices.methods}
    table = COLORMAPS.get(choices.colormap)
    unsigned = ", ".join(
        f"rgb({r},{g},{b})" for r, g, b in table[:: (len(table) - 1) // 5].tolist()
    )
    signed = f"rgb{NEGATIVE}, #000, rgb{POSITIVE}"
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


def draw_model(
    scan: Scan,
    reading: Reading,
    choices: Choices,
    titles: dict[str, str],
    reference: NDArray[np.uint8],
) -> None:
    """One model's heading and grid, and beside guided maps how they do with random weights."""
    st.subheader(
        say(
            "{model} · maps for {target}",
            model=escape_markdown(reading.title),
            target=reading.target,
        ),
        anchor=False,
    )
    st.html(grid_of(scan, reading, choices, titles, reference))
    if any(method in choices.methods and reading.of(method) for method in GUIDED):
        st.caption(say(GUIDED_WARNING))
        for method in GUIDED:
            for explanation in reading.of(method)[-1:]:
                if words := report_verdict(reading.card, explanation):
                    st.caption(
                        say(
                            "Measured on this model: {title}, {layer}: {words}",
                            title=titles[method],
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
