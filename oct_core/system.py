"""What this program asks of the machine: how torch's threads wait, how the heap is kept, and
networks side by side.

Loads no torch: how its threads wait is chosen before.

Networks side by side: one scan does not fill the cores. Every operation of a pass ends with its
slowest thread, and where another program has a core, the others wait for it. Networks that each
keep to one share need not wait; benchmarks/busy.py measures it.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

from oct_core.words import keep_language

_SPIN = "1000"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_LARGE_BYTES = 2**22
"""Of 2**19, the maps of three networks took a fifth longer: each activation is then new memory."""
_NOT_GLIBC = (OSError, AttributeError, TypeError)

AT_ONCE = 3
MOST_AHEAD = 8
"""Threads at most that work ahead: each has pictures in memory."""
T = TypeVar("T")
R = TypeVar("R")
_making = threading.Lock()


def yield_when_waiting() -> None:
    """Let a thread that waits for another give up its core early. Call before torch is loaded; a
    choice of the user's own stays.

    GNU's OpenMP spins first, by default for a few milliseconds at each of the hundreds of
    operations of a pass: on a machine whose cores have other work (a training, say), that keeps the
    very core that the other thread needs. benchmarks/busy.py measures it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPIN)


def keep_little_memory() -> None:
    """Return large blocks to the system as soon as they are freed, and let new threads share the
    heaps: for a server.

    Each visit is a thread, and one that had a heap of its own would leave it behind full of holes.
    Left to itself, the C library also puts blocks of up to 32 MB into its heaps once such a block
    was freed, where small ones then pin them down.
    """
    with suppress(*_NOT_GLIBC):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        ctypes.CDLL(None).mallopt(
            _M_TRIM_THRESHOLD, 2 * _LARGE_BYTES
        )  # else 128 kB from now on, and each small block comes anew


def keep_freed_memory() -> None:
    """Use freed blocks again instead of returning them to the system: for a process that decodes
    one picture after the other, where new memory for each array takes an eighth of the time.
    """
    with suppress(*_NOT_GLIBC):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 2**25)
        ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, 2**27)


def give_memory_back() -> None:
    """Return to the system what was freed."""
    with suppress(*_NOT_GLIBC):
        ctypes.CDLL(None).malloc_trim(0)


def start_side_by_side(work: Sequence[Callable[[], R]]) -> list[Future[R]]:
    """Start each piece of quick work in the process's workers, which have equal shares of torch's
    threads, in the language of the moment.
    """
    with _making:
        pool = _workers()
    return [pool.submit(keep_language(piece)) for piece in work]


def worker_count() -> int:
    """How many threads may work ahead: a core each."""
    return min(MOST_AHEAD, os.cpu_count() or 1)


def map_ahead(work: Callable[[T], R], items: Iterable[T], workers: int = 1) -> Iterator[R]:
    """``work`` of each item, in order, by so many threads while the caller uses what came before;
    raises what the work raised. No more results are kept than there are threads, and one.
    """
    with ThreadPoolExecutor(workers, "ahead") as pool:
        begun: deque[Future[R]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) > workers:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()


@contextmanager
def run_side_by_side(work: Sequence[Callable[[], R]]) -> Iterator[list[Callable[[], R]]]:
    """Start each piece of quick work in the process's workers; gives, in order, functions that wait
    for its result or raise its error.

    A single piece is done when its result is asked for, on all cores. What has not started when the
    block ends, by an error or since nobody waits any more, does not start at all.
    """
    if len(work) == 1:
        yield list(work)
        return
    futures = start_side_by_side(work)
    try:
        yield [future.result for future in futures]
    finally:
        for future in futures:
            future.cancel()


@functools.cache
def _workers() -> ThreadPoolExecutor:
    import torch

    cores = torch.get_num_threads()
    count = min(AT_ONCE, cores)

    def take_share() -> None:
        torch.get_num_threads()  # a thread's first question to torch sets its number to that of all
        torch.set_num_threads(cores // count)
        # Threads to come get what was asked for last, by whichever thread: ask for all the cores
        # again.
        others = threading.Thread(target=torch.set_num_threads, args=(cores,))
        others.start()
        others.join()

    return ThreadPoolExecutor(count, "network", take_share)
