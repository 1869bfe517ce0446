"""Tabs that were closed: their maps go within seconds, their scans when the web server's time for a return is over.

The server forgets the session of a closed tab only when a later one is closed, so the last person's scans would stay for as long as it runs.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import streamlit as st

from oct_core.heap import give_memory_back

if TYPE_CHECKING:
    from pages.ui.session import Viewer

EVERY_SECONDS = 5.0


@dataclass
class ClosedTabs:
    """is_open : whether the session of that id has a browser. kept_seconds : how long a closed tab may come back. clock : in seconds."""

    is_open: Callable[[str], bool]
    kept_seconds: float
    clock: Callable[[], float] = time.monotonic
    _watched: dict[str, weakref.ref[Viewer]] = field(default_factory=dict)
    _closed: dict[str, float] = field(default_factory=dict)

    def watch(self, session: str, viewer: Viewer) -> None:
        """Mind one session's viewer; it is not kept alive by that."""
        self._watched[session] = weakref.ref(viewer)

    def sweep(self) -> bool:
        """Drop what closed tabs hold; whether anything was dropped."""
        dropped = False
        for session, reference in list(self._watched.items()):
            viewer = reference()
            if viewer is None:
                del self._watched[session]
                self._closed.pop(session, None)
            elif self.is_open(session):
                self._closed.pop(session, None)
            elif self.clock() - self._closed.setdefault(session, self.clock()) >= self.kept_seconds:
                viewer.close_all()
                del self._watched[session], self._closed[session]
                dropped = True
            elif len(viewer.maps):
                viewer.forget_maps()
                dropped = True
        return dropped


_tabs: ClosedTabs | None = None
_starting = threading.Lock()


def watch_this_tab(viewer: Viewer) -> None:
    """Have the viewer of the session that runs now minded until its tab is closed."""
    from streamlit import runtime
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    global _tabs
    context = get_script_run_ctx()
    if context is None or not runtime.exists():  # a simulated page has no server
        return
    with _starting:
        if _tabs is None:
            _tabs = ClosedTabs(runtime.get_instance().is_active_session, float(st.get_option("server.disconnectedSessionTTL")))
            threading.Thread(target=_sweep_for_ever, args=(_tabs,), name="closed-tabs", daemon=True).start()
    _tabs.watch(context.session_id, viewer)


def _sweep_for_ever(tabs: ClosedTabs) -> None:
    while True:
        time.sleep(EVERY_SECONDS)
        if tabs.sweep():
            give_memory_back()
