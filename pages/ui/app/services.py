"""What the pages ask of the library, shared between users: models, files of the run folders,
phantom samples; and how errors are said and logged.

Nothing derived from an upload is ever here: that lives in ``session.py``, per browser session and
bounded.
"""

from __future__ import annotations

import gc
import logging
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from oct_core.errors import OctError
from oct_core.figures.colours import run_colours
from oct_core.models.catalog import run_title
from oct_core.scans import DEFAULT
from oct_core.types import CLASSES, FloatArray, Phantom, PredictionTable, RunCard, Verdict
from oct_core.words import Note, message, note
from pages.ui.app.cache import cache_data, cache_resource
from pages.ui.app.streamlit_inside import check_inside, keep_uploads_in_memory
from pages.ui.shared.markdown import escape_markdown

if TYPE_CHECKING:
    from oct_core.explanations.estimate import Pace
    from oct_core.runs.weights import LoadedRun
    from oct_core.trust.judge import Judge
    from oct_core.trust.report_file import Report

log = logging.getLogger("oct_app")
UNKNOWN_FAILURE = message(
    "Something went wrong on the server. Reload the page; if it happens again, restart the app."
)
_DAMAGED = message("its content is damaged")
_REFUSED = message("the app has no permission to read it")
_UNREADABLE = message("the system cannot read it")
MAX_UPLOAD_BYTES = DEFAULT.bytes

# Before the first upload can arrive: every page imports this file.
check_inside()
keep_uploads_in_memory(2 * MAX_UPLOAD_BYTES)


def describe_error(error: BaseException) -> str:
    """One readable sentence for a person; what was not expected is also logged, see ``log_error``.

    Plain text: escape it where it is shown as Markdown. A Note, so that it can be kept. The text of
    an unknown error could hold a file name or a path of the server, so neither page nor log gets
    it.
    """
    if isinstance(error, OctError):
        return for_visitors(error.as_note())
    log_error(error)
    return note(UNKNOWN_FAILURE)


class _Meaning:
    """What an error of Python or of another library means to a visitor, in any language."""

    def __init__(self, error: BaseException) -> None:
        if isinstance(error, PermissionError):
            self._note = note(_REFUSED)
        else:
            self._note = note(_UNREADABLE) if isinstance(error, OSError) else note(_DAMAGED)

    def __str__(self) -> str:
        return self._note.say_again()

    __repr__ = __str__  # messages have their errors as {error} or as {error!r}


def for_visitors(text: str) -> str:
    """A message of the library without what is the server's own: of a path only the last folder and
    the name are left, and what a parser or the system said becomes what it means.

    A text that is no Note stands as it is.
    """
    return text.change_values(_for_visitors) if isinstance(text, Note) else text


def _for_visitors(value: object) -> object:
    if isinstance(value, Path):
        return "/".join(value.absolute().parts[-2:]) if value.suffix else value.absolute().name
    if isinstance(value, BaseException) and not isinstance(value, OctError):
        return _Meaning(value)
    return for_visitors(value) if isinstance(value, Note) else value


def log_error(error: BaseException) -> None:
    """Leave the traceback of an unexpected error in the server's terminal, without anybody's data.

    Of the error and of those that led to it: class and stack of our and other people's code. Their
    messages stay out, since they may quote a file name, a path or a patient; so do the values of
    variables.
    """
    lines = []
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        frames = "".join(traceback.format_tb(link.__traceback__))
        lines.append(f"{type(link).__module__}.{type(link).__qualname__}\n{frames}")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    log.error(
        "an unexpected error (its message is left out: it may name a file or a person): %s",
        "after ".join(lines).rstrip(),
    )


def show_error(error: BaseException) -> None:
    """One box with one sentence on the page."""
    st.error(escape_markdown(describe_error(error)), icon=":material/error:")


@contextmanager
def errors_on_page() -> Iterator[None]:
    """Show what fails inside as one sentence on the page instead of a traceback; the page goes on
    after it.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is: a sentence here, the stack in the log
        show_error(error)


def runs() -> list[RunCard]:
    """All runs under the checkpoints root, in the library's order, whatever their status."""
    from oct_core.runs.files import list_runs

    try:
        return list_runs()
    except OSError:  # a folder that may not be read, which ``find_runs`` tells
        return []


