"""Grad-CAM and the guided maps against Captum, literal float64 twins and a model with hand-written ReLUs."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from oct_core.architectures import ARCHITECTURES, VGG16, DenseNet121, GrayClassifier, build_model, layer_modules
from oct_core.checkpoints import LoadedRun
from oct_core.errors import ExplanationError, UnknownNameError
from oct_core.explanations import METHODS, explain, explain_with_predictions, passes
from oct_core.explanations.gradcam import gradcam_map, upsample
from oct_core.phantom import make_phantom
from oct_core.preprocess import Preprocessing
from oct_core.types import CLASSES, RunCard, Scan

SIZE = 64
GRAY = ((0.5,) * 3, (0.25,) * 3)
CASES = [(name, layer) for name in ARCHITECTURES for layer in ARCHITECTURES.get(name).layers]


@functools.cache
def random_run(name: str) -> LoadedRun:
    torch.manual_seed(0)
    model = build_model(name, len(CLASSES), *GRAY).eval().requires_grad_(False)
    for module in model.modules():  # keeps activations alive through 16 layers without batch normalisation
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    card = RunCard(name, Path("."), "done", name, CLASSES, {}, "", 1.5, 1, {})
    return LoadedRun(card, model, ARCHITECTURES.get(name), Preprocessing(size=SIZE), torch.device("cpu"))


@functools.cache
def scans() -> tuple[Scan, ...]:
    return tuple(make_phantom(label, seed, 96, 128).scan for seed, label in enumerate(CLASSES[:2]))


def cosine(first: Any, second: Any) -> float:
    """1 also if both are zero everywhere: a class may have no evidence in a network with random weights."""
    a, b = np.asarray(first, np.float64).ravel(), np.asarray(second, np.float64).ravel()
    if not a.any() and not b.any():
        return 1.0
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def fingerprint(model: nn.Module) -> list[Any]:
    """Everything a careless explanation leaves behind."""
    hooks = [
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks) for module in model.modules()
    ]
    modes = [(module.training, getattr(module, "inplace", None), id(type(module))) for module in model.modules()]
    leaves = [(parameter.grad is None, parameter.requires_grad, parameter._version) for parameter in model.parameters()]
    return [hooks, modes, leaves, [id(module) for module in model.modules()]]


def literal_gradcam(run: LoadedRun, layer: str, x: Tensor, target: int) -> np.ndarray:
    """One scan, one layer, float64: a forward and a backward pass of its own and a sum written out."""
    model = copy.deepcopy(run.model).double()
    kept: list[Tensor] = []
    layer_modules(model, run.architecture.name)[layer].register_forward_hook(lambda *args: kept.append(args[2]))
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
    assert ours.any()
    for index, target in enumerate(targets):
        assert cosine(ours[index], captum[index, 0].detach()) > 0.99999
        twin = literal_gradcam(run, layer, x[index], target)
        assert cosine(ours[index], twin) > 0.99999
        np.testing.assert_allclose(ours[index].numpy(), twin, rtol=1e-3, atol=1e-4 * twin.max())


class HandReLU(nn.Module):
    """Springenberg's rule written with a tensor hook: the gradient that arrives loses what is negative, then is masked."""

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
    """torchvision's own network (in-place ReLUs, the 121st functional), and ours with the same weights."""
    torch.manual_seed(0)
    theirs, ours = models.densenet121(weights=None, num_classes=4), DenseNet121(4)
    ours.load_state_dict(theirs.state_dict())
    pair = [GrayClassifier(network, *GRAY).double().eval().requires_grad_(False) for network in (theirs, ours)]
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
def test_every_way_to_call_a_relu_is_caught_and_overwrites_nothing(relu: Callable[[Tensor], Any]) -> None:
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


def test_explain_gives_every_map_in_the_scans_own_pixels_with_its_prediction() -> None:
    run = random_run("resnet50")
    mixed = [scans()[0], Scan(scans()[1].pixels[:50, :70].copy())]
    found = explain_with_predictions(mixed, run, target=["DME", None])
    layers = list(run.layers)
    keys = [f"gradcam/{one}" for one in layers] + ["guided_backprop/input"] + [f"guided_gradcam/{one}" for one in layers]
    for scan, (prediction, maps) in zip(mixed, found, strict=True):
        assert [one.key for one in maps] == keys
        assert all(one.values.shape == scan.pixels.shape and one.values.dtype == np.float32 for one in maps)
        assert all(one.signed or one.values.min() >= 0 for one in maps)
        assert prediction.probabilities.sum() == pytest.approx(1)
        np.testing.assert_allclose(
            np.log(prediction.probabilities[1] / prediction.probabilities[0]) * 1.5, np.diff(prediction.logits)[0], atol=1e-4
        )
    assert {one.target for one in found[0][1]} == {"DME"}
    assert {one.target for one in found[1][1]} == {found[1][0].predicted}


