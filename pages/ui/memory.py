"""What the server asks of the C library's heap (glibc; elsewhere nothing happens) and of Python's collector of garbage."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

_M_ARENA_MAX = -8  # malloc.h
_NOT_GLIBC = (OSError, AttributeError, TypeError)


def keep_one_heap() -> None:
    """Let new threads share a heap: each visit is a thread, and one that had a heap of its own would leave it behind full of holes."""
    with suppress(*_NOT_GLIBC):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def give_memory_back() -> None:
    """Return to the system what was freed."""
    with suppress(*_NOT_GLIBC):
        ctypes.CDLL(None).malloc_trim(0)


def spare_the_collector() -> None:
    """Take what is loaded by now, torch above all, out of the collector's view, once.

    The web server has it look at every object, half a million, after every run of a page. What is set aside is still freed when the
    last reference goes; only a cycle that is alive now would stay.
    """
    gc.collect()
    gc.freeze()
