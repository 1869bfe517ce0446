"""How each network of the catalog is built, and the modules of its named layers.

Every network takes gray scans (N, 1, S, S) in [0, 1], normalises them itself, and gives logits (N,
classes). No activation works in place and every ReLU is a module of its own: an in-place ReLU
overwrites the activations that Grad-CAM keeps, and torchvision's DenseNet applies its last ReLU as
a function, which hooks do not see.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torchvision import models

from oct_core.models.catalog import ARCHITECTURES
from oct_core.registry import Registry
from oct_core.words import message


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


Builder = Callable[[int], nn.Module]
BUILDERS: Registry[Builder] = Registry(message("architecture"))
"""Name in the catalog -> number of classes -> the backbone, (N, 3, S, S) to logits (N, classes)."""
BUILDERS.add("vgg16", VGG16)
BUILDERS.add("resnet50", _resnet50)
BUILDERS.add("densenet121", DenseNet121)


def build_model(
    architecture: str,
    classes: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    hollow: bool = False,
) -> GrayClassifier:
    """A network with fresh weights, in float32 and training mode; raises UnknownNameError.

    hollow : without their memory (on the device "meta"), for ``load_weights`` to fill: random
    numbers that are written over at once cost most of the loading.
    """
    with torch.device("meta") if hollow else nullcontext():
        backbone = BUILDERS.get(architecture)(classes)
    for module in backbone.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
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
