"""What is asked of the C library's heap (glibc; elsewhere nothing happens). Loads no torch."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8  # malloc.h
_NEVER = -1
_LARGE_BYTES = 2**22
"""Of 2**19, the maps of three networks took a fifth longer: each activation is then new memory."""
_NOT_GLIBC = (OSError, AttributeError, TypeError)


def keep_freed_memory() -> None:
    """Use freed memory again instead of returning it to the system: for a program that does one thing and ends.

    Else every large activation of a batch is new memory that the system first clears page by page; benchmarks/heap.py measures it.
    """
    with suppress(*_NOT_GLIBC):
        ctypes.CDLL(None).mallopt(_M_MMAP_MAX, 0)
        ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, _NEVER)


def keep_little_memory() -> None:
    """Return large blocks to the system as soon as they are freed, and let new threads share the heaps: for a server.

    Each visit is a thread, and one that had a heap of its own would leave it behind full of holes. Left to itself, the C library also
    puts blocks of up to 32 MB into its heaps once such a block was freed, where small ones then pin them down.
    """
    with suppress(*_NOT_GLIBC):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE_BYTES)  # else 128 kB from now on, and each small block comes anew


def give_memory_back() -> None:
    """Return to the system what was freed."""
    with suppress(*_NOT_GLIBC):
        ctypes.CDLL(None).malloc_trim(0)
