"""Whose turn it is on a model: quick work goes first, slow work is cut in pieces that give way.

A model runs for one thread at a time (``ModelLock``). Quick work (an answer, maps from one pass)
takes the lock at once when it is free. Slow work (hundreds of passes for one map) takes it with
``lock.slow()`` and calls ``pause`` between its pieces: whoever waits with quick work, on this model
or on another that needs the same cores, goes first. ``Work`` is what somebody watches slow work
with, and stops it.

No torch here.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

from oct_core.errors import OctError
from oct_core.words import keep_language

R = TypeVar("R")
PATIENCE = 5.0
"""Seconds that slow work waits, at most, for quick work on other models; for its own model it waits
as long as it takes."""

_turns = threading.Condition()
_current: ContextVar[Work | None] = ContextVar("work", default=None)


class WorkStoppedError(OctError):
    """Slow work was stopped before it was done."""


@dataclass(eq=False)
class Work:
    """Slow work, seen from outside. Safe to share between threads.

    total : forward passes that it is expected to need, 0 if unknown. done : passes so far. began :
    when its turn came, by ``time.monotonic``; None while it waits in line.
    """

    total: int = 0
    done: int = 0
    began: float | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def share(self) -> float:
        """How much is done, 0 to 1; 0 if the total is unknown."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far; None before the first pass."""
        if self.began is None or not self.done:
            return None
        each = (time.monotonic() - self.began) / self.done
        return max(0.0, each * (self.total - self.done))

    @property
    def stopped(self) -> bool:
        """Whether somebody asked for it to stop."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Have the work end at its next pause, by a WorkStoppedError."""
        self._stopped.set()

    def check(self) -> None:
        """Raise WorkStoppedError if the work is to stop, or the process is about to end."""
        if self.stopped or not threading.main_thread().is_alive():
            raise WorkStoppedError("stopped before it was done; start it again if it is needed")

    @contextmanager
    def follow(self) -> Iterator[None]:
        """Whatever pauses inside, in this thread, counts here and can be stopped from here."""
        token = _current.set(self)
        try:
            self.check()
            yield
        finally:
            _current.reset(token)


class _Traffic:
    """Quick work that waits for or holds any model of the process."""

    count = 0


class ModelLock:
    """One thread at a time, quick work first. ``with lock:`` for quick work, ``with lock.slow():``
    for slow work.

    Not reentrant. Slow work holds the lock between its pauses like anybody else.
    """

    def __init__(self) -> None:
        self._held = False
        self._slow_holds = False
        self._quick_waits = 0

    def __enter__(self) -> None:
        with _turns:
            _Traffic.count += 1
            self._quick_waits += 1
            try:
                _turns.wait_for(lambda: not self._held)
                self._held = True
            except BaseException:
                _Traffic.count -= 1
                raise
            finally:
                self._quick_waits -= 1

    def __exit__(self, *_error: object) -> None:
        with _turns:
            self._held = False
            _Traffic.count -= 1
            _turns.notify_all()

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Hold the lock for slow work, which calls ``give_way`` or ``pause`` between its pieces."""
        with _turns:
            self._take_slowly()
        try:
            yield
        finally:
            with _turns:
                self._let_go()

    def give_way(self) -> None:
        """Let quick work that waits go first, and hold the lock again after it. Does nothing when
        the lock is not held by slow work.
        """
        with _turns:
            if self._slow_holds and _Traffic.count:
                self._let_go()
                self._take_slowly()

    def locked(self) -> bool:
        """Whether anybody holds it."""
        return self._held

    def _take_slowly(self) -> None:
        _turns.wait_for(lambda: not self._held and not _Traffic.count, PATIENCE)
        _turns.wait_for(lambda: not self._held and not self._quick_waits)
        self._held = self._slow_holds = True

    def _let_go(self) -> None:
        self._held = self._slow_holds = False
        _turns.notify_all()


def pause(lock: ModelLock, passes: int = 0) -> None:
    """Between two pieces of slow work: count ``passes`` forward passes as done, stop if somebody
    asked for it, give way to quick work.

    No hook or switch may be set on the model meanwhile: another thread runs it. Raises
    WorkStoppedError.
    """
    work = _current.get()
    if work is not None:
        work.done += passes
        work.check()
    lock.give_way()
    if work is not None:
        work.check()


_line: list[Work] = []
_line_moved = threading.Condition()


def start_work(work: Work, function: Callable[[], R]) -> Future[R]:
    """Run slow work in a thread of its own when its turn comes, in the language of the moment;
    gives the future of its result.

    Slow work of the whole process is done one after the other, first come first served: two at once
    would only take each other's cores and memory. What is stopped, before its turn or at a pause,
    ends in a WorkStoppedError.

    function : holds what it works on as arguments (functools.partial), not in a closure: an error's
    stack is cleared of arguments, while a closure would live as long as the error.
    """
    future: Future[R] = Future()
    function = keep_language(function)
    future.set_running_or_notify_cancel()  # the work is what stops it

    def run() -> None:
        nonlocal function
        try:
            with _wait_in_line(work), work.follow():
                future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            # The stack stays for whoever logs it; what it worked on (a scan) must not live as long.
            traceback.clear_frames(error.__traceback__)
            future.set_exception(error)
        finally:
            del function  # the error's stack leads to this frame

    with _line_moved:
        _line.append(work)
    # Not a daemon: torch aborts the process if it ends while one computes. When the process ends,
    # ``check`` stops the work.
    threading.Thread(target=run, name="slow work", daemon=False).start()
    return future


@contextmanager
def _wait_in_line(work: Work) -> Iterator[None]:
    try:
        with _line_moved:
            while _line[0] is not work:
                work.check()
                _line_moved.wait(0.2)
        work.began = time.monotonic()
        yield
    finally:
        with _line_moved:
            _line.remove(work)
            _line_moved.notify_all()
