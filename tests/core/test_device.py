"""One choice of the device for the app and the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from oct_core.errors import UnknownNameError
from oct_core.models.device import choose_device


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCT_DEVICE", raising=False)


def machine(monkeypatch: pytest.MonkeyPatch, gpus: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("gpus", "mps", "expected"), [(0, False, "cpu"), (2, False, "cuda"), (0, True, "mps")]
)
def test_without_a_wish_it_is_the_best_there_is(
    gpus: int, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, gpus, mps)
    assert choose_device().type == expected
    monkeypatch.setenv("OCT_DEVICE", "")
    assert choose_device().type == expected


def test_the_environment_chooses_and_a_name_goes_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, gpus=2)
    monkeypatch.setenv("OCT_DEVICE", " CPU ")
    assert choose_device() == torch.device("cpu")
    assert choose_device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nonsense", "no device is called 'nonsense'; there are: cuda, mps, cpu"),
        ("meta", "no device is called 'meta'"),
        ("cuda:-1", "no device is called 'cuda:-1'"),
        ("cuda", "this machine has no device 'cuda' that torch can use"),
        ("mps", "this machine has no device 'mps'"),
    ],
)
def test_what_is_not_there_is_said(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch)
    monkeypatch.setenv("OCT_DEVICE", name)
    for ask in (lambda: choose_device(), lambda: choose_device(name)):
        with pytest.raises(UnknownNameError, match=message):
            ask()


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, gpus=1)
    assert choose_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(UnknownNameError, match="no device 'cuda:1'"):
        choose_device("cuda:1")


def test_the_app_loads_its_models_there(monkeypatch: pytest.MonkeyPatch, demo_root: Any) -> None:
    from pages.ui.app import services

    devices: list[str] = []

    @dataclass
    class Loaded:
        card: object = None

    def load(folder: Path, device: str) -> Loaded:
        devices.append(device)
        return Loaded()

    monkeypatch.setattr("oct_core.runs.weights.load_run", load)
    monkeypatch.setenv("OCT_CHECKPOINTS", str(demo_root))
    machine(monkeypatch, gpus=1)
    services.st.cache_resource.clear()
    try:
        services.get_run("vgg16")
        monkeypatch.setenv("OCT_DEVICE", "cpu")
        services.st.cache_resource.clear()
        services.get_run("vgg16")
    finally:
        services.st.cache_resource.clear()
    assert [str(device) for device in devices] == ["cuda", "cpu"]
