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
    others = set(multiprocessing.active_children())
    pool = None
    try:
        if workers > 1:
            pool = ProcessPoolExecutor(workers, initializer=keep_freed_memory)
            results = pool.map(work, tasks, chunksize=_CHUNK)
    except (OSError, ImportError, NotImplementedError) as error:
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
        workers = 1
    try:
        yield map(work, tasks) if workers == 1 else results
    except BrokenProcessPool as error:
        raise DataError(
            "a process that reads scans was stopped, most likely for want of memory; try again "
            "with --workers 1"
        ) from error
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
