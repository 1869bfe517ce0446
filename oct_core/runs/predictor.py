"""What answers scans: the one protocol that a run of one network, and whatever asks several, has.

Code that needs answers only (predict, phantoms, galleries, the viewer's first row) takes a
Predictor. No torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from oct_core.errors import CheckpointError
from oct_core.metrics.calibration import softmax
from oct_core.types import Float32Array, Prediction, RunCard, Scan


class Predictor(Protocol):
    """Something that says of each scan which class it shows."""

    @property
    def name(self) -> str:
        """The key: ``Prediction.run``, the column of a CSV."""

    @property
    def title(self) -> str:
        """How a person knows it."""

    @property
    def colour(self) -> str:
        """ "#RRGGBB"; a figure shades it where several runs have it."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes it tells apart, in the order of its probabilities."""

    def predict(self, scans: Sequence[Scan]) -> list[Prediction]:
        """One Prediction a scan, in order; scans may differ in size. Safe under threads."""


def check_loaded(run: object) -> None:
    """Raise CheckpointError for the name, folder or card of a run where the loaded run is
    expected.
    """
    if isinstance(run, str | PathLike | RunCard) or run is None:
        name = run.name if isinstance(run, RunCard) else str(run)
        raise CheckpointError(
            "expected a loaded run, got {kind}; load it first: load_run({name!r})",
            kind=type(run).__name__,
            name=name,
        )


def make_prediction(
    card: RunCard, logits: ArrayLike, features: Float32Array | None = None
) -> Prediction:
    """The Prediction of one scan by the run of that card.

    logits : (classes,), raw; they are divided by the card's temperature before the softmax.
    features : see Prediction.
    """
    row = np.asarray(logits, dtype=np.float32)
    probabilities = softmax(row[None], card.temperature)[0]
    return Prediction(card.name, row, probabilities, card.classes, features)
