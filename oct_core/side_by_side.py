"""Several networks at the same time, each on its share of the cores.

One scan does not fill the cores: every operation of a pass ends with its slowest thread, and where another program has a core, the
others wait for it. Networks that each keep to one share need not wait; benchmarks/busy.py measures it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

AT_ONCE = 3
R = TypeVar("R")
_making = threading.Lock()


@contextmanager
def begun(work: Sequence[Callable[[], R]]) -> Iterator[list[Callable[[], R]]]:
    """Begin each piece of work in the process's workers; gives, in order, functions that wait for its result or raise its error.

    The workers have equal shares of torch's threads. A single piece is done when its result is asked for, on all cores. What is not
    begun when the block ends, by an error or since nobody waits any more, is not begun at all.
    """
    if len(work) == 1:
        yield list(work)
        return
    with _making:
        pool = _workers()
    futures = [pool.submit(piece) for piece in work]
    try:
        yield [future.result for future in futures]
    finally:
        for future in futures:
            future.cancel()


@functools.cache
def _workers() -> ThreadPoolExecutor:
    cores = torch.get_num_threads()
    count = min(AT_ONCE, cores)

    def take_share() -> None:
        torch.get_num_threads()  # a thread's first question to torch sets its number to that of all
        torch.set_num_threads(cores // count)
        # Threads to come get what was asked for last, by whichever thread: ask for all the cores again.
        others = threading.Thread(target=torch.set_num_threads, args=(cores,))
        others.start()
        others.join()

    return ThreadPoolExecutor(count, "network", take_share)
