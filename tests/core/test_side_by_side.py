"""Several networks at once: the workers and their shares of torch's threads, in processes of their
own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def printed(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


SHARES = """
import json, threading, torch
from concurrent.futures import ThreadPoolExecutor
torch.set_num_threads({threads})
from oct_core.system import run_side_by_side
meet = threading.Barrier({workers})
def look():
    meet.wait(20)  # only if so many work at once
    return threading.get_ident(), torch.get_num_threads()
with run_side_by_side([look] * {workers} * 2) as results, ThreadPoolExecutor(1) as later:
    found = [wait() for wait in results]
    shares = sorted({{share for _, share in found}})
    others = later.submit(torch.get_num_threads).result()
    print(json.dumps([len(dict(found)), shares, torch.get_num_threads(), others]))
"""


@pytest.mark.parametrize(
    ("threads", "workers", "share"), [(1, 1, 1), (2, 2, 1), (4, 3, 1), (7, 3, 2)]
)
def test_the_workers_share_the_threads_and_leave_others_theirs(
    threads: int, workers: int, share: int
) -> None:
    assert json.loads(printed(SHARES.format(threads=threads, workers=workers))) == [
        workers,
        [share],
        threads,
        threads,
    ]


def test_a_single_piece_of_work_has_all_threads_and_waits_to_be_asked() -> None:
    code = """
import threading, torch
torch.set_num_threads(4)
from oct_core.system import run_side_by_side
done = []
def work():
    done.append((threading.current_thread() is threading.main_thread(), torch.get_num_threads()))
with run_side_by_side([work]) as (wait,):
    print(done)
    wait()
print(done)
"""
    assert printed(code).split("\n")[:2] == ["[]", "[(True, 4)]"]


def test_work_that_fails_says_so_to_who_waits_and_what_nobody_waits_for_does_not_start() -> None:
    code = """
import threading
from oct_core.system import AT_ONCE, run_side_by_side
gate, done = threading.Event(), []
with run_side_by_side([lambda: int("no number"), lambda: int("12", 16)]) as (failed, right):
    try:
        failed()
    except ValueError:
        print("ValueError", right())
try:
    with run_side_by_side([lambda: gate.wait(30)] * AT_ONCE + [lambda: done.append("too late")]):
        raise KeyError
except KeyError:
    gate.set()
with run_side_by_side([int, int]) as results:
    print([wait() for wait in results], done)
"""
    assert printed(code).split("\n")[:2] == ["ValueError 18", "[0, 0] []"]
