"""Initial weights: torchvision's ImageNet, random, or a safetensors file of backbone keys."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torchvision import models

from oct_core.errors import TrainingError
from oct_core.models.catalog import ARCHITECTURES
from oct_core.models.networks import GrayClassifier, build_model
from oct_core.runs.files import CARD
from oct_core.training.config import TrainingConfig
from oct_core.words import message, say

# torchvision's DenseNet files still say "norm.1" where the module is called "norm1"; it renames on
# loading, so do we.
_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)$")


def initial_model(config: TrainingConfig, classes: int) -> GrayClassifier:
    """A model as the configuration starts it, seeded; raises TrainingError if the weights cannot be
    had or do not fit.
    """
    torch.manual_seed(config.seed)
    model = build_model(config.architecture, classes, *config.normalisation)
    if config.initialisation == "random":
        return model
    weights = (
        _imagenet(config.architecture)
        if config.initialisation == "imagenet"
        else _from_file(Path(config.initialisation))
    )
    if config.trained_layers and not (Path(config.initialisation).parent / CARD).is_file():
        raise TrainingError(
            "trained_layers needs the {card} beside {initialisation}: it says how these weights "
            "take their scans",
            card=CARD,
            initialisation=config.initialisation,
        )
    _fill_backbone(model, weights, config)
    return model


def fresh_tensors(config: TrainingConfig) -> list[str]:
    """The backbone tensors that a file of initial weights lacks and that ``fill_missing`` starts
    fresh, sorted. Raises TrainingError if the file cannot be read.
    """
    if not config.fill_missing or config.initialisation in ("imagenet", "random"):
        return []
    weights = _from_file(Path(config.initialisation))
    own = build_model(config.architecture, 4, *config.normalisation, hollow=True).backbone
    return _lacking(own.state_dict(), _usable(own.state_dict(), weights, config), config)


def _imagenet(architecture: str) -> dict[str, Tensor]:
    try:
        weights = models.get_model_weights(architecture).DEFAULT.get_state_dict(
            progress=True, check_hash=True, weights_only=True
        )
    except pickle.UnpicklingError as error:
        raise TrainingError(
            "torch's cached file of the ImageNet weights of {architecture} holds more than "
            "tensors and is not loaded; remove it from {folder}/checkpoints and start again",
            architecture=architecture,
            folder=torch.hub.get_dir(),
        ) from error
    except (OSError, RuntimeError) as error:
        raise TrainingError(
            "torchvision could not download the ImageNet weights of {architecture} ({error}); go "
            "online once, or give --init random or --init FILE.safetensors",
            architecture=architecture,
            error=error,
        ) from error
    return dict(weights)


def _from_file(path: Path) -> dict[str, Tensor]:
    if path.suffix != ".safetensors":
        raise TrainingError(
            "--init takes imagenet, random or a .safetensors file, not {path!r}; pickled weights "
            "are never loaded",
            path=str(path),
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise TrainingError(
            "the initial weights {path} cannot be read: {error}", path=path, error=error
        ) from error


def _taken(own: dict[str, Tensor], config: TrainingConfig) -> list[str]:
    """What initial weights are to fill: the backbone, and the head of a run that goes on."""
    head = ARCHITECTURES.get(config.architecture).head
    return [name for name in own if config.trained_layers or not name.startswith(head)]


def _usable(
    own: dict[str, Tensor], weights: dict[str, Tensor], config: TrainingConfig
) -> dict[str, Tensor]:
    renamed = {_OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in weights.items()}
    taken = set(_taken(own, config))
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in renamed.items()
        if name in taken and own[name].shape == tensor.shape
    }


def _lacking(
    own: dict[str, Tensor], usable: dict[str, Tensor], config: TrainingConfig
) -> list[str]:
    wanted = {name for name in _taken(own, config) if not name.endswith("num_batches_tracked")}
    return sorted(wanted - set(usable))


def _fill_backbone(
    model: GrayClassifier, weights: dict[str, Tensor], config: TrainingConfig
) -> None:
    own = model.backbone.state_dict()
    usable = _usable(own, weights, config)
    missing = _lacking(own, usable, config)
    if missing and not (config.fill_missing and usable):
        way_out = (
            message("a finished run's weights.safetensors")
            if config.trained_layers
            else message("weights with torchvision's key names")
        )
        raise TrainingError(
            "{initialisation} lacks {lacking} of {total} backbone tensors of "
            "{architecture}, {missing!r} for one; give {way_out}",
            initialisation=config.initialisation,
            lacking=len(missing),
            total=len(missing) + sum(not name.endswith("num_batches_tracked") for name in usable),
            architecture=config.architecture,
            missing=missing[0],
            way_out=say(way_out),
        )
    model.backbone.load_state_dict(usable, strict=False)
