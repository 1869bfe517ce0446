"""Maps that know nothing of the network: what every score is held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from oct_core.registry import Registry
from oct_core.types import Float32Array, GrayImage
from oct_core.words import message


@dataclass(frozen=True)
class Baseline:
    """One map without a network. compute : (pixels uint8 (H, W), seed) -> float32 (H, W), >= 0."""

    name: str
    title: str
    definition: str
    compute: Callable[[GrayImage, int], Float32Array]


def random_map(pixels: GrayImage, seed: int = 0) -> Float32Array:
    """Uniform noise in [0, 1), the same for the same seed and shape."""
    return np.random.default_rng(seed).random(pixels.shape, dtype=np.float32)


def centred_gaussian(pixels: GrayImage, seed: int = 0) -> Float32Array:
    """A Gaussian at the centre, 1 at its top, standard deviation a quarter of each side: most
    lesions lie near the middle.
    """
    rows, columns = ((np.arange(side) - (side - 1) / 2) / (side / 4) for side in pixels.shape)
    gaussian: Float32Array = np.exp(-0.5 * (rows[:, None] ** 2 + columns[None, :] ** 2)).astype(
        np.float32
    )
    return gaussian


def gradient_magnitude(pixels: GrayImage, seed: int = 0) -> Float32Array:
    """Edges of the picture: the magnitude of its Gaussian gradient (1 pixel wide), in gray values a
    pixel.
    """
    return np.asarray(
        ndimage.gaussian_gradient_magnitude(pixels.astype(np.float32), sigma=1.0), dtype=np.float32
    )


BASELINES: Registry[Baseline] = Registry(message("baseline"))
BASELINES.add(
    "random_map",
    Baseline(
        "random_map",
        message("Random map"),
        message("Uniform noise: a map without information."),
        random_map,
    ),
)
BASELINES.add(
    "centred_gaussian",
    Baseline(
        "centred_gaussian",
        message("Centred Gaussian"),
        message("A Gaussian at the centre of the scan; its width is a quarter of each side."),
        centred_gaussian,
    ),
)
BASELINES.add(
    "gradient_magnitude",
    Baseline(
        "gradient_magnitude",
        message("Image gradient"),
        message("How steeply the gray value changes at each pixel: edges, without any network."),
        gradient_magnitude,
    ),
)
