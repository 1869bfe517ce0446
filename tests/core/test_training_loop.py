"""The training loop: schedule, groups, class weights, frozen layers, moving average, order, the
teacher, one writer a run.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from oct_core.data.pack import Pack
from oct_core.errors import RunExistsError, TrainingError
from oct_core.models.networks import first_modules
from oct_core.runs.files import read_card, read_steps
from oct_core.training.config import TrainingConfig
from oct_core.training.data import TrainingData
from oct_core.training.execution import Execution
from oct_core.training.initial import initial_model
from oct_core.training.job import Events, TrainingJob
from oct_core.training.loop import TEACHER_SHARE, Trainer
from oct_core.training.recipes import recipe
from oct_core.training.run import train_run

torch.set_num_threads(1)
CPU = torch.device("cpu")
QUICK = TrainingConfig(
    "densenet121", initialisation="random", epochs=2, batch_size=4, learning_rate=1e-3, warmup=0.25
)


def data(count: int = 16) -> TrainingData:
    generator = np.random.default_rng(0)
    return TrainingData.of(
        generator.integers(0, 255, (count, 64, 64), dtype=np.uint8), np.arange(count) % 4
    )


def trainer(config: TrainingConfig = QUICK, given: TrainingData | None = None) -> Trainer:
    return Trainer(config, initial_model(config, 4), given or data(), CPU)


def test_the_rate_rises_linearly_then_falls_as_a_cosine() -> None:
    ours = trainer(replace(QUICK, head_learning_rate=5e-3))
    rates = []
    for step in range(8):  # 4 steps an epoch, 2 epochs, a quarter of them warm-up
        ours.step = step
        rates.append(ours._set_rate())
    expected = [0.5, 1.0] + [0.5 * (1 + math.cos(math.pi * step / 6)) for step in range(6)]
    np.testing.assert_allclose(rates, np.array(expected) * 1e-3, rtol=1e-12)
    by_peak = {group["peak"]: group["lr"] for group in ours.optimizer.param_groups}
    assert by_peak[5e-3] == pytest.approx(5 * by_peak[1e-3])


def test_only_weights_of_more_than_one_dimension_decay_and_every_parameter_learns() -> None:
    ours = trainer()
    groups = ours.optimizer.param_groups
    assert len(groups) == 4
    assert all(
        (group["weight_decay"] > 0) is (parameter.ndim > 1)
        for group in groups
        for parameter in group["params"]
    )
    assert sum(len(group["params"]) for group in groups) == len(list(ours.model.parameters()))


def test_rare_classes_weigh_more_by_the_inverse_root() -> None:
    given = TrainingData.of(
        np.zeros((30, 64, 64), np.uint8), np.repeat([0, 1, 2, 3], [16, 4, 4, 6])
    )
    weight = trainer(given=given).class_weight
    assert float(weight.mean()) == pytest.approx(1)
    assert float(weight[1] / weight[0]) == pytest.approx(2, rel=1e-5)
    assert trainer(replace(QUICK, class_balance=False)).class_weight.tolist() == [1.0] * 4


def test_frozen_layers_keep_weights_and_statistics_and_the_rest_moves() -> None:
    ours = trainer(replace(QUICK, frozen_layers=1, epochs=1), data(8))
    before = {name: tensor.clone() for name, tensor in ours.model.state_dict().items()}
    ours.epoch(0)
    frozen = {
        id(tensor)
        for module in first_modules(ours.model, "densenet121", 1)
        for tensor in module.state_dict(keep_vars=True).values()
    }
    for name, tensor in ours.model.state_dict(keep_vars=True).items():
        assert torch.equal(tensor, before[name]) is (id(tensor) in frozen), name


@pytest.mark.parametrize(
    ("architecture", "inside", "behind"),
    [
        ("densenet121", "features.denseblock1.denselayer6.conv2", "features.transition1.norm"),
        ("resnet50", "layer1.2.conv3", "layer2.0.bn1"),
        ("vgg16", "features.7", "features.10"),
    ],
)
def test_only_the_trained_layers_move_and_all_else_is_kept_to_the_bit(
    demo_root: Path, architecture: str, inside: str, behind: str
) -> None:
    given = demo_root / architecture / "weights.safetensors"
    config = replace(
        QUICK,
        architecture=architecture,
        initialisation=str(given),
        frozen_layers=1,
        trained_layers=2,
        epochs=1,
    )
    ours, before = trainer(config, data(8)), load_file(given)
    ours.epoch(0)
    start, end = (len(first_modules(ours.model, architecture, layers)) for layers in (1, 2))
    leaves = [
        name for name, module in ours.model.backbone.named_modules() if not any(module.children())
    ]
    assert inside in leaves[start:end] and behind in leaves[end:]
    for name, tensor in ours.average.items():
        learns = name.rpartition(".")[0] in leaves[start:end]
        was = before[name].float() if tensor.is_floating_point() else before[name]
        assert torch.equal(tensor, was) is not learns, name


def test_trained_layers_need_a_finished_run_of_the_architecture(
    demo_root: Path, tmp_path: Path
) -> None:
    for name in ("weights.safetensors", "card.json"):
        shutil.copy(demo_root / "densenet121" / name, tmp_path)
    path = tmp_path / "weights.safetensors"
    given = replace(QUICK, initialisation=str(path), trained_layers=2)
    model = initial_model(given, 4)
    assert torch.equal(
        model.backbone.classifier.weight, load_file(path)["classifier.weight"].float()
    ), "the head comes along"
    save_file(
        {
            name: tensor
            for name, tensor in load_file(path).items()
            if not name.startswith("classifier")
        },
        path,
    )
    initial_model(replace(given, trained_layers=0), 4)
    with pytest.raises(
        TrainingError,
        match=r"lacks 2 of .* 'classifier.bias' for one; give a finished run's weights",
    ):
        initial_model(given, 4)
    (tmp_path / "card.json").unlink()
    with pytest.raises(TrainingError, match=r"needs the card.json beside"):
        initial_model(given, 4)


def test_the_average_is_the_moving_average_written_out() -> None:
    ours = trainer(replace(QUICK, weight_averaging=0.5, epochs=1), data(12))
    name = "classifier.weight"
    average = ours.model.backbone.state_dict()[name].double().clone()

    def literal(done: int, total: int) -> None:
        nonlocal average
        decay = min(0.5, (1 + done - 1) / (10 + done - 1))
        average = decay * average + (1 - decay) * ours.model.backbone.state_dict()[name].double()

    ours.epoch(0, literal)
    torch.testing.assert_close(ours.average[name].double(), average, rtol=1e-5, atol=1e-7)
    assert not torch.equal(ours.average[name], ours.model.backbone.state_dict()[name])


def test_without_averaging_the_raw_weights_are_saved() -> None:
    ours = trainer(replace(QUICK, weight_averaging=0.0, epochs=1), data(4))
    ours.epoch(0)
    assert all(
        torch.equal(ours.average[name], tensor)
        for name, tensor in ours.model.backbone.state_dict().items()
    )


def test_an_epoch_shows_every_scan_once_in_an_order_of_its_own() -> None:
    ours = trainer()
    first, again, second = (np.concatenate(list(ours._batches(epoch))) for epoch in (0, 0, 1))
    assert sorted(first) == list(range(16))
    np.testing.assert_array_equal(first, again)
    assert list(first) != list(second)
    assert [len(part) for part in trainer(given=data(3))._batches(0)] == [3], (
        "fewer scans than a batch make one step"
    )


def test_a_loss_that_is_no_number_stops_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = trainer(given=data(4))
    monkeypatch.setattr(
        ours.model, "forward", lambda gray: torch.full((4, 4), math.nan, requires_grad=True)
    )
    with pytest.raises(
        TrainingError, match="the loss became nan at step 1; lower the learning rates"
    ):
        ours.epoch(0)


def test_with_teachers_the_loss_is_the_written_mix_and_the_teachers_stay_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = replace(QUICK, label_smoothing=0.0, class_balance=False, augmentation=0.0)
    teachers = [
        initial_model(replace(QUICK, seed=seed), 4).eval().requires_grad_(False) for seed in (5, 6)
    ]
    before = {name: tensor.clone() for name, tensor in teachers[0].state_dict().items()}
    ours = Trainer(
        config, initial_model(config, 4), data(4), CPU, teachers, Execution(precision="float32")
    )  # the twin below is exact
    x = torch.from_numpy(data(4).pixels)[:, None] / 255
    answers = (teachers[0](x).softmax(1) + teachers[1](x).softmax(1)) / 2
    logits = torch.tensor([[2.0, 0.0, 1.0, 0.0]]).repeat(4, 1).requires_grad_(True)
    monkeypatch.setattr(ours.model, "forward", lambda gray: logits)
    logs = logits.detach().log_softmax(1)
    of_labels, of_teachers = -logs[range(4), range(4)].mean(), -(answers * logs).sum(1).mean()
    found = ours.epoch(0).loss
    assert found == pytest.approx(
        float((1 - TEACHER_SHARE) * of_labels + TEACHER_SHARE * of_teachers), rel=1e-5
    )
    assert all(
        torch.equal(before[name], tensor) for name, tensor in teachers[0].state_dict().items()
    )


def test_a_run_has_one_writer_and_its_steps_are_there_while_it_is_trained(
    tiny_pack: Pack, tmp_path: Path
) -> None:
    config, folder = (
        recipe("resnet50", initialisation="random", epochs=2, batch_size=2, phantoms_per_class=0),
        tmp_path / "run",
    )
    seen: list[int] = []

    def step(epoch: int, done: int, total: int) -> None:
        seen.append(len(read_steps(folder).get("step", ())))
        if len(seen) == 1:
            with pytest.raises(RunExistsError, match="trained by another process"):
                train_run(TrainingJob(config, tiny_pack, folder, CPU), resume=True)

    train_run(TrainingJob(config, tiny_pack, folder, CPU, events=Events(step=step)))
    assert seen[5] == 2, "a row after every fifth step, not only when an epoch of four ends"
    assert read_card(folder).status == "done"
