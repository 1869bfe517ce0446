"""What is asked of the C library's heap (glibc; elsewhere nothing happens). Loads no torch."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # malloc.h
_NEVER = -1
_NOT_GLIBC = (OSError, AttributeError, TypeError)


def keep_freed_memory() -> None:
    """Use freed memory again instead of returning it to the system: for a program that does one thing and ends.

    Else every large activation of a batch is new memory that the system first clears page by page; benchmarks/heap.py measures it.
    """
    with suppress(*_NOT_GLIBC):
        ctypes.CDLL(None).mallopt(_M_MMAP_MAX, 0)
        ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, _NEVER)


def keep_one_heap() -> None:
    """Let new threads share a heap: for a server, where each visit is a thread, and one that had a heap of its own would leave it
    behind full of holes."""
    with suppress(*_NOT_GLIBC):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def give_memory_back() -> None:
    """Return to the system what was freed."""
    with suppress(*_NOT_GLIBC):
        ctypes.CDLL(None).malloc_trim(0)
