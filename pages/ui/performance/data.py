"""What the page Performance computes, shared between browser sessions: nothing here comes from an
upload. A ``Source`` says what is measured; results are kept by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oct_core.errors import CheckpointError, OctError
from oct_core.metrics.bands import Band, precision_recall_band, roc_band
from oct_core.metrics.calibration import Reliability, reliability_before_after, softmax
from oct_core.metrics.comparison import Comparison, compare_tables
from oct_core.metrics.decision import DecisionCurve, decision_curve
from oct_core.metrics.intervals import Interval, share_interval
from oct_core.metrics.merging import measurable
from oct_core.metrics.operating_points import (
    ThresholdFigures,
    choose_operating_points,
    detectable,
    detection,
    figures_at_threshold,
)
from oct_core.metrics.summary import Evaluation, evaluate_table
from oct_core.models.catalog import ENSEMBLE, run_title
from oct_core.runs.evaluations import (
    CORRUPTED,
    EXTERNAL,
    corrupted_file,
    corrupted_key,
    data_choices,
    read_scored,
)
from oct_core.runs.files import PREDICTIONS, read_card
from oct_core.scans.corruptions import CORRUPTIONS, SEVERITIES
from oct_core.trust.conformal import LEVEL
from oct_core.trust.gate import FILE as GATE
from oct_core.trust.judge import Judge, scored_table
from oct_core.trust.verdict import (
    RiskCoverage,
    VerdictRule,
    VerdictTable,
    give_verdicts,
    risk_coverage,
    verdict_table,
)
from oct_core.types import FloatArray, PredictionTable, RunCard
from pages.ui.app.cache import cache_data, cache_resource
from pages.ui.app.services import title_of

MAX_STEPS = 400


@dataclass(frozen=True)
class Source:
    """What a predictor answered to one choice of data.

    title : of the predictor. members : (folder, digest, temperature) of each run behind it: one,
    or those of the ensemble. data : the key of a ``DataChoice``.
    """

    title: str
    members: tuple[tuple[str, str, float], ...]
    data: str

    @property
    def temperature(self) -> float:
        """What the logits of ``table_of`` are divided by; an ensemble's are calibrated."""
        return self.members[0][2] if len(self.members) == 1 else 1.0

    @property
    def folders(self) -> list[Path]:
        """The run folders."""
        return [Path(folder) for folder, _, _ in self.members]

    def at(self, data: str) -> Source:
        """The same predictor on another choice of data."""
        return Source(self.title, self.members, data)


def source_of(title: str, cards: Sequence[RunCard], data: str) -> Source:
    """The Source of one run, or of the ensemble of several."""
    members = tuple((str(card.folder), _digest(card), card.temperature) for card in cards)
    return Source(title, members, data)


def ensemble_source(cards: Sequence[RunCard], data: str) -> Source:
    """The Source of the ensemble of those runs."""
    return source_of(run_title(ENSEMBLE), cards, data)


def _digest(card: RunCard) -> str:
    """Changes whenever a file that answers are read from does."""
    files = [card.folder / name for name in (PREDICTIONS, "card.json", GATE)]
    files += [corrupted_file(card.folder), *sorted((card.folder / EXTERNAL).glob("*.*"))]
    stamps = [(path.name, path.stat().st_mtime_ns) for path in files if path.is_file()]
    return hashlib.sha256(repr(stamps).encode()).hexdigest()


def keys_of(cards: Sequence[RunCard]) -> dict[str, str]:
    """Key -> title of every choice of data that one of the runs has, in a fixed order."""
    choices: dict[str, str] = {}
    for card in cards:
        choices |= {choice.key: choice.title for choice in data_choices(card)}
    return choices


@cache_resource(max_entries=64)
def _table(source: Source) -> PredictionTable:
    cards = [read_card(folder) for folder in source.folders]
    tables = {card.name: read_scored(card, source.data) for card in cards}
    return scored_table(cards, tables) if len(cards) > 1 else tables[cards[0].name]


def table_of(source: Source) -> PredictionTable:
    """Its answers, with logits of the classes; raises OctError. Shared: treat it as read-only."""
    return _table(source)


def measured(source: Source) -> tuple[PredictionTable, FloatArray]:
    """Its answers and their calibrated probabilities, between groups of classes where the labels
    are coarser; raises OctError.
    """
    table, temperature = measurable(table_of(source), source.temperature)
    return table, softmax(table.logits, temperature)


