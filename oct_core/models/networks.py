"""The three networks: how each is built, and the named layers where explanations are taken.

Every network takes gray scans (N, 1, S, S) in [0, 1], normalises them itself, and gives logits (N,
classes). No ReLU works in place and every ReLU is a module of its own: an in-place ReLU overwrites
the activations that Grad-CAM keeps, and torchvision's DenseNet applies its last ReLU as a function,
which hooks do not see.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from oct_core.registry import Registry
from oct_core.torchvision_models import models


class VGG16(nn.Module):
    """The 13 convolutions of VGG16 with a global-average-pool head: 15 M parameters, not 138 M."""

    def __init__(self, classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        # models.vgg16() would also fill the 4096-wide layers with 120 M random numbers.
        self.features = models.vgg.make_layers(models.vgg.cfgs["D"])
        for module in self.features:
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(512, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.dropout(torch.flatten(self.pool(self.features(x)), 1)))  # type: ignore[no-any-return]


class DenseNet121(nn.Module):
    """torchvision's DenseNet121 with its last ReLU as a module (``final_relu``)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        whole = models.densenet121(weights=None)
        self.features = whole.features
        self.final_relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.pool(self.final_relu(self.features(x))), 1))  # type: ignore[no-any-return]


def _resnet50(classes: int) -> nn.Module:
    network: nn.Module = models.resnet50(weights=None, zero_init_residual=True)
    network.fc = nn.Linear(2048, classes)
    return network


class GrayClassifier(nn.Module):
    """A backbone behind the normalisation it was trained with.

    Parameters
    ----------
    backbone : takes (N, 3, S, S), gives logits (N, classes).
    mean, std : per channel, in units of the [0, 1] gray value.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, backbone: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, gray: Tensor) -> Tensor:
        """Logits (N, classes) of gray scans (N, 1, S, S) in [0, 1]."""
        return self.backbone((gray - self.mean) / self.std)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Architecture:
    """One network of the registry.

    name : the key. title : for people. reference : the paper. build : classes -> backbone.
    layers : layer name -> module path in the backbone, shallow to deep; explanations are taken at
    its output.
    head : the module path prefix of the classifier, which initial weights fill only where it is not
    trained.
    """

    name: str
    title: str
    reference: str
    build: Callable[[int], nn.Module]
    layers: dict[str, str]
    head: str

    @property
    def last_layer(self) -> str:
        """The deepest named layer, the one that the head pools."""
        return list(self.layers)[-1]


ARCHITECTURES: Registry[Architecture] = Registry("architecture")
ARCHITECTURES.add(
    "vgg16",
    Architecture(
        "vgg16",
        "VGG16",
        "Simonyan and Zisserman 2014, arXiv:1409.1556",
        VGG16,
        # The last ReLU before each pool.
        {f"block{i}": f"features.{index}" for i, index in enumerate((3, 8, 15, 22, 29), start=1)},
        "classifier",
    ),
)
ARCHITECTURES.add(
    "resnet50",
    Architecture(
        "resnet50",
        "ResNet50",
        "He et al. 2015, arXiv:1512.03385",
        _resnet50,
        {"stem": "relu", **{f"layer{i}": f"layer{i}" for i in range(1, 5)}},
        "fc",
    ),
)
ARCHITECTURES.add(
    "densenet121",
    Architecture(
        "densenet121",
        "DenseNet121",
        "Huang et al. 2016, arXiv:1608.06993",
        DenseNet121,
        {
            "stem": "features.relu0",
            **{f"denseblock{i}": f"features.denseblock{i}" for i in range(1, 4)},
            "denseblock4": "final_relu",
        },
        "classifier",
    ),
)


class _NoRandomNumbers(TorchFunctionMode):
    """Leaves tensors without normal random numbers: to draw them on "meta", torch would load its
    compiler.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func in (Tensor.normal_, nn.init.normal_):
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def build_model(
    architecture: str,
    classes: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    hollow: bool = False,
) -> GrayClassifier:
    """A network with fresh weights, in float32 and training mode; raises UnknownNameError.

    hollow : with none, for ``load_weights`` to fill: random numbers that are written over at once
    cost most of the loading.
    """
    with ExitStack() as stack:
        if hollow:
            stack.enter_context(torch.device("meta"))
            stack.enter_context(_NoRandomNumbers())
        backbone = ARCHITECTURES.get(architecture).build(classes)
    for module in backbone.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return GrayClassifier(backbone, mean, std)


def layer_modules(model: GrayClassifier, architecture: str) -> dict[str, nn.Module]:
    """The named layers of a built model, shallow to deep."""
    return {
        name: model.backbone.get_submodule(path)
        for name, path in ARCHITECTURES.get(architecture).layers.items()
    }


def first_modules(model: GrayClassifier, architecture: str, layers: int) -> list[nn.Module]:
    """The leaf modules from the input to the end of the named layer number ``layers`` (1 is the
    first; 0 gives none).
    """
    if layers == 0:
        return []
    path = list(ARCHITECTURES.get(architecture).layers.values())[layers - 1]
    leaves = leaf_modules(model)
    last = max(
        index for index, name in enumerate(leaves) if name == path or name.startswith(path + ".")
    )
    return list(leaves.values())[: last + 1]


def leaf_modules(model: GrayClassifier) -> dict[str, nn.Module]:
    """Path in the backbone -> each module that holds no other, from the input on."""
    return {
        name: module
        for name, module in model.backbone.named_modules()
        if not any(module.children())
    }
