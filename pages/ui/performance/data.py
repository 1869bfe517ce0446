"""What the tabs of the page Performance compute beside the evaluation, shared between browser
sessions: nothing here comes from an upload.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oct_core.metrics.calibration import Reliability, reliability_before_after, softmax
from oct_core.metrics.comparison import Comparison, compare_tables
from oct_core.metrics.decision import DecisionCurve, decision_curve
from oct_core.metrics.operating_points import ThresholdFigures, detection, figures_at_threshold
from oct_core.types import FloatArray, PredictionTable, RunCard
from pages.ui.app.cache import cache_data
from pages.ui.shared.run_data import predictions_digest

Key = tuple[str, str, float]
"""Folder of a run, digest of its predictions, temperature."""
MAX_STEPS = 400


def _key(card: RunCard) -> Key:
    return str(card.folder), predictions_digest(card), card.temperature


def _part(key: Key, split: str) -> PredictionTable:
    from oct_core.runs.files import read_predictions

    return read_predictions(Path(key[0])).of_split(split)


def _detection(key: Key, split: str, target: str) -> tuple[NDArray[np.bool_], FloatArray]:
    rows = _part(key, split)
    return detection(target, rows.label, softmax(rows.logits, key[2]), rows.classes)


def reliability_of(card: RunCard, split: str) -> tuple[Reliability, Reliability]:
    """Before and after the temperature, with intervals by patient; raises OctError."""
    return _reliability(_key(card), split)


@cache_data(max_entries=32)
def _reliability(key: Key, split: str) -> tuple[Reliability, Reliability]:
    rows = _part(key, split)
    return reliability_before_after(rows.logits, rows.label, key[2], patients=rows.patient)


def detection_of(card: RunCard, split: str, target: str) -> tuple[NDArray[np.bool_], FloatArray]:
    """Which scans are positive, and their calibrated probability; raises OctError."""
    return _detection(_key(card), split, target)


def thresholds_of(scores: FloatArray, also: float | None) -> list[float]:
    """Thresholds that each call other scans, rising: half way between neighbouring scores, 0 and 1,
    about MAX_STEPS at most; and ``also``, that of the run card.
    """
    distinct = np.unique(scores)
    if len(distinct) > MAX_STEPS:
        distinct = np.unique(np.quantile(distinct, np.linspace(0, 1, MAX_STEPS)))
    middles = (distinct[1:] + distinct[:-1]) / 2
    steps = np.unique(np.r_[0.0, middles, 1.0, [] if also is None else also])
    return [float(step) for step in steps]


def figures_of(
    card: RunCard, split: str, target: str, threshold: float, prevalence: float | None
) -> ThresholdFigures:
    """What calling ``target`` from a threshold on gives; raises OctError."""
    return _figures(_key(card), split, target, threshold, prevalence)


@cache_data(max_entries=256)
def _figures(
    key: Key, split: str, target: str, threshold: float, prevalence: float | None
) -> ThresholdFigures:
    positive, scores = _detection(key, split, target)
    return figures_at_threshold(positive, scores, threshold, _part(key, split).patient, prevalence)


def decision_of(card: RunCard, split: str, target: str) -> DecisionCurve:
    """The decision curve with its band by patient; raises OctError."""
    return _decision(_key(card), split, target)


@cache_data(max_entries=64)
def _decision(key: Key, split: str, target: str) -> DecisionCurve:
    return decision_curve(*_detection(key, split, target), patients=_part(key, split).patient)


def comparisons_of(cards: Mapping[str, RunCard], split: str) -> list[Comparison]:
    """Every pair of two or more runs, by their titles; raises OctError if they did not score the
    same scans.
    """
    return _comparisons(tuple((title, _key(card)) for title, card in cards.items()), split)


@cache_data(max_entries=32)
def _comparisons(keys: tuple[tuple[str, Key], ...], split: str) -> list[Comparison]:
    tables = {title: _part(key, split) for title, key in keys}
    return compare_tables(tables, split, {title: key[2] for title, key in keys})
