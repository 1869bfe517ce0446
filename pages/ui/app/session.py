"""What one browser session holds: its scans and what was computed from them. Bounded, never shared,
gone with the session.
"""

from __future__ import annotations

import hashlib
import urllib.parse
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import streamlit as st

from oct_core.types import Explanation, Prediction, Scan
from pages.ui.shared.samples import Sample

MAX_SCANS = 64
MAX_SCAN_BYTES = 96 * 1024 * 1024
MAX_MAP_BYTES = (
    24 * 1024 * 1024
)  # the usual maps of four to six scans; those of others are made again
MAX_PREDICTIONS = 1024
Box = tuple[int, int, int, int]
Value = TypeVar("Value")
T = TypeVar("T")


def kept(
    name: str,
    default: T,
    draw: Callable[..., T | None],
    label: str,
    *args: Any,
    page: str = "viewer",
    **options: Any,
) -> T:
    """Draw a widget whose value survives a change of page (Streamlit drops the state of widgets
    that are not drawn).

    Its key is ``<page>_<name>``. Of a choice among options (the first of ``args``) what is no
    longer on offer is forgotten.
    """
    store: dict[str, Any] = st.session_state.setdefault(f"{page}_choices", {})
    key = f"{page}_{name}"
    if key not in st.session_state:
        value = store.get(name, default)
        if args and isinstance(args[0], list):
            offered = args[0]
            value = (
                [one for one in value if one in offered]
                if isinstance(value, list)
                else value
                if value in offered
                else default
            )
        st.session_state[key] = value
    drawn = draw(label, *args, key=key, **options)
    store[name] = default if drawn is None else drawn
    chosen: T = store[name]
    return chosen


def choices_kept(name: str, default: T, page: str = "viewer") -> T:
    """A choice as it stands, without drawing its widget."""
    store: dict[str, Any] = st.session_state.setdefault(f"{page}_choices", {})
    value: T = st.session_state.get(f"{page}_{name}", store.get(name, default))
    return value


@dataclass
class Item:
    """One open scan and how the person wants it read.

    scan : the page shown, whole. data : the file's bytes, kept only while another page can be
    chosen.
    box : (left, top, right, bottom) in pixels of the whole scan, or None. number : 1 for the first
    of the session.
    """

    scan: Scan
    number: int
    data: bytes | None = None
    pages: int = 1
    page: int = 0
    box: Box | None = None
    invert: bool = False
    sample: Sample | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return int(self.scan.pixels.nbytes) + len(self.data or b"")

    def view(self) -> Scan:
        """The scan as the models get it: cropped and inverted as asked."""
        from oct_core.scans import crop, invert

        scan = crop(self.scan, self.box) if self.box else self.scan
        return invert(scan) if self.invert else scan

    def objection(self, view: Scan) -> str | None:
        """Why the scan as read does not look like a B-scan, or None. A cut that leaves colour out
        cannot be told: it has none.
        """
        from oct_core.scans import COLOUR_NOTE
        from oct_core.scans.likeness import looks_like_bscan

        if self.sample is not None:
            return None
        height, width = self.scan.pixels.shape
        whole = self.box in (None, (0, 0, width, height))
        return looks_like_bscan(
            view
            if whole
            else replace(view, notes=tuple(note for note in view.notes if note != COLOUR_NOTE))
        )


class Bounded(Generic[Value]):
    """A least-recently-used table bounded by count and bytes; the newest entry always stays."""

    def __init__(self, count: int, nbytes: int, size: Callable[[Value], int]) -> None:
        self.count, self.nbytes, self._size = count, nbytes, size
        self._entries: OrderedDict[str, Value] = OrderedDict()

    def get(self, key: str) -> Value | None:
        """The entry, now the most recently used, or None."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: str, value: Value) -> int:
        """Keep an entry and drop the oldest until the bounds hold; how many were dropped."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        before = len(self._entries)
        while len(self._entries) > 1 and (
            len(self._entries) > self.count or self.total() > self.nbytes
        ):
            self._entries.popitem(last=False)
        return before - len(self._entries)

    def total(self) -> int:
        """Bytes of all entries."""
        return sum(map(self._size, self._entries.values()))

    def values(self) -> list[Value]:
        """All entries, least recently used first."""
        return list(self._entries.values())

    def drop(self, key: str) -> None:
        """Forget an entry if it is there."""
        self._entries.pop(key, None)

    def drop_all_with(self, part: str) -> None:
        """Forget every entry whose key holds ``part``."""
        for key in [key for key in self._entries if part in key]:
            self.drop(key)

    def __len__(self) -> int:
        return len(self._entries)


def _maps_bytes(explanations: list[Explanation]) -> int:
    return sum(int(explanation.values.nbytes) for explanation in explanations)


