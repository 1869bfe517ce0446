"""The app's samples: seeded phantoms, always called synthetic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oct_core.types import CLASS_TITLES, CLASSES, GrayImage, Mask, Phantom
from oct_core.words import say
from pages.ui.app.services import phantom

# Seeds that no training uses (its phantoms count up from 1,000,000), so that no sample was ever
# seen by a model.
SEED_BASE = 900_000
SAMPLES_PER_CLASS = 3
OUTLINE_COLOUR = (255, 176, 0)


@dataclass(frozen=True)
class Sample:
    """One sample on offer. label : its class. number : 1 for the first of that class."""

    label: str
    number: int

    @property
    def seed(self) -> int:
        """The phantom's seed."""
        return SEED_BASE + 10 * CLASSES.index(self.label) + self.number

    @property
    def title(self) -> str:
        """How it is called with the answer shown."""
        return say("Synthetic {label} {number}", label=self.label, number=self.number)

    @property
    def description(self) -> str:
        """The class in words."""
        return say(CLASS_TITLES[self.label])

    def phantom(self) -> Phantom:
        """The picture with its truth."""
        return phantom(self.label, self.seed)


def all_samples() -> list[Sample]:
    """Every sample, first all first ones."""
    return [
        Sample(label, number) for number in range(1, SAMPLES_PER_CLASS + 1) for label in CLASSES
    ]


def outlined(pixels: GrayImage, mask: Mask, thickness: int = 2) -> GrayImage:
    """The picture in colour, uint8 (H, W, 3), with the border of the mask drawn just outside it."""
    colour = np.repeat(pixels[..., None], 3, axis=2)
    colour[border(mask, thickness)] = OUTLINE_COLOUR
    return colour


def border(mask: Mask, thickness: int = 2) -> Mask:
    """The pixels within ``thickness`` steps outside the mask, bool (H, W)."""
    grown = mask.copy()
    for _ in range(thickness):
        wider = grown.copy()
        wider[1:] |= grown[:-1]
        wider[:-1] |= grown[1:]
        wider[:, 1:] |= grown[:, :-1]
        wider[:, :-1] |= grown[:, 1:]
        grown = wider
    return grown & ~mask
