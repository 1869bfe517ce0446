"""Closed tabs: their sessions end, with all they hold, when their time for a return
(server.disconnectedSessionTTL) is over.

Left to itself, the web server looks for such sessions only when another tab is closed, and keeps
the last one until another is opened: the last person's scans would stay for as long as it runs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from oct_core.system import give_memory_back
from pages.ui.app.session import forget_addresses

if TYPE_CHECKING:
    from streamlit.runtime import Runtime
    from streamlit.runtime.caching.ttl_cache import TTLCache
    from streamlit.runtime.session_manager import SessionInfo

EVERY_SECONDS = 5.0
_started = threading.Lock()


def end_closed_tabs() -> None:
    """Have the web server look every few seconds, once a server. Call it on every page."""
    from streamlit import runtime

    if runtime.exists() and _started.acquire(blocking=False):
        server = runtime.get_instance()
        with suppress(
            AttributeError
        ):  # Streamlit has no public way; tests/browser sees that this one works
            loop, closed = (
                server._get_async_objs().eventloop,
                server._session_mgr._session_storage._cache,
            )  # type: ignore[attr-defined]
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
    loop.call_later(EVERY_SECONDS, _look, loop, server, closed, now, bool(gone))
    for session in gone:
        session.shutdown()
        session.session_state.clear()
        with suppress(
            AttributeError
            # what its widgets call, and with which scans: clear() leaves it, and the loop keeps its
            # last session
        ):
            session.session_state._new_widget_state.widget_metadata.clear()
        session.flush_browser_queue()
    if gone:
        forget_addresses()
        give_memory_back()
