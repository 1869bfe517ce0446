"""One map in full: choose model, method and layer; see it large, measure it, download it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from oct_core.exports import maps_npz
from oct_core.figures.final_figure import overlay_png
from oct_core.figures.pictures import (
    GUIDED_WARNING,
    draw_map,
    explain_empty,
    format_maximum,
    maximum_of,
)
from oct_core.types import Explanation, RunCard, Scan
from oct_core.words import keep_language, message, say
from pages.ui.app.services import errors_on_page
from pages.ui.app.session import Viewer
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.pictures import LARGE, draw_figure
from pages.ui.viewer.compute import in_scan_pixels, make_map
from pages.ui.viewer.controls import Choices, is_slow, method_titles
from pages.ui.viewer.maps import report_verdict
from pages.ui.viewer.measure import measure_panel
from pages.ui.viewer.reading import Reading
from pages.ui.viewer.slow import slow_map

INPUT_METHODS_NOTE = message("This method has one map, at the input.")


def detail(
    state: Viewer,
    scan: Scan,
    readings: Sequence[Reading],
    choices: Choices,
) -> None:
    """The pickers, the picture, and at its right what is known about it."""
    by_name = {reading.card.name: reading for reading in readings}
    first, second = st.columns(2)
    name = first.segmented_control(
        say("Model"),
        list(by_name),
        default=next(iter(by_name)),
        format_func=lambda key: by_name[key].title,
        key="detail_model",
    )
    reading = by_name[name or next(iter(by_name))]
    titles = method_titles([reading.card])
    method = second.selectbox(
        say("Method"), list(titles), format_func=lambda key: titles[key], key="detail_method"
    )
    layer = (
        st.segmented_control(
            say("Layer, shallow to deep"),
            reading.layers,
            default=reading.layers[-1],
            key=f"detail_layer_{reading.card.name}",
        )
        or reading.layers[-1]
    )
    with errors_on_page():
        if is_slow(method):
            explanation = slow_map(state, scan, reading, method, layer, "detail")
        else:
            title = say("{method} of {model}", method=titles[method], model=reading.title)
            with st.spinner(escape_markdown(title)):
                explanation = make_map(state, scan, reading, method, layer)
        if explanation is not None:
            _show(state, scan, reading, explanation, choices)


def _show(
    state: Viewer, scan: Scan, reading: Reading, explanation: Explanation, choices: Choices
) -> None:
    title = method_titles([reading.card])[explanation.method]
    top = reading.scale_of(explanation, choices.one_scale)
    left, right = st.columns([3, 2], gap="large")
    with left:
        picture = draw_map(scan.pixels, explanation, choices.opacity, choices.colormap, top, LARGE)
        alt = say(
            "{title} at {layer}, {model}, target {target}, large",
            title=title,
            layer=explanation.layer,
            model=reading.title,
            target=explanation.target,
        )
        zoom = {
            "key": f"full|{reading.card.name}|{explanation.key}",
            "row": "0",
            "column": "0",
            "caption": alt,
        }
        st.html(
            f'<div class="oct-maps" data-group="full">{draw_figure(picture, alt, zoom=zoom)}</div>'
        )
    with right:
        st.markdown(
            say(
                "**{title}** at **{layer}** · {model}, target {target}",
                title=escape_markdown(title),
                layer=escape_markdown(explanation.layer),
                model=escape_markdown(reading.title),
                target=explanation.target,
            )
        )
        _facts(reading.card, explanation, top, choices)
        measure_panel(state, scan, reading, explanation)
        _downloads(scan, reading, explanation, choices)


def _facts(card: RunCard, explanation: Explanation, top: float, choices: Choices) -> None:
    if not explanation.evidence:
        st.info(explain_empty(explanation), icon=":material/do_not_disturb_on:")
        return
    if choices.scale:
        st.caption(_scale(explanation, top, choices))
    if explanation.signed:
        st.caption(say("Signed: orange is evidence for the class, blue against it."))
    else:
        st.caption(say("Not signed: the brighter, the more evidence."))
    if explanation.layer == "input":
        st.caption(say(INPUT_METHODS_NOTE))
    if explanation.method.startswith("guided"):
        st.caption(say(GUIDED_WARNING))
    if words := report_verdict(card, explanation):
        st.caption(
            say("Measured on this model (page Explanations): {words}", words=escape_markdown(words))
        )


def _scale(explanation: Explanation, top: float, choices: Choices) -> str:
    maximum = format_maximum(maximum_of(explanation))
    if choices.one_scale:
        return say(
            "Maximum {maximum}; one scale within the model, up to {top}.",
            maximum=maximum,
            top=format_maximum(top),
        )
    return say("Maximum {maximum}; scaled to its own maximum.", maximum=maximum)


def _downloads(scan: Scan, reading: Reading, explanation: Explanation, choices: Choices) -> None:
    top = reading.scale_of(explanation, choices.one_scale)
    stem = f"{reading.card.name}_{explanation.method}_{explanation.layer}"
    maps = list(reading.maps)
    if all(each.key != explanation.key for each in maps):
        maps.append(explanation)
    first, second = st.columns(2)
    first.download_button(
        say("Overlay (PNG)"),
        keep_language(
            lambda: overlay_png(scan, explanation, choices.opacity, choices.colormap, top)
        ),
        f"oct_{stem}.png",
        "image/png",
        icon=":material/image:",
        on_click="ignore",
        width="stretch",
    )
    second.download_button(
        say("Raw maps (npz)"),
        keep_language(
            lambda: maps_npz(reading.card, reading.judgement, in_scan_pixels(scan, maps))
        ),
        f"oct_{reading.card.name}_maps.npz",
        "application/octet-stream",
        icon=":material/data_array:",
        on_click="ignore",
        width="stretch",
        help=say("All maps of this model, float32 in the scan's own pixels."),
    )
