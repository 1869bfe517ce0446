"""How far to trust one map, on demand: its deletion and insertion scores, where its mass lies, and
its sanity verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from oct_core.runs.turns import pause
from oct_core.types import Explanation, Scan
from oct_core.words import message, note, say
from pages.ui.app.services import get_run, pace_of
from pages.ui.app.session import Viewer, fingerprint
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.tables import duration_text
from pages.ui.viewer.reading import Reading
from pages.ui.viewer.slow import Task, start_job

if TYPE_CHECKING:
    from oct_core.explanations.methods import Method

PLACES = {
    "mass_retina": message("On the retina: {share:.0%}"),
    "mass_above": message("above it: {share:.0%}"),
    "mass_below": message("below it: {share:.0%}"),
    "mass_borders": message("on the borders: {share:.0%}"),
}
PASSES_PER_STAGE = 8
"""Maps of one stage with random weights take about as long as so many forward passes."""


@dataclass(frozen=True)
class MapScores:
    """scores : by measure name, see MEASURES. half, whole : rank correlation left with the upper
    half of the network random and with all of it; None for methods too slow to repeat. grid : (h,
    w) of the layer where chance plays a part.
    """

    title: str
    scores: dict[str, float]
    half: float | None = None
    whole: float | None = None
    grid: tuple[int, int] | None = None


def measure_panel(state: Viewer, scan: Scan, reading: Reading, explanation: Explanation) -> None:
    """The button, and after it the scores of this map of this scan (they stay for the session)."""
    from oct_core.explanations import METHODS

    card = reading.card
    key = "|".join(
        (card.name, card.weights_sha256, fingerprint(scan), explanation.target, explanation.key)
    )
    key = f"measure|{key}"
    scores = state.measurements.get(key)
    if scores is not None:
        _draw(scores)
        return
    method = METHODS.get(explanation.method)
    total = _passes(reading, method)
    seconds = total * pace_of(card).seconds
    title = note(
        "Measuring {method} of {model} at {layer}",
        method=note(method.title),
        model=reading.title,
        layer=explanation.layer,
    )

    make = partial(_measure, scan, reading, explanation, method)
    st.button(
        say("Measure this map"),
        icon=":material/straighten:",
        key="measure_map",
        disabled=not explanation.evidence or key in state.jobs,
        on_click=start_job,
        args=(state, key, scan, Task(title, total, make, partial(state.measurements.put, key))),
        help=say(
            "Deletes and restores the pixels that the map calls important, and makes the map again "
            "with random weights. About {duration} on this machine.",
            duration=duration_text(max(1.0, seconds)),
        ),
    )
    st.caption(
        say("Being measured.")
        if key in state.jobs
        else say("Takes about {duration}.", duration=duration_text(max(1.0, seconds)))
    )


def _passes(reading: Reading, method: Method) -> int:
    """Forward passes that a measurement needs."""
    from oct_core.trust.faithfulness import STEPS

    stages = 0 if method.slow else len(reading.layers) + 2
    return 2 * STEPS + PASSES_PER_STAGE * stages


def _measure(scan: Scan, reading: Reading, explanation: Explanation, method: Method) -> MapScores:
    """The scores, and the rank correlations of this one map with random weights."""
    from oct_core.trust.measure import map_scores
    from oct_core.trust.sanity import cascade, compare, half_depth, layer_grid

    run = get_run(reading.card.name)
    scores = dict(map_scores(run, scan, explanation))
    if method.slow:
        return MapScores(method.title, scores)
    layers = None if explanation.layer == "input" else (explanation.layer,)

    def give_way(_done: int, _total: int) -> None:
        with run.lock.slow():  # the stages run on a copy
            pause(run.lock, PASSES_PER_STAGE)

    stages = cascade(run, [scan], (method.name,), layers, progress=give_way)
    rest = {one.depth: float(one.rank_correlation[0]) for one in compare(stages)}
    # Signed maps are as fine as the input: chance plays no part.
    coarse = layers is not None and not explanation.signed
    grid = layer_grid(run, explanation.layer, scan) if coarse else None
    return MapScores(method.title, scores, rest[half_depth(max(rest))], rest[max(rest)], grid)


def _verdict(measured: MapScores) -> list[str]:
    """What stays of the map with random weights, and what chance alone gives on a grid as coarse as
    the layer's, in sentences.
    """
    from oct_core.trust.sanity import chance_correlation

    if measured.half is None:
        return [
            say(
                "{title} runs the model too often to be repeated with random weights here.",
                title=say(measured.title),
            )
        ]
    words = [
        say(
            "With random weights this scan's map keeps a rank correlation of {half:.2f} (upper "
            "half of the network random) and {whole:.2f} (all of it).",
            half=measured.half,
            whole=measured.whole,
        )
    ]
    if measured.grid:
        height, width = measured.grid
        words.append(
            say(
                "Of unrelated maps of {height} x {width} cells, one in twenty lies beyond "
                "±{chance:.2f}.",
                height=height,
                width=width,
                chance=chance_correlation(height * width),
            )
        )
    return words


def _draw(measured: MapScores) -> None:
    scores = measured.scores
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
    places = ", ".join(say(text, share=scores[name]) for name, text in PLACES.items())
    st.caption(
        say("Shares of the map's sum. {places}.", places=places),
        help="\n\n".join(_definition(name) for name in PLACES),
    )
    st.caption(escape_markdown(" ".join(_verdict(measured))), help=_definition("rank_correlation"))


def _definition(name: str) -> str:
    from oct_core.trust.measure import MEASURES

    measure = MEASURES.get(name)
    words = [say(measure.definition)]
    if measure.better == "higher":
        words.append(say("Higher is better."))
    if measure.better == "lower":
        words.append(say("Lower is better."))
    return escape_markdown(" ".join(words))
