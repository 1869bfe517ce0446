"""explain: sizes, batches, precision, threads, what it leaves behind, and what it refuses."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from random_runs import SIZE, assert_same_direction, cosine, fingerprint, random_run, scans
from torch import nn

from oct_core.errors import ExplanationError, UnknownNameError
from oct_core.explanations import (
    METHODS,
    activations_of,
    explain,
    explain_with_predictions,
    methods_for,
    passes,
)
from oct_core.explanations.gradcam import gradcam_map, upsample
from oct_core.models.catalog import ARCHITECTURES
from oct_core.models.networks import VGG16, layer_modules
from oct_core.runs.turns import ModelLock
from oct_core.runs.weights import LoadedRun
from oct_core.scans.phantom import make_phantom
from oct_core.trust.measure import _seen
from oct_core.trust.sanity import ModelRun
from oct_core.types import Explanation, Scan


def test_explain_gives_every_map_in_the_scans_own_pixels_with_its_prediction() -> None:
    run = random_run("resnet50")
    mixed = [scans()[0], Scan(scans()[1].pixels[:50, :70].copy())]
    found = explain_with_predictions(mixed, run, target=["DME", None])
    layers = list(run.layers)
    keys = (
        [f"gradcam/{one}" for one in layers]
        + ["guided_backprop/input"]
        + [f"guided_gradcam/{one}" for one in layers]
    )
    for scan, (prediction, maps) in zip(mixed, found, strict=True):
        assert [one.key for one in maps] == keys
        assert all(
            one.values.shape == scan.pixels.shape and one.values.dtype == np.float32 for one in maps
        )
        assert all(one.signed or one.values.min() >= 0 for one in maps)
        assert prediction.probabilities.sum() == pytest.approx(1)
        np.testing.assert_allclose(
            np.log(prediction.probabilities[1] / prediction.probabilities[0]) * 1.5,
            np.diff(prediction.logits)[0],
            atol=1e-4,
        )
    assert {one.target for one in found[0][1]} == {"DME"}
    assert {one.target for one in found[1][1]} == {found[1][0].predicted}


def test_a_map_is_stretched_and_the_guided_product_is_taken_at_the_networks_size() -> None:
    run, scan = random_run("vgg16"), scans()[0]
    x = run.inputs([scan])
    shared = passes(run.model, run.layers, x, [0])
    cam = gradcam_map(shared.activations["block4"], shared.gradients["block4"])
    assert shared.guided is not None
    product = shared.guided * upsample(cam, (SIZE, SIZE))
    first, second = explain(scan, run, "CNV", ["gradcam", "guided_gradcam"], ["block4"])[0]
    np.testing.assert_allclose(first.values, upsample(cam, scan.pixels.shape)[0].numpy(), rtol=1e-5)
    np.testing.assert_allclose(
        second.values, upsample(product, scan.pixels.shape)[0].numpy(), rtol=1e-5, atol=1e-12
    )


def test_guided_values_are_per_gray_value_from_0_to_1() -> None:
    """Without a ReLU the guided rule is the plain derivative; a finite difference in gray units
    must give it.
    """
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double().eval()
    x = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    moved = x.clone()
    moved[0, 0, 3, 4] += 1e-3
    guided = passes(model, {}, x, [2]).guided
    assert guided is not None
    assert float(guided[0, 3, 4]) == pytest.approx(
        float((model(moved) - model(x))[0, 2].detach()) / 1e-3, rel=1e-5
    )


def pairs(
    first: Sequence[Explanation], second: Sequence[Explanation]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The values of the same map, twice."""
    assert [one.key for one in first] == [other.key for other in second]
    return [(one.values, other.values) for one, other in zip(first, second, strict=True)]


def test_a_batch_gives_what_single_scans_give() -> None:
    run = random_run("densenet121")
    together = explain(scans(), run, ["CNV", "NORMAL"], batch_size=2)
    for scan, target, maps in zip(scans(), ("CNV", "NORMAL"), together, strict=True):
        assert_same_direction(pairs(maps, explain(scan, run, target)[0]), 0.99999)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_bfloat16_stays_near_float32(name: str) -> None:
    """The stated tolerance. A Grad-CAM sums terms that cancel, so its error is measured against the
    size of the terms.
    """
    run = random_run(name)
    x = run.inputs(scans())
    full = passes(run.model, run.layers, x, [0, 1])
    half = passes(run.model, run.layers, x, [0, 1], precision="bfloat16")
    assert (
        full.guided is not None and half.guided is not None and half.guided.dtype == torch.float32
    )
    assert cosine(full.guided, half.guided) > 0.98
    for layer in run.layers:
        activations, gradients = full.activations[layer], full.gradients[layer]
        terms = gradcam_map(activations.abs(), gradients.abs()).amax()
        error = (
            (
                gradcam_map(half.activations[layer], half.gradients[layer])
                - gradcam_map(activations, gradients)
            )
            .abs()
            .amax()
        )
        assert float(error / terms) < 0.02, layer


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_a_gpu_gives_the_maps_of_the_cpu(name: str) -> None:
    run = random_run(name)
    there = LoadedRun(
        run.card,
        copy.deepcopy(run.model).cuda(),
        run.architecture,
        run.preprocessing,
        torch.device("cuda"),
    )
    here = explain(scans()[0], run, "CNV")[0]
    assert_same_direction(pairs(here, explain(scans()[0], there, "CNV")[0]), 0.999)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_callers_context_without_gradients_changes_nothing(context: Callable[[], Any]) -> None:
    run = random_run("vgg16")
    with context():
        inside = explain(scans()[0], run)[0]
    assert all(
        np.array_equal(one.values, other.values)
        for one, other in zip(inside, explain(scans()[0], run)[0], strict=True)
    )


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
        return all(
            np.array_equal(one.values, right)
            for one, right in zip(explain(scans()[0], run)[0], expected, strict=True)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(32)))


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
            assert all(
                np.array_equal(a.values, b.values)
                for a, b in zip(explain(scans()[0], run)[0], expected, strict=True)
            )
    finally:
        stop.set()
        thread.join()


