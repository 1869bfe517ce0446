"""The parts of the page Gallery."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from oct_core.models.catalog import ARCHITECTURES, ENSEMBLE, run_title
from oct_core.types import CLASSES, RunCard
from oct_core.words import message, say
from pages.ui.app import session
from pages.ui.app.services import title_of
from pages.ui.gallery import data as gallery_data
from pages.ui.gallery.data import CHOICES, Example, Strip
from pages.ui.shared.data_folder import data_folder, pictures_at_hand
from pages.ui.shared.links import open_in_viewer
from pages.ui.shared.pager import first_page, open_page_of, pager
from pages.ui.shared.pictures import data_uri, figure
from pages.ui.shared.run_data import one_of_each
from pages.ui.shared.samples import Sample
from pages.ui.shared.scan_rows import outcome_words
from pages.ui.shared.verdicts import small_line

SCANS_PER_PAGE = 6
SOURCES = {"synthetic": message("Synthetic scans"), "test": message("Test scans")}
_NONE = {
    "typical": message("No scan here was assigned to this class correctly."),
    "doubtful": message("No scan here was assigned to this class."),
    "mistakes": message("There is no such error among these scans."),
    "split": message("The models agree on all of these scans."),
}


@dataclass(frozen=True)
class Selection:
    """What the person chose. members : the models, in their order. source : a key of SOURCES.
    choice : of CHOICES. label : the class predicted, "" for any. depth : of the layer, counted from
    the last (0).
    """

    members: Sequence[RunCard]
    source: str
    choice: str
    label: str
    depth: int


def choose(cards: Sequence[RunCard]) -> Selection:
    """Which models, where the scans come from, which ones, and which layer."""
    by_name = {card.name: card for card in cards}
    with st.container(border=True):
        names = list(by_name)
        if len(names) > 1:
            names = session.keep_choice(
                "models",
                [card.name for card in one_of_each(cards)],
                st.pills,
                say("Models"),
                names,
                page="gallery",
                selection_mode="multi",
                format_func=lambda name: title_of(by_name[name]),
                on_change=partial(first_page, "gallery"),
            )
        members = [card for card in cards if card.name in names]
        columns = st.columns(4, vertical_alignment="bottom", gap="medium")
        images = {image for card in cards for image in gallery_data.test_images(card)}
        sources = ["test", "synthetic"] if pictures_at_hand(images) else ["synthetic"]
        source = _choose("source", columns[0], say("Scans"), {s: say(SOURCES[s]) for s in sources})
        which = {key: say(title) for key, title in CHOICES.items()}
        choice = _choose("choice", columns[1], say("Which scans"), which)
        classes = {"": say("Any")} | {name: name for name in CLASSES}
        label = _choose("label", columns[2], say("Predicted class"), classes)
        counts = [len(ARCHITECTURES.get(card.architecture).layers) for card in members]
        depths = {str(depth): _depth_title(depth) for depth in range(max(counts, default=1))}
        depth = _choose("depth", columns[3], say("Layer explained"), depths)
    return Selection(members, source, choice, label, int(depth))


def _choose(name: str, place: DeltaGenerator, label: str, titles: Mapping[str, str]) -> str:
    """A choice that survives a visit to another page; the first one by default."""
    choice: str = session.keep_choice(
        name,
        next(iter(titles)),
        place.selectbox,
        label,
        list(titles),
        page="gallery",
        format_func=lambda key: titles[key],
        on_change=partial(first_page, "gallery"),
    )
    return choice


def _depth_title(depth: int) -> str:
    return say("last layer") if depth == 0 else say("{depth} before the last", depth=depth)


def _introduce(selection: Selection) -> None:
    """What the page shows, in words."""
    words = [
        say(
            "Each row is one scan and its Grad-CAM by every model, for the class that the models "
            "predict together. Each map is coloured from zero to its own maximum."
        )
        if len(selection.members) > 1
        else say(
            "Each row is one scan and its Grad-CAM, for the class that the model predicts. The map "
            "is coloured from zero to its own maximum."
        )
    ]
    if selection.source == "synthetic":
        words.append(say("The scans are synthetic, drawn by this program."))
        if data_folder() is None:
            words.append(
                say(
                    "To see real test scans here, start the app with `-- --data DIR` or set "
                    "`OCT_DATA`."
                )
            )
    st.caption(" ".join(words))


def gallery(selection: Selection) -> None:
    """The page of scans that is open, with progress while maps are computed."""
    members = selection.members
    if not members:
        st.info(say("Choose at least one model."), icon=":material/filter_alt:")
        return
    _introduce(selection)
    place = st.empty()
    place.progress(0.0, text=say("The models classify the scans …"))
    examples = gallery_data.arrange(
        gallery_data.test_examples(members)
        if selection.source == "test"
        else gallery_data.synthetic_examples(members),
        selection.choice,
        selection.label,
    )
    page = examples[open_page_of(len(examples), SCANS_PER_PAGE, "gallery")]
    strips = []
    for done, example in enumerate(page):
        place.progress(
            done / len(page),
            text=say(
                "Computing maps of scan {number} of {total} …", number=done + 1, total=len(page)
            ),
        )
        strips.append(gallery_data.strip(members, example, selection.depth))
    place.empty()
    if not page:
        st.info(say(_NONE[selection.choice]), icon=":material/filter_alt_off:")
    pager(len(examples), SCANS_PER_PAGE, "gallery", "top")
    for example, strip in zip(page, strips, strict=True):
        _example(example, strip, members)
    pager(len(examples), SCANS_PER_PAGE, "gallery", "bottom")


def _example(example: Example, strip: Strip | None, members: Sequence[RunCard]) -> None:
    with st.container(border=True, gap="small"):
        st.html(_head(example, members))
        if strip is None:
            st.info(
                say("The data folder does not hold this scan, or its content has changed."),
                icon=":material/hide_image:",
            )
            return
        st.html(_row(example, strip, members))
        if st.button(
            say("Open in the viewer"),
            key=f"gallery_{example.source}",
            icon=":material/open_in_new:",
            type="tertiary",
        ):
            source = example.source if isinstance(example.source, Sample) else example.scan
            if source is not None:
                open_in_viewer(source)


def _head(example: Example, members: Sequence[RunCard]) -> str:
    """The HTML of the scan's name, what is true of it, what is predicted, and the verdict."""
    words = say(
        "true class {true}; {model} says {predicted}, {confidence:.1%}",
        true=example.true,
        model=run_title(ENSEMBLE) if len(members) > 1 else title_of(members[0]),
        predicted=example.predicted,
        confidence=example.confidence,
    )
    outcome = outcome_words(example.true == example.predicted)
    return (
        '<h2 style="font-size:1.05rem;margin:0;padding:0;overflow-wrap:anywhere">'
        f"{html.escape(example.name)}</h2>"
        f'<p style="margin:.1rem 0 .3rem">{html.escape(words)} · '
        f'<b style="white-space:nowrap">{html.escape(outcome)}</b></p>'
        f"{small_line(example.verdict)}"
    )


