"""The parts of the home page."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from oct_core.figures.charts import model_colour
from oct_core.metrics.summary import Evaluation
from oct_core.types import CLASS_TITLES, CLASSES, RunCard
from oct_core.words import message, say
from pages.ui.app.services import title_of
from pages.ui.shared.run_data import evaluation, stored_evaluation
from pages.ui.shared.samples import Sample, outlined
from pages.ui.shared.tables import sample_text

WHAT_TO_SEE = {
    "CNV": message(
        "New vessels under the retina leave bright material and dark fluid that lift it from below."
    ),
    "DME": message(
        "Diabetes makes vessels leak: dark cysts of fluid swell the retina from within."
    ),
    "DRUSEN": message("Small deposits under the pigment epithelium raise it in bumps."),
    "NORMAL": message("Even layers and a shallow foveal pit, nothing outlined."),
}
IDEAS = {
    "vgg16": message("13 plain convolutions in a row, here with a small head."),
    "resnet50": message("50 layers with shortcuts, so that each block only learns a correction."),
    "densenet121": message("121 layers where each block sees the output of all before it."),
}


def introduction() -> None:
    """One sentence, and the way to the first thing to try."""
    st.markdown(
        say(
            "##### Open an OCT B-scan and see what VGG16, ResNet50 and DenseNet121 make of it, "
            "side by side: the probability of each of four classes and, layer by layer, where each "
            "network looked."
        )
    )
    with st.container(horizontal=True, gap="small"):
        if st.button(say("Open the viewer"), type="primary", icon=":material/image_search:"):
            st.switch_page("pages/1_Viewer.py")
        if st.button(say("See how well they do"), icon=":material/query_stats:"):
            st.switch_page("pages/3_Performance.py")


def the_classes() -> None:
    """A phantom with its lesion outlined for each class."""
    st.subheader(say("The four classes"), anchor=False)
    for column, label in zip(st.columns(len(CLASSES), gap="medium"), CLASSES, strict=True):
        phantom = Sample(label, 1).phantom()
        with column:
            st.image(
                outlined(phantom.pixels, phantom.lesion),
                width="stretch",
                alt=say("Synthetic B-scan, {class_titles}", class_titles=CLASS_TITLES[label]),
            )
            st.markdown(f"**{label}**")
            st.caption(f"{CLASS_TITLES[label]}. {WHAT_TO_SEE[label]}")
    st.caption(
        say(
            "These four pictures are synthetic, drawn by this program; the outline is the exact "
            "border of the drawn lesion."
        )
    )


def the_models(cards: Sequence[RunCard]) -> None:
    """A card for each run with its held-out figures, three in a row."""
    st.subheader(say("The models, on scans of patients they never saw"), anchor=False)
    for start in range(0, len(cards), 3):
        row = cards[start : start + 3]
        for column, card in zip(st.columns(3, gap="medium"), row, strict=False):
            with column, st.container(border=True, height="stretch"):
                _model(card)


def _model(card: RunCard) -> None:
    colour = model_colour(card.architecture)
    st.html(
        f'<div style="height:.35rem;border-radius:99px;background:{colour}"></div>'
        '<div style="font-size:1.2rem;font-weight:600;margin-top:.5rem">'
        f"{_escape(title_of(card))}</div>"
        f'<div class="oct-muted">{IDEAS.get(card.architecture, "")}</div>'
    )
    scores = _scores(card)
    if scores is None:
        st.info(
            _without_scores(card),
            icon=":material/hourglass_top:" if card.status == "training" else ":material/info:",
        )
        return
    left, right = st.columns(2)
    for column, name, figure in (
        (left, "Accuracy", scores.accuracy),
        (right, say("Macro AUC"), scores.macro_auc),
    ):
        span = f"{figure.low:.3f} to {figure.high:.3f}"
        column.metric(name, f"{figure.value:.3f}", delta=span, delta_color="off", delta_arrow="off")
    st.caption(
        say(
            "{sample_text} of the test part; below each figure its 95% interval, from a "
            "bootstrap by patient.",
            sample_text=sample_text(scores),
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
        return say("Still being trained: its held-out figures come when the training ends.")
    if card.status == "failed":
        return say(
            "The training of this run stopped early; `train --resume` goes on from its last good "
            "state."
        )
    return say("No held-out predictions yet; `python -m oct_core evaluate` makes them.")


def the_limits() -> None:
    """What the figures do not say."""
    st.subheader(say("Limits"), anchor=False)
    left, right = st.columns(2, gap="large")
    left.markdown(
        say(
            "- **Few scans, one source.** The shipped models were trained on a few hundred scans "
            "of one public collection. On scans of another device or hospital expect clearly "
            "worse, and do not trust the probability.\n- **Four answers only.** A scan with any "
            "other disease, or a picture that is no OCT scan, still gets one of the four."
        )
    )
    right.markdown(
        say(
            "- **One picture.** Clinicians judge a whole volume, the history and the other eye; "
            "the models see one slice.\n- **Maps show where, not why.** A bright region moved the "
            "score; it is no proof of a lesion, and a plausible map does not make the answer right."
        )
    )
    st.page_link(
        "pages/7_Data_and_models.py",
        label=say("Data, run cards, licence and citation"),
        icon=":material/description:",
    )


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