def test_a_map_is_stretched_from_its_layer_and_the_guided_product_is_taken_at_the_networks_size() -> None:
    run, scan = random_run("vgg16"), scans()[0]
    x = run.inputs([scan])
    shared = passes(run.model, run.layers, x, [0])
    cam = gradcam_map(shared.activations["block4"], shared.gradients["block4"])
    assert shared.guided is not None
    product = shared.guided * upsample(cam, (SIZE, SIZE))
    first, second = explain(scan, run, "CNV", ["gradcam", "guided_gradcam"], ["block4"])[0]
    np.testing.assert_allclose(first.values, upsample(cam, scan.pixels.shape)[0].numpy(), rtol=1e-5)
    np.testing.assert_allclose(second.values, upsample(product, scan.pixels.shape)[0].numpy(), rtol=1e-5, atol=1e-12)


def test_guided_values_are_per_gray_value_from_0_to_1() -> None:
    """Without a ReLU the guided rule is the plain derivative; a finite difference in gray units must give it."""
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double().eval()
    x = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    moved = x.clone()
    moved[0, 0, 3, 4] += 1e-3
    guided = passes(model, {}, x, [2]).guided
    assert guided is not None
    assert float(guided[0, 3, 4]) == pytest.approx(float((model(moved) - model(x))[0, 2].detach()) / 1e-3, rel=1e-5)


def test_a_batch_gives_what_single_scans_give() -> None:
    run = random_run("densenet121")
    together = explain(scans(), run, ["CNV", "NORMAL"], batch_size=2)
    for scan, target, maps in zip(scans(), ("CNV", "NORMAL"), together, strict=True):
        for one, alone in zip(maps, explain(scan, run, target)[0], strict=True):
            assert cosine(one.values, alone.values) > 0.99999


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_bfloat16_stays_near_float32(name: str) -> None:
    """The stated tolerance. A Grad-CAM sums terms that cancel, so its error is measured against the size of the terms."""
    run = random_run(name)
    x = run.inputs(scans())
    full = passes(run.model, run.layers, x, [0, 1])
    half = passes(run.model, run.layers, x, [0, 1], precision="bfloat16")
    assert full.guided is not None and half.guided is not None and half.guided.dtype == torch.float32
    assert cosine(full.guided, half.guided) > 0.98
    for layer in run.layers:
        activations, gradients = full.activations[layer], full.gradients[layer]
        terms = gradcam_map(activations.abs(), gradients.abs()).amax()
        error = (gradcam_map(half.activations[layer], half.gradients[layer]) - gradcam_map(activations, gradients)).abs().amax()
        assert float(error / terms) < 0.02, layer


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_a_gpu_gives_the_maps_of_the_cpu(name: str) -> None:
    run = random_run(name)
    there = LoadedRun(run.card, copy.deepcopy(run.model).cuda(), run.architecture, run.preprocessing, torch.device("cuda"))
    for one, other in zip(explain(scans()[0], run, "CNV")[0], explain(scans()[0], there, "CNV")[0], strict=True):
        assert cosine(one.values, other.values) > 0.999, one.key


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_callers_context_without_gradients_changes_nothing(context: Callable[[], Any]) -> None:
    run = random_run("vgg16")
    with context():
        inside = explain(scans()[0], run)[0]
    assert all(np.array_equal(one.values, other.values) for one, other in zip(inside, explain(scans()[0], run)[0], strict=True))


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_the_model_is_left_as_it_was(name: str) -> None:
    run = random_run(name)
    before = fingerprint(run.model)
    explain(scans(), run)
    assert fingerprint(run.model) == before and not run.lock.locked()


def test_the_model_is_left_as_it_was_after_an_exception() -> None:
    run = random_run("vgg16")
    before = fingerprint(run.model)
    blow = run.layers["block3"].register_forward_hook(lambda *_: 1 / 0)
    try:
        with pytest.raises(ZeroDivisionError):
            explain(scans()[0], run)
    finally:
        blow.remove()
    assert fingerprint(run.model) == before and not run.lock.locked()


def test_no_gradient_reaches_parameters_even_if_they_are_not_frozen() -> None:
    run = random_run("vgg16")
    model = copy.deepcopy(run.model).requires_grad_(True)
    passes(model, layer_modules(model, "vgg16"), run.inputs(scans()), [0, 1])
    assert all(parameter.grad is None for parameter in model.parameters())


def test_eight_threads_on_one_run_give_identical_maps() -> None:
    run = random_run("resnet50")
    expected = [one.values for one in explain(scans()[0], run)[0]]

    def work(_: int) -> bool:
        return all(np.array_equal(one.values, right) for one, right in zip(explain(scans()[0], run)[0], expected, strict=True))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(80)))