def _row(example: Example, strip: Strip, members: Sequence[RunCard]) -> str:
    """The HTML of the scan at the left and the map of every model, two in a row on a phone."""
    words = say(
        "{name}, predicted class {predicted}", name=example.name, predicted=example.predicted
    )
    figures = [figure(data_uri(strip.scan), words, f"<b>{html.escape(say('scan'))}</b>")]
    for card, (label, share), (layer, picture, empty) in zip(
        members, example.answers, strip.maps, strict=True
    ):
        alt = say(
            "Grad-CAM of {model} at {layer} of {name}, for {predicted}",
            model=title_of(card),
            layer=layer,
            name=example.name,
            predicted=example.predicted,
        )
        answer = f"{label} {share:.1%} {outcome_words(label == example.true)}"
        where = layer if empty is None else f"{layer}: {empty.say_again()}"
        caption = (
            f"<b>{html.escape(title_of(card))}</b><br>{html.escape(answer)}"
            f"<br><span>{html.escape(where)}</span>"
        )
        figures.append(figure(data_uri(picture), alt, caption))
    return (
        '<div class="oct-maps" style="grid-template-columns:repeat(auto-fit,minmax(min(10rem,45%),'
        f'1fr));max-width:{21 * len(figures)}rem">{"".join(figures)}</div>'
    )
