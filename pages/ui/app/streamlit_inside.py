"""Every use of something private or undocumented of Streamlit, Starlette or Python itself.

Each is here because a promise to the people who open scans hangs on it and there is no public way.
When an upgrade takes one away, the app does not start (``check_inside``) and
tests/app/test_streamlit_inside.py fails: a promise is never dropped without a word. Everything else
in pages/ uses only what is documented, but for the style sheet of layout.py, without which pages
look as Streamlit has them; the same tests see to it.
"""

from __future__ import annotations

import asyncio
import threading
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.formparsers import MultiPartParser

from oct_core.errors import OctError
from oct_core.system import give_memory_back

if TYPE_CHECKING:
    from streamlit.runtime import Runtime
    from streamlit.runtime.app_session import AppSession
    from streamlit.runtime.caching.ttl_cache import TTLCache
    from streamlit.runtime.session_manager import SessionInfo

EVERY_SECONDS = 5.0
_started = threading.Lock()


class StreamlitChangedError(OctError):
    """A private part that a promise hangs on is gone."""


def reach(owner: Any, path: str, promise: str) -> Any:
    """The attribute at the end of a dotted path; raises StreamlitChangedError that says which
    promise hangs on it.
    """
    value = owner
    for name in path.split("."):
        try:
            value = getattr(value, name)
        except AttributeError as error:
            raise StreamlitChangedError(
                "{owner} has no {path} any more, which is needed to keep a promise: {promise}. "
                "Install the versions in requirements.txt",
                owner=getattr(owner, "__name__", type(owner).__name__),
                path=path,
                promise=promise,
            ) from error
    return value


def check_inside() -> None:
    """Raise StreamlitChangedError if any private part that this file uses is gone. Call it before
    the first upload can arrive.
    """
    from streamlit.runtime import Runtime
    from streamlit.runtime.app_session import AppSession
    from streamlit.runtime.media_file_manager import MediaFileManager
    from streamlit.runtime.memory_session_storage import MemorySessionStorage
    from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
    from streamlit.runtime.state.session_state import SessionState

    _address_cache()
    for owner, path, promise in (
        (MultiPartParser, "spool_max_size", _IN_MEMORY),
        (MemoryUploadedFileManager, "remove_file", _FORGOTTEN),
        (Runtime, "_get_async_objs", _ENDED),
        (Runtime, "media_file_mgr", _ENDED),
        (Runtime, "is_active_session", _ENDED),
        (MediaFileManager, "remove_orphaned_files", _ENDED),
        (MemorySessionStorage(), "_cache.expire", _ENDED),
        (AppSession, "shutdown", _ENDED),
        (AppSession, "flush_browser_queue", _ENDED),
        (SessionState(), "filtered_state", _ENDED),
        (SessionState(), "_new_widget_state.widget_metadata.clear", _ENDED),
    ):
        reach(owner, path, promise)


# --- Uploads stay in memory ---

_IN_MEMORY = "an upload is never written to disk"


def keep_uploads_in_memory(nbytes: int) -> None:
    """Stop the web server from spooling an upload of up to ``nbytes`` to a temporary file.

    Starlette's multipart parser moves a part above ``spool_max_size`` (1 MB) to disk, and Streamlit
    has no setting for it. Uploads are bounded by ``server.maxUploadSize`` anyway, so they are held
    in memory, where they belong to one session.
    """
    limit = reach(MultiPartParser, "spool_max_size", _IN_MEMORY)
    MultiPartParser.spool_max_size = max(limit, nbytes)


# --- The server's copy of an upload goes once it is read ---

_FORGOTTEN = "the server forgets its copy of an upload once the scan is read"


def forget_upload(file_ids: Iterable[str]) -> None:
    """Drop the server's own copy of uploaded files.

    Left to itself it stays until the browser tab is closed, also when the scan itself was closed on
    the page; emptying the uploader does not free it at once. Outside a server (a test) there is
    nothing to drop.
    """
    from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx()
    if context is None:
        return
    manager = context.uploaded_file_mgr
    if not isinstance(manager, MemoryUploadedFileManager):
        raise StreamlitChangedError(
            "Streamlit keeps uploads in {name}, expected MemoryUploadedFileManager: {promise}. "
            "Install the versions in requirements.txt",
            name=type(manager).__name__,
            promise=_FORGOTTEN,
        )
    for file_id in file_ids:
        manager.remove_file(context.session_id, file_id)


def is_gone(file: object) -> bool:
    """Whether an uploaded file stands only for one that the server has dropped.

    A widget used while the maps are being made interrupts that run, and the browser then sends the
    emptied uploader once more: Streamlit puts DeletedFile, which it does not document, in the place
    of a file that ``forget_upload`` dropped, and any use of it raises.
    """
    from streamlit.runtime.uploaded_file_manager import DeletedFile

    return isinstance(file, DeletedFile)


# --- Python's cache of addresses ---


def _address_cache() -> Any:
    return reach(
        urllib.parse, "clear_cache", "no picture of a scan outlives its tab in a cache of addresses"
    )


def forget_addresses() -> None:
    """Empty Python's cache of parsed addresses.

    ``st.iframe`` has a whole document parsed as if it were an address, pictures included, and
    ``urllib.parse`` would keep the last 128. Its ``clear_cache`` is not documented.
    """
    _address_cache()()


# --- Closed tabs end on time ---

_ENDED = "a closed tab's scans go when its time for a return is over"


def end_closed_tabs() -> None:
    """Have the web server look for closed tabs every few seconds, once a server. Call it on every
    page.

    Sessions end, with all they hold, when their time for a return (server.disconnectedSessionTTL)
    is over. Left to itself, the server looks for such sessions only when another tab is closed, and
    keeps the last one until another is opened: the last person's scans would stay for as long as it
    runs.
    """
    from streamlit.runtime import Runtime

    if not Runtime.exists():
        return
    server = Runtime.instance()
    if type(server) is not Runtime:  # the stand-in of Streamlit's AppTest has no sessions
        return
    if _started.acquire(blocking=False):
        loop = reach(server, "_get_async_objs", _ENDED)().eventloop
        closed = reach(server, "_session_mgr._session_storage._cache", _ENDED)
        loop.call_soon_threadsafe(_look, loop, server, closed, {})


def _look(
    loop: asyncio.AbstractEventLoop,
    server: Runtime,
    closed: TTLCache[str, SessionInfo],
    before: Mapping[str, SessionInfo],
    again: bool = False,
) -> None:
    """On the loop, as the server's own dealings with its sessions.

    before : session id -> closed tab, at the last look. again : some were ended then.
    """
    now, gone = before, []
    try:
        if again:
            # what they had for download is only marked the first time
            server.media_file_mgr.remove_orphaned_files()
        closed.expire()
        now = dict(closed)
        gone = [
            info.session
            for name, info in before.items()
            if name not in now and not server.is_active_session(name)
        ]
    finally:  # whatever happens, the next look comes
        loop.call_later(EVERY_SECONDS, _look, loop, server, closed, now, bool(gone))
    for session in gone:
        _end(session)
    if gone:
        forget_addresses()
        give_memory_back()


def _end(session: AppSession) -> None:
    # Slow work on its scans would go on until it is done.
    for value in reach(session.session_state, "filtered_state", _ENDED).values():
        if callable(getattr(value, "close_all", None)):  # a component has any name, as None
            value.close_all()
    session.shutdown()
    session.session_state.clear()
    # What its widgets call, and with which scans: clear() leaves it, and the loop keeps the last
    # session.
    reach(session.session_state, "_new_widget_state.widget_metadata", _ENDED).clear()
    session.flush_browser_queue()
