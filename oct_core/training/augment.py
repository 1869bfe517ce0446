"""Augmentation of whole batches on the device: what other scanners, patients and exports do to a
B-scan.

Everything draws from one torch.Generator, so an epoch is the same whenever it is run again with its
seed.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


class Augmenter:
    """Random but seeded changes to a batch.

    Parameters
    ----------
    strength : 0 (off) to 1. generator : on the device of the batches.
    styles : 0 (off) to 1, how far a scan's look is changed as other devices would: tone curve,
    sharpness, uneven gain, shadows, noise floor.
    """

    def __init__(self, strength: float, generator: Generator, styles: float = 0.0) -> None:
        self.strength = strength
        self.generator = generator
        self.styles = styles

    def __call__(self, gray: Tensor) -> Tensor:
        """(N, 1, S, S) in [0, 1] -> the same shape and range."""
        if self.styles:
            gray = self._styled(gray)
        if self.strength == 0:
            return gray
        flat = gray.flatten(
            1
        )  # not torch.quantile: it refuses large batches on some devices and versions
        background = flat.kthvalue(max(1, round(0.1 * flat.shape[1])), dim=1).values.view(
            -1, 1, 1, 1
        )
        gray = self._resampled(self._moved(gray, background))
        gray = self._toned(gray, background)
        return self._wedged(self._speckled(gray), background).clamp_(0, 1)

    def _uniform(self, count: int, low: float, high: float) -> Tensor:
        return torch.empty(count, device=self.generator.device).uniform_(
            low, high, generator=self.generator
        )

    def _chance(self, count: int, probability: float) -> Tensor:
        return self._uniform(count, 0, 1) < probability

    def _styled(self, gray: Tensor) -> Tensor:
        """Each change for half of the scans, drawn one by one."""
        for change in (self._sharpened, self._curved, self._shaded, self._shadowed, self._floored):
            hit = self._chance(len(gray), 0.5).view(-1, 1, 1, 1)
            gray = torch.where(hit, change(gray), gray)
        return gray

    def _sharpened(self, gray: Tensor) -> Tensor:
        """Detail of up to about three pixels weighted by 0 (denoised) to 2 (sharpened)."""
        smooth = F.avg_pool2d(gray, 3, 1, 1, count_include_pad=False)
        smooth = F.avg_pool2d(smooth, 3, 1, 1, count_include_pad=False)
        weight = 1 + self.styles * self._uniform(len(gray), -1, 1).view(-1, 1, 1, 1)
        return (smooth + weight * (gray - smooth)).clamp(0, 1)

    def _curved(self, gray: Tensor) -> Tensor:
        """A random rising tone curve from black to the brightest hundredth, and another white."""
        count, pieces = len(gray), 6
        flat = gray.flatten(1)
        white = flat.kthvalue(round(0.995 * flat.shape[1]), dim=1).values.view(-1, 1).clamp_min(0.1)
        steps = torch.exp(
            0.8 * self.styles * self._uniform(count * pieces, -1.7, 1.7).view(count, pieces)
        )
        knots = F.pad(steps.cumsum(1) / steps.sum(1, keepdim=True), (1, 0))
        place = (flat / white).clamp(0, 1 - 1e-6) * pieces
        lower = place.long()
        low, high = knots.gather(1, lower), knots.gather(1, lower + 1)
        curved = low + (place - lower) * (high - low)
        target = white + self.styles * (self._uniform(count, 0.5, 1).view(-1, 1) - white)
        return (curved * target).view_as(gray)

    def _shaded(self, gray: Tensor) -> Tensor:
        """A smooth gain over the picture: vignetting, focus, other attenuation with depth."""
        noise = torch.randn((len(gray), 1, 4, 4), device=gray.device, generator=self.generator)
        field = F.interpolate(noise, size=gray.shape[-1], mode="bicubic", align_corners=True)
        return (gray * torch.exp(0.4 * self.styles * field)).clamp(0, 1)

    def _shadowed(self, gray: Tensor) -> Tensor:
        """Columns of less light, as vessels and opacities leave them."""
        size = gray.shape[-1]
        noise = torch.randn((len(gray), 1, size // 5), device=gray.device, generator=self.generator)
        columns = F.interpolate(noise, size=size, mode="linear").clamp_min(0)[:, :, None]
        return gray * torch.exp(-0.4 * self.styles * columns)

    def _floored(self, gray: Tensor) -> Tensor:
        """Dark values cut to black, as devices that subtract their noise show them, or noise
        added.
        """
        level = 0.12 * self.styles * self._uniform(len(gray), -1, 1).view(-1, 1, 1, 1)
        noise = torch.randn(gray.shape, device=gray.device, generator=self.generator)
        added = gray + 0.5 * level.clamp_min(0) * noise.abs()
        cut = (gray - (-level).clamp_min(0)) / (1 - (-level).clamp_min(0))
        return torch.where(level > 0, added, cut).clamp(0, 1)

    def _moved(self, gray: Tensor, background: Tensor) -> Tensor:
        """Flip left-right, rotation, shift, scale and aspect in one resampling; outside is
        background.

        The aspect mostly stretches the height: on a device of another axial scale a retina may fill
        more of it.
        """
        count, strength = len(gray), self.strength
        angle = self._uniform(count, -12, 12) * strength * math.pi / 180
        scale = 1 + self._uniform(count, -0.15, 0.15) * strength
        aspect = torch.exp(self._uniform(count, -0.4, 0.2) * strength)
        flip = 1 - 2 * self._chance(count, 0.5).float()
        cosine, sine = torch.cos(angle), torch.sin(angle)
        shift_x, shift_y = (self._uniform(count, -0.15, 0.15) * strength for _ in range(2))
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
        return (
            F.grid_sample(
                gray - background, grid, mode="bilinear", padding_mode="zeros", align_corners=False
            )
            + background
        )

    def _resampled(self, gray: Tensor) -> Tensor:
        """Half of the batch loses detail: down to 40 to 100 % of the size and back, one factor a
        call.
        """
        size = gray.shape[-1]
        factor = 1 - 0.6 * self.strength * float(self._uniform(1, 0, 1))
        small = F.interpolate(
            gray,
            size=max(8, round(size * factor)),
            mode="bilinear",
            antialias=True,
            align_corners=False,
        )
        blurred = F.interpolate(small, size=size, mode="bilinear", align_corners=False)
        return torch.where(self._chance(len(gray), 0.5).view(-1, 1, 1, 1), blurred, gray)

    def _toned(self, gray: Tensor, background: Tensor) -> Tensor:
        """Gamma, contrast and black level."""
        count, strength = len(gray), self.strength
        shape = (count, 1, 1, 1)
        gamma = torch.exp(self._uniform(count, -0.5, 0.5) * strength).view(shape)
        contrast = torch.exp(self._uniform(count, -0.4, 0.4) * strength).view(shape)
        black = (self._uniform(count, -0.1, 0.1) * strength).view(shape)
        toned = gray.clamp(1e-4, 1) ** gamma
        return (toned - background) * contrast + background + black

    def _speckled(self, gray: Tensor) -> Tensor:
        """Multiplicative noise of a strength drawn per scan: mild for most, up to a standard
        deviation of 0.8 of the gray value.

        Its grains, one size a call, measure from one pixel to 1/128 of the side: a device's speckle
        does not get finer where scans are packed at more pixels.
        """
        size = gray.shape[-1]
        amount = (0.8 * self._uniform(len(gray), 0, 1) ** 2 * self.strength).view(-1, 1, 1, 1)
        grains = round(float(self._uniform(1, min(128, size), size)))
        noise = torch.randn(
            (len(gray), 1, grains, grains), device=gray.device, generator=self.generator
        )
        return gray * (1 + amount * F.interpolate(noise, size=size))

    def _wedged(self, gray: Tensor, background: Tensor) -> Tensor:
        """A third of the scans lose a corner to background, as neutralised rotation wedges do."""
        count, size = len(gray), gray.shape[-1]
        line = torch.linspace(-1, 1, size, device=gray.device)
        angle = self._uniform(count, 0, 2 * math.pi).view(-1, 1, 1, 1)
        depth = self._uniform(count, 0.85, 1.3).view(-1, 1, 1, 1)
        outside = (
            torch.cos(angle) * line.view(1, 1, 1, -1) + torch.sin(angle) * line.view(1, 1, -1, 1)
            > depth
        )
        hit = self._chance(count, self.strength / 3).view(-1, 1, 1, 1)
        return torch.where(outside & hit, background, gray)