def test_a_scan_of_one_gray_value_has_no_evidence_and_its_neighbour_has() -> None:
    run = random_run("vgg16")
    flat, scan = explain([Scan(np.full((40, 60), 128, np.uint8)), scans()[0]], run)
    assert not any(one.evidence for one in flat) and all(
        one.values.shape == (40, 60) for one in flat
    )
    assert all(one.evidence for one in scan)


def test_no_scans_give_no_maps() -> None:
    assert explain([], random_run("vgg16")) == []


NOT_A_NUMBER = Scan(np.full((8, 8), np.nan))  # type: ignore[arg-type]
WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"layers": ["blok5"]},
        ExplanationError,
        "expected a named layer, got 'blok5'; did you mean block5",
    ),
    ({"layers": ["zzz"]}, ExplanationError, "there are: block1, block2"),
    (
        {"target": "cnv"},
        ExplanationError,
        "expected a target class of CNV, DME, DRUSEN, NORMAL .* got 'cnv'",
    ),
    ({"target": 4}, ExplanationError, r"0 to 3\), got 4"),
    ({"target": -1}, ExplanationError, r"0 to 3\), got -1"),
    ({"target": ["CNV", "DME"]}, ExplanationError, r"one a scan \(1\), got 2"),
    ({"methods": ["grad_cam"]}, UnknownNameError, "did you mean gradcam"),
    ({"precision": "float16"}, ExplanationError, "precision of float32 or bfloat16, got 'float16'"),
    ({"batch_size": 0}, ExplanationError, "batch size of at least 1, got 0"),
    ({"scans": NOT_A_NUMBER}, ExplanationError, "expected gray values 0 to 255, got NaN"),
    (
        {"scans": Scan(np.zeros((4, 4, 3), np.uint8))},
        ExplanationError,
        r"expected gray pixels \(H, W\), got shape \(4, 4, 3\)",
    ),
]


@pytest.mark.parametrize(("changed", "error", "message"), WRONG)
def test_wrong_requests_say_what_was_expected(
    changed: dict[str, Any], error: type[Exception], message: str
) -> None:
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
    with pytest.raises(
        ExplanationError, match=r"layer 'head': expected an output \(N, channels, height, width\)"
    ):
        passes(model, {"head": model.backbone.get_submodule("classifier")}, x, [0])
    with pytest.raises(
        ExplanationError, match="expected layers that the forward pass reaches, got stray"
    ):
        passes(model, {"stray": nn.Conv2d(1, 1, 1)}, x, [0])
    assert isinstance(model.backbone, VGG16)
    model.backbone.classifier.bias.data.fill_(torch.nan)
    with pytest.raises(ExplanationError, match="expected finite logits"):
        passes(model, layers, x, [0])


class Curved(nn.Module):
    """A network of 4 classes with another activation than ReLU; ``passes`` counts its passes."""

    def __init__(self, activation: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.activation = nn.Conv2d(1, 8, 3, padding=1), activation
        self.second, self.relu = nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()
        self.head = nn.Linear(8, 4)
        self.passes = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        x = self.relu(self.second(self.activation(self.first(x))))
        return self.head(x.mean((2, 3)))


def curved_run(activation: Callable[[torch.Tensor], torch.Tensor]) -> tuple[Curved, ModelRun]:
    torch.manual_seed(0)
    model, plain = Curved(activation).eval().requires_grad_(False), random_run("vgg16")
    layers = {"second": model.relu}
    return model, ModelRun(plain.card, model, ModelLock(), layers, plain.inputs)


NOT_RELU: list[tuple[Any, str]] = [
    (nn.SiLU(), "SiLU"),
    (nn.GELU(), "GELU"),
    (nn.Hardswish(), "Hardswish"),
    (nn.ReLU6(), "ReLU6"),
    (nn.Sequential(nn.Sigmoid(), nn.ELU()), "ELU, Sigmoid"),
]


@pytest.mark.parametrize("method", ["guided_backprop", "guided_gradcam"])
@pytest.mark.parametrize(("activation", "name"), NOT_RELU)
def test_guided_maps_are_refused_before_any_pass_where_a_module_is_no_relu(
    activation: Any, name: str, method: str
) -> None:
    model, run = curved_run(activation)
    with pytest.raises(
        ExplanationError,
        match=f"{METHODS.get(method).title} holds only for networks whose activations are all "
        rf"ReLU; this one has {name}: use [\w -]+ instead",
    ):
        explain(scans()[0], run, methods=["gradcam", method])
    assert model.passes == 0
    assert [one.key for one in explain(scans()[0], run, methods="gradcam")[0]] == ["gradcam/second"]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.nn.functional.silu, "silu"),
        (torch.nn.functional.gelu, "gelu"),
        (torch.sigmoid, "sigmoid"),
        (lambda x: x.tanh_(), "tanh"),
        (lambda x: torch.nn.functional.leaky_relu(x, 0.2), "leaky_relu"),
    ],
)
def test_guided_maps_are_refused_where_a_function_is_no_relu(function: Any, name: str) -> None:
    _, run = curved_run(function)
    with pytest.raises(ExplanationError, match=f"activations are all ReLU; this one calls {name}:"):
        explain(scans()[0], run, methods=["guided_backprop"])
    assert explain(scans()[0], run, methods=["gradcam"])[0][0].method == "gradcam"


