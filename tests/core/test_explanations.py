"""Grad-CAM and the guided maps against Captum, literal float64 twins and a model with hand-written
ReLUs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from random_runs import GRAY, assert_same_direction, random_run, scans
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from oct_core.explanations import passes
from oct_core.explanations.gradcam import gradcam_map
from oct_core.explanations.relu import GuidedSwitch, SwitchableReLUs
from oct_core.models.catalog import ARCHITECTURES
from oct_core.models.networks import DenseNet121, GrayClassifier, layer_modules
from oct_core.runs.weights import LoadedRun

CASES = [(name, layer) for name in ARCHITECTURES for layer in ARCHITECTURES.get(name).layers]


def literal_gradcam(run: LoadedRun, layer: str, x: Tensor, target: int) -> np.ndarray:
    """One scan, one layer, float64: passes of its own and a sum written out."""
    model = copy.deepcopy(run.model).double()
    kept: list[Tensor] = []
    layer_modules(model, run.architecture.name)[layer].register_forward_hook(
        lambda *args: kept.append(args[2])
    )
    logits = model(x[None].double().requires_grad_(True))
    gradient = torch.autograd.grad(logits[0, target], kept[0])[0][0].numpy()
    activation = kept[0][0].detach().numpy()
    total = np.zeros(activation.shape[1:])
    for channel in range(len(activation)):
        total += gradient[channel].sum() / gradient[channel].size * activation[channel]
    return np.where(total > 0, total, 0.0)


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_gradcam_equals_captum_and_a_literal_float64_twin(name: str, layer: str) -> None:
    run, targets = random_run(name), [0, 1, 2, 3]
    x = run.inputs([scans()[0]] * len(targets))
    shared = passes(run.model, run.layers, x, targets, guided=False)
    ours = gradcam_map(shared.activations[layer], shared.gradients[layer])
    captum = LayerGradCam(run.model, run.layers[layer]).attribute(
        x.clone().requires_grad_(True), target=torch.tensor(targets), relu_attributions=True
    )
    twins = []
    for index, target in enumerate(targets):
        twin = literal_gradcam(run, layer, x[index], target)
        np.testing.assert_allclose(ours[index].numpy(), twin, rtol=1e-3, atol=1e-4 * twin.max())
        twins.append(twin)
    assert_same_direction(zip(ours, captum[:, 0].detach(), strict=True), 0.99999, most=0.75)
    assert_same_direction(zip(ours, twins, strict=True), 0.99999, most=0.75)


class HandReLU(nn.Module):
    """Springenberg's rule written with a tensor hook: the gradient that arrives loses what is
    negative, then is masked.
    """

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        HandReLU.calls += 1
        y = x * (x > 0)
        y.register_hook(lambda gradient: gradient * (gradient > 0))
        return y


def by_hand(model: nn.Module) -> nn.Module:
    twin = copy.deepcopy(model)
    for parent in list(twin.modules()):
        for child, module in list(parent.named_children()):
            if isinstance(module, nn.ReLU):
                setattr(parent, child, HandReLU())
    return twin


def hand_guided(model: nn.Module, x: Tensor, targets: list[int]) -> Tensor:
    leaf = x.double().requires_grad_(True)
    logits = by_hand(model)(leaf)
    score = sum(logits[row, target] for row, target in enumerate(targets))
    return torch.autograd.grad(score, leaf)[0][:, 0]


def relative_error(ours: Tensor, right: Tensor) -> float:
    return float((ours.double() - right).abs().max() / right.abs().max())


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_guided_backpropagation_equals_hand_written_relus(name: str) -> None:
    run = random_run(name)
    model = copy.deepcopy(run.model).double()
    x = run.inputs(scans())
    ours = passes(model, {}, x, [1, 3]).guided
    assert ours is not None and relative_error(ours, hand_guided(model, x, [1, 3])) < 1e-5


def torchvision_densenet() -> tuple[GrayClassifier, GrayClassifier]:
    """torchvision's own network (in-place ReLUs, the 121st functional), and ours with the same
    weights.
    """
    torch.manual_seed(0)
    theirs, ours = models.densenet121(weights=None, num_classes=4), DenseNet121(4)
    ours.load_state_dict(theirs.state_dict())
    pair = [
        GrayClassifier(network, *GRAY).double().eval().requires_grad_(False)
        for network in (theirs, ours)
    ]
    return pair[0], pair[1]


def test_densenets_functional_last_relu_is_guided_too() -> None:
    functional_last, modules_only = torchvision_densenet()
    x = random_run("densenet121").inputs(scans())
    shared = passes(functional_last, {}, x, [0, 1])
    HandReLU.calls = 0
    right = hand_guided(modules_only, x, [0, 1])
    assert HandReLU.calls == 121
    assert shared.guided is not None and relative_error(shared.guided, right) < 1e-5
    # Swapping modules, as other libraries do, guides 120 of 121 and is measurably wrong.
    assert relative_error(hand_guided(functional_last, x, [0, 1]), right) > 1e-3


class OneReLU(nn.Module):
    """Convolution, a ReLU called in some way, another convolution."""

    def __init__(self, relu: Callable[[Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second, self.relu = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 3), relu

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        z = self.relu(y)
        return self.second(y if z is None else z).mean((2, 3))


def as_statement(x: Tensor) -> None:
    x.relu_()


@pytest.mark.parametrize(
    "relu",
    [
        functional.relu,
        lambda x: functional.relu(x, inplace=True),
        lambda x: functional.relu(input=x),
        torch.relu,
        torch.relu_,
        functional.relu_,
        Tensor.relu,
        Tensor.relu_,
        as_statement,
        nn.ReLU(inplace=True),
    ],
)
def test_every_way_to_call_a_relu_is_caught_and_overwrites_nothing(
    relu: Callable[[Tensor], Any],
) -> None:
    x = random_run("vgg16").inputs(scans())
    model, twin = OneReLU(relu).eval(), OneReLU(HandReLU()).eval()
    shared = passes(model, {"first": model.first}, x, [1, 1])
    right = hand_guided(twin.double(), x, [1, 1])
    assert shared.guided is not None and relative_error(shared.guided, right) < 1e-5
    assert torch.equal(shared.activations["first"], model.first(x))


def test_a_layer_that_a_later_sum_overwrites_keeps_its_own_output() -> None:
    class Residual(OneReLU):
        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x)
            y += 1
            return self.second(y * y).mean((2, 3))

    model = Residual(torch.relu).eval()
    x = random_run("vgg16").inputs(scans())
    shared = passes(model, {"first": model.first}, x, [0, 1])
    assert torch.equal(shared.activations["first"], model.first(x))
    assert float(shared.gradients["first"].abs().max()) > 0


def test_a_relu_of_the_graph_is_torchs_own() -> None:
    """No function in Python between two operations of a pass: torch's threads would go to sleep."""
    switch, x = GuidedSwitch(), torch.tensor([-1.0, 2.0, 3.0], requires_grad=True)
    with SwitchableReLUs(switch):
        y = functional.relu(x)
    assert type(y.grad_fn).__name__ == "ReluBackward0"
    arriving = torch.tensor([1.0, -1.0, 1.0])
    [plain] = torch.autograd.grad(y, x, arriving, retain_graph=True)
    switch.guided = True
    [guided] = torch.autograd.grad(y, x, arriving)
    assert plain.tolist() == [0.0, -1.0, 1.0] and guided.tolist() == [0.0, 0.0, 1.0]
    with torch.no_grad(), SwitchableReLUs(switch):
        assert functional.relu(x).tolist() == [0.0, 2.0, 3.0]
