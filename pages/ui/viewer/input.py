"""How scans come into the viewer: uploads, samples; per scan the page, turn, crop and inversion."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from oct_core.figures.pictures import shrink
from oct_core.scans import DEFAULT, is_coloured, suffixes
from oct_core.types import CLASSES
from oct_core.words import say, say_count
from pages.ui.app.services import MAX_UPLOAD_BYTES, describe_error
from pages.ui.app.session import (
    MAX_SCAN_BYTES,
    MAX_SCANS,
    Item,
    Viewer,
    display_name,
    turn_to_page,
)
from pages.ui.app.streamlit_inside import forget_upload, is_gone
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.pictures import draw_figure
from pages.ui.shared.samples import Sample, all_samples
from pages.ui.viewer.controls import Choices


def uploader_key(state: Viewer) -> str:
    """The widget key of the uploader that is on the page now."""
    return f"viewer_upload_{state.uploader}"


def _ingest(state: Viewer, key: str) -> None:
    """Callback of the uploader: decode each file, keep pictures and sentences about refusals, free
    the server's copies.
    """
    from oct_core.scans import inspect, read_scan

    # An emptied uploader may be sent once more, see is_gone; a file dropped there meanwhile is new.
    files = [file for file in st.session_state.get(key) or [] if not is_gone(file)]
    if not files:
        return
    state.problems, state.doubles = [], []
    for number, file in enumerate(files, start=1):
        data = file.getvalue()
        try:
            scan = read_scan(data, file.name)
            pages = inspect(data).pages
            before = len(state.ordered())
            item = state.open_upload(
                replace(scan, source="upload"), data=data if pages > 1 else None, pages=pages
            )
            if item.scan.name != file.name and len(state.ordered()) == before:
                state.doubles.append((number, file.name, item.number))
        except Exception as error:  # noqa: BLE001 - one bad file leaves the others; logged there
            state.problems.append((number, file.name, describe_error(error)))
    forget_upload(file.file_id for file in files)
    # A new key empties the widget: the session's own store holds the scans now.
    state.uploader += 1


def upload(state: Viewer) -> None:
    """The drop zone, and what was refused the last time."""
    key = uploader_key(state)
    st.file_uploader(
        say("Drop retinal OCT B-scans here"),
        # The filter only spares a wrong click: what a file is, its content decides.
        type=list(suffixes()),
        accept_multiple_files=True,
        key=key,
        on_change=_ingest,
        args=(state, key),
        max_upload_size=MAX_UPLOAD_BYTES // 2**20,
        help=say(
            "8 or 16 bit, gray or colour, with one page or several. At most {max_scans} scans "
            "stay open; they are held in memory for this browser tab only and never written to "
            "disk.",
            max_scans=MAX_SCANS,
        ),
    )


def show_problems(state: Viewer, hide_names: bool) -> None:
    """One sentence a refused file; without file names where they are hidden."""
    for number, name, reason in state.problems:
        reason = escape_markdown(say(reason))
        words = (
            say("File {number}: {reason}", number=number, reason=reason)
            if hide_names
            else say(
                "File {number} ({name}): {reason}",
                number=number,
                name=escape_markdown(name),
                reason=reason,
            )
        )
        st.error(words, icon=":material/broken_image:")
    open_names = {item.number: display_name(item, hide_names) for item in state.ordered()}
    for number, name, other in state.doubles:
        if other in open_names:
            file = say("File {number}", number=number) if hide_names else name
            st.info(
                say(
                    "{file} holds the same picture as {scan}, which is open.",
                    file=escape_markdown(file),
                    scan=escape_markdown(open_names[other]),
                ),
                icon=":material/content_copy:",
            )
    if state.crowded_out:
        st.info(
            say_count(
                "The scan opened first was closed to make room: at most {max_scans} scans, or "
                "{megabytes} MB, stay open.",
                "The {count} scans opened first were closed to make room: at most {max_scans} "
                "scans, or {megabytes} MB, stay open.",
                state.crowded_out,
                max_scans=MAX_SCANS,
                megabytes=MAX_SCAN_BYTES // 2**20,
            ),
            icon=":material/inventory_2:",
        )


def sample_titles(hide_answer: bool) -> dict[Sample, str]:
    """What each sample is called; with the answer hidden, numbers in an order that gives nothing
    away.
    """
    samples = all_samples()
    if not hide_answer:
        return {sample: sample.title for sample in samples}
    shuffled = sorted(samples, key=lambda sample: (sample.seed * 7919) % 104_729)
    return {
        sample: say("Synthetic sample {place}", place=place)
        for place, sample in enumerate(shuffled, start=1)
    }


def sample_menu(state: Viewer, hide_answer: bool) -> None:
    """A menu of all samples."""
    titles = sample_titles(hide_answer)

    def open_choice() -> None:
        sample = st.session_state.get("viewer_sample")
        if sample is not None:
            state.show_sample(sample)
            st.session_state["viewer_sample"] = None

    st.selectbox(
        say("Open a synthetic sample"),
        list(titles),
        index=None,
        format_func=lambda sample: titles[sample],
        placeholder=say("Choose a sample"),
        key="viewer_sample",
        on_change=open_choice,
    )


def sample_cards(state: Viewer, hide_answer: bool) -> None:
    """Four samples as pictures with a button each: the way in for someone without a scan."""
    titles = sample_titles(hide_answer)
    samples = list(titles)[: len(CLASSES)]
    for column, sample in zip(st.columns(len(samples)), samples, strict=True):
        with column, st.container(border=True):
            title = titles[sample]
            st.html(
                '<div class="oct-maps">'
                f"{draw_figure(shrink(sample.phantom().pixels, 360), title)}</div>"
            )
            st.markdown(f"**{escape_markdown(title)}**")
            if not hide_answer:
                st.markdown(escape_markdown(sample.description))
            st.button(
                say("Open"),
                key=f"open_{sample.seed}",
                on_click=state.show_sample,
                args=(sample,),
                width="stretch",
            )


def item_name(item: Item, choices: Choices) -> str:
    """A scan's name as it may be shown now, plain text."""
    if item.sample is not None:
        return sample_titles(choices.hide_answer)[item.sample]
    return display_name(item, choices.hide_names)


