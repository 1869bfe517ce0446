"""Scans made of scans: what the training data has too little of, drawn on the device while it
trains.

Other devices show a wider piece of the retina, in which a lesion is small, and lesions that are
slighter than those of the data at hand. Both are made from the batch itself: ``widen`` puts a
NORMAL scan beside another one, ``add_lesions`` draws small cysts and bright foci into NORMAL ones,
which then show DME.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from oct_core.types import CLASSES

_DME, _NORMAL = CLASSES.index("DME"), CLASSES.index("NORMAL")
_BLOBS = 24
_THINNEST = 0.03


@dataclass(frozen=True, eq=False)
class Retina:
    """Where the retina lies: row of its upper border and of its brightest deep layer, (N, S) in
    pixels; gray value of the background and of the brightest layer, (N, 1, 1, 1).
    """

    upper: Tensor
    lower: Tensor
    background: Tensor
    bright: Tensor


def find_retina(gray: Tensor) -> Retina:
    """The retina of each scan, (N, 1, S, S) in [0, 1], by smoothed columns; a guess that holds for
    most scans, not a segmentation.

    The lower border is the lowest row of a column that is nearly as bright as its brightest one,
    the upper border the first row that stands out from the background.
    """
    size = gray.shape[-1]
    wide, high = size // 16 | 1, size // 56 | 1
    smooth = F.avg_pool2d(
        gray, (high, wide), 1, (high // 2, wide // 2), count_include_pad=False
    ).squeeze(1)
    flat = smooth.flatten(1)
    background = flat.kthvalue(max(1, round(0.1 * flat.shape[1])), dim=1).values.view(-1, 1, 1)
    peak = smooth.amax(1, keepdim=True)
    rows = torch.arange(size, device=gray.device).view(1, -1, 1)
    lower = (rows * (smooth - background > 0.85 * (peak - background))).amax(1)
    above = (smooth - background > 0.3 * (peak - background)) & (rows <= lower[:, None])
    upper = torch.where(above, rows, size).amin(1)
    return Retina(
        _median(upper.float(), wide),
        _median(lower.float(), wide),
        background[..., None],
        flat.kthvalue(round(0.99 * flat.shape[1]), dim=1).values.view(-1, 1, 1, 1),
    )


def _median(curve: Tensor, window: int) -> Tensor:
    """A running median along the columns, (N, S)."""
    padded = F.pad(curve[:, None], (window // 2, window // 2), mode="replicate")[:, 0]
    return padded.unfold(1, window, 1).median(-1).values


def add_lesions(
    gray: Tensor, labels: Tensor, share: float, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Small dark cysts and bright foci in a ``share`` of the NORMAL scans; these are then DME.

    gray : (N, 1, S, S) in [0, 1]. labels : (N,). Returns both anew.
    """
    if share == 0:
        return gray, labels
    hit = (labels == _NORMAL) & (_uniform(generator, len(gray)) < share)
    rows = hit.nonzero()[:, 0]
    if len(rows) == 0:
        return gray, labels
    drawn, labels = gray.clone(), labels.clone()
    drawn[rows] = _draw_lesions(gray[rows], generator)
    labels[rows] = _DME
    return drawn, labels


