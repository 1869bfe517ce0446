"""The maps of each model as a grid: Grad-CAM at five depths, guided Grad-CAM below it, the scan and
guided backpropagation at the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from oct_core.errors import ReportError
from oct_core.figures.overlay import COLORMAPS, NEGATIVE, POSITIVE
from oct_core.types import Explanation, RunCard, Scan
from oct_core.words import message, say
from pages.ui.app.services import report, title_of
from pages.ui.viewer.controls import Choices
from pages.ui.viewer.pictures import data_uri, drawn, figure, grid, maximum_of, number, shrunk

GUIDED_WARNING = message(
    "Guided maps look sharp but follow edges more than the decision: they are known to fail the "
    "test of random weights "
    "(Adebayo et al. 2018). Read them together with Grad-CAM."
)
GUIDED = ("guided_backprop", "guided_gradcam")


@dataclass(frozen=True, eq=False)
class ModelMaps:
    """The maps of one model for one scan. target : the class explained. extra : one map a further
    method.
    """

    card: RunCard
    target: str
    trio: list[Explanation]
    extra: list[Explanation]

    def of(self, method: str) -> list[Explanation]:
        """The trio's maps of one method, shallow to deep."""
        return [each for each in self.trio if each.method == method]

    @property
    def layers(self) -> list[str]:
        """Layer names, shallow to deep."""
        return [each.layer for each in self.of("gradcam")]


def scale_of(explanation: Explanation, group: Sequence[Explanation], choices: Choices) -> float:
    """The value that gets the last colour: the map's own maximum, or one for all maps of its method
    in this model.
    """
    return max(map(maximum_of, group)) if choices.one_scale and group else maximum_of(explanation)


def map_figure(
    scan: Scan, maps: ModelMaps, explanation: Explanation, choices: Choices, title: str
) -> str:
    """One map with its caption: layer, maximum, or that there is no evidence."""
    group = [each for each in (*maps.trio, *maps.extra) if each.method == explanation.method]
    picture = drawn(
        scan.pixels,
        explanation,
        choices.opacity,
        choices.colormap,
        scale_of(explanation, group, choices),
    )
    said = (
        f"max {number(maximum_of(explanation))}"
        if explanation.evidence
        else say("no evidence for {target}", target=explanation.target)
    )
    alt = say(
        "{title} at {layer}, {model}, target {target}, {said}",
        title=title,
        layer=explanation.layer,
        model=title_of(maps.card),
        target=explanation.target,
        said=said,
    )
    return figure(
        data_uri(picture), alt, f"<b>{title}</b> · {explanation.layer}<br><span>{said}</span>"
    )


def _blank() -> str:
    return "<figure></figure>"


def grid_of(
    scan: Scan,
    maps: ModelMaps,
    choices: Choices,
    titles: dict[str, str],
    reference: NDArray[np.uint8],
) -> str:
    """The HTML of one model's maps. reference : the scan as shown at the left, uint8 (h, w) or (h,
    w, 3).
    """
    layers = maps.layers
    cells = [
        figure(
            data_uri(shrunk(reference, 320)),
            say("The scan as the models get it"),
            "<b>Scan</b><br><span>as read</span>",
        )
    ]
    columns = len(layers) + 1

    def row(method: str) -> list[str]:
        return [
            map_figure(scan, maps, each, choices, titles.get(method, method))
            for each in maps.of(method)
        ]

    first = row("gradcam") if "gradcam" in choices.methods else []
    guided = row("guided_backprop") if "guided_backprop" in choices.methods else []
    second = row("guided_gradcam") if "guided_gradcam" in choices.methods else []
    cells += first
    if guided or second:
        cells += (
            [_blank()] * (-len(cells) % columns if first else 0) + (guided or [_blank()]) + second
        )
    cells += [_blank()] * (-len(cells) % columns if maps.extra and first else 0)
    cells += [
        map_figure(scan, maps, each, choices, titles.get(each.method, each.method))
        for each in maps.extra
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
    signed = say("rgb{negative}, #000, rgb{positive}", negative=NEGATIVE, positive=POSITIVE)
    highest = say("largest in this model") if choices.one_scale else say("its maximum")
    keys = []
    if False in kinds:
        keys.append(("CAM: 0", unsigned, highest))
    if True in kinds:
        keys.append((say("Signed: against the class"), signed, say("for the class")))
    bars = "".join(
        f'<span>{low} <i style="background:linear-gradient(to right, {stops})"></i> {high}</span>'
        for low, stops, high in keys
    )
    return f'<div class="oct-key" role="img" aria-label="Colours of the maps">{bars}</div>'


def show_model(
    scan: Scan,
    maps: ModelMaps,
    choices: Choices,
    titles: dict[str, str],
    reference: NDArray[np.uint8],
) -> None:
    """One model's heading and grid, and beside guided maps how they do with random weights."""
    st.markdown(
        say("##### {model} · maps for {target}", model=title_of(maps.card), target=maps.target)
    )
    st.html(grid_of(scan, maps, choices, titles, reference))
    if any(method in choices.methods for method in GUIDED):
        measured = [
            f"{titles[one.method]}, {one.layer}: {words}"
            for one in _guided_last(maps)
            if (words := measured_verdict(maps.card, one))
        ]
        st.caption(
            " ".join(
                [GUIDED_WARNING, *([say("Measured on this model:")] if measured else []), *measured]
            )
        )


def _guided_last(maps: ModelMaps) -> list[Explanation]:
    return [found[-1] for method in GUIDED if (found := maps.of(method))]


def measured_verdict(card: RunCard, explanation: Explanation) -> str:
    """What the report says of this map with random weights, over many scans; "" if it was not
    measured with these weights.
    """
    with suppress(ReportError):  # the page Explanations says what is wrong with the report
        found = report()
        return (
            found.verdict_of(card.name, card.weights_sha256, explanation.method, explanation.layer)
            if found
            else ""
        )
    return ""
