"""The wider family against pytorch-grad-cam, Captum and literal loops; what in-place ReLUs do to
whom.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from random_runs import cosine
from torch import Tensor, nn

from oct_core.errors import ExplanationError
from oct_core.explanations import METHODS, explain, passes
from oct_core.explanations.attribution import integrated_gradients, occlusion
from oct_core.explanations.cams import eigencam_map
from oct_core.explanations.gradcam import gradcam_map
from oct_core.explanations.methods import Request
from oct_core.explanations.tail import shared_copy, tail_of
from oct_core.models.networks import build_model, layer_modules
from oct_core.runs.turns import ModelLock
from oct_core.runs.weights import LoadedRun
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import Rows
from oct_core.types import CLASSES, RunCard, Scan

LIBRARY = {
    "gradcam": ("GradCAM", 0.9999),
    "gradcam_plus_plus": ("GradCAMPlusPlus", 0.9999),
    "hirescam": ("HiResCAM", 0.9999),
    "layercam": ("LayerCAM", 0.9999),
    "xgradcam": ("XGradCAM", 0.9999),
    "scorecam": ("ScoreCAM", 0.9999),
    "ablationcam": ("AblationCAM", 0.9999),
}
LITERAL = {"eigencam", "integrated_gradients", "occlusion", "guided_backprop", "guided_gradcam"}


class Tiny(nn.Module):
    """Two layers at the scan's own size, so that maps need no stretching."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv1, self.relu1 = nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(inplace)
        self.conv2, self.relu2 = nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace)
        self.head = nn.Linear(8, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu2(self.conv2(self.relu1(self.conv1(x))))
        return self.head(y.mean((2, 3)))  # type: ignore[no-any-return]


@dataclass
class TinyRun:
    model: Tiny = field(default_factory=lambda: Tiny().eval().requires_grad_(False))
    lock: ModelLock = field(default_factory=ModelLock)
    card: RunCard = field(
        default_factory=lambda: RunCard(
            "tiny", Path("."), "done", "tiny", CLASSES, {}, "", 1.0, None, {}
        )
    )

    @property
    def layers(self) -> dict[str, nn.Module]:
        return {"one": self.model.relu1, "two": self.model.relu2}

    def inputs(self, scans: Any) -> Tensor:
        return torch.stack(
            [torch.from_numpy(scan.pixels.astype(np.float32) / 255)[None] for scan in scans]
        )

    def rows(self, scan: Scan) -> Rows:
        return Rows(0, scan.pixels.shape[0], scan.pixels.shape[0])


def picture(seed: int = 0) -> Scan:
    return Scan(np.random.default_rng(seed).integers(0, 256, (14, 14), dtype=np.uint8))


def scaled(values: Any) -> Any:
    """As pytorch-grad-cam gives its maps: each from 0 to 1."""
    array = np.asarray(values)
    low = array - array.min()
    return low / (1e-7 + low.max())


def library_map(name: str, model: nn.Module, layer: nn.Module, x: Tensor, target: int) -> Any:
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with getattr(pytorch_grad_cam, name)(model=model, target_layers=[layer]) as cam:
        return cam(
            input_tensor=x.clone().requires_grad_(True), targets=[ClassifierOutputTarget(target)]
        )[0]


def evident_target(run: TinyRun, method: str, layer: str) -> tuple[int, Any]:
    maps = [
        (target, explain(picture(), run, target, [method], [layer])[0][0])
        for target in range(len(CLASSES))
    ]
    return next((target, one.values) for target, one in maps if one.evidence)


@pytest.mark.parametrize("layer", ["one", "two"])
@pytest.mark.parametrize("method", list(LIBRARY))
def test_methods_equal_pytorch_grad_cam_without_inplace_relus(method: str, layer: str) -> None:
    run = TinyRun()
    target, ours = evident_target(run, method, layer)
    name, floor = LIBRARY[method]
    theirs = library_map(name, run.model, run.layers[layer], run.inputs([picture()]), target)
    assert cosine(scaled(ours), theirs) > floor


def test_every_method_has_an_oracle() -> None:
    assert set(METHODS) == set(LIBRARY) | LITERAL


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_keeps_the_contract(name: str) -> None:
    run, method = TinyRun(), METHODS.get(name)
    modules = [(id(module), len(module._forward_hooks)) for module in run.model.modules()]
    flat = Scan(np.full((14, 14), 90, np.uint8))
    for scan, maps in zip(
        (picture(), flat), explain([picture(), flat], run, "DME", [name]), strict=True
    ):
        assert [one.layer for one in maps] == (
            ["one", "two"] if method.kind == "layer" else ["input"]
        )
        for one in maps:
            assert (
                one.values.shape == scan.pixels.shape
                and one.values.dtype == np.float32
                and np.isfinite(one.values).all()
            )
            assert one.signed == method.signed and (one.signed or one.values.min() >= 0)
            assert (
                one.method == name
                and one.target == "DME"
                and (scan is not flat or not one.evidence)
            )
    assert [(id(module), len(module._forward_hooks)) for module in run.model.modules()] == modules
    assert (
        all(parameter.grad is None for parameter in run.model.parameters())
        and not run.lock.locked()
    )
    assert method.title and method.reference and method.kind in ("layer", "input")


def test_inplace_relus_corrupt_pytorch_grad_cam_and_not_ours() -> None:
    """The layer is a convolution whose output the next, in-place ReLU overwrites, as in
    torchvision's VGG16.
    """
    clean, inplace = Tiny().eval(), Tiny(inplace=True).eval()
    x = TinyRun().inputs([picture()])
    for method in ("gradcam", "gradcam_plus_plus", "xgradcam"):
        corrupted = []
        for target in range(len(CLASSES)):
            made = []
            for model in (clean, inplace):
                shared = passes(model, {"conv": model.conv2}, x, [target])
                made.append(
                    METHODS.get(method).compute(Request(model, {"conv": model.conv2}, shared))[
                        "conv"
                    ][0]
                )
            assert torch.equal(made[0], made[1])
            right, wrong = (
                library_map(LIBRARY[method][0], model, model.conv2, x, target)
                for model in (clean, inplace)
            )
            if made[0].any():
                assert cosine(scaled(made[1]), right) > 0.9999
            corrupted.append(float(np.abs(right - wrong).max()))
        assert max(corrupted) > 0.05, method


def test_vgg16_with_inplace_relus_agrees_with_captum_where_pytorch_grad_cam_does_not() -> None:
    torch.manual_seed(0)
    model = build_model("vgg16", 4, (0.5,) * 3, (0.25,) * 3).eval()
    layer = model.backbone.get_submodule("features.26")
    x = torch.rand(1, 1, 64, 64)
    right = (
        LayerGradCam(model, layer)
        .attribute(x.clone().requires_grad_(True), target=1, relu_attributions=True)[0, 0]
        .detach()
    )
    clean = library_map("GradCAM", model, layer, x, 1)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True
    shared = passes(model, {"conv": layer}, x, [1])
    assert (
        cosine(gradcam_map(shared.activations["conv"], shared.gradients["conv"])[0], right)
        > 0.99999
    )
    assert cosine(library_map("GradCAM", model, layer, x, 1), clean) < 0.99


def test_eigencam_is_the_first_axis_of_a_singular_value_decomposition() -> None:
    activations = torch.rand(2, 5, 6, 7)
    for ours, one in zip(eigencam_map(activations), activations.double().numpy(), strict=True):
        rows = one.reshape(5, -1).T
        rows = rows - rows.mean(0)
        twin = (rows @ np.linalg.svd(rows, full_matrices=False)[2][0]).reshape(6, 7)
        twin = twin if twin.max() >= -twin.min() else -twin
        np.testing.assert_allclose(ours, np.maximum(twin, 0), atol=1e-5)


def test_integrated_gradients_equal_captum_and_sum_to_the_difference_of_logits() -> None:
    model, x = Tiny().eval(), torch.rand(2, 1, 14, 14)
    targets = torch.tensor([1, 3])
    ours = integrated_gradients(model, x, targets, steps=32)
    theirs = IntegratedGradients(model).attribute(
        x, target=targets, n_steps=32, method="riemann_middle"
    )[:, 0]
    assert cosine(ours, theirs) > 0.99999
    difference = (model(x) - model(torch.zeros_like(x))).gather(1, targets[:, None])[:, 0].detach()
    np.testing.assert_allclose(ours.sum((1, 2)), difference, atol=2e-3)


def test_occlusion_equals_a_literal_loop() -> None:
    model, x, window, stride = Tiny().eval(), torch.rand(1, 1, 14, 14), 4, 3
    ours = occlusion(model, x, torch.tensor([2]), window, stride)[0]
    total, count = np.zeros((14, 14)), np.zeros((14, 14))
    with torch.no_grad():
        for top in (0, 3, 6, 9, 10):
            for left in (0, 3, 6, 9, 10):
                covered = x.clone()
                covered[0, 0, top : top + window, left : left + window] = x.mean()
                total[top : top + window, left : left + window] += float(
                    model(x)[0, 2] - model(covered)[0, 2]
                )
                count[top : top + window, left : left + window] += 1
    np.testing.assert_allclose(ours, total / count, atol=1e-6)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam.hirescam", None)
    with pytest.raises(
        ExplanationError,
        match="expects the package grad-cam, which is missing; pip install grad-cam",
    ):
        explain(picture(), TinyRun(), "CNV", ["hirescam"])


def test_a_shared_copy_owns_modules_but_no_weights() -> None:
    model = Tiny()
    twin = shared_copy(model)
    assert all(
        one is other for one, other in zip(model.parameters(), twin.parameters(), strict=True)
    )
    assert not {id(module) for module in model.modules()} & {
        id(module) for module in twin.modules()
    }


def test_the_tail_drops_what_runs_before_the_last_layer() -> None:
    model = build_model("resnet50", 4, (0.5,) * 3, (0.25,) * 3).eval().requires_grad_(False)
    layers, x = layer_modules(model, "resnet50"), torch.rand(1, 1, 64, 64)
    shared = passes(model, {"layer4": layers["layer4"]}, x, [0], guided=False)
    tail, _ = tail_of(model, layers["layer4"], x, shared.activations["layer4"])
    assert not any(isinstance(module, nn.Conv2d) for module in tail.modules())
    torch.testing.assert_close(tail(x), model(x))
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) == 53


