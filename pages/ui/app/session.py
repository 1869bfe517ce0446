"""What one browser session holds: its scans and what was computed from them. Bounded, never shared,
gone with the session.
"""

from __future__ import annotations

import hashlib
import uuid
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import streamlit as st

from oct_core.runs.turns import Work, WorkStoppedError
from oct_core.types import Explanation, Judgement, Prediction, Scan
from oct_core.words import say
from pages.ui.shared.samples import Sample

MAX_SCANS = 64
MAX_SCAN_BYTES = 96 * 1024 * 1024
MAX_MAP_BYTES = (
    24 * 1024 * 1024
)  # the usual maps of four to six scans; those of others are made again
MAX_PREDICTIONS = 1024
TURNS = ("", "right", "round", "left")
"""Quarter turns to the right -> the way as ``oct_core.scans.turn`` has it."""
MAX_PREDICTION_BYTES = 16 * 1024 * 1024
MAX_JUDGEMENTS = 256
Box = tuple[int, int, int, int]
Value = TypeVar("Value")
T = TypeVar("T")


def keep_choice(
    name: str,
    default: T,
    draw: Callable[..., T | None],
    label: str,
    *args: Any,
    page: str = "viewer",
    **options: Any,
) -> T:
    """Draw a widget whose value survives a change of page (Streamlit drops the state of widgets
    that are not drawn), and return the value.

    Its key is ``<page>_<name>``. Of a choice among options (the first of ``args``) what is no
    longer on offer is forgotten.
    """
    store: dict[str, Any] = st.session_state.setdefault(f"{page}_choices", {})
    key = f"{page}_{name}"
    if key not in st.session_state:
        value = store.get(name, default)
        if args and isinstance(args[0], list):
            offer = args[0]
            if isinstance(value, list):
                value = [part for part in value if part in offer]
            elif value not in offer:
                value = default
        st.session_state[key] = value
    value = draw(label, *args, key=key, **options)
    store[name] = default if value is None else value
    choice: T = store[name]
    return choice


def read_choice(name: str, default: T, page: str = "viewer") -> T:
    """A choice as it stands, without drawing its widget."""
    store: dict[str, Any] = st.session_state.setdefault(f"{page}_choices", {})
    value: T = st.session_state.get(f"{page}_{name}", store.get(name, default))
    return value