def test_by_default_only_what_holds_is_made_and_the_rest_is_named() -> None:
    _, run = curved_run(nn.SiLU())
    with pytest.warns(
        UserWarning, match="this one has SiLU: Guided backpropagation, Guided Grad-CAM"
    ):
        (maps,) = explain(scans()[0], run)
    assert [one.key for one in maps] == ["gradcam/second"]
    guided = {"guided_backprop", "guided_gradcam"}
    assert set(METHODS) - set(methods_for(run.model)) == guided
    assert methods_for(random_run("vgg16").model) == methods_for("vgg16") == tuple(METHODS)


def test_softmax_is_no_activation_and_a_subclass_of_relu_is_relu() -> None:
    class Own(nn.ReLU):
        pass

    assert activations_of(nn.Sequential(Own(), nn.Softmax(1), nn.LogSoftmax(1))) == ("ReLU",)


def test_a_model_in_training_mode_is_refused_by_name_and_stays_so() -> None:
    model = copy.deepcopy(random_run("vgg16").model)
    model.backbone.get_submodule("dropout").train()
    with pytest.raises(
        ExplanationError, match=r"evaluation mode, got backbone\.dropout in training mode"
    ):
        passes(model, {}, torch.rand(1, 1, SIZE, SIZE), [0])
    assert model.backbone.get_submodule("dropout").training


def test_the_core_methods_lead_the_registry() -> None:
    assert list(METHODS)[:3] == ["gradcam", "guided_backprop", "guided_gradcam"]


@pytest.mark.parametrize("network_size", [True, False])
def test_maps_of_a_part_of_the_rows_lie_where_the_network_looked(network_size: bool) -> None:
    """Version 2 sees the retina's rows: its map is the cut scan's, zero above and below."""
    whole = random_run("vgg16")
    run = replace(whole, preprocessing=replace(whole.preprocessing, version=2))
    phantom = make_phantom("DME", 3, 200, 160)
    rows = run.rows(phantom.scan)
    assert 0 < rows.first < rows.last < 200
    ((_, maps),) = explain_with_predictions(
        phantom.scan,
        run,
        "CNV",
        ["gradcam", "guided_backprop"],
        ["block4"],
        network_size=network_size,
    )
    shared = passes(run.model, run.layers, run.inputs([phantom.scan]), [0])
    assert shared.guided is not None
    cam = gradcam_map(shared.activations["block4"], shared.gradients["block4"])
    height, first = rows.whole(SIZE) if network_size else (200, rows.first)
    size = (SIZE, SIZE) if network_size else (rows.last - rows.first, 160)
    for explanation, seen in zip(maps, (cam, shared.guided), strict=True):
        expected = np.zeros((height, size[1]), np.float32)
        expected[first : first + size[0]] = upsample(seen, size)[0].numpy()
        np.testing.assert_allclose(explanation.values, expected, rtol=1e-4, atol=1e-9)


def test_scores_of_a_map_read_the_rows_that_the_network_saw() -> None:
    whole = random_run("vgg16")
    run = replace(whole, preprocessing=replace(whole.preprocessing, version=2))
    scan = make_phantom("DME", 3, 200, 160).scan
    ((_, (small,)),) = explain_with_predictions(
        scan, run, "CNV", ["guided_backprop"], network_size=True
    )
    rows = run.rows(scan)
    height, first = rows.whole(SIZE)
    seen = _seen(np.abs(small.values), rows, SIZE)
    np.testing.assert_array_equal(seen, np.abs(small.values[first : first + SIZE]))
    assert seen.any() and small.values.shape == (height, SIZE)
    large = _seen(np.arange(200, dtype=np.float32)[:, None].repeat(160, 1), rows, SIZE)
    assert (large[0, 0], large[-1, 0]) == (rows.first, rows.last - 1)
