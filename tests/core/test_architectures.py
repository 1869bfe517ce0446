"""The three networks: named layers, ReLUs, normalisation, and agreement with torchvision's own
forward.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

from oct_core.errors import UnknownNameError
from oct_core.models.catalog import ARCHITECTURES
from oct_core.models.networks import (
    GrayClassifier,
    build_model,
    first_modules,
    layer_modules,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Channels and side of every named layer for a 64 px scan, counted by hand from the papers.
SHAPES = {
    "vgg16": {
        "block1": (64, 64),
        "block2": (128, 32),
        "block3": (256, 16),
        "block4": (512, 8),
        "block5": (512, 4),
    },
    "resnet50": {
        "stem": (64, 32),
        "layer1": (256, 16),
        "layer2": (512, 8),
        "layer3": (1024, 4),
        "layer4": (2048, 2),
    },
    "densenet121": {
        "stem": (64, 32),
        "denseblock1": (256, 16),
        "denseblock2": (512, 8),
        "denseblock3": (1024, 4),
        "denseblock4": (1024, 2),
    },
}


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def named(request: pytest.FixtureRequest) -> tuple[str, GrayClassifier]:
    torch.manual_seed(0)
    return request.param, build_model(request.param, 4, MEAN, STD).eval()


def test_the_table_of_shapes_covers_the_registry() -> None:
    assert set(SHAPES) == set(ARCHITECTURES)


def test_named_layers_have_the_shapes_of_the_papers(named: tuple[str, GrayClassifier]) -> None:
    name, model = named
    seen: dict[str, tuple[int, int]] = {}
    minimum: dict[str, float] = {}

    def keep(layer: str, output: torch.Tensor) -> None:
        seen[layer], minimum[layer] = (output.shape[1], output.shape[2]), float(output.min())

    layers = layer_modules(model, name)
    hooks = [
        module.register_forward_hook(lambda m, i, o, layer=layer: keep(layer, o))
        for layer, module in layers.items()
    ]
    with torch.inference_mode():
        logits = model(torch.rand(1, 1, 64, 64))
    for hook in hooks:
        hook.remove()
    assert logits.shape == (1, 4)
    assert seen == SHAPES[name]
    assert list(layers) == list(SHAPES[name])
    assert ARCHITECTURES.get(name).last_layer == list(SHAPES[name])[-1]
    assert minimum[list(layers)[-1]] >= 0, "the layer that the head pools comes after its ReLU"


def test_no_relu_works_in_place_and_none_is_shared_with_a_function(
    named: tuple[str, GrayClassifier],
) -> None:
    name, model = named
    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    assert not any(relu.inplace for relu in relus)
    calls = []
    hooks = [relu.register_forward_hook(lambda *_: calls.append(1)) for relu in relus]
    with torch.inference_mode():
        model(torch.rand(1, 1, 64, 64))
    for hook in hooks:
        hook.remove()
    # VGG16: one a convolution. ResNet50: 1 + 16 x 3. DenseNet121: 121 convolutions and dense
    # layers, one each.
    assert len(calls) == {"vgg16": 13, "resnet50": 49, "densenet121": 121}[name]


def test_densenet_gives_what_torchvisions_functional_relu_gives() -> None:
    torch.manual_seed(0)
    ours = build_model("densenet121", 4, (0.0,) * 3, (1.0,) * 3).eval()
    theirs = models.densenet121(weights=None, num_classes=4).eval()
    theirs.load_state_dict(ours.backbone.state_dict())
    gray = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(gray), theirs(gray.expand(-1, 3, -1, -1)), rtol=0, atol=0)


def test_gray_is_normalised_per_channel_and_the_statistics_are_not_saved() -> None:
    class Echo(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    model = GrayClassifier(Echo(), MEAN, STD)
    gray = torch.rand(2, 1, 3, 5)
    expected = torch.stack(
        [(gray[:, 0] - mean) / std for mean, std in zip(MEAN, STD, strict=True)], dim=1
    )
    torch.testing.assert_close(model(gray), expected)
    assert not model.state_dict()


def test_the_head_prefix_names_exactly_the_classifier(named: tuple[str, GrayClassifier]) -> None:
    name, model = named
    head = [
        key for key in model.backbone.state_dict() if key.startswith(ARCHITECTURES.get(name).head)
    ]
    assert sorted(head) == sorted(
        f"{ARCHITECTURES.get(name).head}.{part}" for part in ("weight", "bias")
    )


def test_first_modules_grow_with_the_layers_and_never_reach_the_head(
    named: tuple[str, GrayClassifier],
) -> None:
    name, model = named
    counts = [len(first_modules(model, name, layers)) for layers in range(6)]
    assert counts[0] == 0 and counts == sorted(set(counts))
    head = model.backbone.get_submodule(ARCHITECTURES.get(name).head)
    assert all(module is not head for module in first_modules(model, name, 5))


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_a_hollow_model_has_the_same_tensors_without_their_memory(name: str) -> None:
    hollow, full = build_model(name, 4, MEAN, STD, hollow=True), build_model(name, 4, MEAN, STD)
    found, expected = hollow.backbone.state_dict(), full.backbone.state_dict()
    assert all(tensor.is_meta for tensor in found.values())
    assert {key: tensor.shape for key, tensor in found.items()} == {
        key: tensor.shape for key, tensor in expected.items()
    }
    assert torch.equal(hollow.mean, full.mean) and torch.equal(hollow.std, full.std)


def test_an_unknown_architecture_is_named_with_the_near_one() -> None:
    with pytest.raises(
        UnknownNameError, match="no architecture is called 'resnet5'; did you mean resnet50"
    ):
        build_model("resnet5", 4, MEAN, STD)
