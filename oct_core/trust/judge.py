"""Scans in, judgements out: the runs' answers, the gate's scores and the verdict, in one place for
the command line and the app. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from oct_core.errors import CheckpointError
from oct_core.runs.ensemble import Ensemble, check_names, ensemble_table, mean_prediction
from oct_core.runs.files import read_predictions
from oct_core.runs.predictor import check_loaded
from oct_core.trust.conformal import LEVEL, ConformalSets, fit_table
from oct_core.trust.gate import Gates, read_gates
from oct_core.trust.verdict import VerdictRule, give_verdict
from oct_core.types import GateScores, Judgement, Prediction, PredictionTable, RunCard, Scan

if TYPE_CHECKING:
    from oct_core.runs.weights import LoadedRun


class Judge:
    """Gives the verdict on scans: on the ensemble of the runs and on each alone.

    runs : loaded, or their cards where nothing but ``of`` is asked for. level : of the conformal
    sets, between 0 and 1. Reads each run's predictions.csv and gate once. Raises CheckpointError
    for no run, two of one name or runs of other classes. A gate that cannot be used counts as
    none; ``problems`` says why.
    """

    def __init__(self, runs: Sequence[LoadedRun | RunCard], level: float = LEVEL) -> None:
        if not runs:
            raise CheckpointError("an ensemble needs at least one run, got none")
        self.runs = tuple(runs)
        self.cards = tuple(run if isinstance(run, RunCard) else run.card for run in runs)
        check_names([card.name for card in self.cards])
        self.rule = VerdictRule(level=level)
        self._tables = {card.name: _validation(card) for card in self.cards}
        self.sets = self._fit(self.cards)
        self._own_sets = {card.name: self._fit([card]) for card in self.cards}
        self.gates, _ = sound_gates(self.cards)
        own = {card.name: sound_gates([card]) for card in self.cards}
        self._own_gates = {name: gates for name, (gates, _) in own.items()}
        self.problems = tuple(problem for _, problem in own.values() if problem)

    def _fit(self, cards: Sequence[RunCard]) -> ConformalSets | None:
        tables = {card.name: self._tables.get(card.name) for card in cards}
        found = {name: table for name, table in tables.items() if table is not None}
        if len(found) < len(tables):
            return None
        with suppress(CheckpointError):  # no common scan: runs of different data
            return fit_table(scored_table(cards, found), self.rule.level)
        return None

    def judge(self, scans: Sequence[Scan]) -> list[Judgement]:
        """One Judgement a scan, in order; one pass of each network. Raises CheckpointError if the
        runs are not loaded.
        """
        for run in self.runs:
            check_loaded(run)
        loaded = [run for run in self.runs if not isinstance(run, RunCard)]
        answers = (
            [prediction.members for prediction in Ensemble(tuple(loaded)).predict(scans)]
            if len(loaded) > 1
            else [(prediction,) for prediction in loaded[0].predict(scans)]
        )
        return [self.of(scan, each) for scan, each in zip(scans, answers, strict=True)]

    def of(self, scan: Scan, predictions: Sequence[Prediction]) -> Judgement:
        """The judgement on a scan that was read already: no pass of a network.

        predictions : one a run, in the order of the runs. With several runs the judgement is the
        ensemble's, with one it is that run's.
        """
        from oct_core.scans.likeness import find_objection  # loads scipy, pages need it later

        objection = find_objection(scan)
        members = tuple(
            self._judge(
                prediction,
                _scores(self._own_gates[prediction.run], scan, [prediction]),
                self._own_sets[prediction.run],
                objection,
            )
            for prediction in predictions
        )
        if len(members) == 1:
            return members[0]
        scores = _scores(self.gates, scan, predictions)
        whole = self._judge(mean_prediction(predictions), scores, self.sets, objection)
        return replace(whole, members=members)

    def _judge(
        self,
        prediction: Prediction,
        scores: GateScores | None,
        sets: ConformalSets | None,
        objection: str | None,
    ) -> Judgement:
        verdict = give_verdict(prediction, scores, self.rule, sets, objection)
        return Judgement(prediction, verdict, scores)


def sound_gates(cards: Sequence[RunCard]) -> tuple[Gates | None, str]:
    """What ``read_gates`` gives; of a damaged gate, or without the stored answers that it needs,
    None and the reason.
    """
    try:
        return read_gates(cards), ""
    except CheckpointError as error:
        return None, error.as_note()


def _scores(
    gates: Gates | None, scan: Scan, predictions: Sequence[Prediction]
) -> GateScores | None:
    return None if gates is None else gates.score(scan, predictions)


def scored_table(
    cards: Sequence[RunCard], tables: Mapping[str, PredictionTable]
) -> PredictionTable:
    """What the runs of those cards answered together to the same scans, with the gate's scores:
    what ``verdict_table`` and ``risk_coverage`` take.

    tables : by run name, such as ``read_scored`` gives them; see ``ensemble_table``, which raises
    CheckpointError for those that do not fit each other.
    """
    gates, _ = sound_gates(cards)
    temperatures = {card.name: card.temperature for card in cards}
    return ensemble_table(tables, temperatures, None if gates is None else gates.of_tables)


def _validation(card: RunCard) -> PredictionTable | None:
    """The validation part of a run's stored answers, None if there is none."""
    try:
        table = read_predictions(card.folder).of_split("val")
    except CheckpointError:
        return None
    return table if len(table) else None
