"""benchmarks/explain.py: its rows of a GPU, here with the CPU in a GPU's place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import explain

torch.set_num_threads(1)


def test_without_a_gpu_there_is_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert explain.on_gpu(64) is None


def test_maps_and_limit_are_timed_between_waits_for_the_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[str] = []
    whole = explain.subject

    def noted(event: str, answer: object) -> object:
        events.append(event)
        return answer

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: events.append("wait"))
    monkeypatch.setattr(explain, "ARCHITECTURES", ["densenet121"])
    monkeypatch.setattr(
        explain, "subject", lambda name, size, device, batch: whole(name, size, "cpu", batch)
    )
    monkeypatch.setattr(explain, "ours", lambda one: noted("ours", [one.x] * 11))
    monkeypatch.setattr(explain, "limit", lambda one: noted("limit", None))
    found = explain.on_gpu(64, batch=2)
    assert found is not None and (found["device"], found["batch"]) == ("a GPU", 2)
    assert found["maps_per_second"]["densenet121"] > 0
    assert found["ratio_to_limit"]["densenet121"] > 0
    assert events == [
        "ours",
        *["ours"] * 3,
        "wait",
        *["ours"] * 10,
        "wait",
        *["limit"] * 3,
        "wait",
        *["limit"] * 10,
        "wait",
    ]
