"""The C library's heap, looked at in processes of their own."""

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
    done = subprocess.run(
        [sys.executable, "-c", COUNT_HEAPS.format(before=before)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's heaps")
def test_threads_share_one_heap() -> None:
    assert heaps("") > 2, "or the test counts nothing"
    assert heaps("from oct_core.system import keep_little_memory; keep_little_memory()") == 1


COUNT_FAULTS = """
import resource
{before}
for _ in range(3):
    held = bytearray({size})
    del held
first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
held = bytearray({size})
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first)
"""


def faults(before: str, size: int) -> int:
    """How many pages the system has to bring for memory that was freed just before."""
    code = COUNT_FAULTS.format(before=before, size=size)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's heap")
def test_freed_memory_is_used_again() -> None:
    assert faults("", 100_000_000) > 20, "or the test counts nothing"
    assert (
        faults("from oct_core.system import keep_freed_memory; keep_freed_memory()", 100_000_000)
        < 20
    )


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's heap")
def test_a_server_gives_large_blocks_back_at_once() -> None:
    assert faults("", 8_000_000) < 20, "or the test counts nothing"
    assert (
        faults("from oct_core.system import keep_little_memory; keep_little_memory()", 8_000_000)
        > 1900
    )
