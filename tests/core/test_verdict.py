"""The rule: each reason alone, their order, the table and the curve against literal twins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import auc as sklearn_area

from oct_core.metrics.calibration import softmax
from oct_core.reasons import REASONS, reason_words, verdict_lines, verdict_words
from oct_core.runs.ensemble import ensemble_table, mean_prediction
from oct_core.trust.conformal import ConformalSets, fit_table
from oct_core.trust.verdict import (
    VerdictRule,
    give_verdict,
    give_verdicts,
    risk_coverage,
    verdict_table,
)
from oct_core.types import (
    CLASSES,
    QUESTIONS,
    VERDICTS,
    GateScores,
    Prediction,
    PredictionTable,
    Reason,
    Verdict,
)

RULE = VerdictRule(
    caution=(1.0, 1.2, 1.0),
    refer=(1.5, 2.0, 4.0),
    least_probability=0.9,
    least_unfamiliar=0.95,
    unfamiliar_normal=0.9,
)
FINE = GateScores(0.3, 0.4, 0.8)
ONE_CLASS = ConformalSets(0.05, CLASSES, np.full(4, 0.5), ())


def prediction(run: str, *chances: float, members: Sequence[Prediction] = ()) -> Prediction:
    values = np.array(chances)
    return Prediction(run, np.log(values).astype(np.float32), values, members=tuple(members))


SURE = prediction("vgg16", 0.985, 0.005, 0.005, 0.005)


@pytest.mark.parametrize(
    ("scores", "kind", "expected"),
    [
        (None, "refer", ["objection", "no gate"]),
        (FINE, "caution", ["objection"]),
        (replace(FINE, bscan=1.2), "caution", ["objection"]),
        (replace(FINE, bscan=9.0), "refer", ["objection"]),
        (replace(FINE, upright=9.0), "refer", ["upright", "objection"]),
    ],
)
def test_what_speaks_against_a_bscan_is_said_in_its_own_words(
    scores: GateScores | None, kind: str, expected: list[str]
) -> None:
    verdict = give_verdict(SURE, scores, RULE, ONE_CLASS, "it is in colour")
    assert verdict.kind == kind and keys(verdict) == expected
    assert "it does not look like a retinal B-scan: it is in colour" in verdict_words(verdict)


def confirmed(*chances: float) -> Prediction:
    """What two models say that agree to the last digit."""
    return mean_prediction([prediction("vgg16", *chances), prediction("resnet50", *chances)])


def keys(verdict: Verdict) -> list[str]:
    return [reason.key for reason in verdict.reasons]


def test_a_sure_answer_to_an_ordinary_scan_is_an_answer_without_reasons() -> None:
    verdict = give_verdict(SURE, FINE, RULE, ONE_CLASS)
    assert (verdict.kind, verdict.label, verdict.reasons) == ("answer", "CNV", ())
    assert verdict.prediction_set == ("CNV",) and verdict.probability == pytest.approx(0.985)
    assert verdict_words(verdict) == "Answer: CNV, 98.5%."


@pytest.mark.parametrize(
    ("scores", "kind", "key"),
    [
        (replace(FINE, bscan=1.0), "answer", ""),
        (replace(FINE, bscan=1.01), "caution", "bscan"),
        (replace(FINE, bscan=1.51), "refer", "bscan"),
        (replace(FINE, upright=1.2), "answer", ""),
        (replace(FINE, upright=1.21), "caution", "upright"),
        (replace(FINE, upright=2.1), "refer", "upright"),
        (replace(FINE, upright=2.1, change="upside down"), "refer", "upside down"),
        (replace(FINE, familiar=3.9), "answer", ""),
        (replace(FINE, familiar=4.1), "refer", "familiar"),
        (None, "caution", "no gate"),
    ],
)
def test_each_question_of_the_gate(scores: GateScores | None, kind: str, key: str) -> None:
    verdict = give_verdict(SURE, scores, RULE, ONE_CLASS)
    assert verdict.kind == kind and keys(verdict) == ([key] if key else [])


@pytest.mark.parametrize(
    ("chances", "familiar", "kind", "key"),
    [
        ((0.901, 0.033, 0.033, 0.033), 1.0, "answer", ""),
        ((0.899, 0.034, 0.034, 0.033), 1.0, "caution", "probability"),
        ((0.94, 0.02, 0.02, 0.02), 1.1, "caution", "unfamiliar"),
        ((0.951, 0.017, 0.016, 0.016), 1.1, "answer", ""),
        ((0.02, 0.02, 0.02, 0.94), 0.9, "answer", ""),
        ((0.02, 0.02, 0.02, 0.94), 0.95, "caution", "unfamiliar"),
        ((0.01, 0.01, 0.01, 0.97), 0.95, "answer", ""),
        ((0.6, 0.2, 0.1, 0.1), 1.1, "caution", "probability"),
    ],
)
def test_an_unfamiliar_scan_needs_a_higher_probability_and_normal_is_so_sooner(
    chances: tuple[float, ...], familiar: float, kind: str, key: str
) -> None:
    scores = replace(FINE, familiar=familiar)
    verdict = give_verdict(confirmed(*chances), scores, RULE, ONE_CLASS)
    assert verdict.kind == kind and keys(verdict) == ([key] if key else [])
    if key:
        [reason] = verdict.reasons
        assert f"{max(chances):.1%}" in reason_words(reason)


@pytest.mark.parametrize(
    ("top", "familiar", "kind", "least"),
    [
        (0.949, 1.0, "caution", "95.0%"),
        (0.951, 1.0, "answer", ""),
        (0.974, 1.1, "caution", "97.5%"),
        (0.976, 1.1, "answer", ""),
    ],
)
def test_of_one_model_alone_half_as_much_may_be_missing(
    top: float, familiar: float, kind: str, least: str
) -> None:
    rest = (1 - top) / 3
    alone = prediction("vgg16", top, rest, rest, rest)
    verdict = give_verdict(alone, replace(FINE, familiar=familiar), RULE, ONE_CLASS)
    assert verdict.kind == kind
    assert [least in reason_words(reason) for reason in verdict.reasons] == [True] * bool(least)


def test_models_that_disagree_are_named_with_what_they_say_most_votes_first() -> None:
    members = [
        prediction("vgg16", 0.02, 0.94, 0.02, 0.02),
        prediction("resnet50", 0.96, 0.02, 0.01, 0.01),
        prediction("mine", 0.96, 0.02, 0.01, 0.01),
    ]
    verdict = give_verdict(mean_prediction(members), FINE, RULE, ONE_CLASS)
    assert verdict.kind == "caution" and keys(verdict) == ["disagree", "probability"]
    assert verdict_lines(verdict) == [
        "Caution: CNV, 64.7%",
        "The models disagree: ResNet50, mine say CNV; VGG16 says DME",
        "The probability is only 64.7%, below 90.0%",
    ]
    same = mean_prediction([members[1], members[2]])
    assert give_verdict(same, FINE, RULE, ONE_CLASS).kind == "answer"


@pytest.mark.parametrize(
    ("least", "kind", "words"),
    [
        ((0.5, 0.5, 0.5, 0.5), "answer", ""),
        ((0.5, 0.02, 0.5, 0.5), "caution", "CNV and DME are both possible"),
        ((0.5, 0.02, 0, 0), "caution", "CNV, DME, DRUSEN, NORMAL are all possible"),
        ((0.99, 0.9, 0.9, 0.9), "answer", ""),  # an empty set holds the most likely class
    ],
)
def test_more_than_one_possible_class_is_caution(
    least: tuple[float, ...], kind: str, words: str
) -> None:
    sets = ConformalSets(0.05, CLASSES, np.array(least), ())
    verdict = give_verdict(prediction("vgg16", 0.95, 0.03, 0.01, 0.01), FINE, RULE, sets)
    assert verdict.kind == kind and "; ".join(map(reason_words, verdict.reasons)) == words
    assert "CNV" in verdict.prediction_set


def test_without_validation_scans_there_is_caution_and_every_class_is_possible() -> None:
    verdict = give_verdict(SURE, FINE, RULE, None)
    assert verdict.kind == "caution" and keys(verdict) == ["no sets"]
    assert verdict.prediction_set == CLASSES


def test_reasons_for_no_answer_come_before_reasons_for_caution() -> None:
    members = [SURE, prediction("resnet50", 0.1, 0.8, 0.05, 0.05)]
    scores = GateScores(1.2, 5.0, 9.0, "upside down")
    verdict = give_verdict(mean_prediction(members), scores, RULE, None)
    assert verdict.kind == "refer"
    assert keys(verdict) == [
        "upside down",
        "familiar",
        "bscan",
        "disagree",
        "no sets",
        "probability",
    ]
    assert verdict_words(verdict).startswith(
        "No answer: show it to a person, because it looks upside down: turn it; it is unlike"
    )


def test_every_reason_has_words_without_capital_and_full_stop() -> None:
    values = {
        "objection": (("words", "it is in colour"),),
        "two": (("first", "CNV"), ("second", "DME")),
        "several": (("labels", "CNV, DME, DRUSEN"),),
        "probability": (("probability", 0.5), ("least", 0.9)),
        "unfamiliar": (("probability", 0.5), ("least", 0.9)),
        "disagree": (("CNV", "vgg16"), ("DME", "resnet50")),
    }
    for key in REASONS:
        words = reason_words(Reason(key, values.get(key, ())))
        assert words and not words.endswith(".") and "{" not in words
        assert words[0].islower() or words.startswith("CNV")


@pytest.mark.parametrize("place", range(3))
def test_a_score_that_is_no_number_counts_as_no_gate(place: int) -> None:
    scores = [0.0, 0.0, 0.0]
    scores[place] = float("nan")
    found = give_verdict(SURE, GateScores(*scores), RULE, ONE_CLASS)
    assert found.kind == "caution" and keys(found) == ["no gate"]


def test_the_rule_is_printed_in_full() -> None:
    """Every constant stands in it, and a rule with another constant reads otherwise."""
    lines = VerdictRule().describe()
    assert 4 <= len(lines) <= 10
    for change in (
        {"level": 0.1},
        {"caution": (1.2, 1.1, 1.0)},
        {"caution": (1.1, 1.2, 1.0)},
        {"caution": (1.1, 1.1, 1.2)},
        {"refer": (9.0, 1.4, 2.0)},
        {"refer": (1.4, 9.0, 2.0)},
        {"refer": (1.4, 1.4, 9.0)},
        {"least_probability": 0.5},
        {"least_unfamiliar": 0.6},
        {"unfamiliar_normal": 0.7},
    ):
        assert VerdictRule(**change).describe() != lines, change


def study(n: int = 120, signal: float = 4.0) -> tuple[PredictionTable, ConformalSets]:
    """Answers of an ensemble of two runs to scans of n / 3 patients, gates included."""
    generator = np.random.default_rng(0)
    names = np.array([str(k) for k in range(n)])
    label = generator.integers(0, 4, n)
    tables = {
        run: PredictionTable(
            np.full(n, "val"),
            names,
            names,
            np.array([str(k // 3) for k in range(n)]),
            label,
            (generator.normal(size=(n, 4)) + signal * np.eye(4)[label]).astype(np.float32),
            gate=np.abs(generator.normal(size=(n, 3))),
        )
        for run in ("vgg16", "resnet50")
    }
    ones = dict.fromkeys(tables, 1.0)
    table = ensemble_table(tables, ones, lambda members: (members[0].gate + members[1].gate) / 1.5)
    return table, fit_table(table)


def test_a_table_has_the_verdicts_that_its_scans_have_one_by_one() -> None:
    table, sets = study()
    for row, verdict in enumerate(give_verdicts(table, RULE, sets)):
        alone = [
            prediction(run, *softmax(member.logits[row].astype(np.float64)))
            for run, member in table.members.items()
        ]
        scores = GateScores(*(float(value) for value in table.gate[row]))
        literal = give_verdict(mean_prediction(alone), scores, RULE, sets)
        assert (verdict.kind, verdict.label, keys(verdict)) == (
            literal.kind,
            literal.label,
            keys(literal),
        )
        assert verdict.probability == pytest.approx(literal.probability, abs=1e-5)
    assert {verdict.kind for verdict in give_verdicts(table, RULE, sets)} == set(VERDICTS)


def test_the_table_of_verdicts_counts_scan_by_scan() -> None:
    table, _ = study(signal=1.5)
    rule = replace(RULE, least_probability=0.5, caution=(9.0, 9.0, 9.0), refer=(9.0, 9.0, 1.5))
    found = verdict_table(table, give_verdicts(table, rule, None), resamples=200)
    assert found.counts["answer"] == 0 and np.isnan(found.risk.value) and found.wrong == 0
    free = ConformalSets(0.05, CLASSES, np.full(4, 0.6), ())
    verdicts = give_verdicts(table, rule, free)
    found = verdict_table(table, verdicts, resamples=200)
    counts = dict.fromkeys(VERDICTS, 0)
    wrong = missed = ill = 0
    by_class = {
        name: dict.fromkeys(("n", "answer", "caution", "refer", "wrong"), 0) for name in CLASSES
    }
    for verdict, label in zip(verdicts, table.label, strict=True):
        truth = CLASSES[label]
        counts[verdict.kind] += 1
        by_class[truth]["n"] += 1
        by_class[truth][verdict.kind] += 1
        ill += truth != "NORMAL"
        if verdict.kind == "answer" and verdict.label != truth:
            wrong += 1
            by_class[truth]["wrong"] += 1
            missed += verdict.label == "NORMAL"
    assert wrong and missed, "the study has to have errors"
    assert (found.counts, found.wrong, found.missed) == (counts, wrong, missed)
    assert {name: vars(cell) for name, cell in found.by_class.items()} == by_class
    assert found.risk.value == pytest.approx(wrong / counts["answer"])
    assert found.missed_share.value == pytest.approx(missed / ill)
    assert found.shares["answer"].value == pytest.approx(counts["answer"] / len(table))
    assert (found.n_scans, found.n_patients) == (120, 40)
    for interval in (found.risk, found.missed_share, *found.shares.values()):
        assert interval.low <= interval.value <= interval.high


def test_coarse_labels_are_right_where_one_of_their_classes_is_answered() -> None:
    table, _ = study(6)
    sure = (8 * np.eye(4)[[0, 2, 1, 3, 3, 0]]).astype(np.float32)
    member = replace(
        table.members["vgg16"],
        logits=sure,
        label=np.array([-1, -1, -1, -1, 3, 0]),
        truth=np.array([[1, 0, 1, 0]] * 4 + [[0, 0, 0, 1], [1, 0, 0, 0]], dtype=bool),
        given=np.array(["AMD"] * 4 + ["NORMAL", "CNV"]),
        gate=np.zeros((6, 3)),
    )
    whole = ensemble_table({"vgg16": member}, {"vgg16": 1.0})
    found = verdict_table(whole, give_verdicts(whole, RULE, ONE_CLASS), 100)
    assert found.counts["answer"] == 6 and (found.wrong, found.missed) == (2, 1)
    assert list(found.by_class) == ["CNV", "NORMAL", "AMD"]
    assert (found.by_class["AMD"].n, found.by_class["AMD"].wrong) == (4, 2)


def literal_curve(
    order: Sequence[tuple[int, float]], wrong: Sequence[bool]
) -> tuple[list[float], list[float]]:
    """Coverage and risk, scan by scan; equal ones share their errors evenly."""
    ranked = sorted(range(len(order)), key=lambda row: order[row])
    errors, risks = 0.0, []
    for count, row in enumerate(ranked, start=1):
        equals = [other for other in ranked if order[other] == order[row]]
        errors += sum(wrong[other] for other in equals) / len(equals)
        risks.append(errors / count)
    return [count / len(order) for count in range(1, len(order) + 1)], risks


def test_the_curve_of_risk_over_coverage_against_its_literal_twin() -> None:
    table, sets = study()
    table = table.take(np.r_[np.arange(60), np.arange(30)])  # some scans are equal
    verdicts = give_verdicts(table, RULE, sets)
    curve = risk_coverage(table, verdicts)
    order = [(VERDICTS.index(verdict.kind), -verdict.probability) for verdict in verdicts]
    wrong = [
        verdict.label != CLASSES[label]
        for verdict, label in zip(verdicts, table.label, strict=True)
    ]
    coverage, risk = literal_curve(order, wrong)
    np.testing.assert_allclose(curve.coverage, coverage)
    np.testing.assert_allclose(curve.risk, risk, atol=1e-12)
    assert curve.area == pytest.approx(np.mean(risk))
    # scikit-learn's trapezium rule over the same points, with the first step's width added.
    trapezia = sklearn_area(np.r_[0, coverage], np.r_[risk[0], risk])
    assert curve.area == pytest.approx(
        trapezia, abs=0.5 * abs(risk[-1] - risk[0]) / len(table) + 1e-9
    )
    answers = [
        bad for verdict, bad in zip(verdicts, wrong, strict=True) if verdict.kind == "answer"
    ]
    assert curve.answered == pytest.approx(len(answers) / len(table))
    assert curve.answered_risk == pytest.approx(np.mean(answers))
    assert curve.risk[-1] == pytest.approx(np.mean(wrong))


def test_a_table_without_a_gate_has_no_answer() -> None:
    table, sets = study()
    bare = replace(table, gate=None)
    verdicts = give_verdicts(bare, RULE, sets)
    found = verdict_table(bare, verdicts, resamples=100)
    assert found.counts == {"answer": 0, "caution": 120, "refer": 0}
    curve = risk_coverage(bare, verdicts)
    assert curve.answered == 0 and np.isnan(curve.answered_risk)


def test_the_questions_are_those_of_the_rule() -> None:
    assert QUESTIONS == ("bscan", "upright", "familiar")
    assert len(RULE.caution) == len(RULE.refer) == len(QUESTIONS)
