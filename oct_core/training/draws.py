"""The random numbers of a batch, which one process or several that share the batch draw alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from oct_core.models.device import upload


@dataclass(frozen=True, eq=False)
class Draws:
    """Random numbers for each scan of a batch.

    Several processes that share a batch each draw the numbers of all its scans and keep those of
    their own: so what happens to a scan does not depend on how many processes there are.

    generator : on the device, for what is computed with. host : for what is decided: which scans,
    which shapes; no step waits for the device to learn it. total : scans of the batch.
    own : which of them are this process's.
    """

    generator: Generator
    host: np.random.Generator
    total: int
    own: slice

    @classmethod
    def seeded(cls, seed: int, device: torch.device, total: int = 0) -> Draws:
        """From a seed; of a batch that this process has to itself."""
        return cls(
            Generator(device).manual_seed(seed),
            np.random.default_rng(seed),
            total,
            slice(0, total),
        )

    def over(self, total: int, own: slice) -> Draws:
        """The same generators, for another batch."""
        return Draws(self.generator, self.host, total, own)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """float32 (own scans, *shape), from low to high."""
        drawn = torch.empty((self.total, *shape), device=self.generator.device)
        return drawn.uniform_(low, high, generator=self.generator)[self.own]

    def normal(self, *shape: int) -> Tensor:
        """float32 (own scans, *shape), of mean 0 and standard deviation 1."""
        device = self.generator.device
        drawn = torch.randn((self.total, *shape), device=device, generator=self.generator)
        return drawn[self.own]

    def once(self, low: float, high: float) -> float:
        """One number for the batch."""
        return float(self.host.uniform(low, high))

    def choose(self, probability: float) -> NDArray[np.bool_]:
        """Which scans of the whole batch are chosen, each by itself, bool (total,)."""
        return self.host.random(self.total) < probability

    def rows(self, chosen: NDArray[np.bool_]) -> Tensor:
        """The chosen ones among the own scans: int64 rows on the device."""
        return upload(np.flatnonzero(chosen[self.own]), self.generator.device)

    def among(self, chosen: NDArray[np.bool_]) -> Draws:
        """Numbers for the chosen scans only.

        They have a generator of their own: a process without such a scan need not draw.
        """
        seed = int(self.host.integers(2**62))
        before = int(chosen[: self.own.start].sum())
        own = slice(before, before + int(chosen[self.own].sum()))
        generator = Generator(self.generator.device).manual_seed(seed)
        return Draws(generator, np.random.default_rng(seed), int(chosen.sum()), own)


class BatchDropout(nn.Module):
    """Dropout whose choices come from the draws of the batch, set before each step.

    PyTorch's own draws by position in the batch that a process sees: two processes would drop
    other values than one.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability
        self.draws: Draws | None = None

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # a generator is no part of a graph
    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) -> the same; as it is outside of training."""
        if not self.training or self.draws is None:
            return x
        stays = self.draws.uniform(0, 1, *x.shape[1:]) >= self.probability
        return x * stays / (1 - self.probability)


def take_over_dropout(model: nn.Module) -> list[BatchDropout]:
    """Put a BatchDropout in the place of each dropout of the model; returns them."""
    placed = []
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Dropout):
            parent, _, own = name.rpartition(".")
            placed.append(BatchDropout(module.p))
            setattr(model.get_submodule(parent), own, placed[-1])
    return placed