def show_item(state: Viewer, item: Item) -> None:
    """Show an open scan."""
    state.current = item.id


def reading_options(item: Item) -> None:
    """TIFF page, turn, crop box, inversion and luminance of the scan shown; written into the
    item.
    """
    if item.pages > 1:
        page = st.number_input(
            say("Page (1 to {pages})", pages=item.pages),
            1,
            item.pages,
            item.page + 1,
            key=f"page_{item.id}",
        )
        turn_to_page(item, int(page) - 1)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        item.invert = _switch(
            "invert", item, item.invert, say("Invert"), say("For scans drawn dark on white.")
        )
        cropping = _switch(
            "crop",
            item,
            item.box is not None,
            say("Crop"),
            say("Cut off text and en-face panels of device exports."),
        )
        if item.luminance or is_coloured(item.scan):
            item.luminance = _switch(
                "luminance",
                item,
                item.luminance,
                say("Luminance"),
                say("For gray scans shown in false colour: read the brightness alone."),
            )
        st.button(
            say("Turn"),
            key=f"turn_{item.id}",
            icon=":material/rotate_right:",
            type="tertiary",
            on_click=item.turn_right,
            help=say("A quarter turn to the right."),
        )
    item.box = _crop_box(item) if cropping else None


def _switch(name: str, item: Item, value: bool, title: str, help_text: str) -> bool:
    """A toggle whose state others may set, by its key ``<name>_<id of the item>``."""
    key = f"{name}_{item.id}"
    st.session_state.setdefault(key, value)
    return st.toggle(title, key=key, help=help_text)


def _crop_box(item: Item) -> tuple[int, int, int, int] | None:
    """The box drawn; one too small to be read leaves the last good one."""
    height, width = item.whole().pixels.shape
    left, top, right, bottom = item.box or (0, 0, width, height)
    key = f"{item.id}_{item.page}" + (f"_{item.over:d}{item.quarters}" if item.turned else "")
    x = st.slider(say("Columns to keep"), 0, width, (left, right), key=f"columns_{key}")
    y = st.slider(say("Rows to keep"), 0, height, (top, bottom), key=f"rows_{key}")
    least = DEFAULT.side
    if x[1] - x[0] < least or y[1] - y[0] < least:
        st.warning(
            say(
                "The box must be at least {least} pixels a side; the last good one stays.",
                least=least,
            ),
            icon=":material/crop:",
        )
        return item.box
    return x[0], y[0], x[1], y[1]
