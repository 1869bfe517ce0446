"""The randomisation part of the page Explanations: curves, verdicts, and the maps themselves on
demand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from oct_core.figures import charts
from oct_core.trust.report_file import Report
from oct_core.types import CLASSES, RunCard
from oct_core.words import message, say
from pages.ui.app import services
from pages.ui.app.session import Bounded
from pages.ui.shared.charts import show
from pages.ui.trust import data as data
from pages.ui.trust.views import definition
from pages.ui.viewer.pictures import data_uri, drawn, figure, grid, maximum_of, number

SCORES = {message("Rank correlation"): "rank_correlation", message("Structural similarity"): "ssim"}
SEED = 3_500_000
_MEANING = message(
    "The network gets random weights, block by block, from its head downwards, and the maps before "
    "and after are compared: 1 is the same map, "
    "0 has nothing in common. A map that stays alike when nothing is left of what was learned "
    "shows the picture, not the network "
    "(Adebayo et al. 2018, arXiv:1810.03292)."
)


@dataclass(frozen=True, eq=False)
class Strip:
    """The maps of one cascade as drawn: (stage, caption, picture uint8 (h, w, 3)), the trained
    network first.
    """

    target: str
    pictures: list[tuple[str, str, NDArray[np.uint8]]]


def randomisation(report: Report, cards: list[RunCard]) -> None:
    """Curves, verdicts, strip."""
    st.caption(_MEANING)
    if report.raw["sanity"]:
        _curves(report)
    else:
        st.info(
            say("The randomisation has not been measured yet."), icon=":material/hourglass_top:"
        )
    _strip(report, [card for card in cards if card.name in report.runs])


def _curves(report: Report) -> None:
    left, right = st.columns(2, vertical_alignment="bottom")
    score = left.segmented_control(
        say("Likeness"), list(SCORES), default=say("Rank correlation"), key="report_likeness"
    ) or say("Rank correlation")
    depths = range(max(len(data.layers_of(report, run)) for run in report.runs))
    depth = right.selectbox(say("Layer explained"), depths, format_func=_place, key="report_depth")
    show(
        charts.likeness_by_stage(
            data.stage_profiles(report, SCORES[score], depth),
            say("{score} with the trained network's map", score=score),
            score,
        ),
        "sanity",
    )
    definition(report, SCORES[score])
    for column, run in zip(st.columns(len(report.runs), gap="medium"), report.runs, strict=True):
        layer = data.layer_at(report, run, depth)
        found = data.verdicts_of(report, run, layer)
        with column.container(border=True):
            st.markdown(f"**{data.run_title(report, run)}**, {layer}")
            for method, words in found.items():
                st.markdown(f"{data.method_title(report, method)}: {words}")


def _place(depth: int) -> str:
    return "last" if depth == 0 else say("{depth} before the last", depth=depth)


def _store() -> Bounded[Strip]:
    if "report_strips" not in st.session_state:
        st.session_state["report_strips"] = Bounded[Strip](
            24, 48 << 20, lambda strip: sum(picture.nbytes for _, _, picture in strip.pictures)
        )
    store: Bounded[Strip] = st.session_state["report_strips"]
    return store


def _strip(report: Report, cards: list[RunCard]) -> None:
    """Choose a run, a method and a phantom; a button computes the maps of every stage."""
    st.markdown(say("##### See it happen: one phantom, one map a stage"))
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
            data.CORE,
            format_func=lambda name: data.method_title(report, name),
            key="strip_method",
        )
    )
    label = str(third.selectbox(say("Phantom"), CLASSES, key="strip_label"))
    card, layer = ready[run], data.layer_at(report, run, 0)
    key = "|".join((run, card.weights_sha256, method, label))
    explained = say("Repeats the map with more and more random weights. Takes seconds.")
    asked = fourth.button(
        say("Draw the maps"), icon=":material/shuffle:", key="strip_draw", help=explained
    )
    if asked and _store().get(key) is None:
        bar = st.progress(0.0, say("Maps with random weights"))
        with services.shown_errors():
            _store().put(key, _computed(card, method, layer, label, bar))
        bar.empty()
    if strip := _store().get(key):
        _show(
            strip,
            f"{services.title_of(card)}, {data.method_title(report, method)}",
            layer if method != "guided_backprop" else "input",
        )


def _computed(
    card: RunCard, method: str, layer: str, label: str, bar: st.delta_generator.DeltaGenerator
) -> Strip:
    from oct_core.trust.sanity import cascade, compare

    def told(done: int, total: int) -> None:
        bar.progress(
            done / total, say("Maps with random weights: {done} of {total}", done=done, total=total)
        )

    run, phantom = services.get_run(card.name), services.phantom(label, SEED)
    stages = cascade(
        run,
        card.architecture,
        [phantom.scan],
        (method,),
        None if method == "guided_backprop" else (layer,),
        progress=told,
    )
    seen = (run.inputs([phantom.scan])[0, 0].cpu().numpy() * 255).round().astype(np.uint8)
    alike = {one.depth: float(one.rank_correlation[0]) for one in compare(stages)}
    pictures = []
    for stage in stages:
        explanation = stage.maps[0][0]
        words = (
            f"max {number(maximum_of(explanation))}" if explanation.evidence else say("no evidence")
        )
        if stage.depth:
            words += f", alike {alike[stage.depth]:.2f}"
        pictures.append((stage.name, words, drawn(seen, explanation, 0.55, "inferno")))
    return Strip(stages[0].maps[0][0].target, pictures)


def _show(strip: Strip, who: str, layer: str) -> None:
    figures_ = [
        figure(
            data_uri(picture),
            f"{who} at {layer}, {_said(place, name)}, {words}",
            f"<b>{_said(place, name)}</b><br><span>{words}</span>",
        )
        for place, (name, words, picture) in enumerate(strip.pictures)
    ]
    st.html(grid(figures_, len(figures_)))
    st.caption(
        say(
            "{who} at {layer}, for {target}, the class the trained network predicts. Each "
            'picture has its own colour scale. "alike" is the rank correlation with the first '
            "map.",
            who=who,
            layer=layer,
            target=strip.target,
        )
    )


def _said(place: int, name: str) -> str:
    return "trained" if place == 0 else f"random: {'' if place == 1 else 'to '}{name}"