@dataclass
class Item:
    """One open scan and how the person wants it read.

    scan : the page shown, whole. data : the file's bytes, kept only while another page can be
    chosen.
    over, quarters : mirrored top to bottom, then so many quarter turns to the right. box : (left,
    top, right, bottom) in pixels of the whole scan as it is turned, or None. invert : black for
    white. luminance : the gray values of a scan in colour are what is meant. number : 1 for the
    first of the session. fingerprints : of every reading (page, turn, box, inversion) that was
    handed out, so that nothing computed from any of them outlives the scan.
    """

    scan: Scan
    number: int
    data: bytes | None = None
    pages: int = 1
    page: int = 0
    over: bool = False
    quarters: int = 0
    box: Box | None = None
    invert: bool = False
    luminance: bool = False
    sample: Sample | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    fingerprints: set[str] = field(default_factory=set)

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        colour = 0 if self.scan.colour is None else self.scan.colour.nbytes
        return int(self.scan.pixels.nbytes) + int(colour) + len(self.data or b"")

    def whole(self) -> Scan:
        """The page as it is turned, before any cut."""
        from oct_core.scans import turn

        scan = turn(self.scan, "over") if self.over else self.scan
        return turn(scan, TURNS[self.quarters]) if self.quarters else scan

    def view(self) -> Scan:
        """The scan as the models get it: turned, cropped, inverted and freed of colour as asked."""
        from oct_core.scans import crop, invert, take_luminance

        scan = self.whole()
        scan = crop(scan, self.box) if self.box else scan
        scan = take_luminance(scan) if self.luminance else scan
        scan = invert(scan) if self.invert else scan
        self.fingerprints.add(fingerprint(scan))
        return scan

    def turn_right(self) -> None:
        """Turn the scan, and the box with it, by one more quarter turn to the right."""
        if self.box is not None:
            left, top, right, bottom = self.box
            height = self.whole().pixels.shape[0]
            self.box = height - bottom, left, height - top, right
        self.quarters = (self.quarters + 1) % 4

    def turn_over(self) -> None:
        """Mirror the scan as it is turned, and the box with it, top to bottom."""
        if self.box is not None:
            left, top, right, bottom = self.box
            height = self.whole().pixels.shape[0]
            self.box = left, height - bottom, right, height - top
        self.over, self.quarters = not self.over, -self.quarters % 4

    @property
    def turned(self) -> bool:
        """Whether the scan is read other than it is stored."""
        return self.over or self.quarters > 0


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

    def put(self, key: str, value: Value) -> list[Value]:
        """Keep an entry and drop the oldest until the bounds hold; returns what was dropped."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        dropped = []
        while len(self._entries) > 1 and (
            len(self._entries) > self.count or self.total() > self.nbytes
        ):
            dropped.append(self._entries.popitem(last=False)[1])
        return dropped

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


def _prediction_bytes(prediction: Prediction) -> int:
    return 0 if prediction.features is None else int(prediction.features.nbytes)


def _judgement_bytes(judgement: Judgement) -> int:
    return sum(_prediction_bytes(each.prediction) for each in judgement.rows)


@dataclass(eq=False)
class Job:
    """Work on one scan in the hands of a worker. What a rerun of the page interrupts goes on, and
    its result lands in the session's store; closing the scan or the tab stops it.

    title : for people, without the scan's name. fingerprints : of the readings it works on. land :
    puts the result into a store; called in the page's own thread. It refers to the store, never to
    the session, which must be free to go. work : of slow work, to watch and
    stop it; None for quick work.
    """

    title: str
    fingerprints: frozenset[str]
    future: Future[Any]
    land: Callable[[Any], object]
    work: Work | None = None

    def __post_init__(self) -> None:
        if self.work is not None:  # the session may be gone before the work is done
            weakref.finalize(self, self.work.stop)

    def stop(self) -> None:
        """Have it end soon, or never start."""
        self.future.cancel()
        if self.work is not None:
            self.work.stop()


@dataclass
class Viewer:
    """Everything the viewer remembers in one browser session.

    current : id of the scan shown. judgements : verdicts on what was read. problems : (number, file
    name, sentence) of refused uploads. doubles : (number, file name, number of the open scan) of
    uploads that were open already under another name. crowded_out : how many scans the bounds
    closed. jobs : what is being computed, by the key of its result. measurements : how far to trust
    single maps.
    """

    items: Bounded[Item] = field(
        default_factory=lambda: Bounded(MAX_SCANS, MAX_SCAN_BYTES, lambda item: item.nbytes)
    )
    maps: Bounded[list[Explanation]] = field(
        default_factory=lambda: Bounded(256, MAX_MAP_BYTES, _maps_bytes)
    )
    predictions: Bounded[Prediction] = field(
        default_factory=lambda: Bounded(MAX_PREDICTIONS, MAX_PREDICTION_BYTES, _prediction_bytes)
    )
    judgements: Bounded[Judgement] = field(
        default_factory=lambda: Bounded(MAX_JUDGEMENTS, MAX_PREDICTION_BYTES, _judgement_bytes)
    )
    measurements: Bounded[Any] = field(default_factory=lambda: Bounded(64, 1 << 20, lambda _: 512))
    jobs: dict[str, Job] = field(default_factory=dict)
    current: str | None = None
    problems: list[tuple[int, str, str]] = field(default_factory=list)
    doubles: list[tuple[int, str, int]] = field(default_factory=list)
    opened: int = 0
    crowded_out: int = 0
    uploader: int = 0

    def open(
        self, scan: Scan, *, data: bytes | None = None, pages: int = 1, sample: Sample | None = None
    ) -> Item:
        """Add a scan and show it; the oldest go when the bounds are reached."""
        self.opened += 1
        item = Item(scan, self.opened, data, pages, sample=sample)
        dropped = self.items.put(item.id, item)
        self.crowded_out += len(dropped)
        for old in dropped:
            self._forget(old)
        self.current = item.id
        return item

    def open_upload(self, scan: Scan, *, data: bytes | None = None, pages: int = 1) -> Item:
        """Add a scan and show it, or go to the open one with the same picture; returns it."""
        same = next(
            (item for item in self.ordered() if item.sample is None and _is_same(item, scan, data)),
            None,
        )
        if same is None:
            return self.open(scan, data=data, pages=pages)
        self.current = same.id
        return same

    def show(self, scan: Scan) -> None:
        """Open a scan, or go to it if the same picture is open."""
        self.open_upload(scan)

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
        """Forget one scan and what was computed from any reading of it; the neighbour that is left
        is shown.
        """
        self.items.drop(item.id)
        self._forget(item)
        left = self.ordered()
        if self.current == item.id:
            self.current = left[-1].id if left else None

    def _forget(self, item: Item) -> None:
        """Drop what was computed from a closed scan, but for what an open one needs: the same
        pixels may be open twice.
        """
        needed = set().union(*(other.fingerprints for other in self.items.values()))
        for one in item.fingerprints - needed:
            for store in (self.maps, self.predictions, self.judgements, self.measurements):
                store.drop_all_with(one)
        for key, job in list(self.jobs.items()):
            if not job.fingerprints <= needed:
                job.stop()
                del self.jobs[key]

    def close_all(self) -> None:
        """Forget every scan and everything computed from them."""
        for job in self.jobs.values():
            job.stop()
        self.__dict__.update(Viewer(uploader=self.uploader).__dict__)

    def land_jobs(self) -> list[BaseException]:
        """Put the results of finished jobs into their stores; returns the errors of those that
        failed, but for what was stopped on purpose.
        """
        errors = []
        for key, job in list(self.jobs.items()):
            if not job.future.done():
                continue
            del self.jobs[key]
            if job.future.cancelled():
                continue
            error = job.future.exception()
            if error is None:
                job.land(job.future.result())
            elif not isinstance(error, WorkStoppedError):
                errors.append(error)
        return errors

    def take(self, key: str) -> Any:
        """Wait for a job, land its result and return it; raises the job's error."""
        job = self.jobs[key]
        try:
            result = job.future.result()
        finally:
            if job.future.done():
                self.jobs.pop(key, None)
        job.land(result)
        return result


def _is_same(item: Item, scan: Scan, data: bytes | None) -> bool:
    """Whether an open scan is of this file, or else of these pixels in these colours."""
    if data is not None or item.data is not None:
        return item.data == data
    one, other = ((fingerprint(each), colour_print(each)) for each in (item.scan, scan))
    return one == other


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


def colour_print(scan: Scan) -> str:
    """A key for what the gate sees beside the pixels: where the scan is in colour."""
    if scan.colour is None:
        return "gray"
    return hashlib.blake2b(scan.colour.tobytes(), digest_size=8).hexdigest()


def display_name(item: Item, hide: bool) -> str:
    """What a scan is called on the page, as plain text: its name, or its number if names are
    hidden.
    """
    return say("Scan {number}", number=item.number) if hide else item.scan.name


def turn_to_page(item: Item, page: int) -> None:
    """Show another page of a many-page TIFF; raises ScanError."""
    from oct_core.scans import read_scan

    if item.data is None or page == item.page:
        return
    scan = read_scan(item.data, item.scan.name, page)
    item.scan, item.page, item.box = replace(scan, source="upload"), page, None
