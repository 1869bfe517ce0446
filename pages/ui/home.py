"""The parts of the home page."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import streamlit as st

from oct_core.figures.colours import model_colour
from oct_core.metrics.intervals import bounds_text
from oct_core.metrics.summary import Evaluation
from oct_core.models.catalog import (
    ARCHITECTURES,
    ENSEMBLE,
    ENSEMBLE_BLURB,
    ENSEMBLE_COLOUR,
    run_title,
)
from oct_core.types import CLASS_TITLES, CLASSES, RunCard
from oct_core.words import message, say
from pages.ui.app.services import title_of
from pages.ui.shared.run_data import (
    ensemble_evaluation,
    evaluation,
    one_of_each,
    stored_evaluation,
)
from pages.ui.shared.samples import Sample, outlined
from pages.ui.shared.tables import sample_text

WHAT_TO_SEE = {
    "CNV": message(
        "New vessels grow under the retina; bright material and dark fluid lift it from below."
    ),
    "DME": message(
        "Diabetes makes retinal vessels leak; dark pockets of fluid swell the retina from within."
    ),
    "DRUSEN": message("Small deposits under the retinal pigment epithelium raise it in bumps."),
    "NORMAL": message("Even layers and a shallow foveal pit. Nothing is outlined."),
}


def introduction() -> None:
    """One sentence, and the way to the first thing to try."""
    words = say(
        "Open an OCT B-scan and see how {networks} and their ensemble classify it, side by side: a "
        "verdict that says when there is no answer, the probability of each of four classes and, "
        "layer by layer, where each network seems to look.",
        networks=", ".join(ARCHITECTURES.get(name).title for name in ARCHITECTURES),
    )
    st.html(f'<p class="oct-lead">{html.escape(words)}</p>')
    with st.container(horizontal=True, gap="small"):
        if st.button(say("Open the viewer"), type="primary", icon=":material/image_search:"):
            st.switch_page("pages/1_Viewer.py")
        if st.button(say("See how accurate they are"), icon=":material/query_stats:"):
            st.switch_page("pages/3_Performance.py")


def the_classes() -> None:
    """A phantom with its lesion outlined for each class."""
    st.header(say("The four classes"), anchor=False)
    for column, label in zip(st.columns(len(CLASSES), gap="medium"), CLASSES, strict=True):
        phantom = Sample(label, 1).phantom()
        with column:
            st.image(
                outlined(phantom.pixels, phantom.lesion),
                width="stretch",
                alt=say("Synthetic B-scan: {title}", title=say(CLASS_TITLES[label])),
            )
            st.markdown(f"**{label}**")
            st.caption(f"{say(CLASS_TITLES[label])}. {say(WHAT_TO_SEE[label])}")
    st.caption(
        say(
            "These four scans are synthetic, drawn by this program. The outline is the exact "
            "border of the lesion."
        )
    )


def the_models(cards: Sequence[RunCard]) -> None:
    """The ensemble's held-out figures, then a card for each run with its own, three in a row."""
    st.header(say("The models, tested on patients they have never seen"), anchor=False)
    members = one_of_each([card for card in cards if card.status == "done"])
    together = ensemble_evaluation(members)
    if together is not None:
        with st.container(border=True):
            _head(run_title(ENSEMBLE), ENSEMBLE_COLOUR, say(ENSEMBLE_BLURB))
            _figures(together)
    for start in range(0, len(cards), 3):
        row = cards[start : start + 3]
        for column, card in zip(st.columns(3, gap="medium"), row, strict=False):
            with column, st.container(border=True, height="stretch"):
                _model(card)


def _model(card: RunCard) -> None:
    network = card.architecture
    blurb = say(ARCHITECTURES.get(network).blurb) if network in ARCHITECTURES else ""
    _head(title_of(card), model_colour(network), blurb)
    scores = _scores(card)
    if scores is None:
        st.info(
            _without_scores(card),
            icon=":material/hourglass_top:" if card.status == "training" else ":material/info:",
        )
    else:
        _figures(scores)


def _head(title: str, colour: str, blurb: str) -> None:
    st.html(
        f'<div style="height:.35rem;border-radius:99px;background:{colour}"></div>'
        '<div style="font-size:1.2rem;font-weight:600;margin-top:.5rem">'
        f"{html.escape(title)}</div>"
        f'<div class="oct-muted">{html.escape(blurb)}</div>'
    )


def _figures(scores: Evaluation) -> None:
    left, right = st.columns(2)
    for column, name, figure in (
        (left, say("Accuracy"), scores.accuracy),
        (right, say("Macro AUC"), scores.macro_auc),
    ):
        value = "-" if math.isnan(figure.value) else f"{figure.value:.3f}"
        span = bounds_text(figure, patients=scores.n_patients)
        column.metric(name, value, delta=span, delta_color="off", delta_arrow="off")
    st.caption(
        say(
            "Test part: {sample}. Below each figure is its 95% interval by patient.",
            sample=sample_text(scores),
        )
    )


def _scores(card: RunCard) -> Evaluation | None:
    """The card's own figures; computed from the predictions where the card has none."""
    stored = stored_evaluation(card)
    if stored is None and (card.folder / "predictions.csv").is_file():
        return evaluation(card, "test")
    return stored


def _without_scores(card: RunCard) -> str:
    if card.status == "training":
        return say("Still being trained. Its test figures appear when the training ends.")
    if card.status == "failed":
        return say(
            "The training of this run stopped early. `train --resume` continues from its last "
            "saved state."
        )
    return say("No test predictions yet. Make them with `python -m oct_core evaluate`.")


def the_limits() -> None:
    """What the figures do not say."""
    st.header(say("Limits"), anchor=False)
    left, right = st.columns(2, gap="large")
    left.markdown(
        say(
            "- **Few scans, one source.** The shipped models were trained on a few hundred scans "
            "of one public collection. On scans from another device or hospital expect lower "
            "accuracy, and do not trust the probabilities.\n- **Four answers only.** A scan that "
            "shows another disease, or a picture that is not an OCT scan, still gets one of the "
            "four; the verdict above the answers warns of such pictures, though not of all."
        )
    )
    right.markdown(
        say(
            "- **One B-scan.** Clinicians judge a whole volume, the history and the other eye; the "
            "models see one slice.\n- **Maps show where, not why.** A bright region changed the "
            "score. It does not prove a lesion, and a plausible map does not make the answer "
            "right."
        )
    )
    st.page_link(
        "pages/7_Data_and_models.py",
        label=say("Data, run cards, licence and citation"),
        icon=":material/description:",
    )
