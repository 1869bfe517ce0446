"""The C library's heaps, counted in a process of their own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT_HEAPS = """
import ctypes, sys, threading
{before}
gate = threading.Barrier(6)
def visit():
    held = [bytearray(100_000) for _ in range(20)]
    gate.wait()
threads = [threading.Thread(target=visit) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def heaps(before: str) -> int:
    """How many heaps the C library keeps after six threads at once."""
    done = subprocess.run([sys.executable, "-c", COUNT_HEAPS.format(before=before)], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's heaps")
def test_threads_share_one_heap() -> None:
    assert heaps("") > 2, "or the test counts nothing"
    assert heaps("from pages.ui.memory import keep_one_heap; keep_one_heap()") == 1
