"""What one model makes of one scan: one object, from the answer to the maps."""

from __future__ import annotations

from dataclasses import dataclass

from oct_core.figures.pictures import maximum_of
from oct_core.types import Explanation, Prediction, RunCard
from pages.ui.app.services import title_of


@dataclass(frozen=True, eq=False)
class Reading:
    """One model's reading of one scan.

    target : the class that its maps explain. trio : Grad-CAM and guided Grad-CAM at every layer,
    shallow to deep, and guided backpropagation; empty until they are made. extra : one map a
    further method.
    """

    card: RunCard
    prediction: Prediction
    target: str
    trio: tuple[Explanation, ...] = ()
    extra: tuple[Explanation, ...] = ()

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
