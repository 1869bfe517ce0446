"""How far to trust one map, on demand: its deletion and insertion scores, where its mass lies, and its sanity verdict."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from oct_core.types import Explanation, RunCard, Scan
from pages.ui.services import get_run, shown_errors
from pages.ui.session import Bounded, Viewer, fingerprint

PLACES = {"mass_retina": "on the retina", "mass_above": "above it", "mass_below": "below it", "mass_borders": "on the borders"}


@dataclass(frozen=True)
class Measured:
    """scores : by measure name, see MEASURES. verdict : the randomisation test in words, "" if the method has none here."""

    scores: dict[str, float]
    verdict: str


def _store() -> Bounded[Measured]:
    """This browser session's results, a few numbers each."""
    if "viewer_measured" not in st.session_state:
        st.session_state["viewer_measured"] = Bounded[Measured](64, 2**20, lambda _: 512)
    store: Bounded[Measured] = st.session_state["viewer_measured"]
    return store


def measure_panel(state: Viewer, scan: Scan, card: RunCard, explanation: Explanation) -> None:
    """The button, and after it the scores of this map of this scan (they stay for the session)."""
    key = "|".join((card.name, card.weights_sha256, fingerprint(scan), explanation.target, explanation.key))
    asked = st.button(
        "Measure this map",
        icon=":material/straighten:",
        key="measure_map",
        disabled=not explanation.evidence,
        help="Deletes and restores the pixels that the map calls important, and repeats the map with random weights. A few seconds.",
    )
    if asked and _store().get(key) is None:
        bar = st.progress(0.0, "Deleting and inserting pixels")
        with shown_errors():
            _store().put(key, _measured(scan, card, explanation, bar))
        bar.empty()
    found = _store().get(key)
    if found is not None:
        _show(found, explanation)


def _measured(scan: Scan, card: RunCard, explanation: Explanation, bar: st.delta_generator.DeltaGenerator) -> Measured:
    from oct_core.explanations import METHODS
    from oct_core.explanations.measure import map_scores
    from oct_core.explanations.sanity import cascade, compare, verdicts

    run = get_run(card.name)
    scores = dict(map_scores(run, scan, explanation))
    if METHODS.get(explanation.method).slow:
        return Measured(scores, "")
    layers = None if explanation.layer == "input" else (explanation.layer,)

    def show(done: int, total: int) -> None:
        bar.progress(done / total, f"Maps with random weights: {done} of {total}")

    stages = cascade(
        run,
        card.architecture,
        [scan],
        (explanation.method,),
        layers,
        progress=show,
    )
    return Measured(scores, verdicts(compare(stages)).get((explanation.method, explanation.layer), ""))


def _show(found: Measured, explanation: Explanation) -> None:
    scores = found.scores
    left, middle, right = st.columns(3)
    left.metric("Deletion", f"{scores['deletion_mean']:.2f}", help=_definition("deletion_mean"))
    middle.metric("Insertion", f"{scores['insertion_mean']:.2f}", help=_definition("insertion_mean"))
    right.metric("On the retina", f"{scores['mass_retina']:.0%}", help=_definition("mass_retina"))
    st.caption("Of the map's mass: " + ", ".join(f"{scores[name]:.0%} {words}" for name, words in PLACES.items()) + ".")
    if found.verdict:
        st.caption(f"Randomised weights, this scan: {found.verdict}")
    else:
        st.caption(f"{explanation.method} runs the model too often for the randomisation test here.")


def _definition(name: str) -> str:
    from oct_core.explanations.measure import MEASURES

    measure = MEASURES.get(name)
    return f"{measure.definition} {measure.better.capitalize()} is better." if measure.better else measure.definition
