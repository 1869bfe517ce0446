"""The viewer from top to bottom: scans in, predictions first, then maps, then one map in full,
comparison and downloads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from oct_core.types import Prediction, RunCard, Scan
from oct_core.words import say
from pages.ui.app.layout import invitation
from pages.ui.app.services import get_run, ready_runs, sentence, shown_errors, title_of, warm_up
from pages.ui.app.session import Item, Viewer, choices_kept, viewer
from pages.ui.shared.samples import outlined
from pages.ui.viewer import compare as viewer_compare
from pages.ui.viewer import detail as viewer_detail
from pages.ui.viewer import input as viewer_input
from pages.ui.viewer import predictions as viewer_predictions
from pages.ui.viewer.compute import TRIO, one_map, predictions_of, target_of, trio_ahead
from pages.ui.viewer.controls import Choices, controls, method_titles
from pages.ui.viewer.export import Row, final_figure
from pages.ui.viewer.maps import ModelMaps, colour_key, scale_of, show_model
from pages.ui.viewer.pictures import data_uri, figure, shrunk


def show() -> None:
    """The whole page."""
    state = viewer()
    with st.sidebar:
        st.subheader(say("Scans"), divider="gray")
        viewer_input.upload(state)
        hide_answer = choices_kept("hide_answer", False)
        viewer_input.sample_menu(state, hide_answer)
    runs = ready_runs()
    choices = controls(runs)
    item = state.item()
    if item is None:
        viewer_input.show_problems(state, choices.hide_names)
        invitation(
            say("Open a scan to begin"),
            say(
                "Drop a retinal OCT B-scan into the sidebar, or take one of these synthetic "
                "samples."
            ),
        )
        viewer_input.sample_cards(state, hide_answer)
        viewer_predictions.what_to_expect([card for card in runs if card.name in choices.models])
        warm_up()
        return
    viewer_input.show_problems(state, choices.hide_names)
    if len(state.ordered()) > 1:
        viewer_input.thumbnails(state, choices)
    _read(state, item, choices)


def _read(state: Viewer, item: Item, choices: Choices) -> None:
    cards = _usable(choices)
    left, right = st.columns([1, 2.4], gap="large")
    with left:
        scan = _scan_panel(state, item, choices)
    if not cards:
        with right:
            if ready_runs():
                st.info(
                    say("Choose at least one model in the sidebar."), icon=":material/check_box:"
                )
            else:
                invitation(
                    say("No trained model yet"),
                    say(
                        "Train the three with `./train_all.sh FOLDER`; they appear here by "
                        "themselves."
                    ),
                )
        return
    if item.sample is not None and choices.hide_answer and not _revealed(item, right):
        return
    with right:
        place = st.empty()
        place.caption(
            say("Reading the scan")
        )  # no bar: the browser would load its code first, and draw the page anew for each step
        (predictions,) = predictions_of(state, [scan], cards)
        with place.container():
            viewer_predictions.side_by_side(predictions, cards)
    all_maps = _maps(state, scan, item, cards, predictions, choices)
    _below(state, scan, cards, predictions, all_maps, choices)


def _usable(choices: Choices) -> list[RunCard]:
    """The chosen runs that load; for each that does not, one sentence."""
    usable = []
    for card in (card for card in ready_runs() if card.name in choices.models):
        try:
            with st.spinner(say("Loading {model}", model=title_of(card))):
                get_run(card.name)
            usable.append(card)
        except Exception as error:
            st.error(
                say(
                    "{model} is left out: {sentence}",
                    model=title_of(card),
                    sentence=sentence(error),
                ),
                icon=":material/error:",
            )
    return usable


def _reference(item: Item, scan: Scan, choices: Choices) -> NDArray[np.uint8]:
    """The scan as shown beside the maps: a sample may have its lesion outlined."""
    if item.sample is not None and choices.outline and item.box is None:
        return outlined(scan.pixels, item.sample.phantom().lesion)
    return scan.pixels


def _scan_panel(state: Viewer, item: Item, choices: Choices) -> Scan:
    """The scan, its name and notes, and how it is to be read; returns it as the models get it."""
    name = viewer_input.item_name(item, choices)
    top = st.container()
    viewer_input.reading_options(item)
    scan = item.view()
    with top:
        picture = data_uri(shrunk(_reference(item, scan, choices), 760))
        st.html(f'<div class="oct-maps">{figure(picture, say("The scan {name}", name=name))}</div>')
        height, width = scan.pixels.shape
        st.markdown(
            f"**{viewer_input.plain(name)}** · {width} x {height}, {item.scan.bit_depth} bit"
        )
        for note in item.scan.notes:
            st.caption(note)
    if warning := item.objection(scan):
        st.warning(warning, icon=":material/help:")
    if item.sample is not None:
        _answer(item, choices)
    st.button(
        say("Close this scan"),
        icon=":material/close:",
        on_click=state.close,
        args=(item,),
        type="tertiary",
    )
    if len(state.ordered()) > 1:
        st.button(
            say("Close all"), icon=":material/clear_all:", on_click=state.close_all, type="tertiary"
        )
    return scan


def _answer(item: Item, choices: Choices) -> None:
    if item.sample is None:
        return
    if not choices.hide_answer or st.session_state.get(f"reveal_{item.id}"):
        st.caption(
            say(
                "Synthetic sample, drawn as {sample_label}: {description}.",
                sample_label=item.sample.label,
                description=item.sample.description,
            )
        )


def _revealed(item: Item, place: DeltaGenerator) -> bool:
    """For teaching: the class, and what the models say of it, come only when asked for."""
    with place.container(border=True):
        st.markdown(say("#### What do you see?"))
        st.markdown(say("The class of this sample, and what the models make of it, are hidden."))
        return st.toggle(say("Show the answer and the models"), key=f"reveal_{item.id}")


def _maps(
    state: Viewer,
    scan: Scan,
    item: Item,
    cards: Sequence[RunCard],
    predictions: Sequence[Prediction],
    choices: Choices,
) -> list[ModelMaps]:
    """Each model's maps, drawn as soon as they are there."""
    titles, reference, done = method_titles(), _reference(item, scan, choices), []
    st.subheader(say("Where each model looked"), anchor=False)
    st.html(colour_key(choices))
    bar = st.progress(0.0, say("Making the maps"))
    wanted = [
        (card, target_of(prediction, choices.target))
        for card, prediction in zip(cards, predictions, strict=True)
    ]
    with trio_ahead(state, scan, wanted) as trio_of:
        for place, (card, target) in enumerate(wanted):
            bar.progress(
                place / len(cards),
                say(
                    "{model}: Grad-CAM at every layer, guided backpropagation", model=title_of(card)
                ),
            )
            with shown_errors():
                maps = ModelMaps(card, target, trio_of(card, target), [])
                for method in (name for name in choices.methods if name not in TRIO):
                    bar.progress((place + 0.5) / len(cards), f"{title_of(card)}: {titles[method]}")
                    with shown_errors():  # one method that fails leaves the others
                        maps.extra.append(
                            one_map(state, scan, card, target, method, maps.layers[-1])
                        )
                show_model(scan, maps, choices, titles, reference)
                done.append(maps)
    bar.empty()
    return done


