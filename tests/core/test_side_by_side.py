"""Several networks at once: the workers and their shares of torch's threads, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SHARES = """
import json, threading, torch
from concurrent.futures import ThreadPoolExecutor
torch.set_num_threads({threads})
from oct_core.side_by_side import submit
submit(int).result()
meet = threading.Barrier({workers})
def look():
    meet.wait(20)  # only if so many work at once
    return threading.get_ident(), torch.get_num_threads()
found = [future.result() for future in [submit(look) for _ in range({workers})]]
with ThreadPoolExecutor(1) as later:
    print(json.dumps([len(dict(found)), [share for _, share in found], torch.get_num_threads(), later.submit(torch.get_num_threads).result()]))
"""


@pytest.mark.parametrize(("threads", "workers", "share"), [(1, 1, 1), (2, 2, 1), (4, 3, 1), (7, 3, 2)])
def test_the_workers_share_the_threads_and_leave_others_theirs(threads: int, workers: int, share: int) -> None:
    code = SHARES.format(threads=threads, workers=workers)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == [workers, [share] * workers, threads, threads]


def test_work_that_fails_says_so_to_who_waits_and_the_workers_go_on() -> None:
    code = """
from oct_core.side_by_side import submit
failed = submit(int, "no number")
print(type(failed.exception()).__name__, submit(int, "12", base=16).result())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["ValueError", "18"]