@dataclass
class Viewer:
    """Everything the viewer remembers in one browser session.

    order : ids of the open scans as opened. current : the one shown. problems : (number, file name,
    sentence) of refused uploads.
    crowded_out : how many scans the bounds closed.
    """

    items: Bounded[Item] = field(
        default_factory=lambda: Bounded(MAX_SCANS, MAX_SCAN_BYTES, lambda item: item.nbytes)
    )
    maps: Bounded[list[Explanation]] = field(
        default_factory=lambda: Bounded(256, MAX_MAP_BYTES, _maps_bytes)
    )
    predictions: Bounded[Prediction] = field(
        default_factory=lambda: Bounded(MAX_PREDICTIONS, 1 << 30, lambda _: 0)
    )
    measures: Bounded[dict[str, str]] = field(
        default_factory=lambda: Bounded(512, 1 << 30, lambda _: 0)
    )
    current: str | None = None
    problems: list[tuple[int, str, str]] = field(default_factory=list)
    opened: int = 0
    crowded_out: int = 0
    uploader: int = 0

    def open(
        self, scan: Scan, *, data: bytes | None = None, pages: int = 1, sample: Sample | None = None
    ) -> Item:
        """Add a scan and show it; the oldest go when the bounds are reached."""
        self.opened += 1
        item = Item(scan, self.opened, data, pages, sample=sample)
        self.crowded_out += self.items.put(item.id, item)
        self.current = item.id
        return item

    def show(self, scan: Scan) -> None:
        """Open a scan, or go to it if the same picture is open."""
        same = next(
            (
                item
                for item in self.ordered()
                if item.sample is None and fingerprint(item.scan) == fingerprint(scan)
            ),
            None,
        )
        if same is None:
            self.open(scan)
        else:
            self.current = same.id

    def show_sample(self, sample: Sample) -> None:
        """Open a sample, or go to it if it is open."""
        same = next((item for item in self.ordered() if item.sample == sample), None)
        if same is None:
            self.open(sample.phantom().scan, sample=sample)
        else:
            self.current = same.id

    def ordered(self) -> list[Item]:
        """The open scans, first opened first."""
        return sorted(self.items.values(), key=lambda item: item.number)

    def item(self) -> Item | None:
        """The scan shown now, or None."""
        return self.items.get(self.current) if self.current else None

    def close(self, item: Item) -> None:
        """Forget one scan and what was computed from it; the neighbour that is left is shown."""
        self.items.drop(item.id)
        for store in (self.maps, self.predictions):
            store.drop_all_with(fingerprint(item.view()))
        left = self.ordered()
        if self.current == item.id:
            self.current = left[-1].id if left else None

    def close_all(self) -> None:
        """Forget every scan and everything computed from them."""
        kept = self.uploader
        self.__dict__.update(Viewer(uploader=kept).__dict__)


def viewer() -> Viewer:
    """This session's viewer, made on first use; takes over a scan that another page handed on as
    "open_scan".
    """
    state = st.session_state.get("viewer")
    if not isinstance(
        state, Viewer
    ):  # The class is made anew when its file is edited while the server runs.
        state = st.session_state["viewer"] = Viewer()
    handed = st.session_state.pop("open_scan", None)
    if isinstance(handed, Sample):
        state.show_sample(handed)
    elif isinstance(handed, Scan):
        state.show(handed)
    return state


def fingerprint(scan: Scan) -> str:
    """A key for what the models see: the pixels and their shape, never the name."""
    digest = hashlib.blake2b(repr(scan.pixels.shape).encode(), digest_size=16)
    digest.update(scan.pixels.tobytes())
    return digest.hexdigest()


def shown_name(item: Item, hide: bool) -> str:
    """What a scan is called on the page: its name, or its number if names are hidden."""
    return f"Scan {item.number}" if hide else item.scan.name


def with_page(item: Item, page: int) -> None:
    """Show another page of a many-page TIFF; raises ScanError."""
    from oct_core.scans import read_scan

    if item.data is None or page == item.page:
        return
    scan = read_scan(item.data, item.scan.name, page)
    item.scan, item.page, item.box = replace(scan, source="upload"), page, None


def forget_upload(file_ids: Iterable[str]) -> None:
    """Drop the server's own copy of uploaded files, which otherwise stays until the browser tab is
    closed.
    """
    from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx()
    if context is None or not isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        return
    for file_id in file_ids:
        context.uploaded_file_mgr.remove_file(context.session_id, file_id)


def forget_addresses() -> None:
    """Empty Python's cache of parsed addresses: Streamlit has a whole document parsed as one,
    pictures included, and 128 would stay.
    """
    with suppress(AttributeError):  # tests/browser sees that it is there
        urllib.parse.clear_cache()  # type: ignore[attr-defined]