@cache_data(max_entries=64)
def evaluation_of(source: Source, temperature: float | None = None) -> Evaluation:
    """All figures with intervals by patient; raises OctError. temperature : another one."""
    used = source.temperature if temperature is None else temperature
    return evaluate_table(table_of(source), source.data, used)


@cache_data(max_entries=32)
def reliability_of(source: Source) -> tuple[Reliability, Reliability]:
    """Before and after the temperature, with intervals by patient; raises OctError. Of an
    ensemble both are the same.
    """
    table, temperature = measurable(table_of(source), source.temperature)
    return reliability_before_after(table.logits, table.label, temperature, patients=table.patient)


def detection_of(source: Source, target: str) -> tuple[NDArray[np.bool_], FloatArray]:
    """Which scans are positive, and their calibrated probability; raises OctError."""
    table, chances = measured(source)
    return detection(target, table.label, chances, table.classes)


@cache_data(max_entries=64)
def bands_of(source: Source, target: str) -> tuple[Band, Band]:
    """The bands of the ROC and of the precision-recall curve of a class; raises OctError."""
    positive, scores = detection_of(source, target)
    patients = measured(source)[0].patient
    return roc_band(positive, scores, patients), precision_recall_band(positive, scores, patients)


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


@cache_data(max_entries=32)
def threshold_of_ensemble(source: Source, target: str) -> float | None:
    """By the rule that each run's card is made by, from the validation part; None without one."""
    try:
        table, chances = measured(source.at("val"))
    except OctError:
        return None
    if target not in detectable(table.classes):
        return None
    points = choose_operating_points(table.label, chances, table.classes)
    return points[target].threshold if target in points else None


@cache_data(max_entries=256)
def figures_of(
    source: Source, target: str, threshold: float, prevalence: float | None
) -> ThresholdFigures:
    """What calling ``target`` from a threshold on gives; raises OctError."""
    positive, scores = detection_of(source, target)
    patients = measured(source)[0].patient
    return figures_at_threshold(positive, scores, threshold, patients, prevalence)


@cache_data(max_entries=64)
def decision_of(source: Source, target: str) -> DecisionCurve:
    """The decision curve with its band by patient; raises OctError."""
    return decision_curve(*detection_of(source, target), patients=measured(source)[0].patient)


@cache_data(max_entries=32)
def comparisons_of(sources: tuple[Source, ...]) -> list[Comparison]:
    """Every pair of two or more predictors, by their titles; raises OctError if they did not score
    the same scans.
    """
    tables = {source.title: table_of(source) for source in sources}
    temperatures = {source.title: source.temperature for source in sources}
    return compare_tables(tables, sources[0].data, temperatures)


def robustness_of(source: Source) -> dict[str, list[Interval]]:
    """Corruption -> accuracy on validation scans as they are and at each grade, with intervals by
    patient; {} of runs without corrupted scans.
    """
    try:
        return _robustness(source.at(CORRUPTED))
    except CheckpointError:
        return {}


@cache_data(max_entries=32)
def _robustness(source: Source) -> dict[str, list[Interval]]:
    corrupted = table_of(source)
    val = table_of(source.at("val"))
    clean = _accuracy(val.take(np.isin(val.sha256, np.unique(corrupted.sha256))))
    return {
        name: [
            clean,
            *(_accuracy(corrupted.of_split(corrupted_key(name, grade))) for grade in SEVERITIES),
        ]
        for name in CORRUPTIONS
    }


def _accuracy(table: PredictionTable) -> Interval:
    right = table.is_right(table.logits.argmax(axis=1))
    return share_interval(right, np.ones(len(table), bool), table.patient)


@cache_data(max_entries=64)
def verdicts_of(source: Source, level: float = LEVEL) -> tuple[VerdictTable, RiskCoverage]:
    """What the rule makes of the scans; raises OctError."""
    judge = Judge([read_card(folder) for folder in source.folders], level)
    tables = {card.name: read_scored(card, source.data) for card in judge.cards}
    table = scored_table(judge.cards, tables)
    verdicts = give_verdicts(table, judge.rule, judge.sets)
    return verdict_table(table, verdicts), risk_coverage(table, verdicts)


def rule_lines(level: float = LEVEL) -> list[str]:
    """The rule in words, a line each."""
    return VerdictRule(level=level).describe()


def detections_of(cards: Sequence[RunCard]) -> dict[str, list[Mapping[str, object]]]:
    """Title of a run -> what its gate noticed, of those whose card says so."""
    found = {title_of(card): (card.raw.get("gate") or {}).get("detection") for card in cards}
    return {title: detection for title, detection in found.items() if detection}