def ready_runs() -> list[RunCard]:
    """The runs that have weights and can be used: status "done"."""
    return [card for card in runs() if card.status == "done" and card.weights_sha256]


def card_of(name: str) -> RunCard | None:
    """The card of one run, or None if there is no such run."""
    return next((card for card in runs() if card.name == name), None)


@cache_resource(max_entries=8)
def _load(folder: str, weights_sha256: str) -> LoadedRun:
    """One model a (folder, weights hash): new weights under an old name are loaded anew."""
    from oct_core.models.device import choose_device
    from oct_core.runs.weights import load_run

    return load_run(Path(folder), choose_device())


def get_run(name: str) -> LoadedRun:
    """The loaded run of that name, shared by all sessions (its own lock makes it safe); raises
    OctError.
    """
    card = card_of(name)
    if card is None:
        from oct_core.runs.weights import load_run

        return load_run(name)  # Raises, naming the runs there are.
    # The network is kept, the card is as it stands now: its temperature may be a new one.
    return replace(_load(str(card.folder.resolve()), card.weights_sha256), card=card)


def answer_stamp(card: RunCard) -> str:
    """What the answers of a run to a scan rest on."""
    return "|".join((card.name, card.weights_sha256, f"{card.temperature:g}", *card.classes))


def check_device() -> None:
    """Raise UnknownNameError if the server was told, by OCT_DEVICE, to use a device that it has
    not.
    """
    from oct_core.models.device import choose_device

    choose_device()


def judge_of(cards: Sequence[RunCard], level: float) -> Judge:
    """Who gives the verdict on the answers of these runs, shared by all sessions; raises OctError.

    level : of the conformal sets. Anew when weights, stored answers or the gate of a run change.
    """
    folders = tuple(str(card.folder.resolve()) for card in cards)
    return _judge(folders, tuple(map(trust_stamps, cards)), level)


def trust_stamps(card: RunCard) -> tuple[str | int, ...]:
    """What a verdict on a run's answers rests on."""
    names = ("card.json", "predictions.csv", "gate.npz")
    return card.weights_sha256, *(_stamp(card.folder / name) for name in names)


@cache_resource(max_entries=16)
def _judge(
    folders: tuple[str, ...], stamps: tuple[tuple[str | int, ...], ...], level: float
) -> Judge:
    from oct_core.runs.files import read_card
    from oct_core.trust.judge import Judge

    return Judge([read_card(Path(folder)) for folder in folders], level)


def verdicts_on(cards: Sequence[RunCard], part: str) -> list[Verdict] | None:
    """What may be made of the answers of these runs to one part, as an ensemble if they are
    several: one a row of ``scored_table``. None without the gate's scores; raises OctError.
    """
    folders = tuple(str(card.folder.resolve()) for card in cards)
    return _verdicts(folders, tuple(map(trust_stamps, cards)), part)


@cache_resource(max_entries=16)
def _verdicts(
    folders: tuple[str, ...], stamps: tuple[tuple[str | int, ...], ...], part: str
) -> list[Verdict] | None:
    from oct_core.trust.conformal import LEVEL
    from oct_core.trust.gate import read_gates
    from oct_core.trust.judge import scored_table
    from oct_core.trust.verdict import give_verdicts

    judge = _judge(folders, stamps, LEVEL)
    read_gates(judge.cards)  # raises for a damaged one, which a judge passes over
    tables = {card.name: prediction_table(card).of_split(part) for card in judge.cards}
    table = scored_table(judge.cards, tables)
    return None if table.gate is None else give_verdicts(table, judge.rule, judge.sets)


@cache_resource(max_entries=8)
def _pace(folder: str, weights_sha256: str) -> Pace:
    from oct_core.explanations.estimate import measure_pace

    return measure_pace(_load(folder, weights_sha256), phantom(CLASSES[0], 0).scan)


def pace_of(card: RunCard) -> Pace:
    """How quick a run is on this machine, measured once a server; loads the run if need be."""
    return _pace(str(card.folder.resolve()), card.weights_sha256)


_warming = threading.Lock()


