"""The randomisation part of the page Explanations: curves, verdicts, and the maps themselves on
demand.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from oct_core.figures import charts
from oct_core.figures.pictures import caption_of, draw_map, format_maximum, maximum_of
from oct_core.trust.report_file import Report
from oct_core.types import CLASSES, RunCard
from oct_core.words import Note, message, note, say
from pages.ui.app import services
from pages.ui.app.session import Bounded
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.pictures import data_uri, figure, grid
from pages.ui.trust import data as data
from pages.ui.trust.views import charts_by_model, definition

SCORES = {
    "rank_correlation": message("Rank correlation"),
    "ssim": message("Structural similarity"),
}
_TITLES = {
    "rank_correlation": message("Rank correlation with the trained network's map"),
    "ssim": message("Structural similarity to the trained network's map"),
}
SEED = 3_500_000
_MEANING = message(
    "The network's weights are replaced by random ones, block by block from the head down, and the "
    "maps before and after are compared: 1 is the same map, 0 has nothing in common. A map that "
    "stays the same when nothing is left of what was learned shows the picture, not the network "
    "(Adebayo et al. 2018, arXiv:1810.03292)."
)


@dataclass(frozen=True, eq=False)
class Strip:
    """The maps of one cascade as drawn: (stage, notes, picture uint8 (h, w, 3)), the trained
    network first.
    """

    target: str
    pictures: list[tuple[str, list[Note], NDArray[np.uint8]]]


def randomisation(report: Report, cards: list[RunCard]) -> None:
    """Curves, verdicts, strip."""
    st.caption(say(_MEANING))
    if report.raw["sanity"]:
        _curves(report)
    else:
        st.info(
            say("The randomisation has not been measured yet."), icon=":material/hourglass_top:"
        )
    _strip(report, [card for card in cards if card.name in report.runs])


def _curves(report: Report) -> None:
    left, right = st.columns(2, vertical_alignment="bottom")
    score = (
        left.segmented_control(
            say("Similarity measure"),
            list(SCORES),
            default="rank_correlation",
            format_func=lambda key: say(SCORES[key]),
            key="report_likeness",
        )
        or "rank_correlation"
    )
    depths = range(max(len(data.layers_of(report, run)) for run in report.runs))
    depth = right.selectbox(say("Layer explained"), depths, format_func=_place, key="report_depth")
    st.subheader(say(_TITLES[score]), anchor=False)
    profiles, colours = data.stage_profiles(report, score, depth), data.colours(report)
    scale = data.scale_of(profiles, {})
    charts_by_model(
        {
            run: charts.likeness_by_stage(
                {run: lines}, colours, run, say(SCORES[score])
            ).update_yaxes(range=scale)
            for run, lines in profiles.items()
        },
        "sanity",
    )
    definition(report, score)
    for column, run in zip(st.columns(len(report.runs), gap="medium"), report.runs, strict=True):
        layer = data.layer_at(report, run, depth)
        with column.container(border=True):
            model = escape_markdown(data.run_title(report, run))
            st.markdown(f"**{model}**, {escape_markdown(layer)}")
            for method, verdict in data.verdicts_of(report, run, layer).items():
                st.markdown(f"{data.method_title(report, method)}: {verdict}")


def _place(depth: int) -> str:
    return say("last layer") if depth == 0 else say("{depth} before the last", depth=depth)


def _store() -> Bounded[Strip]:
    if "report_strips" not in st.session_state:
        st.session_state["report_strips"] = Bounded[Strip](
            24, 48 << 20, lambda strip: sum(picture.nbytes for _, _, picture in strip.pictures)
        )
    store: Bounded[Strip] = st.session_state["report_strips"]
    return store


def _strip(report: Report, cards: list[RunCard]) -> None:
    """Choose a run, a method and a phantom; a button computes the maps of every stage."""
    st.subheader(say("Example: one phantom, one map at each stage"), anchor=False)
    ready = {card.name: card for card in cards if card.status == "done" and card.weights_sha256}
    if not ready:
        st.caption(say("No measured model is installed here, so its maps cannot be drawn."))
        return
    first, second, third, fourth = st.columns([2, 2, 2, 2], vertical_alignment="bottom")
    run = str(
        first.selectbox(
            say("Model"),
            list(ready),
            format_func=lambda name: services.title_of(ready[name]),
            key="strip_run",
        )
    )
    method = str(
        second.selectbox(
            say("Map"),
            data.core_of(report, run),
            format_func=lambda name: data.method_title(report, name),
            key="strip_method",
        )
    )
    label = str(third.selectbox(say("Phantom"), CLASSES, key="strip_label"))
    card, layer = ready[run], data.layer_at(report, run, 0)
    key = "|".join((run, card.weights_sha256, method, label))
    about = say("Repeats the map with more and more random weights. Takes a few seconds.")
    clicked = fourth.button(
        say("Draw the maps"), icon=":material/shuffle:", key="strip_draw", help=about
    )
    if clicked and _store().get(key) is None:
        bar = st.progress(0.0, say("Maps with random weights"))
        with services.errors_on_page():
            _store().put(key, _compute(card, method, layer, label, bar))
        bar.empty()
    if strip := _store().get(key):
        _show(
            strip,
            services.title_of(card),
            data.method_title(report, method),
            layer if method != "guided_backprop" else "input",
        )


def _compute(
    card: RunCard, method: str, layer: str, label: str, bar: st.delta_generator.DeltaGenerator
) -> Strip:
    from oct_core.trust.sanity import cascade, compare

    def report_progress(done: int, total: int) -> None:
        bar.progress(
            done / total, say("Maps with random weights: {done} of {total}", done=done, total=total)
        )

    run, phantom = services.get_run(card.name), services.phantom(label, SEED)
    stages = cascade(
        run,
        [phantom.scan],
        (method,),
        None if method == "guided_backprop" else (layer,),
        progress=report_progress,
    )
    pixels = (run.inputs([phantom.scan])[0, 0].cpu().numpy() * 255).round().astype(np.uint8)
    correlations = {row.depth: float(row.rank_correlation[0]) for row in compare(stages)}
    pictures = []
    for stage in stages:
        explanation = stage.maps[0][0]
        words = [
            note("max {maximum}", maximum=format_maximum(maximum_of(explanation)))
            if explanation.evidence
            else caption_of(explanation)
        ]
        if stage.depth:
            words.append(note("similarity {value:.2f}", value=correlations[stage.depth]))
        pictures.append((stage.name, words, draw_map(pixels, explanation, 0.55, "inferno")))
    return Strip(stages[0].maps[0][0].target, pictures)


def _show(strip: Strip, model: str, method: str, layer: str) -> None:
    figures_ = []
    for place, (name, notes, picture) in enumerate(strip.pictures):
        words = ", ".join(map(say, notes))
        stage = _stage(place, name)
        alt = say(
            "{model}, {method} at {layer}: {stage}, {figures}",
            model=model,
            method=method,
            layer=layer,
            stage=stage,
            figures=words,
        )
        caption = f"<b>{html.escape(stage)}</b><br><span>{html.escape(words)}</span>"
        figures_.append(figure(data_uri(picture), alt, caption))
    st.html(grid(figures_, len(figures_)))
    st.caption(
        say(
            "{model}, {method} at {layer}, for {target}, the class that the trained network "
            "predicts. Each picture has its own colour scale. Similarity is the rank correlation "
            "with the first map.",
            model=escape_markdown(model),
            method=method,
            layer=escape_markdown(layer),
            target=strip.target,
        )
    )


def _stage(place: int, name: str) -> str:
    """A stage of the cascade: the trained network, its random head, or random down to a block."""
    if place == 0:
        return say("trained")
    if place == 1:
        return say("random: {block}", block=name)
    return say("random down to {block}", block=name)
