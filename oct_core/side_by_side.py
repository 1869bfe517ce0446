"""Several networks at the same time, each on its share of the cores.

One scan does not fill the cores: every operation of a pass ends with its slowest thread, and where another program has a core, the
others wait for it. Networks that each keep to one share need not wait; benchmarks/busy.py measures it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch

AT_ONCE = 3
R = TypeVar("R")
_pool: ThreadPoolExecutor | None = None
_making = threading.Lock()


def submit(work: Callable[..., R], *args: Any, **options: Any) -> Future[R]:
    """Do ``work`` in one of the process's workers, first come, first served. They have equal shares of torch's threads."""
    global _pool
    with _making:
        if _pool is None:
            _pool = _workers()
    return _pool.submit(work, *args, **options)


def _workers() -> ThreadPoolExecutor:
    cores = torch.get_num_threads()
    count = min(AT_ONCE, cores)
    begun = threading.Barrier(count + 1)

    def take_share() -> None:
        torch.get_num_threads()  # a thread's first question to torch sets its number to that of all
        torch.set_num_threads(cores // count)
        begun.wait()

    pool = ThreadPoolExecutor(count, "network", take_share)
    for _ in range(count):
        pool.submit(int)  # a worker begins when there is work
    begun.wait()
    torch.set_num_threads(cores)  # threads to come get what was asked for last, by whichever
    return pool