def _draw_lesions(gray: Tensor, generator: Generator) -> Tensor:
    count, size = len(gray), gray.shape[-1]
    retina = find_retina(gray)
    thickness = (retina.lower - retina.upper).clamp_min(1)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * _uniform(generator, *shape)

    line = torch.arange(size, device=gray.device, dtype=torch.float32)
    depth = (line.view(1, -1, 1) - retina.upper[:, None]) / thickness[:, None]
    inside = (depth > 0.15) & (depth < 0.93) & (thickness > _THINNEST * size)[:, None]  # (N, S, S)
    centre = uniform(0.1, 0.9, count, 1) * size
    reach = uniform(0.02, 0.25, count, 1) * size
    columns = centre + reach * torch.randn((count, _BLOBS), device=gray.device, generator=generator)
    # Most scans get a few of either kind; some only cysts, some only foci.
    number = uniform(2, _BLOBS, count, 1)
    cystic = uniform(-0.3, 1.3, count, 1)
    taken = torch.arange(_BLOBS, device=gray.device) < number
    is_cyst = _uniform(generator, count, _BLOBS) < cystic
    half_width = torch.where(
        is_cyst, uniform(0.006, 0.03, count, _BLOBS), uniform(0.004, 0.010, count, _BLOBS)
    )
    half_depth = torch.where(
        is_cyst, uniform(0.05, 0.20, count, _BLOBS), uniform(0.03, 0.08, count, _BLOBS)
    )
    place = uniform(0.3, 0.85, count, _BLOBS)
    shape = (count, _BLOBS, 1, 1)
    distance = ((line - columns.view(shape)) / (half_width.view(shape) * size)) ** 2 + (
        (depth[:, None] - place.view(shape)) / half_depth.view(shape)
    ) ** 2
    blobs = torch.exp(-(distance**2)) * (taken.view(shape) & inside[:, None])
    cysts = (blobs * is_cyst.view(shape)).amax(1, keepdim=True)
    foci = (blobs * ~is_cyst.view(shape)).amax(1, keepdim=True)
    span = retina.bright - retina.background
    dark = retina.background + uniform(0.0, 0.15, count, 1, 1, 1) * span
    light = retina.background + uniform(0.8, 1.2, count, 1, 1, 1) * span
    dark, light = torch.minimum(dark, gray), torch.maximum(light, gray)
    gray = gray + (dark - gray) * cysts * uniform(0.6, 1.0, count, 1, 1, 1)
    return (gray + (light - gray) * foci * uniform(0.6, 1.0, count, 1, 1, 1)).clamp(0, 1)


def widen(gray: Tensor, labels: Tensor, share: float, generator: Generator) -> Tensor:
    """A ``share`` of the scans is squeezed to one side, and a NORMAL scan of the batch takes the
    other: a wider piece of retina that shows what the label says. Without a NORMAL scan in the
    batch nothing is done.

    gray : (N, 1, S, S) in [0, 1]. labels : (N,).
    """
    if share == 0:
        return gray
    normal = (labels == _NORMAL).nonzero()[:, 0]
    rows = (_uniform(generator, len(gray)) < share).nonzero()[:, 0]
    if len(normal) == 0 or len(rows) == 0:
        return gray
    chosen = (_uniform(generator, len(rows)) * len(normal)).long().clamp_max(len(normal) - 1)
    joined = gray.clone()
    joined[rows] = _join(gray[rows], gray[normal[chosen]], generator)
    return joined


def _join(left: Tensor, right: Tensor, generator: Generator) -> Tensor:
    """Two scans side by side at one size, moved up or down so that the retina goes on."""
    count, size = len(left), left.shape[-1]
    one, other = find_retina(left), find_retina(right)
    gain = (
        (one.bright - one.background) / (other.bright - other.background).clamp_min(0.05)
    ).clamp(0.5, 2)
    right = (right - other.background) * gain + one.background
    share = 0.35 + 0.3 * _uniform(generator, count, 1)
    place = (torch.arange(size, device=left.device) + 0.5) / size
    # Away from the very edge, which a wedge or a lid may have darkened; in rows, right minus left.
    near, far = size // 28, size // 6
    step = other.lower[:, near:far].median(1).values - one.lower[:, -far:-near].median(1).values
    left = _squeezed(left, place / share, torch.zeros_like(step), one.background)
    right = _squeezed(right, (place - share) / (1 - share), step, one.background)
    seam = torch.sigmoid((place - share) * size / 1.5).view(count, 1, 1, size)
    return (left * (1 - seam) + right * seam).clamp(0, 1)


def _squeezed(gray: Tensor, columns: Tensor, step: Tensor, background: Tensor) -> Tensor:
    """The scan read at ``columns`` (N, S), 0 its left edge and 1 its right one, ``step`` rows
    lower.
    """
    count, size = len(gray), gray.shape[-1]
    rows = (torch.arange(size, device=gray.device) + 0.5 + step.view(-1, 1)) / size
    x = (
        (2 * columns.clamp(0.5 / size, 1 - 0.5 / size) - 1)
        .view(count, 1, size)
        .expand(count, size, size)
    )
    y = (2 * rows - 1).view(count, size, 1).expand(count, size, size)
    read = F.grid_sample(
        gray - background,
        torch.stack([x, y], dim=-1),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    return read + background


def _uniform(generator: Generator, *shape: int) -> Tensor:
    return torch.rand(shape, device=generator.device, generator=generator)


__all__ = ["Retina", "add_lesions", "find_retina", "widen"]
