"""What keeps a step quick: one copy of the scans, nothing that waits for the device, fused work;
and what may be chosen: torch.compile, other batch sizes.
"""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scan_folders import write_pack
from torch.overrides import TorchFunctionMode

from oct_core.data.manifest import Record
from oct_core.data.pack import Pack, open_pack
from oct_core.errors import TrainingError
from oct_core.models.device import upload
from oct_core.runs.files import read_card
from oct_core.training import data as training_data_module
from oct_core.training.config import TrainingConfig
from oct_core.training.data import Scans, TrainingData, training_data
from oct_core.training.draws import BatchDropout, Draws
from oct_core.training.execution import Compiled, Execution
from oct_core.training.initial import initial_model
from oct_core.training.job import TrainingJob
from oct_core.training.loop import STEPS_PER_ROW, Trainer
from oct_core.training.recipes import RECIPES, recipe
from oct_core.training.resume import restore_optimizer
from oct_core.training.run import train_run
from oct_core.types import CLASSES

torch.set_num_threads(1)
CPU = torch.device("cpu")
FULL = TrainingConfig(
    "vgg16",
    initialisation="random",
    epochs=1,
    batch_size=4,
    learning_rate=1e-4,
    styles=0.5,
    lesions=0.5,
    widening=0.5,
)
"""With all that a step can do."""


def some_data(count: int = 16, size: int = 64) -> TrainingData:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 255, (count, size, size), dtype=np.uint8)
    return TrainingData.of(pixels, np.arange(count) % 4)


def trainer(config: TrainingConfig = FULL, **execution: Any) -> Trainer:
    return Trainer(
        config,
        initial_model(config, len(CLASSES)),
        some_data(),
        CPU,
        execution=Execution(**execution),
    )


@pytest.fixture
def large_pack(tmp_path: Path) -> Pack:
    """20 MB of scans on disk, memory-mapped."""
    pixels = np.random.default_rng(0).integers(0, 255, (5000, 64, 64), dtype=np.uint8)
    records = tuple(
        Record(f"{row}.png", CLASSES[row % 4], str(row), f"{row:064x}", 64, 64, "train")
        for row in range(len(pixels))
    )
    return open_pack(write_pack(tmp_path, Pack(tmp_path, records, pixels, 64)))


def test_training_holds_no_copy_of_the_pack(large_pack: Pack) -> None:
    tracemalloc.start()
    try:
        scans = Scans(training_data(FULL, large_pack), CPU)
        batch = scans.batch(np.arange(16))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert np.shares_memory(scans.data.pixels, large_pack.pixels)
    assert len(scans.data) == 5000 and batch.shape == (16, 1, 64, 64)
    assert most < large_pack.pixels.nbytes / 10


