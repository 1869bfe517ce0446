"""The parts of the page Gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from oct_core.models.catalog import ENSEMBLE
from oct_core.types import CLASS_TITLES, CLASSES, RunCard
from oct_core.words import message, say
from pages.ui.app.services import title_of
from pages.ui.gallery import data as gallery_data
from pages.ui.gallery.data import CHOICES, Example, Strip
from pages.ui.shared.data_folder import data_folder, pictures_at_hand
from pages.ui.shared.links import open_in_viewer
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.run_data import one_of_each, with_ensemble
from pages.ui.shared.samples import Sample
from pages.ui.shared.verdicts import small_line

SOURCES = {"synthetic": message("Synthetic scans"), "test": message("Test scans")}


_NONE = {
    "typical": message("The model assigned no example to this class correctly."),
    "doubtful": message("The model assigned no example to this class."),
    "mistakes": message("The model made no such error among these examples."),
}


@dataclass(frozen=True)
class Selection:
    """What the person chose. card : of the run, or of the ensemble. members : the run alone, or
    those of the ensemble. source : a key of SOURCES. choice : of CHOICES. count : examples a class.
    """

    card: RunCard
    members: Sequence[RunCard]
    source: str
    choice: str
    count: int


def choose(cards: Sequence[RunCard]) -> Selection:
    """The model, the ensemble first, where examples come from, which ones, and how many a class."""
    by_name = {card.name: card for card in with_ensemble(cards)}
    with st.container(border=True):
        columns = st.columns([3, 2, 3, 2], vertical_alignment="bottom", gap="medium")
        name = columns[0].selectbox(
            say("Model"),
            list(by_name),
            format_func=lambda key: title_of(by_name[key]),
            key="gallery_run",
        )
        images = {image for card in cards for image in gallery_data.test_images(card)}
        source = columns[1].selectbox(
            say("Examples from"),
            ["test", "synthetic"] if pictures_at_hand(images) else ["synthetic"],
            format_func=lambda key: say(SOURCES[key]),
            key="gallery_source",
        )
        choice = columns[2].selectbox(
            say("Which examples"),
            list(CHOICES),
            format_func=lambda key: say(CHOICES[key]),
            key="gallery_choice",
        )
        count = columns[3].selectbox(
            say("Examples per class"), [1, 2, 3], index=1, key="gallery_count"
        )
    card = by_name[name]
    members = one_of_each(cards) if card.architecture == ENSEMBLE else [card]
    return Selection(card, members, source, choice, count)


def _introduce(selection: Selection) -> None:
    """What the page shows, in words."""
    model = escape_markdown(title_of(selection.card))
    if len(selection.members) > 1:
        st.caption(
            say(
                "Each section shows scans that the ensemble assigns to one class: the scan, then "
                "Grad-CAM of each of its models at the deepest layer, for the class that the "
                "ensemble predicts, each coloured from zero to its own maximum.",
            )
        )
    else:
        st.caption(
            say(
                "Each section shows scans that {model} assigns to one class: the scan, then "
                "Grad-CAM for the predicted class from the shallowest to the deepest layer, each "
                "coloured from zero to its own maximum. Early layers follow edges; late layers "
                "show roughly which region drove the score.",
                model=model,
            )
        )
    if selection.source == "synthetic":
        st.caption(say("The scans are synthetic, drawn by this program."))
        if data_folder() is None:
            st.caption(
                say(
                    "To see real test scans here, start the app with `-- --data DIR` or set "
                    "`OCT_DATA`."
                )
            )


def gallery(selection: Selection) -> None:
    """Every predicted class in turn, with progress while maps are computed."""
    _introduce(selection)
    choice, members = selection.choice, selection.members
    place = st.empty()
    model = escape_markdown(title_of(selection.card))
    place.progress(0.0, text=say("{model} classifies the examples …", model=model))
    examples = (
        gallery_data.test_examples(members)
        if selection.source == "test"
        else gallery_data.synthetic_examples(members)
    )
    rows = {label: gallery_data.pick(examples, label, choice, selection.count) for label in CLASSES}
    picks = [example for row in rows.values() for example in row]
    strips: dict[Example, Strip | None] = {}
    for done, example in enumerate(picks):
        place.progress(
            done / len(picks),
            text=say(
                "Computing maps of scan {number} of {total} …", number=done + 1, total=len(picks)
            ),
        )
        strips[example] = gallery_data.strip(members, example)
    place.empty()
    for label, row in rows.items():
        _class(label, row, strips, choice)


def _class(
    label: str, row: Sequence[Example], strips: dict[Example, Strip | None], choice: str
) -> None:
    st.header(
        say("Predicted class {label}", label=label),
        anchor=False,
        divider="gray",
        help=say(CLASS_TITLES[label]),
    )
    if not row:
        st.info(say(_NONE[choice]))
    for example in row:
        _example(example, strips[example])


def _example(example: Example, strip: Strip | None) -> None:
    correct = example.true == example.predicted
    mark = say(":gray-badge[correct]") if correct else say(":red-badge[wrong]")
    head, button = st.columns([4, 1], vertical_alignment="center")
    with head.container(gap="xxsmall"):
        st.markdown(
            say(
                "**{name}** · true class {true} · predicted {predicted}, confidence "
                "{confidence:.3f} {mark}",
                name=escape_markdown(example.name),
                true=example.true,
                predicted=example.predicted,
                confidence=example.confidence,
                mark=mark,
            )
        )
        st.html(small_line(example.verdict))
    if strip is None:
        st.info(
            say("The data folder does not hold this scan, or its content has changed."),
            icon=":material/hide_image:",
        )
        return
    if button.button(
        say("Open in the viewer"),
        key=f"gallery_{example.source}",
        icon=":material/open_in_new:",
        width="stretch",
    ):
        source = example.source if isinstance(example.source, Sample) else example.scan
        if source is not None:
            open_in_viewer(source)
    first, *columns = st.columns(1 + len(strip.maps), gap="small")
    alt = say("{name}, predicted class {predicted}", name=example.name, predicted=example.predicted)
    first.image(strip.scan, width="stretch", alt=alt)
    first.caption(say("scan"))
    for column, (layer, picture, evidence) in zip(columns, strip.maps, strict=True):
        alt = say(
            "Grad-CAM at {layer} of {name}, for {predicted}",
            layer=layer,
            name=example.name,
            predicted=example.predicted,
        )
        column.image(picture, width="stretch", alt=alt)
        caption = escape_markdown(layer)
        column.caption(caption if evidence else say("{layer}: no evidence", layer=caption))