def warm_up() -> None:
    """Load torch and the models in the background, once a server: call it when the page is drawn
    and the person reads.

    A run that cannot be loaded is left to the page that needs it, which says so.
    """
    if _warming.acquire(blocking=False):
        runs_to_load = [(str(card.folder.resolve()), card.weights_sha256) for card in ready_runs()]
        # Not a daemon: torch aborts the process if it ends while one loads it.
        threading.Thread(
            target=_load_quietly, args=(runs_to_load,), name="warm-up", daemon=False
        ).start()


def _load_quietly(runs_to_load: Sequence[tuple[str, str]]) -> None:
    models = []
    for folder, weights_sha256 in runs_to_load:
        if not threading.main_thread().is_alive():
            return  # the server ends
        with _no_page_to_tell():
            models.append(_load(folder, weights_sha256))
    with _no_page_to_tell():
        _pass_once(models)
    _spare_the_collector()


@contextmanager
def _no_page_to_tell() -> Iterator[None]:
    """In the background: what is expected to fail is said by the page that needs it; the rest is
    logged.
    """
    try:
        yield
    except OctError as error:
        log.debug("left to the page that needs it: %s", type(error).__name__)
    except Exception as error:  # noqa: BLE001 - the server goes on; the stack is in the log
        log_error(error)


def _pass_once(models: Sequence[LoadedRun]) -> None:
    """A network's first pass takes longer."""
    from oct_core.runs.predict import predict
    from oct_core.system import run_side_by_side

    scan = phantom(CLASSES[0], 0).scan
    with run_side_by_side([partial(predict, [scan], run) for run in models]) as passes:
        for wait in passes:
            wait()


def _spare_the_collector() -> None:
    """Take what is loaded by now, torch above all, out of the view of Python's collector of
    garbage, once.

    The web server has it look at every object, half a million, after every run of a page. What is
    set aside is still freed when the last reference goes; only a cycle that is alive now would
    stay.
    """
    gc.collect()
    gc.freeze()


def title_of(card: RunCard) -> str:
    """The name people know: the architecture's title, and the run's name where that says more."""
    return run_title(card.architecture, card.name)


def colours_of(cards: Iterable[RunCard]) -> dict[str, str]:
    """The colour of each run in a figure, by its title."""
    return run_colours({title_of(card): card.architecture for card in cards})


def _stamp(path: Path) -> int:
    """When a file was last written, 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@cache_data(max_entries=64)
def _history(folder: str, stamp: int) -> dict[str, FloatArray]:
    from oct_core.runs.files import read_history

    return read_history(Path(folder))


@cache_data(max_entries=64)
def _steps(folder: str, stamp: int) -> dict[str, FloatArray]:
    from oct_core.runs.files import read_steps

    return dict(read_steps(Path(folder)))


@cache_resource(max_entries=32)
def _predictions(folder: str, stamp: int) -> PredictionTable:
    from oct_core.runs.files import read_predictions

    return read_predictions(Path(folder))


def history(card: RunCard) -> dict[str, FloatArray]:
    """history.csv as columns, read again whenever the file changes; raises OctError."""
    return _history(str(card.folder), _stamp(card.folder / "history.csv"))


def steps(card: RunCard) -> dict[str, FloatArray]:
    """steps.csv as columns, read again whenever the file changes; raises OctError."""
    return _steps(str(card.folder), _stamp(card.folder / "steps.csv"))


def prediction_table(card: RunCard) -> PredictionTable:
    """predictions.csv, read again whenever the file changes; raises OctError. Shared: treat it as
    read-only.
    """
    return _predictions(str(card.folder), _stamp(card.folder / "predictions.csv"))


@cache_resource(max_entries=4)
def _report(path: str, stamp: int) -> Report | None:
    from oct_core.trust.report_file import read_report

    return read_report(Path(path))


def report() -> Report | None:
    """The report on the maps, read again whenever the file changes, or None; raises ReportError.
    Shared: treat it as read-only.
    """
    from oct_core.trust.report_file import report_path

    return _report(str(report_path()), _stamp(report_path()))


@cache_resource(max_entries=64)
def phantom(label: str, seed: int, height: int = 496, width: int = 512) -> Phantom:
    """One synthetic sample, the same for every session. Shared: treat it as read-only."""
    from oct_core.scans.phantom import make_phantom

    return make_phantom(label, seed, height, width)
