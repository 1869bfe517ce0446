"""The one place that caches.

Shared between users: models, files of the run folders, phantom samples. Nothing derived from an
upload is ever here: that lives in ``session.py``, per browser session and bounded.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import streamlit as st

from oct_core.errors import OctError
from oct_core.scans import DEFAULT
from oct_core.types import CLASSES, FloatArray, Phantom, PredictionTable, RunCard
from oct_core.words import message

if TYPE_CHECKING:
    from oct_core.runs.weights import LoadedRun
    from oct_core.trust.report_file import Report

log = logging.getLogger("oct_app")
UNKNOWN_FAILURE = message(
    "Something went wrong on the server. Reload the page; if it happens again, restart the app."
)
MAX_UPLOAD_BYTES = DEFAULT.bytes
P = ParamSpec("P")
R = TypeVar("R")


def keep_uploads_in_memory() -> None:
    """Stop the web server from spooling an upload above 1 MB to a temporary file.

    Starlette's multipart parser rolls a part over to disk above ``spool_max_size``. Uploads are
    bounded by ``server.maxUploadSize`` anyway, so they are held in memory, where they belong to one
    session.
    """
    with suppress(ImportError):
        from starlette.formparsers import MultiPartParser

        MultiPartParser.spool_max_size = max(MultiPartParser.spool_max_size, 2 * MAX_UPLOAD_BYTES)


keep_uploads_in_memory()


def _cached_resource(**options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """st.cache_resource with its signature kept, for mypy --strict."""
    return cast(
        Callable[[Callable[P, R]], Callable[P, R]], st.cache_resource(show_spinner=False, **options)
    )


def _cached_data(**options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """st.cache_data with its signature kept, for mypy --strict."""
    return cast(
        Callable[[Callable[P, R]], Callable[P, R]], st.cache_data(show_spinner=False, **options)
    )


def sentence(error: BaseException) -> str:
    """One readable sentence for a person; an unexpected error is logged by its class name only.

    The text of an unknown error could hold a file name or a path of the server, so neither page nor
    log gets it.
    """
    if isinstance(error, OctError):
        return str(error)
    log.error("unexpected %s", type(error).__name__)
    return UNKNOWN_FAILURE


@contextmanager
def shown_errors() -> Iterator[None]:
    """Show what fails inside as one sentence on the page instead of a traceback; the page goes on
    after it.
    """
    try:
        yield
    except Exception as error:
        st.error(sentence(error), icon=":material/error:")


def runs() -> list[RunCard]:
    """All runs under the checkpoints root, in the library's order, whatever their status."""
    from oct_core.runs.files import list_runs

    return list_runs()


def ready_runs() -> list[RunCard]:
    """The runs that have weights and can be used: status "done"."""
    return [card for card in runs() if card.status == "done" and card.weights_sha256]


def card_of(name: str) -> RunCard | None:
    """The card of one run, or None if there is no such run."""
    return next((card for card in runs() if card.name == name), None)


@_cached_resource(max_entries=8)
def _load(folder: str, weights_sha256: str) -> LoadedRun:
    """One model a (folder, weights hash): new weights under an old name are loaded anew."""
    from oct_core.runs.weights import load_run

    return load_run(Path(folder))


def get_run(name: str) -> LoadedRun:
    """The loaded run of that name, shared by all sessions (its own lock makes it safe); raises
    OctError.
    """
    card = card_of(name)
    if card is None:
        from oct_core.runs.weights import load_run

        return load_run(name)  # Raises, naming the runs there are.
    return _load(str(card.folder.resolve()), card.weights_sha256)


_warming = threading.Lock()


def warm_up() -> None:
    """Load torch and the models in the background, once a server: call it when the page is drawn
    and the person reads.

    A run that cannot be loaded is left to the page that needs it, which says so.
    """
    if _warming.acquire(blocking=False):
        wanted = [(str(card.folder.resolve()), card.weights_sha256) for card in ready_runs()]
        # Not a daemon: torch aborts the process if it ends while one loads it.
        threading.Thread(target=_load_quietly, args=(wanted,), name="warm-up", daemon=False).start()


def _load_quietly(wanted: Sequence[tuple[str, str]]) -> None:
    loaded = []
    for folder, weights_sha256 in wanted:
        if not threading.main_thread().is_alive():
            return  # the server ends
        with suppress(Exception):
            loaded.append(_load(folder, weights_sha256))
    with suppress(Exception):
        _pass_once(loaded)
    _spare_the_collector()


def _pass_once(loaded: Sequence[LoadedRun]) -> None:
    """A network's first pass takes longer."""
    from oct_core.runs.predict import predict
    from oct_core.system import begun

    scan = phantom(CLASSES[0], 0).scan
    with begun([partial(predict, [scan], run) for run in loaded]) as passes:
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
    titles = {"vgg16": "VGG16", "resnet50": "ResNet50", "densenet121": "DenseNet121"}
    title = titles.get(card.architecture, card.architecture)
    return title if card.name == card.architecture else f"{title} ({card.name})"


def app_version() -> str:
    """The version that exports name."""
    import oct_core

    return str(getattr(oct_core, "__version__", "0"))


def _stamp(path: Path) -> int:
    """When a file was last written, 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@_cached_data(max_entries=64)
def _history(folder: str, stamp: int) -> dict[str, FloatArray]:
    from oct_core.runs.files import read_history

    return read_history(Path(folder))


@_cached_data(max_entries=64)
def _steps(folder: str, stamp: int) -> dict[str, FloatArray]:
    from oct_core.runs.files import read_steps

    return dict(read_steps(Path(folder)))


@_cached_resource(max_entries=32)
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


@_cached_resource(max_entries=4)
def _report(path: str, stamp: int) -> Report | None:
    from oct_core.trust.report_file import read_report

    return read_report(Path(path))


def report() -> Report | None:
    """The report on the maps, read again whenever the file changes, or None; raises ReportError.
    Shared: treat it as read-only.
    """
    from oct_core.trust.report_file import report_path

    return _report(str(report_path()), _stamp(report_path()))


@_cached_resource(max_entries=64)
def phantom(label: str, seed: int, height: int = 496, width: int = 512) -> Phantom:
    """One synthetic sample, the same for every session. Shared: treat it as read-only."""
    from oct_core.scans.phantom import make_phantom

    return make_phantom(label, seed, height, width)
