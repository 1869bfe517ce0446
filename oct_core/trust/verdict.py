"""The one rule that says what may be made of a prediction: answer, caution, or no answer.

It is small enough to be printed in full (``VerdictRule.describe``), and it asks, worst first: is
the scan a B-scan, as it was recorded, like what the models know (the gate); do the models agree;
is one class possible (the conformal set); and is its calibrated probability high enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oct_core.metrics.calibration import softmax
from oct_core.metrics.intervals import Interval, share_interval
from oct_core.reasons import reason_words, reasons_words, verdict_words
from oct_core.trust.conformal import LEVEL, ConformalSets
from oct_core.trust.gate import COLOURED, FALSE_ALARMS
from oct_core.types import (
    QUESTIONS,
    VERDICTS,
    FloatArray,
    GateScores,
    IntArray,
    Mask,
    Prediction,
    PredictionTable,
    Reason,
    Verdict,
)
from oct_core.words import say

__all__ = [
    "NORMAL",
    "ClassVerdicts",
    "RiskCoverage",
    "VerdictRule",
    "VerdictTable",
    "give_verdict",
    "give_verdicts",
    "reason_words",
    "reasons_words",
    "risk_coverage",
    "verdict_table",
    "verdict_words",
]
NORMAL = "NORMAL"


@dataclass(frozen=True)
class VerdictRule:
    """The constants of the rule; ``benchmarks/verdict.py --choose`` tries others on stored scores.
    On the gate's scale 0 is the median validation scan, and at most 2 % of these are above 1.

    level : of the conformal sets. caution, refer : the scores of bscan, upright and familiar above
    which there is caution (of familiar: a higher probability is asked for), and no answer.
    least_probability, least_unfamiliar : of an ordinary and of an unfamiliar scan.
    unfamiliar_normal : the score of familiar from which on a scan called NORMAL counts as
    unfamiliar, since a missed disease costs more than a false alarm.
    """

    level: float = LEVEL
    caution: tuple[float, float, float] = (1.1, 2.0, 1.0)
    refer: tuple[float, float, float] = (1.4, 2.4, 2.0)
    least_probability: float = 0.97
    least_unfamiliar: float = 0.995
    unfamiliar_normal: float = 0.2

    def describe(self) -> list[str]:
        """The whole rule, a line each, in the language of the moment; plain text."""
        scores = dict(zip(QUESTIONS, zip(self.caution, self.refer, strict=True), strict=True))
        limits = {
            f"{name}_{question}": f"{value:g}"
            for question, pair in scores.items()
            for name, value in zip(("caution", "refer"), pair, strict=True)
        }
        return [
            say(
                "No answer, if by the gate's scores the scan is no B-scan (above {refer_bscan}), "
                "not as it was recorded (above {refer_upright}) or unlike the scans that the "
                "models know (above {refer_familiar}). 0 is the median validation scan, and at "
                "most {alarms:.0%} of these are above 1.",
                alarms=FALSE_ALARMS,
                **limits,
            ),
            say(
                "A picture with more than {share:.0%} coloured pixels, and a scan that most of the "
                "models rather take for a turned one than for anything else, are not as recorded.",
                share=COLOURED,
            ),
            say(
                "Caution, if it may be no B-scan (above {caution_bscan}, or by its layout) or not "
                "as recorded (above {caution_upright}).",
                **limits,
            ),
            say(
                "Caution, if there is no gate that can be used; then a picture whose layout speaks "
                "against a B-scan has no answer."
            ),
            say("Caution, if the models do not all predict the same class."),
            say(
                "Caution, if more than one class is possible: the sets of possible classes miss "
                "the right one in {level:.0%} of the scans of each class. Caution as well, if "
                "there are no validation scans to make the sets from.",
                level=self.level,
            ),
            say(
                "Caution, if the calibrated probability is below {least:.1%}; below "
                "{unfamiliar:.1%} for an unfamiliar scan (above {caution_familiar}; above "
                "{normal:g} where the answer is NORMAL, since a missed disease costs more).",
                least=self.least_probability,
                unfamiliar=self.least_unfamiliar,
                normal=self.unfamiliar_normal,
                **limits,
            ),
            say("Of one model alone half as much may be missing from 100%."),
            say("Else the answer is the class with the highest probability."),
        ]

    def least_for(self, label: str, familiar: float, alone: bool = False) -> float:
        """The least calibrated probability of an answer of that class, 0 to 1, for a scan with that
        score of familiar.

        alone : of one model, which no other confirms: half as much may be missing from 1.
        """
        usual = self.unfamiliar_normal if label == NORMAL else self.caution[2]
        least = self.least_probability if familiar <= usual else self.least_unfamiliar
        return 1 - (1 - least) / 2 if alone else least


def give_verdict(
    prediction: Prediction,
    scores: GateScores | None,
    rule: VerdictRule,
    sets: ConformalSets | None,
    objection: str | None = None,
) -> Verdict:
    """What may be made of one prediction.

    prediction : of one run, or of an ensemble with its members. scores : the gate's, None where no
    gate has been fitted. sets : fitted on validation scans of the same runs, None where there are
    none. Without either the verdict is caution at best. objection : what speaks against a B-scan in
    words (``scans.likeness.find_objection``).
    """
    possible = prediction.classes if sets is None else sets.of(prediction.probabilities)
    reasons = [
        *_of_gate(scores, rule, objection),
        *_of_votes(prediction),
        *([("caution", Reason("no sets"))] if sets is None else _of_set(possible)),
        *_of_probability(prediction, scores, rule),
    ]
    kind = max((kind for kind, _ in reasons), key=VERDICTS.index, default="answer")
    worst_first = sorted(reasons, key=lambda each: -VERDICTS.index(each[0]))
    return Verdict(
        kind,
        prediction.predicted,
        prediction.confidence,
        tuple(reason for _, reason in worst_first),
        possible,
    )


Weighed = tuple[str, Reason]
"""The kind that a reason leads to, and the reason."""


def _of_gate(scores: GateScores | None, rule: VerdictRule, objection: str | None) -> list[Weighed]:
    words = [] if objection is None else [Reason("objection", (("words", objection),))]
    if scores is None or not all(math.isfinite(getattr(scores, name)) for name in QUESTIONS):
        return [*(("refer", reason) for reason in words), ("caution", Reason("no gate"))]
    reasons = []
    for question, caution, refer in zip(QUESTIONS, rule.caution, rule.refer, strict=True):
        score = getattr(scores, question)
        key = scores.change if question == "upright" and scores.change else question
        reason = words.pop() if question == "bscan" and words else Reason(key)
        if score > refer:
            reasons.append(("refer", reason))
        # What is only unfamiliar asks for a higher probability.
        elif (score > caution and question != "familiar") or reason.key == "objection":
            reasons.append(("caution", reason))
    return reasons


def _of_votes(prediction: Prediction) -> list[Weighed]:
    runs_by_label: dict[str, list[str]] = {}
    for member in prediction.members:
        runs_by_label.setdefault(member.predicted, []).append(member.run)
    if len(runs_by_label) < 2:
        return []
    votes = sorted(runs_by_label.items(), key=lambda item: -len(item[1]))
    return [
        ("caution", Reason("disagree", tuple((label, "/".join(runs)) for label, runs in votes)))
    ]


def _of_set(possible: Sequence[str]) -> list[Weighed]:
    if len(possible) == 2:
        names = zip(("first", "second"), possible, strict=True)
        return [("caution", Reason("two", tuple(names)))]
    if len(possible) > 2:
        return [("caution", Reason("several", (("labels", ", ".join(possible)),)))]
    return []


def _of_probability(
    prediction: Prediction, scores: GateScores | None, rule: VerdictRule
) -> list[Weighed]:
    familiar = 0.0 if scores is None else scores.familiar
    if familiar > rule.refer[2]:
        familiar = 0.0  # the gate says so already
    alone = not prediction.members
    least = rule.least_for(prediction.predicted, familiar, alone)
    if prediction.confidence >= least:
        return []
    usual = rule.least_for(prediction.predicted, 0.0, alone)
    key = "probability" if prediction.confidence < usual else "unfamiliar"
    values = (("probability", prediction.confidence), ("least", least))
    return [("caution", Reason(key, values))]


def give_verdicts(
    table: PredictionTable, rule: VerdictRule, sets: ConformalSets | None
) -> list[Verdict]:
    """One verdict a row of a table of calibrated answers (temperature 1), as ``ensemble_table``
    makes it.
    """
    mixtures = {run: softmax(member.logits) for run, member in table.members.items()}
    whole = softmax(table.logits)
    verdicts = []
    for row in range(len(table)):
        members = tuple(
            Prediction(run, member.logits[row], mixtures[run][row], member.classes)
            for run, member in table.members.items()
        )
        prediction = Prediction("", table.logits[row], whole[row], table.classes, members=members)
        scores = None if table.gate is None else _scores(table.gate[row])
        verdicts.append(give_verdict(prediction, scores, rule, sets))
    return verdicts


def _scores(row: FloatArray) -> GateScores:
    bscan, upright, familiar = map(float, row)
    return GateScores(bscan, upright, familiar)


@dataclass(frozen=True)
class ClassVerdicts:
    """What became of the scans of one class: scans, and of them answer, caution, refer, and wrong
    among the answered.
    """

    n: int
    answer: int
    caution: int
    refer: int
    wrong: int


@dataclass(frozen=True)
class VerdictTable:
    """What the rule makes of labelled scans; shares are 0 to 1 with intervals by patient.

    counts, shares : by kind. wrong : how many answers are wrong. risk : their share of the answers.
    missed : how many scans of a disease were answered NORMAL. missed_share : their share of the
    scans of a disease. by_class : by true class, or by the set's own label where that stands for
    several; those that occur.
    """

    n_scans: int
    n_patients: int
    counts: dict[str, int]
    shares: dict[str, Interval]
    wrong: int
    risk: Interval
    missed: int
    missed_share: Interval
    by_class: dict[str, ClassVerdicts]


def verdict_table(
    table: PredictionTable, verdicts: Sequence[Verdict], resamples: int = 2000, seed: int = 0
) -> VerdictTable:
    """Answered, cautioned and referred, and wrong among the answered.

    table : with labels, at least one row. verdicts : one a row, of ``give_verdicts``.
    """
    kinds = np.array([verdict.kind for verdict in verdicts])
    called = _called(table, verdicts)
    wrong, normal = ~table.is_right(called), table.classes.index(NORMAL)
    everyone, answered = np.ones(len(table), dtype=bool), kinds == "answer"
    ill = ~table.is_right(np.full(len(table), normal))
    missed = answered & ill & (called == normal)
    names = _label_names(table)

    def share(hits: Mask, among: Mask) -> Interval:
        return share_interval(hits, among, table.patient, resamples, seed)

    return VerdictTable(
        n_scans=len(table),
        n_patients=len(np.unique(table.patient)),
        counts={kind: int((kinds == kind).sum()) for kind in VERDICTS},
        shares={kind: share(kinds == kind, everyone) for kind in VERDICTS},
        wrong=int((answered & wrong).sum()),
        risk=share(wrong, answered),
        missed=int(missed.sum()),
        missed_share=share(missed, ill),
        by_class={
            name: _of_class(kinds[names == name], wrong[names == name])
            for name in sorted(set(names.tolist()), key=_class_rank(table.classes))
        },
    )


def _called(table: PredictionTable, verdicts: Sequence[Verdict]) -> IntArray:
    return np.array([table.classes.index(verdict.label) for verdict in verdicts], dtype=np.int64)


def _label_names(table: PredictionTable) -> NDArray[np.str_]:
    """The class of each scan, or its label as the source has it where that stands for several."""
    given = table.given if table.given is not None else np.full(len(table), "")
    return np.where(table.label < 0, given, np.array(table.classes)[table.label])


def _class_rank(classes: Sequence[str]) -> Callable[[str], tuple[int, str]]:
    return lambda name: (classes.index(name) if name in classes else len(classes), name)


def _of_class(kinds: NDArray[np.str_], wrong: Mask) -> ClassVerdicts:
    counts = {kind: int((kinds == kind).sum()) for kind in VERDICTS}
    return ClassVerdicts(n=len(kinds), wrong=int((wrong & (kinds == "answer")).sum()), **counts)


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Wrong among the most trusted share of scans, over that share.

    coverage : (N,), 1/N to 1. risk : (N,), 0 to 1. area : under the curve, the mean risk (AURC,
    Geifman, Uziel & El-Yaniv 2019). answered, answered_risk : where the rule's answers end; NaN
    risk without an answer.
    """

    coverage: FloatArray
    risk: FloatArray
    area: float
    answered: float
    answered_risk: float


def risk_coverage(table: PredictionTable, verdicts: Sequence[Verdict]) -> RiskCoverage:
    """The curve in the rule's order: answers first, then cautions, then the rest, each by falling
    probability; equal ones share a step.

    table : with labels, at least one row. verdicts : one a row, of ``give_verdicts``.
    """
    kinds = np.array([VERDICTS.index(verdict.kind) for verdict in verdicts])
    chances = np.array([verdict.probability for verdict in verdicts])
    wrong = (~table.is_right(_called(table, verdicts))).astype(np.float64)
    order = np.lexsort((-chances, kinds))
    keys = np.stack([kinds, -chances])[:, order]
    _, step = np.unique(keys, axis=1, return_inverse=True)
    step = step.ravel()
    means = np.bincount(step, wrong[order]) / np.bincount(step)
    counts = np.arange(1, len(table) + 1)
    risk = np.cumsum(means[step]) / counts
    answered = int((kinds == 0).sum())
    return RiskCoverage(
        counts / len(table),
        risk,
        float(risk.mean()),
        answered / len(table),
        float(risk[answered - 1]) if answered else float("nan"),
    )