def test_the_tail_keeps_what_a_skip_connection_needs() -> None:
    class Skip(Tiny):
        def forward(self, x: Tensor) -> Tensor:
            first = self.conv1(x)
            return self.head((self.conv2(first) + first.mean(1, keepdim=True)).mean((2, 3)))  # type: ignore[no-any-return]

    model, x = Skip().eval(), torch.rand(2, 1, 14, 14)
    tail, layer = tail_of(model, model.conv2, x, model.conv2(model.conv1(x)).detach())
    assert (
        isinstance(layer, nn.Conv2d)
        and layer is tail.get_submodule("conv2")
        and layer is not model.conv2
    )


@pytest.mark.parametrize(("channels", "side"), [(512, 8), (1024, 4), (8, 12)])
def test_eigencam_of_activations_far_from_full_rank(channels: int, side: int) -> None:
    """512 channels on 8 x 8 cells have a C x C product of rank 63 at most, on which the float32
    solver did not converge.
    """
    activations = torch.relu(
        torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))
    )
    activations[:, ::2] *= 1e-4
    for ours, one in zip(eigencam_map(activations), activations.double().numpy(), strict=True):
        rows = one.reshape(channels, -1)
        axis = np.linalg.svd(rows - rows.mean(1, keepdims=True), full_matrices=False)[0][:, 0]
        projected = axis @ (rows - rows.mean(1, keepdims=True))
        expected = max(
            np.clip(projected, 0, None), np.clip(-projected, 0, None), key=np.max
        ).reshape(side, side)
        np.testing.assert_allclose(ours.numpy(), expected, atol=1e-3 * expected.max())


def test_numpys_integers_are_targets_and_truth_is_none(
    demo_run: Callable[[str], LoadedRun],
) -> None:
    run, scan = demo_run("resnet50"), make_phantom("DME", 1, 64, 64).scan
    for target in (np.int64(1), np.array([1])):
        assert explain(scan, run, target, ("gradcam",), ("layer4",))[0][0].target == CLASSES[1]
    with pytest.raises(ExplanationError, match="expected a target class"):
        explain(scan, run, True, ("gradcam",))


def test_explain_waits_for_the_lock_of_the_run(demo_run: Callable[[str], LoadedRun]) -> None:
    run, scan, done = demo_run("resnet50"), make_phantom("DME", 1, 64, 64).scan, threading.Event()

    def work() -> None:
        explain(scan, run, None, ("gradcam",), ("layer4",))
        done.set()

    with run.lock:
        thread = threading.Thread(target=work)
        thread.start()
        assert not done.wait(0.5), "it ran while another held the model"
    assert done.wait(30)
    thread.join()
