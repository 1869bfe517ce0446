"""Work that other threads do ahead of a caller: in order, bounded, its errors raised."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from oct_core import system
from oct_core.system import map_ahead, worker_count


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_from_other_threads(workers: int) -> None:
    def work(item: int) -> tuple[int, int]:
        return item * item, threading.get_ident()

    found = list(map_ahead(work, range(20), workers))
    assert [square for square, _ in found] == [item * item for item in range(20)]
    threads = {thread for _, thread in found}
    assert threading.get_ident() not in threads and len(threads) <= workers


@pytest.mark.parametrize("workers", [1, 2])
def test_work_runs_ahead_of_the_caller_but_no_further_than_it_has_threads(workers: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(10):
            taken.append(item)
            yield item

    results = map_ahead(lambda item: item, items(), workers)
    for count in range(1, 10 - workers):
        next(results)
        assert len(taken) == count + workers
    assert list(results) == list(range(9 - workers, 10))


def test_an_error_of_the_work_or_of_the_items_is_raised_and_no_more_begins() -> None:
    done: list[str] = []

    def work(item: str) -> int:
        done.append(item)
        return int(item)

    with pytest.raises(ValueError, match="invalid literal for int"):
        list(map_ahead(work, ["1", "no", *"23456789"]))
    assert len(done) <= 4

    def items() -> Iterator[str]:
        yield "1"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(map_ahead(work, items()))


def test_there_is_a_thread_a_core_up_to_some(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for cores in (None, 2, 64):
        monkeypatch.setattr(system.os, "cpu_count", lambda cores=cores: cores)
        counts.append(worker_count())
    assert counts == [1, 2, system.MOST_AHEAD]
