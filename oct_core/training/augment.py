"""Augmentation of whole batches on the device: what other scanners, patients and exports do to a
B-scan.

All chance comes from the batch's Draws, so an epoch is the same whenever it is run again with its
seed, and however many processes share its batches.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from oct_core.training.draws import Draws

_LEVELS = 4096
"""Entries of a tone table; the scans have 256."""
Change = Callable[[Tensor, Draws], Tensor]


class Augmenter:
    """Random but seeded changes to a batch.

    Parameters
    ----------
    strength : 0 (off) to 1.
    styles : 0 (off) to 1, how far a scan's look is changed as other devices would: tone curve,
    sharpness, uneven gain, shadows, noise floor.
    """

    def __init__(self, strength: float, styles: float = 0.0) -> None:
        self.strength = strength
        self.styles = styles

    def __call__(self, gray: Tensor, draws: Draws) -> Tensor:
        """(N, 1, S, S) in [0, 1] -> the same shape and range."""
        if self.styles:
            gray = self._styled(gray, draws)
        if self.strength == 0:
            return gray
        background = level(gray, 0.1)
        gray = self._resampled(self._moved(gray, background, draws), draws)
        gray = self._toned(gray, background, draws)
        return self._wedged(self._speckled(gray, draws), background, draws).clamp_(0, 1)

    def _styled(self, gray: Tensor, draws: Draws) -> Tensor:
        """Each change for half of the scans, drawn one by one."""
        gray = gray.clone()
        for change in (self._sharpened, self._curved, self._shaded, self._shadowed, self._floored):
            gray = change_some(gray, draws, 0.5, change)
        return gray

    def _sharpened(self, gray: Tensor, draws: Draws) -> Tensor:
        """Detail of up to about three pixels weighted by 0 (denoised) to 2 (sharpened)."""
        weight = 1 + self.styles * draws.uniform(-1, 1, 1, 1, 1)
        return torch.lerp(smoothed(gray), gray, weight).clamp_(0, 1)

    def _curved(self, gray: Tensor, draws: Draws) -> Tensor:
        """A random rising tone curve from black to the brightest hundredth, and another white."""
        pieces = 6
        white = level(gray, 0.995).view(-1, 1).clamp_min(0.1)
        steps = torch.exp(0.8 * self.styles * draws.uniform(-1.7, 1.7, pieces))
        knots = F.pad(steps.cumsum(1) / steps.sum(1, keepdim=True), (1, 0))
        place = (_levels(gray) / white).clamp(0, 1 - 1e-6) * pieces
        lower = place.long()
        low, high = knots.gather(1, lower), knots.gather(1, lower + 1)
        curved = low + (place - lower) * (high - low)
        target = white + self.styles * (draws.uniform(0.5, 1, 1) - white)
        return look_up(gray, curved * target)

    def _shaded(self, gray: Tensor, draws: Draws) -> Tensor:
        """A smooth gain over the picture: vignetting, focus, other attenuation with depth."""
        spread = _bicubic(4, gray.shape[-1], gray.device)
        field = spread @ draws.normal(1, 4, 4) @ spread.T
        return (gray * field.mul_(0.4 * self.styles).exp_()).clamp_(0, 1)

    def _shadowed(self, gray: Tensor, draws: Draws) -> Tensor:
        """Columns of less light, as vessels and opacities leave them."""
        size = gray.shape[-1]
        noise = draws.normal(1, size // 5)
        columns = F.interpolate(noise, size=size, mode="linear").clamp_min(0)[:, :, None]
        return gray * torch.exp(-0.4 * self.styles * columns)

    def _floored(self, gray: Tensor, draws: Draws) -> Tensor:
        """Dark values cut to black, as devices that subtract their noise show them, or noise
        added.
        """
        noisy = draws.choose(0.5)
        level = 0.12 * self.styles * draws.uniform(0, 1, 1, 1, 1)
        floored = (gray - level) / (1 - level)

        def add_noise(place: Tensor, some: Draws) -> Tensor:
            noise = some.normal(1, *gray.shape[-2:]).abs_()
            return torch.addcmul(gray[place], noise, 0.5 * level[place])

        return replace_some(floored, draws, noisy, add_noise).clamp_(0, 1)

    def _moved(self, gray: Tensor, background: Tensor, draws: Draws) -> Tensor:
        """Flip left-right, rotation, shift, scale and aspect in one resampling; outside is
        background.

        The aspect mostly stretches the height: on a device of another axial scale a retina may fill
        more of it.
        """
        count, strength = len(gray), self.strength
        angle = draws.uniform(-12, 12) * strength * math.pi / 180
        scale = 1 + draws.uniform(-0.15, 0.15) * strength
        aspect = torch.exp(draws.uniform(-0.4, 0.2) * strength)
        flip = 1 - 2 * (draws.uniform(0, 1) < 0.5).float()
        cosine, sine = torch.cos(angle), torch.sin(angle)
        shift_x, shift_y = (draws.uniform(-0.15, 0.15) * strength for _ in range(2))
        rows = [
            flip * cosine * scale,
            -sine * scale,
            shift_x,
            flip * sine * scale * aspect,
            cosine * scale * aspect,
            shift_y,
        ]
        matrix = torch.stack(rows, dim=1).view(count, 2, 3)
        grid = F.affine_grid(matrix, list(gray.shape), align_corners=False)
        moved = F.grid_sample(
            gray - background, grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )
        return moved.add_(background)

    def _resampled(self, gray: Tensor, draws: Draws) -> Tensor:
        """Half of the batch loses detail: down to 40 to 100 % of the size and back, one factor a
        call.
        """
        size = gray.shape[-1]
        smaller = max(8, round(size * (1 - self.strength * draws.once(0, 0.6))))

        def blur(some: Tensor, _: Draws) -> Tensor:
            small = F.interpolate(
                some, size=smaller, mode="bilinear", antialias=True, align_corners=False
            )
            return F.interpolate(small, size=size, mode="bilinear", align_corners=False)

        return change_some(gray.clone(), draws, 0.5, blur)

    def _toned(self, gray: Tensor, background: Tensor, draws: Draws) -> Tensor:
        """Gamma, contrast and black level."""
        gamma = torch.exp(draws.uniform(-0.5, 0.5, 1) * self.strength)
        contrast = torch.exp(draws.uniform(-0.4, 0.4, 1) * self.strength)
        black = draws.uniform(-0.1, 0.1, 1) * self.strength
        background = background.view(-1, 1)
        toned = _levels(gray).clamp_min(1e-4) ** gamma
        return look_up(gray, (toned - background) * contrast + background + black)

    def _speckled(self, gray: Tensor, draws: Draws) -> Tensor:
        """Multiplicative noise of a strength drawn per scan: mild for most, up to a standard
        deviation of 0.8 of the gray value.

        Its grains, one size a call, measure from one pixel to 1/128 of the side: a device's speckle
        does not get finer where scans are packed at more pixels.
        """
        size = gray.shape[-1]
        amount = 0.8 * draws.uniform(0, 1, 1, 1, 1) ** 2 * self.strength
        grains = round(draws.once(min(128, size), size))
        noise = draws.normal(1, grains, grains) * amount
        return torch.addcmul(gray, gray, F.interpolate(noise, size=size))

    def _wedged(self, gray: Tensor, background: Tensor, draws: Draws) -> Tensor:
        """A third of the scans lose a corner to background, as neutralised rotation wedges do."""
        line = torch.linspace(-1, 1, gray.shape[-1], device=gray.device)
        chosen = draws.choose(self.strength / 3)

        def cut(place: Tensor, some: Draws) -> Tensor:
            angle, depth = some.uniform(0, 2 * math.pi, 1, 1, 1), some.uniform(0.85, 1.3, 1, 1, 1)
            across = torch.cos(angle) * line + torch.sin(angle) * line[:, None]
            return torch.where(across > depth, background[place], gray[place])

        return replace_some(gray.clone(), draws, chosen, cut)


def change_some(gray: Tensor, draws: Draws, probability: float, change: Change) -> Tensor:
    """Put the changed form of so many scans, each drawn by itself, in their places in ``gray``,
    which is returned.
    """

    def changed(place: Tensor, some: Draws) -> Tensor:
        return change(gray[place], some)

    return replace_some(gray, draws, draws.choose(probability), changed)


def replace_some(gray: Tensor, draws: Draws, chosen: NDArray[np.bool_], make: Change) -> Tensor:
    """Put ``make`` (rows, draws) of the chosen scans in their places in ``gray``, which is
    returned.
    """
    place, some = draws.rows(chosen), draws.among(chosen)
    return gray.index_copy_(0, place, make(place, some)) if len(place) else gray


def level(gray: Tensor, share: float) -> Tensor:
    """The value that a share of each scan's pixels is below, (N, 1, 1, 1), told from every second
    row and column.
    """
    flat = gray[..., ::2, ::2].flatten(1)
    # not torch.quantile: it refuses large batches on some devices and versions
    place = max(1, round(share * flat.shape[1]))
    return flat.kthvalue(place, dim=1).values.view(-1, 1, 1, 1)


def smoothed(gray: Tensor) -> Tensor:
    """(N, 1, S, S) averaged over three pixels each way, twice; the border is repeated outwards."""
    weight = torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0], device=gray.device) / 9
    kernel = (weight[:, None] * weight).expand(len(gray), 1, 5, 5)
    padded = F.pad(gray, (2, 2, 2, 2), mode="replicate").transpose(0, 1)
    return F.conv2d(padded, kernel, groups=len(gray)).transpose(0, 1)


def look_up(gray: Tensor, tables: Tensor) -> Tensor:
    """Each scan through a tone table of its own: the entry nearest to each value.

    gray : (N, 1, S, S) in [0, 1]. tables : (N, L), of values evenly spaced from 0 to 1.
    """
    place = (gray.flatten(1) * (tables.shape[1] - 1)).round_().long()
    return tables.gather(1, place).view_as(gray)


def _levels(gray: Tensor) -> Tensor:
    """The values that a tone table has entries for, (1, L)."""
    return torch.linspace(0, 1, _LEVELS, device=gray.device)[None]


@functools.lru_cache(maxsize=8)
def _bicubic(small: int, size: int, device: torch.device) -> Tensor:
    """(size, small): what a bicubic enlargement makes of each of ``small`` points."""
    unit = torch.eye(small, device=device)[None, None]
    return F.interpolate(unit, size=(size, small), mode="bicubic", align_corners=True)[0, 0]
