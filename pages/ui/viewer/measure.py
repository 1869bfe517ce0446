"""How far to trust one map, on demand: its deletion and insertion scores, where its mass lies, and
its sanity verdict.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from oct_core.types import Explanation, RunCard, Scan
from oct_core.words import message, say
from pages.ui.app.services import get_run, shown_errors
from pages.ui.app.session import Bounded, Viewer, fingerprint

PLACES = {
    "mass_retina": message("on the retina"),
    "mass_above": message("above it"),
    "mass_below": message("below it"),
    "mass_borders": message("on the borders"),
}


@dataclass(frozen=True)
class Measured:
    """scores : by measure name, see MEASURES. left : what stays with random weights, in words."""

    scores: dict[str, float]
    left: str


def _store() -> Bounded[Measured]:
    """This browser session's results, a few numbers each."""
    if "viewer_measured" not in st.session_state:
        st.session_state["viewer_measured"] = Bounded[Measured](64, 2**20, lambda _: 512)
    store: Bounded[Measured] = st.session_state["viewer_measured"]
    return store


def measure_panel(state: Viewer, scan: Scan, card: RunCard, explanation: Explanation) -> None:
    """The button, and after it the scores of this map of this scan (they stay for the session)."""
    key = "|".join(
        (card.name, card.weights_sha256, fingerprint(scan), explanation.target, explanation.key)
    )
    asked = st.button(
        say("Measure this map"),
        icon=":material/straighten:",
        key="measure_map",
        disabled=not explanation.evidence,
        help=say(
            "Deletes and restores the pixels that the map calls important, and repeats the map "
            "with random weights. A few seconds."
        ),
    )
    if asked and _store().get(key) is None:
        bar = st.progress(0.0, say("Deleting and inserting pixels"))
        with shown_errors():
            _store().put(key, _measured(scan, card, explanation, bar))
        bar.empty()
    found = _store().get(key)
    if found is not None:
        _show(found)


def _measured(
    scan: Scan, card: RunCard, explanation: Explanation, bar: st.delta_generator.DeltaGenerator
) -> Measured:
    from oct_core.explanations import METHODS
    from oct_core.trust.measure import map_scores

    scores, method = (
        dict(map_scores(get_run(card.name), scan, explanation)),
        METHODS.get(explanation.method),
    )
    if method.slow:
        return Measured(
            scores,
            say(
                "{title} runs the model too often to repeat it with random weights here.",
                title=method.title,
            ),
        )
    return Measured(scores, _left(scan, card, explanation, bar))


def _left(
    scan: Scan, card: RunCard, explanation: Explanation, bar: st.delta_generator.DeltaGenerator
) -> str:
    """The rank correlations of this one map, with what chance alone gives on a grid as coarse as
    the layer's.
    """
    from oct_core.trust.sanity import cascade, chance_correlation, compare, half_depth, layer_grid

    run = get_run(card.name)
    layers = None if explanation.layer == "input" else (explanation.layer,)

    def show(done: int, total: int) -> None:
        bar.progress(
            done / total, say("Maps with random weights: {done} of {total}", done=done, total=total)
        )

    stages = cascade(run, card.architecture, [scan], (explanation.method,), layers, progress=show)
    left = {one.depth: float(one.rank_correlation[0]) for one in compare(stages)}
    words = say(
        "With random weights this scan's map keeps a rank correlation of {left:.2f} (upper half "
        "of the network random) and {left_2:.2f} (all of it).",
        left=left[half_depth(max(left))],
        left_2=left[max(left)],
    )
    if layers is None or explanation.signed:  # as fine as the input: chance plays no part
        return words
    height, width = layer_grid(run, explanation.layer, scan)
    chance = chance_correlation(height * width)
    return say(
        "{words} Of maps of {height} x {width} cells that have nothing to do with each other, "
        "one in twenty lies beyond ±{chance:.2f}.",
        words=words,
        height=height,
        width=width,
        chance=chance,
    )


def _show(found: Measured) -> None:
    scores = found.scores
    left, middle, right = st.columns(3)
    left.metric(
        say("Deletion"), f"{scores['deletion_mean']:.2f}", help=_definition("deletion_mean")
    )
    middle.metric(
        say("Insertion"), f"{scores['insertion_mean']:.2f}", help=_definition("insertion_mean")
    )
    right.metric(
        say("On the retina"), f"{scores['mass_retina']:.0%}", help=_definition("mass_retina")
    )
    st.caption(
        say("Of the map's mass: ")
        + ", ".join(f"{scores[name]:.0%} {words}" for name, words in PLACES.items())
        + ".",
        help="\n\n".join(_definition(name) for name in PLACES),
    )
    st.caption(found.left, help=_definition("rank_correlation"))


def _definition(name: str) -> str:
    from oct_core.trust.measure import MEASURES

    measure = MEASURES.get(name)
    return (
        say(
            "{definition} {better} is better.",
            definition=measure.definition,
            better=measure.better.capitalize(),
        )
        if measure.better
        else measure.definition
    )
