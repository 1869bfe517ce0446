"""Scans read by several processes, or by one where there can be no others."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from oct_core.errors import DataError
from oct_core.system import keep_freed_memory
from oct_core.words import say

_CHUNK = 16
"""Tasks that a process is sent at a time."""
Task = TypeVar("Task")
Result = TypeVar("Result")


@contextmanager
def in_processes(
    work: Callable[[Task], Result], tasks: Sequence[Task], workers: int, notes: list[str]
) -> Iterator[Iterator[Result]]:
    """``work`` of each task, in order, by so many processes; by this one if it is one, or if the
    system starts no others (a read-only /dev/shm, a limit on processes), which goes to ``notes``.

    Raises DataError if one of them is stopped from outside.
    """
    pool = None
    try:
        if workers > 1:
            pool, results = _start(work, tasks, workers, notes)
        yield map(work, tasks) if pool is None else results
    except BrokenProcessPool as error:
        raise DataError(
            "a process that reads scans was stopped, most likely for want of memory; try again "
            "with --workers 1"
        ) from error
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _start(
    work: Callable[[Task], Result], tasks: Sequence[Task], workers: int, notes: list[str]
) -> tuple[ProcessPoolExecutor | None, Iterator[Result]]:
    """(the processes at work, their results); no processes if none can be started."""
    others = set(multiprocessing.active_children())
    try:
        pool = ProcessPoolExecutor(workers, initializer=keep_freed_memory)
        return pool, pool.map(work, tasks, chunksize=_CHUNK)
    except BrokenProcessPool:
        raise
    except (OSError, RuntimeError, ImportError) as error:  # RuntimeError: no more threads
        for started in set(multiprocessing.active_children()) - others:
            # it would wait for work that never comes, and this process for it
            started.terminate()
        notes.append(
            say(
                "the system starts no {workers} processes ({error}); one alone read the scans",
                workers=workers,
                error=error,
            )
        )
        return None, iter(())
