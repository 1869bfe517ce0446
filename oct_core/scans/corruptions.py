"""Graded corruptions of packed scans: how much a network's accuracy owes to one scanner's look."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from oct_core.errors import MetricError
from oct_core.registry import Registry
from oct_core.words import message

SEVERITIES = (1, 2, 3)
_AT_ONCE = 2
"""Scans in floating point at once: they stay in the processor's cache."""
Floats = NDArray[np.float64]
Corruption = Callable[[Floats, int, np.random.Generator], Floats]

CORRUPTIONS: Registry[Corruption] = Registry(message("corruption"))


def _register(name: str) -> Callable[[Corruption], Corruption]:
    return lambda corruption: CORRUPTIONS.add(name, corruption)


@_register(message("blur"))
def _blur(gray: Floats, severity: int, generator: np.random.Generator) -> Floats:
    from scipy import ndimage  # pages read the names alone

    sigma = (0.5, 1.0, 1.5)[severity - 1] * gray.shape[-1] / 128
    return np.asarray(ndimage.gaussian_filter(gray, (0, sigma, sigma)))


@_register(message("speckle"))
def _speckle(gray: Floats, severity: int, generator: np.random.Generator) -> Floats:
    """Grains of 1/128 of the side, so that scans packed at another size suffer as much."""
    count, rows, columns = gray.shape
    noise = generator.standard_normal((count, 128, 128))[:, np.arange(rows) * 128 // rows][
        :, :, np.arange(columns) * 128 // columns
    ]
    return gray * (1 + (0.15, 0.3, 0.5)[severity - 1] * noise)


@_register(message("contrast"))
def _contrast(gray: Floats, severity: int, generator: np.random.Generator) -> Floats:
    middle = gray.mean(axis=(1, 2), keepdims=True)
    return np.asarray((gray - middle) * (0.75, 0.55, 0.4)[severity - 1] + middle)


@_register(message("gamma"))
def _gamma(gray: Floats, severity: int, generator: np.random.Generator) -> Floats:
    return np.asarray(gray ** (0.8, 0.65, 0.5)[severity - 1])


@_register(message("black level"))
def _black_level(gray: Floats, severity: int, generator: np.random.Generator) -> Floats:
    return gray + (0.05, 0.1, 0.2)[severity - 1]


@_register(message("tilt"))
def _tilt(gray: Floats, severity: int, generator: np.random.Generator) -> Floats:
    from scipy import ndimage

    angle = (5, 10, 15)[severity - 1]
    background = np.percentile(gray, 10, axis=(1, 2), keepdims=True)
    return (
        np.asarray(ndimage.rotate(gray - background, angle, axes=(1, 2), reshape=False, order=1))
        + background
    )


@_register(message("aspect"))
def _aspect(gray: Floats, severity: int, generator: np.random.Generator) -> Floats:
    """The middle of the height stretched over the whole, as devices with another axial scale show a
    retina.
    """
    cut = (0.08, 0.14, 0.2)[severity - 1]
    size = gray.shape[1]
    rows = np.linspace(cut * (size - 1), (1 - cut) * (size - 1), size)
    low = np.floor(rows).astype(int)
    share = (rows - low)[None, :, None]
    high = np.minimum(low + 1, size - 1)
    return np.asarray(gray[:, low] * (1 - share) + gray[:, high] * share)


def corrupt(
    pixels: NDArray[np.uint8], name: str, severity: int, seed: int = 0
) -> NDArray[np.uint8]:
    """uint8 (N, S, S) -> the same shape, corrupted; severity 1 (mild) to 3. Takes a few scans at a
    time, so that what is in floating point stays small. Raises UnknownNameError, MetricError.
    """
    if severity not in SEVERITIES:
        raise MetricError(
            "the severity of a corruption is one of {severities}, not {severity}",
            severities=SEVERITIES,
            severity=severity,
        )
    corruption, generator = CORRUPTIONS.get(name), np.random.default_rng(seed)
    changed = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        gray = corruption(pixels[some] / 255.0, severity, generator)
        changed[some] = np.round(np.clip(gray, 0, 1) * 255)
    return changed