def test_a_forward_pass_of_another_thread_is_not_captured() -> None:
    run = random_run("vgg16")
    other = run.inputs([scans()[1]])
    stop = threading.Event()

    def predict_without_the_lock() -> None:
        while not stop.is_set():
            with torch.no_grad():
                run.model(other)

    expected = explain(scans()[0], run)[0]
    thread = threading.Thread(target=predict_without_the_lock)
    thread.start()
    try:
        for _ in range(3):
            assert all(np.array_equal(a.values, b.values) for a, b in zip(explain(scans()[0], run)[0], expected, strict=True))
    finally:
        stop.set()
        thread.join()


def test_a_scan_of_one_gray_value_has_no_evidence_and_its_neighbour_has() -> None:
    run = random_run("vgg16")
    flat, scan = explain([Scan(np.full((40, 60), 128, np.uint8)), scans()[0]], run)
    assert not any(one.evidence for one in flat) and all(one.values.shape == (40, 60) for one in flat)
    assert all(one.evidence for one in scan)


def test_no_scans_give_no_maps() -> None:
    assert explain([], random_run("vgg16")) == []


NOT_A_NUMBER = Scan(np.full((8, 8), np.nan))  # type: ignore[arg-type]
WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"layers": ["blok5"]}, ExplanationError, "expected a named layer, got 'blok5'; did you mean block5"),
    ({"layers": ["zzz"]}, ExplanationError, "there are: block1, block2"),
    ({"target": "cnv"}, ExplanationError, "expected a target class of CNV, DME, DRUSEN, NORMAL .* got 'cnv'"),
    ({"target": 4}, ExplanationError, r"0 to 3\), got 4"),
    ({"target": -1}, ExplanationError, r"0 to 3\), got -1"),
    ({"target": ["CNV", "DME"]}, ExplanationError, r"one a scan \(1\), got 2"),
    ({"methods": ["grad_cam"]}, UnknownNameError, "did you mean gradcam"),
    ({"precision": "float16"}, ExplanationError, "precision of float32 or bfloat16, got 'float16'"),
    ({"batch_size": 0}, ExplanationError, "batch size of at least 1, got 0"),
    ({"scans": NOT_A_NUMBER}, ExplanationError, "expected gray values 0 to 255, got NaN"),
    ({"scans": Scan(np.zeros((4, 4, 3), np.uint8))}, ExplanationError, r"expected gray pixels \(H, W\), got shape \(4, 4, 3\)"),
]


@pytest.mark.parametrize(("changed", "error", "message"), WRONG)
def test_wrong_requests_say_what_was_expected(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        explain(**{"scans": scans()[0], "run": random_run("vgg16"), **changed})


def test_the_engine_refuses_what_has_no_defined_map() -> None:
    model = copy.deepcopy(random_run("vgg16").model)
    layers, x = layer_modules(model, "vgg16"), torch.rand(1, 1, SIZE, SIZE)
    with pytest.raises(ExplanationError, match="expected finite gray values"):
        passes(model, layers, x * torch.nan, [0])
    with pytest.raises(ExplanationError, match=r"expected floating gray scans \(N, 1, S, S\)"):
        passes(model, layers, x[0], [0])
    with pytest.raises(ExplanationError, match="expected a class from 0 to 3, got 9"):
        passes(model, layers, x, [9])
    with pytest.raises(ExplanationError, match="expected one target class a scan, 1 in all, got 2"):
        passes(model, layers, x, [0, 1])
    with pytest.raises(ExplanationError, match=r"layer 'head': expected an output \(N, channels, height, width\)"):
        passes(model, {"head": model.backbone.get_submodule("classifier")}, x, [0])
    with pytest.raises(ExplanationError, match="expected layers that the forward pass reaches, got stray"):
        passes(model, {"stray": nn.Conv2d(1, 1, 1)}, x, [0])
    assert isinstance(model.backbone, VGG16)
    model.backbone.classifier.bias.data.fill_(torch.nan)
    with pytest.raises(ExplanationError, match="expected finite logits"):
        passes(model, layers, x, [0])


def test_a_model_in_training_mode_is_refused_by_name_and_stays_so() -> None:
    model = copy.deepcopy(random_run("vgg16").model)
    model.backbone.get_submodule("dropout").train()
    with pytest.raises(ExplanationError, match=r"evaluation mode, got backbone\.dropout in training mode"):
        passes(model, {}, torch.rand(1, 1, SIZE, SIZE), [0])
    assert model.backbone.get_submodule("dropout").training


def test_the_core_methods_lead_the_registry() -> None:
    assert list(METHODS)[:3] == ["gradcam", "guided_backprop", "guided_gradcam"]
