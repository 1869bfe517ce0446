"""How each network of the catalog is trained by default: one recipe a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from oct_core.models.catalog import ARCHITECTURES
from oct_core.registry import Registry
from oct_core.training.config import TrainingConfig
from oct_core.words import message

# Each is the setting that the repository's run of that name was trained with, on 584 scans prepared
# with `--repool --size 224`; the accuracies are of the 98 validation scans, clean and as the mean
# of their corruptions (card.json has the rest).
RECIPES: Registry[TrainingConfig] = Registry(message("recipe"))
# train vgg16 --init vgg16_imagenet_features.safetensors --phantoms 15: 0.980 and 0.966, 22 s on
# one H100. No normalisation layers: a low rate for the pretrained backbone, a fast head, the
# first blocks as they are.
RECIPES.add(
    "vgg16",
    TrainingConfig(
        "vgg16",
        epochs=24,
        batch_size=16,
        learning_rate=1e-4,
        head_learning_rate=2e-3,
        weight_averaging=0.95,
        augmentation=0.6,
        frozen_layers=3,
    ),
)
# train resnet50 --init FILE --phantoms 20, where FILE has ImageNet's weights down to layer3 and
# random ones in most of layer4: 0.969 and 0.965, 19 min on one core with bfloat16.
RECIPES.add(
    "resnet50",
    TrainingConfig(
        "resnet50",
        epochs=12,
        batch_size=16,
        learning_rate=3e-4,
        weight_averaging=0.97,
        augmentation=0.7,
    ),
)
# train densenet121 --init densenet121_imagenet_backbone.safetensors --phantoms 20: 0.980 and
# 0.974, 16 min on one core with bfloat16.
RECIPES.add(
    "densenet121",
    TrainingConfig(
        "densenet121",
        epochs=10,
        batch_size=16,
        learning_rate=3e-4,
        weight_averaging=0.97,
        augmentation=0.7,
    ),
)


def recipe(architecture: str, **changes: Any) -> TrainingConfig:
    """The recipe of an architecture with the given fields changed; None changes nothing.

    From random weights there is nothing to protect: the backbone then learns at 1e-3, no layer is
    frozen, and 40 epochs are taken, unless something else is given. With trained_layers the first
    ones are not frozen either.
    """
    ARCHITECTURES.get(architecture)
    changed = {name: value for name, value in changes.items() if value is not None}
    if changed.get("initialisation") == "random":
        changed.setdefault("learning_rate", 1e-3)
        for name, value in (("batch_size", 16), ("frozen_layers", 0), ("epochs", 40)):
            changed.setdefault(name, value)
    if changed.get("trained_layers"):
        changed.setdefault("frozen_layers", 0)
    return replace(RECIPES.get(architecture), **changed)
