"""The parts of the page Gallery."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from oct_core.types import CLASS_TITLES, CLASSES, RunCard
from pages.ui.app.services import title_of
from pages.ui.gallery import data as gallery_data
from pages.ui.gallery.data import CHOICES, Example, Strip
from pages.ui.predictions import open_in_viewer
from pages.ui.shared.data_folder import data_folder, pictures_at_hand
from pages.ui.shared.samples import Sample

SYNTHETIC, REAL = "Synthetic scans", "Test scans"


def choose(cards: Sequence[RunCard]) -> tuple[RunCard, str, str, int]:
    """The model, where examples come from, which ones, and how many a class."""
    by_name = {card.name: card for card in cards}
    with st.container(border=True):
        columns = st.columns([3, 2, 3, 2], vertical_alignment="bottom", gap="medium")
        name = columns[0].selectbox(
            "Model",
            list(by_name),
            format_func=lambda key: title_of(by_name[key]),
            key="gallery_run",
        )
        images = {image for card in cards for image in gallery_data.test_images(card)}
        sources = [REAL, SYNTHETIC] if pictures_at_hand(images) else [SYNTHETIC]
        source = columns[1].selectbox("Examples from", sources, key="gallery_source")
        choice = columns[2].selectbox(
            "Which examples", list(CHOICES), format_func=CHOICES.__getitem__, key="gallery_choice"
        )
        count = columns[3].selectbox("Examples a class", [1, 2, 3], index=1, key="gallery_count")
    return by_name[name], source, choice, count


def gallery(card: RunCard, source: str, choice: str, count: int) -> None:
    """Every predicted class in turn, with progress while maps are computed."""
    st.caption(
        f"Rows: what {title_of(card)} takes for each class. Columns: the scan, then Grad-CAM for the predicted class from the "
        "shallowest to the deepest layer, each coloured from zero to its own maximum. Early layers follow edges; late layers "
        "say roughly which region moved the score."
    )
    if source == SYNTHETIC:
        hint = (
            ""
            if data_folder() is not None
            else " Start the app with `-- --data DIR` or OCT_DATA to see real test scans here."
        )
        st.caption(f"The scans are synthetic, drawn by this program.{hint}")
    place = st.empty()
    place.progress(0.0, text=f"{title_of(card)} reads the examples ...")
    examples = (
        gallery_data.test_examples(card)
        if source == REAL
        else gallery_data.synthetic_examples(card)
    )
    chosen = {label: gallery_data.pick(examples, label, choice, count) for label in CLASSES}
    wanted = [example for row in chosen.values() for example in row]
    strips: dict[Example, Strip | None] = {}
    for done, example in enumerate(wanted):
        place.progress(done / len(wanted), text=f"Explaining {done + 1} of {len(wanted)} ...")
        strips[example] = gallery_data.strip(card, example)
    place.empty()
    for label, row in chosen.items():
        _class(label, row, strips, choice)


def _class(
    label: str, row: Sequence[Example], strips: dict[Example, Strip | None], choice: str
) -> None:
    st.subheader(f"Predicted {label}", anchor=False, divider="gray", help=CLASS_TITLES[label])
    if not row:
        none = (
            "took no example for this class"
            if choice != "mistakes"
            else "made no such mistake among these examples"
        )
        st.info(
            f"The model {none}."
            if choice != "typical"
            else "The model read no example rightly as this class."
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
        f"**{example.name}** · true {example.true} · read as {example.predicted} with {example.confidence:.3f} {mark}"
    )
    if strip is None:
        st.info(
            "The data folder does not hold this scan, or not with the same content.",
            icon=":material/hide_image:",
        )
        return
    if button.button(
        "Open in viewer",
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
                alt=f"{title} of {example.name}, read as {example.predicted}",
            )
            st.caption(title if evidence else f"{title}: no evidence")
