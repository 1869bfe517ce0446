"""The viewer from top to bottom: the verdict, the scan and the answers, then maps, then one map in
full, comparison and downloads.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from oct_core.errors import OctError
from oct_core.figures.final_figure import final_figure
from oct_core.figures.pictures import shrink
from oct_core.types import Explanation, Judgement, RunCard, Scan
from oct_core.words import keep_language, say
from pages.ui.app.layout import invitation
from pages.ui.app.services import (
    check_device,
    describe_error,
    errors_on_page,
    get_run,
    ready_runs,
    show_error,
    title_of,
    warm_up,
)
from pages.ui.app.session import Item, Viewer, read_choice, viewer
from pages.ui.shared.empty_states import report_damaged, say_no_runs
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.pictures import draw_figure
from pages.ui.shared.run_data import find_runs
from pages.ui.shared.samples import outlined
from pages.ui.shared.verdicts import SHORT_TITLES, badge
from pages.ui.viewer import compare as viewer_compare
from pages.ui.viewer import detail as viewer_detail
from pages.ui.viewer import input as viewer_input
from pages.ui.viewer import predictions as viewer_predictions
from pages.ui.viewer import verdict as viewer_verdict
from pages.ui.viewer.compute import (
    TRIO,
    judgement_at_hand,
    judgements_of,
    make_map,
    read_scan_with,
    trios_side_by_side,
)
from pages.ui.viewer.controls import Choices, controls, is_slow, method_titles
from pages.ui.viewer.light_table import light_table
from pages.ui.viewer.maps import colour_key, deepest_map, layers
from pages.ui.viewer.reading import Reading, models_of
from pages.ui.viewer.report import figure_rows, report_downloads
from pages.ui.viewer.slow import (
    land_finished,
    offer_slow_maps,
    slow_map_at_hand,
    slow_map_offers,
    watch_jobs,
)
from pages.ui.viewer.strip import strip
from pages.ui.viewer.style import style

SCAN_SIDE = 1280
"""Longer side of the scan on the page, in pixels: the light table makes it larger."""


def show() -> None:
    """The whole page."""
    state = viewer()
    land_finished(state)
    st.html(style())
    runs = ready_runs()
    with st.sidebar:
        hide_answer = read_choice("hide_answer", False)
        viewer_input.sample_menu(state, hide_answer)
    choices = controls(runs)
    light_table(state, choices.keys)
    viewer_input.show_problems(state, choices.hide_names)
    item = state.item()
    if item is None:
        invitation(
            say("Open a scan to begin"),
            say("Drop retinal OCT B-scans below, or take one of these synthetic samples."),
        )
        viewer_input.upload(state)
        viewer_input.sample_cards(state, hide_answer)
        viewer_predictions.what_to_expect([card for card in runs if card.name in choices.models])
        warm_up()
        return
    several = len(state.ordered()) > 1
    badges = strip(state, choices) if several else {}
    table = st.container() if several else None
    verdict = st.empty()
    cards = _usable(choices)
    show_badges(state, badges, cards, choices)
    _read(state, item, cards, choices, verdict)
    if cards and table is not None:
        with table:
            _all_scans(state, cards, choices)
        show_badges(state, badges, cards, choices)


def _read(
    state: Viewer,
    item: Item,
    cards: Sequence[RunCard],
    choices: Choices,
    verdict: DeltaGenerator,
) -> None:
    """The scan shown: its verdict, what each model says, and the maps."""
    left, right = st.columns([1, 2.6], gap="medium")
    with left:
        scan = _scan_panel(state, item, choices)
    if not cards:
        with right:
            _say_no_model()
        return
    if item.sample is not None and choices.hide_answer and not _revealed(item, right):
        return
    # No bar: the browser would load its code first, and draw the page anew for each step.
    verdict.html(viewer_verdict.waiting_html(say("Reading the scan")))
    readings = read_scan_with(state, scan, cards, choices.target, choices.level)
    lead = readings[0].judgement
    with verdict.container():
        viewer_verdict.show(item, lead)
    with right:
        answers = st.empty()
        answers.html(viewer_predictions.answers(readings))
        below = st.container()
    models = _maps(state, scan, readings, choices, answers)
    with below:
        viewer_verdict.rule_panel(lead, cards, choices.level)
    _below(state, scan, readings, models, choices)


def _say_no_model() -> None:
    if ready_runs():
        st.info(say("Choose at least one model in the sidebar."), icon=":material/check_box:")
        return
    found = find_runs()
    report_damaged(found)
    say_no_runs(found)


def _usable(choices: Choices) -> list[RunCard]:
    """The chosen runs that load; for each that does not, one sentence."""
    cards = [card for card in ready_runs() if card.name in choices.models]
    try:
        check_device()
    except OctError as error:  # once for all models
        show_error(error)
        return []
    usable = []
    for card in cards:
        title = escape_markdown(title_of(card))
        try:
            with st.spinner(say("Loading {model}", model=title)):
                get_run(card.name)
            usable.append(card)
        except Exception as error:  # noqa: BLE001 - one bad model leaves the others; logged
            st.error(
                say(
                    "{model} is left out: {reason}",
                    model=title,
                    reason=escape_markdown(describe_error(error)),
                ),
                icon=":material/error:",
            )
    return usable


def _reference(item: Item, scan: Scan, choices: Choices) -> NDArray[np.uint8]:
    """The scan as shown beside the maps: a sample may have its lesion outlined."""
    if item.sample is not None and choices.outline and item.box is None and not item.turned:
        return outlined(scan.pixels, item.sample.phantom().lesion)
    return scan.pixels


def _scan_panel(state: Viewer, item: Item, choices: Choices) -> Scan:
    """The scan, its name and notes, how it is to be read, and the way to more scans; returns it as
    the models get it.
    """
    name = viewer_input.item_name(item, choices)
    top = st.container()
    viewer_input.reading_options(item)
    scan = item.view()
    with top:
        picture = shrink(_reference(item, scan, choices), SCAN_SIDE)
        alt = say("The scan {name}", name=name)
        zoom = {"kind": "scan", "key": "scan", "row": "0", "column": "0", "caption": name}
        st.html(f'<div class="oct-maps oct-scan">{draw_figure(picture, alt, zoom=zoom)}</div>')
        height, width = scan.pixels.shape
        st.markdown(
            say(
                "**{name}** · {width} x {height}, {bits} bit",
                name=escape_markdown(name),
                width=width,
                height=height,
                bits=item.scan.bit_depth,
            )
        )
        for note in scan.notes:
            st.caption(say(note))
    if item.sample is not None:
        _answer(item, choices)
    with st.container(horizontal=True, gap="small"):
        st.button(
            say("Close this scan"),
            icon=":material/close:",
            on_click=state.close,
            args=(item,),
            type="tertiary",
        )
        if len(state.ordered()) > 1:
            st.button(
                say("Close all"),
                icon=":material/clear_all:",
                on_click=state.close_all,
                type="tertiary",
            )
    viewer_input.upload(state)
    return scan


def _answer(item: Item, choices: Choices) -> None:
    if item.sample is None:
        return
    if not is_hidden(item, choices):
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
        st.header(say("What do you see?"), anchor=False)
        st.markdown(say("The class of this sample, and what the models make of it, are hidden."))
        return st.toggle(say("Show the answer and the models"), key=f"reveal_{item.id}")


def _maps(
    state: Viewer,
    scan: Scan,
    readings: Sequence[Reading],
    choices: Choices,
    answers: DeltaGenerator,
) -> list[Reading]:
    """Each model's maps: the deepest in its card as soon as it is there, then all layers; returns
    the readings that have some.
    """
    models = models_of(readings)
    titles = method_titles([reading.card for reading in models])
    done: list[Reading] = []
    deepest: dict[str, str] = {}
    watch_jobs(state)
    with trios_side_by_side(state, scan, models) as trio_of:
        for place, reading in enumerate(models):
            deepest[reading.card.name] = ""
            with errors_on_page():
                reading = replace(reading, trio=tuple(trio_of(reading)))
                deepest[reading.card.name] = deepest_map(scan, reading, choices, titles, place)
                answers.html(viewer_predictions.answers(readings, deepest))
                done.append(reading)
    if not done:
        answers.html(viewer_predictions.answers(readings, deepest))
        return done
    done = [
        replace(reading, extra=_further_maps(state, scan, reading, choices)) for reading in done
    ]
    st.header(say("Where each model looked"), anchor=False)
    st.html(
        f'<div class="oct-tools">{colour_key(choices)}'
        f'<button type="button" data-light="overlay" aria-pressed="true">'
        f"{html.escape(say('Maps'))}</button>"
        f'<button type="button" data-light="projector">{html.escape(say("Projector"))}</button>'
        "</div>"
    )
    with errors_on_page():
        layers(scan, done, choices, titles)
    for reading in done:
        usable = method_titles([reading.card])
        _say_left_out(reading, [titles[name] for name in choices.methods if name not in usable])
    _offer_slow_maps(state, scan, done, choices)
    return done


def _say_left_out(reading: Reading, methods: Sequence[str]) -> None:
    if methods:
        st.caption(
            say(
                "Left out for {model}: {methods}. They hold only for networks whose activations "
                "are all ReLU.",
                model=escape_markdown(reading.title),
                methods=", ".join(methods),
            )
        )


def _further_maps(
    state: Viewer, scan: Scan, reading: Reading, choices: Choices
) -> tuple[Explanation, ...]:
    """One map a method beyond the trio, at the last layer: quick ones made now, slow ones if this
    session has them.
    """
    maps: list[Explanation] = []
    usable = method_titles([reading.card])
    for method in choices.methods:
        if method in TRIO or method not in usable:
            continue
        with errors_on_page():  # one method that fails leaves the others
            if is_slow(method):
                maps += slow_map_at_hand(state, scan, reading, method, reading.layers[-1])
            else:
                maps.append(make_map(state, scan, reading, method, reading.layers[-1]))
    return tuple(maps)


def _offer_slow_maps(
    state: Viewer, scan: Scan, readings: Sequence[Reading], choices: Choices
) -> None:
    """Slow maps are made when asked for: one by one, or all that are left."""
    offers = []
    for reading in readings:
        usable = method_titles([reading.card])
        for method in choices.methods:
            if method in usable and is_slow(method):
                with errors_on_page():
                    offers += slow_map_offers(state, scan, reading, method, reading.layers[-1])
    offer_slow_maps(state, scan, offers)


def _below(
    state: Viewer,
    scan: Scan,
    asked: Sequence[Reading],
    readings: Sequence[Reading],
    choices: Choices,
) -> None:
    """What follows the maps of the models. asked : all readings, the one that the page leads with
    first. readings : those with maps.
    """
    if not readings:
        return
    lead, with_maps = asked[0].judgement, {each.card.name: each for each in readings}
    _figure_download(scan, lead, readings, choices)
    if item := state.item():
        # A model whose maps failed has its part in the verdict, and its hash in the report.
        models = [with_maps.get(each.card.name, each) for each in models_of(asked)]
        report_downloads(item, scan, lead, models, choices)
    titles = method_titles([reading.card for reading in readings])
    detail_tab, comparison_tab = st.tabs([say("One map in full"), say("Compare two maps")])
    with detail_tab:
        viewer_detail.detail(state, scan, readings, choices)
    with comparison_tab:
        viewer_compare.comparison(scan, readings, choices, titles)


def _figure_download(
    scan: Scan, lead: Judgement, readings: Sequence[Reading], choices: Choices
) -> None:
    def make() -> bytes:
        rows = figure_rows(readings, choices)
        return final_figure(scan, rows, lead, choices.opacity, choices.colormap, choices.one_scale)

    st.download_button(
        say("Download the figure (PNG)"),
        keep_language(make),
        "oct_comparison.png",
        "image/png",
        icon=":material/download:",
        type="primary",
        on_click="ignore",
    )


def _all_scans(state: Viewer, cards: Sequence[RunCard], choices: Choices) -> None:
    """The table of every open scan; scans not read yet are read now, with progress."""
    items = [item for item in state.ordered() if not is_hidden(item, choices)]
    bar = st.progress(0.0, say("Reading all scans"))

    def fill(share: float, text: str) -> None:
        bar.progress(share, escape_markdown(text))

    scans = [item.view() for item in items]
    judgements = [
        replace(judgement, notes=scan.notes)
        for judgement, scan in zip(
            judgements_of(state, scans, cards, choices.level, fill), scans, strict=True
        )
    ]
    bar.empty()
    names = [viewer_input.item_name(item, choices) for item in items]
    kinds = Counter(judgement.verdict.kind for judgement in judgements)
    counts = ", ".join(
        f"{say(SHORT_TITLES[kind])} {kinds[kind]}" for kind in SHORT_TITLES if kinds[kind]
    )
    title = say("All {count} open scans: {verdicts}", count=len(items), verdicts=counts)
    with st.expander(title, key="all_scans"):
        viewer_predictions.table_of_all(list(zip(names, judgements, strict=True)))


def is_hidden(item: Item, choices: Choices) -> bool:
    """For teaching: whether the answer about a sample, and the models', wait to be asked for."""
    return (
        item.sample is not None
        and choices.hide_answer
        and not st.session_state.get(f"reveal_{item.id}")
    )


def show_badges(
    state: Viewer,
    places: Mapping[str, DeltaGenerator],
    cards: Sequence[RunCard],
    choices: Choices,
) -> None:
    """The verdict under each thumbnail, of the scans that have been read."""
    for item in state.ordered():
        if item.id not in places or is_hidden(item, choices):
            continue
        judgement = judgement_at_hand(state, item.view(), cards, choices.level)
        if judgement is not None:
            places[item.id].html(badge(judgement.verdict))