def test_a_device_with_room_holds_the_scans_and_gives_the_same_batches(
    tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU; the CPU stands for its memory. A part at a time is copied."""
    given = training_data(replace(FULL, phantoms_per_class=1), tiny_pack)
    read = Scans(given, CPU)
    monkeypatch.setattr(training_data_module, "_AT_ONCE", 5)
    monkeypatch.setattr(training_data_module, "has_room", lambda data, device: True)
    held = Scans(given, CPU)
    assert held.held is not None and held.held.dtype == torch.uint8 and read.held is None
    numbers = np.array([0, 3, 7, 9, 11])
    assert torch.equal(held.batch(numbers), read.batch(numbers))
    monkeypatch.setattr(TrainingData, "read", lambda self, numbers: pytest.fail("read again"))
    held.batch(numbers)


@pytest.mark.parametrize(("free", "room"), [(10**9, True), (70_000, False)])
def test_a_gpu_holds_the_scans_if_half_of_its_free_memory_is_enough(
    free: int, room: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    assert training_data_module.has_room(some_data(), torch.device("cuda")) is room
    assert not training_data_module.has_room(some_data(), CPU)


def test_a_read_only_array_is_uploaded_as_a_copy() -> None:
    array = np.arange(3)
    array.flags.writeable = False
    tensor = upload(array, CPU)
    tensor += 1
    assert tensor.tolist() == [1, 2, 3] and array.tolist() == [0, 1, 2]


WAITS = {"item", "__float__", "__int__", "__bool__", "__index__"}
WAITS |= {"tolist", "numpy", "cpu", "nonzero", "unique", "masked_select"}
"""What makes the host wait for a GPU."""


class Calls(TorchFunctionMode):
    """The names of the torch functions that are called inside."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        self.names.add(func.__name__)
        return func(*args, **(kwargs or {}))


def test_no_step_waits_for_the_device_but_the_one_that_ends_a_row() -> None:
    ours = trainer(precision="float32")
    draws = Draws.seeded(0, CPU)
    ours.model.train()
    with Calls() as calls:
        found = ours._train_step(np.arange(4), draws)
    assert {"cross_entropy", "index_copy_"} <= calls.names and not calls.names & WAITS
    assert isinstance(found, torch.Tensor) and found.shape == (2,)
    with Calls() as calls:
        ours._read([found])
    assert "cpu" in calls.names


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_no_step_waits_for_a_gpu() -> None:
    gpu = torch.device("cuda")
    ours = Trainer(FULL, initial_model(FULL, len(CLASSES)), some_data(), gpu)
    draws = Draws.seeded(0, gpu)
    ours.model.train()
    ours._train_step(np.arange(4), draws)
    torch.cuda.set_sync_debug_mode("error")
    try:
        ours._train_step(np.arange(4), draws)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert ours.scans.held is not None and torch.backends.cudnn.benchmark


def test_losses_are_read_once_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = trainer(replace(FULL, batch_size=2))  # 8 steps
    read: list[int] = []
    real = Trainer._read
    monkeypatch.setattr(
        Trainer, "_read", lambda self, recent: (read.append(len(recent)), real(self, recent))[1]
    )
    rows: list[dict[str, float]] = []
    result = ours.epoch(0, after_row=rows.append)
    assert read == [STEPS_PER_ROW, 3] and [row["step"] for row in rows] == [5, 8]
    weighed = (5 * rows[0]["loss"] + 3 * rows[1]["loss"]) / 8
    assert result.loss == pytest.approx(weighed, rel=1e-6)


def test_a_loss_that_is_no_number_names_its_step_at_the_end_of_the_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = trainer(replace(FULL, batch_size=2))
    real, calls = Trainer._loss, []

    def loss(self: Trainer, *given: Any) -> torch.Tensor:
        calls.append(1)
        return real(self, *given) * (math.nan if len(calls) == 3 else 1)

    monkeypatch.setattr(Trainer, "_loss", loss)
    with pytest.raises(TrainingError, match="the loss became nan at step 3; lower the learning"):
        ours.epoch(0)
    assert len(calls) == STEPS_PER_ROW


def test_the_optimizer_is_fused_and_its_moments_lie_as_the_weights_do_after_resuming() -> None:
    ours, again = trainer(), trainer()
    assert ours.optimizer.defaults["fused"]
    ours.epoch(0)
    saved = {
        index: {name: tensor.clone().contiguous() for name, tensor in entry.items()}
        for index, entry in ours.optimizer.state_dict()["state"].items()
    }
    restore_optimizer(again.optimizer, saved)
    pairs = zip(
        ours.optimizer.param_groups[0]["params"],
        again.optimizer.param_groups[0]["params"],
        strict=True,
    )
    for one, other in pairs:
        for name, tensor in again.optimizer.state[other].items():
            assert torch.equal(tensor, ours.optimizer.state[one][name])
            assert tensor.shape != other.shape or tensor.stride() == other.stride()


def test_validation_multiplies_as_the_training_does(
    tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oct_core.training import run

    asked: list[str] = []
    real = run.logits_of_pack

    def answer(*given: Any, **named: Any) -> Any:
        asked.append(named["precision"])
        return real(*given, **named)

    monkeypatch.setattr(run, "logits_of_pack", answer)
    for precision in ("bfloat16", "float32"):
        execution = Execution(precision=precision)
        job = TrainingJob(FULL, tiny_pack, tmp_path / precision, CPU, execution=execution)
        train_run(job)
    assert asked == ["bfloat16", "float32"]


def test_where_compiling_fails_it_is_said_once_and_the_network_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compile_nothing(forward: object) -> object:
        def quick(x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no compiler\nlong story")

        return quick

    monkeypatch.setattr(torch, "compile", compile_nothing)
    told: list[str] = []
    ours = trainer(compiled=True, tell=told.append)
    plain = trainer()
    assert ours.epoch(0).loss == plain.epoch(0).loss
    assert told == ["torch.compile fails here (no compiler); going on without"]


def test_a_compiled_network_is_asked_and_memory_that_runs_out_is_no_failure_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "compile", lambda forward: lambda x: forward(x) + 1)
    layer = torch.nn.Linear(2, 2)
    compiled = Compiled(layer, pytest.fail)
    x = torch.ones(1, 2)
    assert torch.equal(compiled(x), layer(x) + 1)
    assert len(list(compiled.parameters())) == 2

    def full(x: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(torch, "compile", lambda forward: full)
    with pytest.raises(torch.OutOfMemoryError):
        Compiled(layer, pytest.fail)(x)


def test_dropout_of_a_batch_is_that_of_its_parts() -> None:
    layer = BatchDropout(0.5)
    x = torch.ones(6, 1000)
    whole = Draws.seeded(3, CPU, 6)
    layer.draws = whole
    expected = layer(x)
    assert float((expected == 0).float().mean()) == pytest.approx(0.5, abs=0.05)
    assert float(expected.max()) == 2.0
    for own in (slice(0, 2), slice(2, 6)):
        layer.draws = Draws.seeded(3, CPU).over(6, own)
        assert torch.equal(layer(x[own]), expected[own])
    layer.eval()
    assert torch.equal(layer(x), x)


def test_a_step_on_a_part_of_the_batch_sees_the_same_scans_as_one_on_the_whole() -> None:
    ours = trainer(replace(FULL, batch_size=16))
    batch = np.arange(16)

    def made(own: slice) -> tuple[torch.Tensor, torch.Tensor]:
        return ours._make(batch, Draws.seeded(1, CPU).over(16, own))[:2]

    gray, labels = made(slice(0, 16))
    for own in (slice(0, 5), slice(5, 6), slice(6, 16)):
        part, told = made(own)
        torch.testing.assert_close(part, gray[own], rtol=0, atol=1e-5)
        assert torch.equal(told, labels[own])


def test_rates_scale_with_the_root_of_the_batch_and_the_average_reaches_as_far() -> None:
    own = RECIPES.get("vgg16")
    scaled = recipe("vgg16", scale_rates=True, batch_size=64)
    assert scaled.batch_size == 64
    assert scaled.learning_rate == pytest.approx(2 * own.learning_rate)
    assert scaled.head_learning_rate == pytest.approx(2 * own.head_learning_rate)
    assert scaled.weight_averaging == pytest.approx(own.weight_averaging**4)
    given = recipe("vgg16", scale_rates=True, batch_size=64, learning_rate=5e-4)
    assert given.learning_rate == 5e-4
    assert given.head_learning_rate == scaled.head_learning_rate
    assert recipe("vgg16", scale_rates=True) == own
    assert recipe("vgg16", batch_size=64).learning_rate == own.learning_rate


def test_a_run_may_be_trained_by_way_of_torch_compile(
    tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        torch, "compile", lambda forward: lambda x: (asked.append(len(x)), forward(x))[1]
    )
    job = TrainingJob(FULL, tiny_pack, tmp_path / "run", CPU, execution=Execution(compiled=True))
    assert read_card(train_run(job)).status == "done" and asked == [4, 4]
