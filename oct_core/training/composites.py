"""Scans made of scans: what the training data has too little of, drawn on the device while it
trains.

Other devices show a wider piece of the retina, in which a lesion is small, and lesions that are
slighter than those of the data at hand. Both are made from the batch itself: ``widen`` puts a
NORMAL scan beside another one, ``add_lesions`` draws small cysts and bright foci into NORMAL ones,
which then show DME. ``plan_composites`` chooses for which scans, from their labels alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from oct_core.training.draws import Draws
from oct_core.types import CLASSES, IntArray

_DME, _NORMAL = CLASSES.index("DME"), CLASSES.index("NORMAL")
_BLOBS = 24
_THINNEST = 0.03
_LARGEST, _REACH = 0.03, 1.65
"""Half the width of the widest cyst, of the side; how many of them away it has faded to 0.001."""


@dataclass(frozen=True, eq=False)
class Composites:
    """What is made of the scans of a batch.

    lesions, wider : bool (N,), those that lesions are drawn into, and that another scan is put
    beside. beside : int64 (N,), the place in the batch of that other one, a NORMAL one; 0 where
    there is none. labels : int64 (N,), what they show then.
    """

    lesions: NDArray[np.bool_]
    wider: NDArray[np.bool_]
    beside: IntArray
    labels: IntArray


def plan_composites(
    labels: IntArray, lesions: float, widening: float, host: np.random.Generator
) -> Composites:
    """Choose a share ``lesions`` of the NORMAL scans, and then a share ``widening`` of all, if a
    NORMAL one is left to put beside them. labels : (N,).
    """
    drawn_into = (labels == _NORMAL) & (host.random(len(labels)) < lesions)
    told = np.where(drawn_into, _DME, labels)
    normal = np.flatnonzero(told == _NORMAL)
    wider = (host.random(len(labels)) < widening) & (len(normal) > 0)
    beside = host.choice(normal, len(labels)) if len(normal) else np.zeros_like(labels)
    return Composites(drawn_into, wider, np.where(wider, beside, 0), told)


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
    halves = F.avg_pool2d(gray, 2)  # the borders are no sharper than two pixels anyway
    size = halves.shape[-1]
    wide, high = size // 16 | 1, size // 56 | 1
    rows_smooth = F.avg_pool2d(halves, (high, 1), 1, (high // 2, 0), count_include_pad=False)
    smooth = F.avg_pool2d(
        rows_smooth, (1, wide), 1, (0, wide // 2), count_include_pad=False
    ).squeeze(1)
    flat = smooth.flatten(1)
    background = flat.kthvalue(max(1, round(0.1 * flat.shape[1])), dim=1).values.view(-1, 1, 1)
    peak = smooth.amax(1, keepdim=True)
    rows = torch.arange(size, device=gray.device).view(1, -1, 1)
    lower = (rows * (smooth - background > 0.85 * (peak - background))).amax(1)
    above = (smooth - background > 0.3 * (peak - background)) & (rows <= lower[:, None])
    upper = torch.where(above, rows, size).amin(1)
    return Retina(
        _whole(_median(upper.float(), wide), gray.shape[-1]),
        _whole(_median(lower.float(), wide), gray.shape[-1]) + 1,
        background[..., None],
        flat.kthvalue(round(0.99 * flat.shape[1]), dim=1).values.view(-1, 1, 1, 1),
    )


def _whole(rows: Tensor, size: int) -> Tensor:
    """Rows of a scan of half the size, (N, S // 2), as rows of the scan, (N, S)."""
    doubled = 2 * rows.repeat_interleave(2, dim=1)
    return F.pad(doubled, (0, size - doubled.shape[1]), mode="replicate")


def _median(curve: Tensor, window: int) -> Tensor:
    """A running median along the columns, (N, S)."""
    padded = F.pad(curve[:, None], (window // 2, window // 2), mode="replicate")[:, 0]
    return padded.unfold(1, window, 1).median(-1).values


def add_lesions(gray: Tensor, chosen: NDArray[np.bool_], draws: Draws) -> Tensor:
    """Small dark cysts and bright foci in the chosen scans, which show DME then.

    gray : (N, 1, S, S) in [0, 1], changed in place and returned. chosen : bool, of the whole batch.
    """
    place, some = draws.rows(chosen), draws.among(chosen)
    return gray.index_copy_(0, place, _draw_lesions(gray[place], some)) if len(place) else gray


def _draw_lesions(gray: Tensor, draws: Draws) -> Tensor:
    count, size = len(gray), gray.shape[-1]
    retina = find_retina(gray)
    thickness = (retina.lower - retina.upper).clamp_min(1)
    uniform = draws.uniform

    line = torch.arange(size, device=gray.device, dtype=torch.float32)
    depth = (line.view(1, -1, 1) - retina.upper[:, None]) / thickness[:, None]
    inside = (depth > 0.15) & (depth < 0.93) & (thickness > _THINNEST * size)[:, None]  # (N, S, S)
    centre = uniform(0.1, 0.9, 1) * size
    reach = uniform(0.02, 0.25, 1) * size
    columns = centre + reach * draws.normal(_BLOBS)
    # Most scans get a few of either kind; some only cysts, some only foci.
    number = uniform(2, _BLOBS, 1)
    cystic = uniform(-0.3, 1.3, 1)
    taken = torch.arange(_BLOBS, device=gray.device) < number
    is_cyst = uniform(0, 1, _BLOBS) < cystic
    half_width = torch.where(
        is_cyst, uniform(0.006, _LARGEST, _BLOBS), uniform(0.004, 0.010, _BLOBS)
    )
    half_depth = torch.where(is_cyst, uniform(0.05, 0.20, _BLOBS), uniform(0.03, 0.08, _BLOBS))
    place = uniform(0.3, 0.85, _BLOBS)
    # A blob is computed in the columns that it reaches: (N, blobs, S, columns).
    wide = min(size, 2 * math.ceil(_REACH * _LARGEST * size) + 1)
    first = (columns - wide / 2).round().clamp(0, size - wide).long()
    near = (first[:, :, None] + torch.arange(wide, device=gray.device))[:, :, None]
    everywhere = near.expand(count, _BLOBS, size, wide)
    shape = (count, _BLOBS, 1, 1)
    here = depth[:, None].expand(count, _BLOBS, size, size).gather(3, everywhere)
    distance = ((near - columns.view(shape)) / (half_width.view(shape) * size)) ** 2 + (
        (here - place.view(shape)) / half_depth.view(shape)
    ) ** 2
    blobs = torch.exp(-(distance**2)) * taken.view(shape)

    def largest(which: Tensor) -> Tensor:
        """The largest of these blobs at each pixel of the retina, (N, 1, S, S)."""
        flat = (blobs * which.view(shape)).transpose(1, 2).flatten(2)
        field = torch.zeros((count, size, size), device=gray.device)
        field.scatter_reduce_(2, everywhere.transpose(1, 2).flatten(2), flat, "amax")
        return (field * inside)[:, None]

    span = retina.bright - retina.background
    dark = retina.background + uniform(0.0, 0.15, 1, 1, 1) * span
    light = retina.background + uniform(0.8, 1.2, 1, 1, 1) * span
    dark, light = torch.minimum(dark, gray), torch.maximum(light, gray)
    gray = gray + (dark - gray) * largest(is_cyst) * uniform(0.6, 1.0, 1, 1, 1)
    gray = gray + (light - gray) * largest(~is_cyst) * uniform(0.6, 1.0, 1, 1, 1)
    return gray.clamp_(0, 1)


def widen(gray: Tensor, others: Tensor, chosen: NDArray[np.bool_], draws: Draws) -> Tensor:
    """The chosen scans are squeezed to one side, and ``others`` take the other: a wider piece of
    retina that shows what the label says.

    gray : (N, 1, S, S) in [0, 1], changed in place and returned. others : (M, 1, S, S), a NORMAL
    scan for each chosen one of them. chosen : bool, of the whole batch.
    """
    place, some = draws.rows(chosen), draws.among(chosen)
    return gray.index_copy_(0, place, _join(gray[place], others, some)) if len(place) else gray


def _join(left: Tensor, right: Tensor, draws: Draws) -> Tensor:
    """Two scans side by side at one size, moved up or down so that the retina goes on."""
    count, size = len(left), left.shape[-1]
    one, other = find_retina(left), find_retina(right)
    gain = (
        (one.bright - one.background) / (other.bright - other.background).clamp_min(0.05)
    ).clamp(0.5, 2)
    right = (right - other.background) * gain + one.background
    share = draws.uniform(0.35, 0.65, 1)
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


__all__ = ["Composites", "Retina", "add_lesions", "find_retina", "plan_composites", "widen"]
