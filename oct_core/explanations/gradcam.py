"""Grad-CAM, guided backpropagation and guided Grad-CAM from the shared passes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from oct_core.errors import ExplanationError
from oct_core.explanations.methods import Method, Request
from oct_core.words import message


def gradcam_map(activations: Tensor, gradients: Tensor) -> Tensor:
    """max(0, sum_k mean_ij(gradient_k) * activation_k): (N, C, h, w) twice -> (N, h, w), float32,
    >= 0.

    Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2; agrees with Captum's
    LayerGradCam(relu_attributions=True).
    """
    weights = gradients.mean((2, 3), dtype=torch.promote_types(gradients.dtype, torch.float32))
    summed = torch.einsum("nchw,nc->nhw", activations.to(weights.dtype), weights)
    return summed.clamp_min(0)


def upsample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, h, w) -> (N, *size), bilinear, corners not aligned: never below the lowest or above the
    highest value.
    """
    return functional.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[
        :, 0
    ]


def _gradcam(request: Request) -> dict[str, Tensor]:
    shared = request.shared
    return {
        name: gradcam_map(shared.activations[name], shared.gradients[name])
        for name in request.layers
    }


def _guided_backprop(request: Request) -> dict[str, Tensor]:
    if request.shared.guided is None:
        raise ExplanationError("expected the guided pass, got none; call passes(..., guided=True)")
    return {"input": request.shared.guided}


def _guided_gradcam(request: Request) -> dict[str, Tensor]:
    guided = _guided_backprop(request)["input"]
    height, width = guided.shape[-2:]
    return {
        name: guided * upsample(cam, (height, width)) for name, cam in _gradcam(request).items()
    }


FAMILY = (
    Method(
        "gradcam",
        message("Grad-CAM"),
        "layer",
        False,
        "Selvaraju et al. 2017, arXiv:1610.02391",
        _gradcam,
        gradients=True,
    ),
    Method(
        "guided_backprop",
        message("Guided backpropagation"),
        "input",
        True,
        "Springenberg et al. 2014, arXiv:1412.6806",
        _guided_backprop,
        guided=True,
        activations=("ReLU",),
    ),
    Method(
        "guided_gradcam",
        message("Guided Grad-CAM"),
        "layer",
        True,
        "Selvaraju et al. 2017, arXiv:1610.02391",
        _guided_gradcam,
        gradients=True,
        guided=True,
        activations=("ReLU",),
    ),
)
