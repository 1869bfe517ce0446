"""One map in full: choose model, method and layer; see it large, measure it, download it."""

from __future__ import annotations

import html
from collections.abc import Sequence

import streamlit as st

from oct_core.exports import maps_npz
from oct_core.types import Explanation, Prediction, RunCard, Scan
from oct_core.words import message, say
from pages.ui.app.services import shown_errors, title_of
from pages.ui.app.session import Viewer
from pages.ui.viewer.compute import in_scan_pixels, one_map
from pages.ui.viewer.controls import Choices
from pages.ui.viewer.export import overlay_png
from pages.ui.viewer.maps import GUIDED_WARNING, ModelMaps, measured_verdict, scale_of
from pages.ui.viewer.measure import measure_panel
from pages.ui.viewer.pictures import LARGE, data_uri, drawn, figure, maximum_of, number

INPUT_METHODS_NOTE = message("This method has one map, at the input.")


def detail(
    state: Viewer,
    scan: Scan,
    all_maps: Sequence[ModelMaps],
    predictions: Sequence[Prediction],
    choices: Choices,
    titles: dict[str, str],
) -> None:
    """The pickers, the picture, and at its right what is known about it."""
    by_name = {
        maps.card.name: (maps, prediction)
        for maps, prediction in zip(all_maps, predictions, strict=True)
    }
    first, second = st.columns(2)
    name = first.segmented_control(
        say("Model"),
        list(by_name),
        default=next(iter(by_name)),
        format_func=lambda key: title_of(by_name[key][0].card),
        key="detail_model",
    )
    method = second.selectbox(
        say("Method"), list(titles), format_func=lambda key: titles[key], key="detail_method"
    )
    maps, prediction = by_name[name or next(iter(by_name))]
    layer = (
        st.segmented_control(
            say("Layer, shallow to deep"),
            maps.layers,
            default=maps.layers[-1],
            key=f"detail_layer_{maps.card.name}",
        )
        or maps.layers[-1]
    )
    with shown_errors(), st.spinner(f"{titles[method]} of {title_of(maps.card)}"):
        explanation = one_map(state, scan, maps.card, maps.target, method, layer)
        _show(state, scan, maps, prediction, explanation, choices, titles[method])


def _show(
    state: Viewer,
    scan: Scan,
    maps: ModelMaps,
    prediction: Prediction,
    explanation: Explanation,
    choices: Choices,
    title: str,
) -> None:
    group = [each for each in maps.trio if each.method == explanation.method] or [explanation]
    top = scale_of(explanation, group, choices)
    left, right = st.columns([3, 2], gap="large")
    with left:
        picture = drawn(scan.pixels, explanation, choices.opacity, choices.colormap, top, LARGE)
        alt = say(
            "{title} at {layer}, {model}, target {target}, large",
            title=title,
            layer=explanation.layer,
            model=title_of(maps.card),
            target=explanation.target,
        )
        st.html(f'<div class="oct-maps">{figure(data_uri(picture), alt)}</div>')
    with right:
        st.markdown(
            say(
                "**{escape}** at **{layer}** · {model}, target {target}",
                escape=html.escape(title),
                layer=explanation.layer,
                model=title_of(maps.card),
                target=explanation.target,
            )
        )
        _facts(maps.card, explanation, top, choices)
        measure_panel(state, scan, maps.card, explanation)
        _downloads(scan, maps, prediction, explanation, choices, top)


def _facts(card: RunCard, explanation: Explanation, top: float, choices: Choices) -> None:
    if not explanation.evidence:
        st.info(
            say(
                "No evidence for {target}: this map is zero everywhere.", target=explanation.target
            ),
            icon=":material/do_not_disturb_on:",
        )
        return
    kind = (
        say("signed: orange speaks for the class, blue against it")
        if explanation.signed
        else say("not signed: brighter is more")
    )
    scale = (
        say("one scale within the model, up to {number}", number=number(top))
        if choices.one_scale
        else say("scaled to its own maximum")
    )
    st.caption(
        say(
            "Maximum {number}; {scale}; {kind}.",
            number=number(maximum_of(explanation)),
            scale=scale,
            kind=kind,
        )
    )
    if explanation.layer == "input":
        st.caption(INPUT_METHODS_NOTE)
    if explanation.method.startswith("guided"):
        st.caption(GUIDED_WARNING)
    if words := measured_verdict(card, explanation):
        st.caption(say("Measured on this model (page Explanations): {words}", words=words))


def _downloads(
    scan: Scan,
    maps: ModelMaps,
    prediction: Prediction,
    explanation: Explanation,
    choices: Choices,
    top: float,
) -> None:
    stem = f"{maps.card.name}_{explanation.method}_{explanation.layer}"
    every = [*maps.trio, *maps.extra]
    if all(each.key != explanation.key for each in every):
        every.append(explanation)
    first, second = st.columns(2)
    first.download_button(
        say("Overlay (PNG)"),
        lambda: overlay_png(scan, explanation, choices.opacity, choices.colormap, top),
        f"oct_{stem}.png",
        "image/png",
        icon=":material/image:",
        on_click="ignore",
        width="stretch",
    )
    second.download_button(
        say("Raw maps (npz)"),
        lambda: maps_npz(maps.card, prediction, in_scan_pixels(scan, every)),
        f"oct_{maps.card.name}_maps.npz",
        "application/octet-stream",
        icon=":material/data_array:",
        on_click="ignore",
        width="stretch",
        help=say("All maps of this model, float32 in the scan's own pixels."),
    )
