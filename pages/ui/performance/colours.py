"""One colour a predictor, the same in every chart of the page."""

from __future__ import annotations

from collections.abc import Sequence

from oct_core.figures.colours import run_colours
from oct_core.models.catalog import ENSEMBLE
from oct_core.runs.files import read_card
from pages.ui.performance.data import Source


def source_colours(sources: Sequence[Source]) -> dict[str, str]:
    """Title -> "#RRGGBB"."""
    return run_colours({source.title: _architecture(source) for source in sources})


def _architecture(source: Source) -> str:
    return ENSEMBLE if len(source.members) > 1 else read_card(source.folders[0]).architecture
