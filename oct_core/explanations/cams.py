"""The wider family of class activation maps, over our own activations and gradients.

The formulas are pytorch-grad-cam's (PyPI: grad-cam, MIT), loaded on first use. Its hooks are not
used: they keep a detached activation that an in-place ReLU then overwrites, they write to every
parameter's .grad, and its Ablation-CAM swaps a layer of the model, for good if it fails midway.
Maps are >= 0, at the layer's own size.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from oct_core.errors import ExplanationError
from oct_core.explanations.engine import Pass
from oct_core.explanations.methods import Compute, Method, Request
from oct_core.explanations.pieces import InPieces, piece_size
from oct_core.explanations.relu import GuidedSwitch, SwitchableReLUs
from oct_core.explanations.tail import tail_of

PACKAGE = "grad-cam"
ABLATIONS = 32
"""Channels left out at once, as in the library."""


def _library(module: str) -> Any:
    """A module of pytorch-grad-cam without its progress bars; raises ExplanationError if it is not
    installed.
    """
    try:
        loaded = importlib.import_module(f"pytorch_grad_cam.{module}")
    except ImportError as error:
        raise ExplanationError(
            "this method expects the package {package}, which is missing; pip install {package}",
            package=PACKAGE,
        ) from error
    if hasattr(loaded, "tqdm"):

        def silent(steps: Iterable[int]) -> Iterable[int]:
            return steps

        vars(loaded)["tqdm"] = SimpleNamespace(tqdm=silent)
    return loaded


def _categories(shared: Pass) -> list[Any]:
    target = _library("utils.model_targets").ClassifierOutputTarget
    return [target(category) for category in shared.targets.tolist()]


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().float().cpu().numpy()


def _cam(calculator: Any, layer: nn.Module | None, shared: Pass, name: str) -> Tensor:
    """max(0, the library's map) of one layer, (N, h, w)."""
    gradients = _numpy(shared.gradients[name])
    # Ablation-CAM divides by the logit; a map without a finite value says nothing.
    with np.errstate(divide="ignore", invalid="ignore"):
        image = calculator.get_cam_image(
            shared.x, layer, _categories(shared), _numpy(shared.activations[name]), gradients, False
        )
    finite = np.nan_to_num(np.maximum(image, 0), nan=0.0, posinf=0.0)
    return torch.from_numpy(finite).float().to(shared.x.device)


def _without_hooks(module: str, name: str) -> Compute:
    """A method of the library whose formula needs activations and gradients, or forward passes of
    the whole model.
    """

    def compute(request: Request) -> dict[str, Tensor]:
        # No target layers: the library registers no hook and never sees the model's layers.
        calculator = getattr(_library(module), name)(request.in_pieces(), [])
        with SwitchableReLUs(GuidedSwitch()):
            return {
                layer: _cam(calculator, None, request.shared, layer) for layer in request.layers
            }

    return compute


def _eigencam(request: Request) -> dict[str, Tensor]:
    return {name: eigencam_map(request.shared.activations[name]) for name in request.layers}


def eigencam_map(activations: Tensor) -> Tensor:
    """The centred activations on their first principal axis: (N, C, h, w) -> (N, h, w), >= 0.

    Muhammad and Yeasin 2020, arXiv:2008.00299. pytorch-grad-cam asks for the full left vectors, (h
    w) x (h w): 10 GB at VGG16's block1. The smaller of the two products, C x C or (h w) x (h w),
    has the same axis; the larger one is so far from full rank at deep layers that the solver may
    not converge. Its sign is arbitrary; the side with the larger extreme is kept.
    """
    rows = activations.flatten(2).cpu().double()  # not every device has float64
    centred = rows - rows.mean(2, keepdim=True)
    channels, pixels = centred.shape[1:]
    if channels <= pixels:
        axis = torch.linalg.eigh(centred @ centred.transpose(1, 2)).eigenvectors[..., -1]
        projected = torch.einsum("ncp,nc->np", centred, axis)
    else:
        values, vectors = torch.linalg.eigh(centred.transpose(1, 2) @ centred)
        projected = vectors[..., -1] * values[..., -1:].clamp_min(0).sqrt()
    projected = projected.to(activations.device, torch.float32)
    flip = projected.amax(1, keepdim=True) < -projected.amin(1, keepdim=True)
    return (
        torch.where(flip, -projected, projected).clamp_min(0).reshape(-1, *activations.shape[-2:])
    )


def _channels_at_once(tail: nn.Module, device: torch.device) -> int:
    """Where nothing but the head is left, a pass takes so little that many go together."""
    if any(isinstance(module, nn.Conv2d) for module in tail.modules()):
        return piece_size(device)
    return ABLATIONS


def _ablationcam(request: Request) -> dict[str, Tensor]:
    """Each layer of a copy that shares the weights, so that the library's swapped layer never
    reaches the model.
    """
    library, layers = _library("ablation_cam"), _library("ablation_layer")
    maps = {}
    for name, module in request.layers.items():
        copy, layer = tail_of(
            request.model, module, request.shared.x, request.shared.activations[name]
        )
        # The library's default ablation layer is one object shared by every instance: state of
        # another thread.
        calculator = library.AblationCAM(
            InPieces(copy, request.lock, split=False),
            [],
            ablation_layer=layers.AblationLayer(),
            batch_size=_channels_at_once(copy, request.shared.x.device),
        )
        with torch.no_grad(), SwitchableReLUs(GuidedSwitch()):
            maps[name] = _cam(calculator, layer, request.shared, name)
    return maps


def _cam_method(
    name: str,
    title: str,
    reference: str,
    compute: Compute,
    needs: tuple[str, ...] = (PACKAGE,),
    runs: Callable[[int, int], int] | None = None,
) -> Method:
    method = Method(name, title, "layer", False, reference, compute, gradients=True, needs=needs)
    return replace(method, runs=runs, from_layer=name == "ablationcam")


def _one_a_channel(channels: int, side: int) -> int:
    return channels


FAMILY = (
    _cam_method(
        "gradcam_plus_plus",
        "Grad-CAM++",
        "Chattopadhay et al. 2018, arXiv:1710.11063",
        _without_hooks("grad_cam_plusplus", "GradCAMPlusPlus"),
    ),
    _cam_method(
        "hirescam",
        "HiResCAM",
        "Draelos and Carin 2020, arXiv:2011.08891",
        _without_hooks("hirescam", "HiResCAM"),
    ),
    _cam_method(
        "layercam",
        "LayerCAM",
        "Jiang et al. 2021, doi:10.1109/TIP.2021.3089943",
        _without_hooks("layer_cam", "LayerCAM"),
    ),
    _cam_method(
        "xgradcam",
        "XGrad-CAM",
        "Fu et al. 2020, arXiv:2008.02312",
        _without_hooks("xgrad_cam", "XGradCAM"),
    ),
    _cam_method(
        "eigencam", "Eigen-CAM", "Muhammad and Yeasin 2020, arXiv:2008.00299", _eigencam, needs=()
    ),
    _cam_method(
        "scorecam",
        "Score-CAM",
        "Wang et al. 2020, arXiv:1910.01279",
        _without_hooks("score_cam", "ScoreCAM"),
        runs=_one_a_channel,
    ),
    _cam_method(
        "ablationcam",
        "Ablation-CAM",
        "Desai and Ramaswamy 2020, doi:10.1109/WACV45572.2020.9093360",
        _ablationcam,
        runs=_one_a_channel,
    ),
)