def _below(
    state: Viewer,
    scan: Scan,
    cards: Sequence[RunCard],
    predictions: Sequence[Prediction],
    all_maps: Sequence[ModelMaps],
    choices: Choices,
) -> None:
    if all_maps:
        by_run = {prediction.run: prediction for prediction in predictions}
        matching = [by_run[maps.card.name] for maps in all_maps]
        _figure_download(scan, all_maps, matching, choices)
        titles = method_titles()
        one, two = st.tabs([say("One map in full"), say("Compare two maps")])
        with one:
            viewer_detail.detail(state, scan, all_maps, matching, choices, titles)
        with two:
            viewer_compare.comparison(scan, all_maps, choices, titles)
    if len(state.ordered()) > 1:
        _all_scans(state, cards, choices)


def _figure_download(
    scan: Scan, all_maps: Sequence[ModelMaps], predictions: Sequence[Prediction], choices: Choices
) -> None:
    def make() -> bytes:
        rows = []
        for maps, prediction in zip(all_maps, predictions, strict=True):
            cams = maps.of("gradcam")
            rows.append(
                Row(
                    maps.card,
                    prediction,
                    maps.target,
                    cams,
                    [scale_of(each, cams, choices) for each in cams],
                )
            )
        words = viewer_predictions.agreement(
            predictions, [title_of(maps.card) for maps in all_maps]
        )
        return final_figure(scan, rows, words, choices.opacity, choices.colormap, choices.one_scale)

    st.download_button(
        say("Download the figure (PNG)"),
        make,
        "oct_comparison.png",
        "image/png",
        icon=":material/download:",
        type="primary",
        on_click="ignore",
    )


def _all_scans(state: Viewer, cards: Sequence[RunCard], choices: Choices) -> None:
    """The table of every open scan; scans not read yet are read now, with progress."""
    st.subheader(say("All open scans"), anchor=False)
    items = state.ordered()
    bar = st.progress(0.0, say("Reading all scans"))
    table = predictions_of(state, [item.view() for item in items], cards, _fill(bar))
    bar.empty()
    viewer_predictions.table_of_all(
        [viewer_input.item_name(item, choices) for item in items], table
    )


def _fill(bar: DeltaGenerator) -> Callable[[float, str], None]:
    def fill(share: float, text: str) -> None:
        bar.progress(share, text)

    return fill
