"""The parts of the page Gallery."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from oct_core.types import CLASS_TITLES, CLASSES, RunCard
from oct_core.words import message, say
from pages.ui.app.services import title_of
from pages.ui.gallery import data as gallery_data
from pages.ui.gallery.data import CHOICES, Example, Strip
from pages.ui.predictions import open_in_viewer
from pages.ui.shared.data_folder import data_folder, pictures_at_hand
from pages.ui.shared.samples import Sample

SYNTHETIC, REAL = message("Synthetic scans"), message("Test scans")


def choose(cards: Sequence[RunCard]) -> tuple[RunCard, str, str, int]:
    """The model, where examples come from, which ones, and how many a class."""
    by_name = {card.name: card for card in cards}
    with st.container(border=True):
        columns = st.columns([3, 2, 3, 2], vertical_alignment="bottom", gap="medium")
        name = columns[0].selectbox(
            say("Model"),
            list(by_name),
            format_func=lambda key: title_of(by_name[key]),
            key="gallery_run",
        )
        images = {image for card in cards for image in gallery_data.test_images(card)}
        sources = [REAL, SYNTHETIC] if pictures_at_hand(images) else [SYNTHETIC]
        source = columns[1].selectbox(say("Examples from"), sources, key="gallery_source")
        choice = columns[2].selectbox(
            say("Which examples"),
            list(CHOICES),
            format_func=CHOICES.__getitem__,
            key="gallery_choice",
        )
        count = columns[3].selectbox(
            say("Examples a class"), [1, 2, 3], index=1, key="gallery_count"
        )
    return by_name[name], source, choice, count


def gallery(card: RunCard, source: str, choice: str, count: int) -> None:
    """Every predicted class in turn, with progress while maps are computed."""
    st.caption(
        say(
            "Rows: what {model} takes for each class. Columns: the scan, then Grad-CAM for the "
            "predicted class from the shallowest to the deepest layer, each coloured from zero "
            "to its own maximum. Early layers follow edges; late layers say roughly which region "
            "moved the score.",
            model=title_of(card),
        )
    )
    if source == SYNTHETIC:
        hint = (
            ""
            if data_folder() is not None
            else say(" Start the app with `-- --data DIR` or OCT_DATA to see real test scans here.")
        )
        st.caption(say("The scans are synthetic, drawn by this program.{hint}", hint=hint))
    place = st.empty()
    place.progress(0.0, text=say("{model} reads the examples ...", model=title_of(card)))
    examples = (
        gallery_data.test_examples(card)
        if source == REAL
        else gallery_data.synthetic_examples(card)
    )
    chosen = {label: gallery_data.pick(examples, label, choice, count) for label in CLASSES}
    wanted = [example for row in chosen.values() for example in row]
    strips: dict[Example, Strip | None] = {}
    for done, example in enumerate(wanted):
        place.progress(
            done / len(wanted),
            text=say(
                "Explaining {done} of {wanted_count} ...", done=done + 1, wanted_count=len(wanted)
            ),
        )
        strips[example] = gallery_data.strip(card, example)
    place.empty()
    for label, row in chosen.items():
        _class(label, row, strips, choice)


def _class(
    label: str, row: Sequence[Example], strips: dict[Example, Strip | None], choice: str
) -> None:
    st.subheader(
        say("Predicted {label}", label=label),
        anchor=False,
        divider="gray",
        help=CLASS_TITLES[label],
    )
    if not row:
        none = (
            say("took no example for this class")
            if choice != "mistakes"
            else say("made no such mistake among these examples")
        )
        st.info(
            say("The model {none}.", none=none)
            if choice != "typical"
            else say("The model read no example rightly as this class.")
        )
    for example in row:
        _example(example, strips[example])


def _example(example: Example, strip: Strip | None) -> None:
    mark = (
        ":green-badge[:material/check: right]"
        if example.true == example.predicted
        else ":red-badge[:material/close: wrong]"
    )
    head, button = st.columns([4, 1], vertical_alignment="center")
    head.markdown(
        say(
            "**{example_name}** · true {true} · read as {predicted} with {confidence:.3f} {mark}",
            example_name=example.name,
            true=example.true,
            predicted=example.predicted,
            confidence=example.confidence,
            mark=mark,
        )
    )
    if strip is None:
        st.info(
            say("The data folder does not hold this scan, or not with the same content."),
            icon=":material/hide_image:",
        )
        return
    if button.button(
        say("Open in viewer"),
        key=f"gallery_{example.source}",
        icon=":material/open_in_new:",
        width="stretch",
    ):
        handed = example.source if isinstance(example.source, Sample) else example.scan
        if handed is not None:
            open_in_viewer(handed)
    for column, (title, picture, evidence) in zip(
        st.columns(len(strip.pictures), gap="small"), strip.pictures, strict=True
    ):
        with column:
            st.image(
                picture,
                width="stretch",
                alt=say(
                    "{title} of {example_name}, read as {predicted}",
                    title=title,
                    example_name=example.name,
                    predicted=example.predicted,
                ),
            )
            st.caption(title if evidence else say("{title}: no evidence", title=title))
