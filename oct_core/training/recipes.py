"""How each network of the catalog is trained by default: one recipe a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from oct_core.models.catalog import ARCHITECTURES
from oct_core.registry import Registry
from oct_core.training.config import TrainingConfig
from oct_core.words import message

# What every recipe does to its scans: other looks, drawn lesions, wider pieces of retina, phantoms.
_LOOKS: dict[str, Any] = {
    "augmentation": 0.7,
    "styles": 0.6,
    "lesions": 0.3,
    "widening": 0.3,
    "phantoms_per_class": 25,
    "phantom_views": 0.5,
}

# Each is the setting that the repository's run of that name was trained with, on 584 scans prepared
# with `--repool --size 224`, the three side by side on one H100; the accuracies are of the 98
# validation scans, clean and as the mean of their corruptions, and of 100 fresh phantoms (card.json
# has the rest, docs/recipes.md what else was tried).
RECIPES: Registry[TrainingConfig] = Registry(message("recipe"))
# train vgg16 --init vgg16_imagenet_features.safetensors: 1.000, 0.989 and 0.97, 65 s. No
# normalisation layers: a low rate for the pretrained backbone, a fast head, the first blocks as
# they are.
RECIPES.add(
    "vgg16",
    TrainingConfig(
        "vgg16",
        epochs=24,
        batch_size=16,
        learning_rate=1e-4,
        head_learning_rate=2e-3,
        weight_averaging=0.95,
        frozen_layers=3,
        **_LOOKS,
    ),
)
# train resnet50 --init resnet50_imagenet_to_layer3.safetensors --fill-missing: 0.990, 0.986 and
# 0.99, 129 s. Most of layer4 starts fresh, so it takes longer.
RECIPES.add(
    "resnet50",
    TrainingConfig(
        "resnet50",
        epochs=36,
        batch_size=16,
        learning_rate=3e-4,
        weight_averaging=0.98,
        frozen_layers=1,
        **_LOOKS,
    ),
)
# train densenet121 --init densenet121_imagenet_backbone.safetensors: 1.000, 0.992 and 0.98, 113 s.
RECIPES.add(
    "densenet121",
    TrainingConfig(
        "densenet121",
        epochs=24,
        batch_size=16,
        learning_rate=3e-4,
        weight_averaging=0.98,
        frozen_layers=2,
        **_LOOKS,
    ),
)


_FOLLOW_BATCH = ("learning_rate", "head_learning_rate", "weight_averaging")


LARGE_BATCH, MANY_SCANS = 128, 10_000


def default_batch(scans: int, device: str) -> int | None:
    """Scans a step that a GPU takes of so many training scans, where the recipe's 16 would leave it
    idle: LARGE_BATCH from MANY_SCANS on, which still makes many steps an epoch; else None, the
    recipe's. device : its type, such as "cuda".
    """
    return LARGE_BATCH if device == "cuda" and scans >= MANY_SCANS else None


def scaled_to_batch(config: TrainingConfig, batch_size: int) -> TrainingConfig:
    """The same training with larger or smaller batches, k times as large: rates times the root of k
    (Malladi et al. 2022, arXiv:2205.10287, for Adam), and the decay of the moving average to the
    power of k, so that it reaches back over as many scans (Busbridge et al. 2023,
    arXiv:2307.13813).
    """
    k = batch_size / config.batch_size
    return replace(
        config,
        batch_size=batch_size,
        learning_rate=config.learning_rate * k**0.5,
        head_learning_rate=config.head_learning_rate * k**0.5,
        weight_averaging=config.weight_averaging**k,
    )


def recipe(architecture: str, scale_rates: bool = False, **changes: Any) -> TrainingConfig:
    """The recipe of an architecture with the given fields changed; None changes nothing.

    scale_rates : with another batch size, the rates and the average that are not given follow it
    (``scaled_to_batch``).

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
    if not scale_rates:
        return replace(RECIPES.get(architecture), **changed)
    asked = changed.pop("batch_size", None)
    own = {name: changed.pop(name) for name in _FOLLOW_BATCH if changes.get(name) is not None}
    config = replace(RECIPES.get(architecture), **changed)
    return replace(scaled_to_batch(config, asked or config.batch_size), **own)
