"""The C library's heap, looked at in processes of their own."""

from __future__ import annotations

import platform
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's heap")
SERVER = "from oct_core.system import keep_little_memory; keep_little_memory()"
DESCRIBE = """
import ctypes
libc = ctypes.CDLL(None)
def describe():
    libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
    libc.fflush(None)
"""


def described(before: str, code: str) -> str:
    """What malloc_info prints in a process that runs ``before`` and then ``code``."""
    return subprocess.run(
        [sys.executable, "-c", f"{before}\n{DESCRIBE}{code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


SIX_THREADS = """
import threading
gate = threading.Barrier(6)
def visit():
    blocks = [bytearray(100_000) for _ in range(20)]
    gate.wait()
threads = [threading.Thread(target=visit) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
describe()
"""


def test_threads_share_one_heap() -> None:
    assert described("", SIX_THREADS).count("<heap nr=") > 2, "or the test counts nothing"
    assert described(SERVER, SIX_THREADS).count("<heap nr=") == 1


LARGE_BLOCKS = """
for _ in range(3):
    block = bytearray(8_000_000)
    del block
block = bytearray(8_000_000)
describe()
del block
describe()
"""


def large_bytes(before: str) -> list[int]:
    """Bytes in blocks of their own, which go back to the system when they are freed: while a large
    block is used again, and after it.
    """
    sizes = re.findall(
        r'<total type="mmap" count="\d+" size="(\d+)"/>', described(before, LARGE_BLOCKS)
    )
    return [int(size) for size in sizes]


def test_a_server_gives_large_blocks_back_at_once() -> None:
    during, after = large_bytes("")
    assert during - after == 0, "or the test measures nothing: the heap has taken the block"
    during, after = large_bytes(SERVER)
    assert during - after >= 8_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="the heap of the GNU C library")
def test_a_process_that_reads_scans_takes_its_memory_once() -> None:
    text = (
        "import resource\n"
        "import numpy as np\n"
        "from oct_core.system import keep_freed_memory\n"
        "{call}\n"
        "def fill(): return [np.ones(2**21, np.uint8) for _ in range(8)]\n"
        "fill()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(20): fill()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    faults = {
        call: int(subprocess.check_output([sys.executable, "-c", text.format(call=call)]))
        for call in ("", "keep_freed_memory()")
    }
    assert faults["keep_freed_memory()"] < faults[""] / 10
