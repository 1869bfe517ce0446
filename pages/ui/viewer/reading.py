"""What one model, or the ensemble of several, makes of one scan: one object, from the answer to the
maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oct_core.figures.pictures import maximum_of
from oct_core.models.catalog import ENSEMBLE
from oct_core.types import Explanation, Judgement, Prediction, RunCard
from pages.ui.app.services import title_of


@dataclass(frozen=True, eq=False)
class Reading:
    """One model's or the ensemble's reading of one scan.

    card : of the run, or of the ensemble. judgement : what it says, and what may be made of it.
    target : the class that its maps explain. trio : Grad-CAM and guided Grad-CAM at every layer,
    shallow to deep, and guided backpropagation; empty until they are made, and of the ensemble,
    whose maps are those of its members. extra : one map a further method.
    """

    card: RunCard
    judgement: Judgement
    target: str
    trio: tuple[Explanation, ...] = ()
    extra: tuple[Explanation, ...] = ()

    @property
    def prediction(self) -> Prediction:
        """The class probabilities."""
        return self.judgement.prediction

    @property
    def title(self) -> str:
        """The model's name for people."""
        return title_of(self.card)

    @property
    def maps(self) -> tuple[Explanation, ...]:
        """Every map there is."""
        return self.trio + self.extra

    def of(self, method: str) -> list[Explanation]:
        """The maps of one method, shallow to deep."""
        return [each for each in self.maps if each.method == method]

    @property
    def layers(self) -> list[str]:
        """Layer names, shallow to deep; empty until there are maps."""
        return [each.layer for each in self.trio if each.method == "gradcam"]

    def scale_of(self, explanation: Explanation, one_scale: bool) -> float:
        """The value that gets the last colour: the map's own maximum, or with ``one_scale`` that of
        all maps of its method in this model.
        """
        group = self.of(explanation.method) if one_scale else []
        return max(map(maximum_of, [explanation, *group]))


def models_of(readings: Sequence[Reading]) -> list[Reading]:
    """The readings that have maps: all but the ensemble's."""
    return [reading for reading in readings if reading.card.architecture != ENSEMBLE]
