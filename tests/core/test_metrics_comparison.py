"""Operating points and the comparison of two runs, against literal searches and scipy."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, norm, permutation_test
from scipy.stats import t as student

from oct_core.errors import MetricError
from oct_core.metrics import METRICS, bootstrap_metrics
from oct_core.metrics.calibration import softmax
from oct_core.metrics.comparison import (
    Comparison,
    McNemar,
    compare_predictors,
    compare_tables,
    holm,
    mcnemar_exact,
    paired_difference,
    paired_differences,
)
from oct_core.metrics.comparison_words import describe_comparison
from oct_core.metrics.delong import DeLong
from oct_core.metrics.intervals import Interval
from oct_core.metrics.operating_points import (
    choose_operating_points,
    choose_point,
    detectable,
    detection,
    figures_at_threshold,
)
from oct_core.types import CLASSES, PredictionTable


def binary(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.random(n) < 0.4
    return truth, np.round(np.clip(random.normal(0.4 + 0.25 * truth, 0.2), 0, 1), 2)


def at_threshold(truth: np.ndarray, scores: Any, threshold: float) -> tuple[float, float]:
    """Sensitivity and specificity of calling scores >= threshold positive, counted."""
    called = [score >= threshold for score in scores]
    hits = [call for call, positive in zip(called, truth, strict=True) if positive]
    passes = [not call for call, positive in zip(called, truth, strict=True) if not positive]
    return sum(hits) / len(hits), sum(passes) / len(passes)


def table(seed: int, signal: float, n: int = 80) -> PredictionTable:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    logits = (random.normal(size=(n, 4)) + signal * np.eye(4)[labels]).astype(np.float32)
    names = np.array([f"scan{k:03d}" for k in range(n)])
    patients = np.array([f"patient{k // 2}" for k in range(n)])
    return PredictionTable(
        np.array(["test"] * n), names, names, patients, labels.astype(np.int64), logits
    )


@pytest.mark.parametrize("seed", range(5))
def test_youden_is_the_best_of_every_threshold(seed: int) -> None:
    truth, scores = binary(seed)
    point = choose_point(truth, scores)
    best = max(sum(at_threshold(truth, scores, threshold)) for threshold in scores)
    assert point.sensitivity + point.specificity == pytest.approx(best)
    assert at_threshold(truth, scores, point.threshold) == pytest.approx(
        (point.sensitivity, point.specificity)
    )
    assert point.rule == "Youden"


@pytest.mark.parametrize("target", [0.5, 0.9, 0.99])
def test_a_target_gives_the_best_specificity_that_reaches_it(target: float) -> None:
    truth, scores = binary(7)
    point = choose_point(truth, scores, target)
    reached = [
        pair
        for pair in (at_threshold(truth, scores, threshold) for threshold in scores)
        if pair[0] >= target
    ]
    assert point.specificity == pytest.approx(max(pair[1] for pair in reached))
    assert at_threshold(truth, scores, point.threshold) == pytest.approx(
        (point.sensitivity, point.specificity)
    )
    assert point.sensitivity >= target and point.rule == f"sensitivity >= {target:g}"


def test_the_threshold_lies_half_way_between_separate_classes() -> None:
    assert choose_point(np.array([True, True, False]), [0.9, 0.8, 0.4]).threshold == pytest.approx(
        0.6
    )


def test_useless_scores_still_give_a_threshold() -> None:
    point = choose_point(np.array([True, False]), [0.3, 0.3])
    assert (point.threshold, point.sensitivity, point.specificity) == (0.3, 1.0, 0.0)


def test_neighbouring_floats_keep_the_same_calls() -> None:
    upper = float(np.nextafter(0.5, 1))
    point = choose_point(np.array([True, False]), [upper, 0.5])
    assert at_threshold(np.array([True, False]), [upper, 0.5], point.threshold) == (1.0, 1.0)


def test_each_class_gets_the_point_of_itself_against_the_rest() -> None:
    rows = table(0, 1.5)
    points = choose_operating_points(rows.label, softmax(rows.logits))
    assert list(points) == [*CLASSES, "urgent"]
    for k, name in enumerate(CLASSES):
        called = softmax(rows.logits)[:, k] >= points[name].threshold
        assert points[name].sensitivity == pytest.approx(called[rows.label == k].mean())
        assert points[name].specificity == pytest.approx((~called[rows.label != k]).mean())
    assert set(points["CNV"].to_dict()) == {"threshold", "sensitivity", "specificity", "rule"}


def test_a_class_that_never_occurs_has_no_point() -> None:
    rows = table(2, 1.5)
    labels = np.where(rows.label == 3, 0, rows.label)
    assert list(choose_operating_points(labels, softmax(rows.logits))) == [
        *("CNV", "DME", "DRUSEN", "urgent")
    ]


def test_urgent_referral_is_detected_by_the_sum_of_two_probabilities() -> None:
    rows = table(0, 1.5)
    scores = softmax(rows.logits)
    positive, values = detection("urgent", rows.label, scores)
    np.testing.assert_array_equal(positive, rows.label <= 1)
    np.testing.assert_allclose(values, scores[:, 0] + scores[:, 1])
    positive, values = detection("DRUSEN", rows.label, scores)
    np.testing.assert_array_equal(positive, rows.label == 2)
    np.testing.assert_array_equal(values, scores[:, 2])
    point = choose_operating_points(rows.label, scores)["urgent"]
    called = scores[:, :2].sum(axis=1) >= point.threshold
    assert point.sensitivity == pytest.approx(called[rows.label <= 1].mean())
    assert detectable(("A", "B")) == ("A", "B")
    with pytest.raises(MetricError, match=r"expected one of CNV, .*, got 'AMD'"):
        detection("AMD", rows.label, scores)


@pytest.mark.parametrize(
    ("truth", "target", "message"),
    [
        ([True, False], 1.0, "expected the target sensitivity between 0 and 1, got 1.0"),
        ([True, True], None, "expected positive and negative scans"),
    ],
)
def test_choosing_refuses(truth: list[bool], target: float | None, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        choose_point(np.array(truth), [0.1, 0.2], target)


@pytest.mark.parametrize("threshold", [0.0, 0.35, 0.5, 2.0])
@pytest.mark.parametrize("prevalence", [None, 0.02])
def test_figures_at_any_threshold_are_counts(threshold: float, prevalence: float | None) -> None:
    truth, scores = binary(3)
    patients = np.arange(60) // 2
    found = figures_at_threshold(truth, scores, threshold, patients, prevalence, resamples=100)
    called = scores >= threshold
    tp, fp = (called & truth).sum(), (called & ~truth).sum()
    fn, tn = (~called & truth).sum(), (~called & ~truth).sum()
    assert found.confusion.tolist() == [[tn, fp], [fn, tp]] and found.confusion.sum() == 60
    share = truth.mean() if prevalence is None else prevalence
    hit, passed = tp / truth.sum(), tn / (~truth).sum()
    all_called, none_called = hit * share + (1 - passed) * (1 - share), passed + 1 - hit
    expected = {
        "sensitivity": hit,
        "specificity": passed,
        "ppv": hit * share / all_called if all_called else math.nan,
        "npv": passed * (1 - share) / (passed * (1 - share) + (1 - hit) * share)
        if none_called and (tn or fn)
        else math.nan,
        "prevalence": share,
    }
    for name, value in expected.items():
        cell = getattr(found, name)
        number = cell.value if isinstance(cell, Interval) else cell
        assert number == pytest.approx(value, nan_ok=True), name
        if isinstance(cell, Interval) and not math.isnan(value):
            assert cell.low <= cell.value <= cell.high
    if prevalence is None and threshold == 0.35:
        [cell] = bootstrap_metrics(
            [METRICS.get("precision")],
            truth.astype(int),
            np.eye(2)[called.astype(int)],
            patients,
            100,
        )["precision"][1:]
        assert found.ppv == cell


def test_all_right_at_a_threshold_is_not_certain() -> None:
    truth = np.arange(40) < 10
    found = figures_at_threshold(truth, truth * 0.8 + 0.1, 0.5, np.arange(40), resamples=20)
    assert found.ppv == Interval(1.0, pytest.approx(0.025 ** (1 / 10)), 1.0)
    assert found.npv == Interval(1.0, pytest.approx(0.025 ** (1 / 30)), 1.0)


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 0), (1, 0), (5, 5), (3, 12), (40, 9), (700, 900)]
)
def test_mcnemar_is_the_binomial_test(only_a: int, only_b: int) -> None:
    labels = np.zeros(only_a + only_b + 3, dtype=int)
    first, second = labels.copy(), labels.copy()
    second[:only_a] = 1
    first[only_a : only_a + only_b] = 2
    expected = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar_exact(labels, first, second) == McNemar(only_a, only_b, pytest.approx(expected))


def by_patient(sums: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Truth, two calls and patients: a patient's scans are right for a or b alone so many times
    more often for a than for b, and one scan of each patient is right for both.
    """
    calls = [(1, 0)] * len(sums), [(1, 0) if total > 0 else (0, 1) for total in sums]
    rows = [(p, 1, 1) for p in range(len(sums))]
    for patient, total in enumerate(sums):
        rows += [(patient, *calls[1][patient])] * abs(total)
    patients, right_a, right_b = np.array(rows).T
    return np.zeros(len(rows), dtype=int), 1 - right_a, 1 - right_b, patients


@pytest.mark.parametrize("sums", [[1, 1, -1], [5, -1, 2], [0, 0], [4], [1, 2, 3, -1, -2, 6]])
def test_mcnemar_by_patient_flips_the_signs_of_patients(sums: list[int]) -> None:
    truth, first, second, patients = by_patient(sums)
    found = mcnemar_exact(truth, first, second, 2, patients)
    far = [
        abs(sum(sign * total for sign, total in zip(signs, sums, strict=True))) >= abs(sum(sums))
        for signs in product((-1, 1), repeat=len(sums))
    ]
    assert found.p_value == pytest.approx(sum(far) / len(far))
    assert (found.only_a, found.only_b) == (
        sum(total for total in sums if total > 0),
        -sum(total for total in sums if total < 0),
    )
    if len(sums) > 1 and any(sums):
        scipys = permutation_test(
            (np.array(sums, dtype=float),), np.sum, permutation_type="samples", n_resamples=np.inf
        )
        assert found.p_value == pytest.approx(scipys.pvalue)


def test_one_patient_of_many_errors_is_one_voice() -> None:
    truth, first, second, patients = by_patient([12, 0, 0])
    assert mcnemar_exact(truth, first, second, 2).p_value < 0.001
    assert mcnemar_exact(truth, first, second, 2, patients).p_value == 1


def test_mcnemar_of_a_scan_a_patient_is_the_binomial_test() -> None:
    random = np.random.default_rng(0)
    truth, first, second = random.integers(0, 2, (3, 300))
    plain, one_each = (
        mcnemar_exact(truth, first, second, 2, names) for names in (None, random.permutation(300))
    )
    expected = binomtest(plain.only_a, plain.only_a + plain.only_b).pvalue
    assert plain.p_value == pytest.approx(expected)
    assert one_each.p_value == pytest.approx(expected)


def test_mcnemar_needs_the_same_scans() -> None:
    with pytest.raises(MetricError, match="expected three arrays of one length, got 2, 2 and 1"):
        mcnemar_exact([0, 1], [0, 1], [0])


@pytest.mark.parametrize("name", ["accuracy", "macro_auc"])
def test_the_difference_is_resampled_in_pairs(name: str) -> None:
    from oct_core.metrics.intervals import patient_weights

    a, b, metric = table(4, 2.0, 40), table(5, 1.0, 40), METRICS.get(name)
    first, second = softmax(a.logits), softmax(b.logits)
    found = paired_difference(a.label, (first, second), a.patient, 60, seed=9, metric=metric)
    values = []
    for row in np.concatenate(list(patient_weights(a.patient, 60, 9))).astype(int):
        taken = np.repeat(np.arange(40), row)
        values.append(
            float(metric(a.label[taken], first[taken]))
            - float(metric(a.label[taken], second[taken]))
        )
    assert found.value == pytest.approx(
        float(metric(a.label, first)) - float(metric(a.label, second))
    )
    crowd = len(np.unique(a.patient))
    spread = np.nanvar(values) * crowd / (crowd - 1)
    # 40 scans, or of the areas what they are worth: two trials more, one for each run.
    trials = 40.0
    if name == "macro_auc":
        sides = [(sum(a.label == k), sum(a.label != k)) for k in range(4)]
        trials = sum(4 * own * others / (own + others + 2) for own, others in sides)
    error = math.sqrt(
        spread * (student.ppf(0.975, crowd - 1) / norm.ppf(0.975)) ** 2 * trials**2 + 2
    ) / (trials + 2)
    centre, reach = found.value * trials / (trials + 2), norm.ppf(0.975) * error
    assert (found.low, found.high) == pytest.approx((centre - reach, centre + reach))


def compare(a: PredictionTable, b: PredictionTable) -> Comparison:
    [found] = compare_tables({"a": a, "b": b})
    return found


def test_a_run_does_not_differ_from_itself_and_swapping_changes_the_sign() -> None:
    a, b = table(4, 2.0), table(5, 1.0)
    same, forth, back = compare(a, a), compare(a, b), compare(b, a)
    assert (same.difference.value, same.mcnemar.p_value, same.delong.p_value) == (0, 1, 1)
    # 40 patients of two like scans: none says that the runs differ, which is not that they do not.
    reach = norm.ppf(0.975) * math.sqrt(2) / 42
    assert (same.difference.low, same.difference.high) == pytest.approx((-reach, reach))
    for one_way, other_way in (
        (forth.difference, back.difference),
        (forth.auc_difference, back.auc_difference),
    ):
        assert one_way.value > 0
        assert (one_way.low, one_way.high) == pytest.approx((-other_way.high, -other_way.low))
    assert (forth.mcnemar.only_a, forth.mcnemar.only_b) == (
        back.mcnemar.only_b,
        back.mcnemar.only_a,
    )
    assert forth.delong.z == pytest.approx(-back.delong.z)
    assert (forth.n_scans, forth.n_patients, forth.family) == (80, 40, 1)


def test_runs_are_matched_by_hash_whatever_their_order() -> None:
    a, b = table(4, 2.0), table(5, 1.0)
    order = np.random.default_rng(0).permutation(len(b))
    columns = ("split", "image", "sha256", "patient", "label", "logits")
    shuffled = replace(b, **{name: getattr(b, name)[order] for name in columns})
    assert compare(a, shuffled) == compare(a, b)


def test_each_run_is_read_at_its_own_temperature() -> None:
    a, b = table(4, 2.0), table(5, 1.0)
    [found] = compare_tables({"a": a, "b": b}, temperatures={"b": 3.0})
    expected = [
        float(METRICS.get("macro_auc")(rows.label, softmax(rows.logits, temperature)))
        for rows, temperature in ((a, 1.0), (b, 3.0))
    ]
    assert (found.delong.auc_a, found.delong.auc_b) == pytest.approx(expected)
    assert found.auc_difference.value == pytest.approx(expected[0] - expected[1])
    assert found.delong.auc_b != compare(a, b).delong.auc_b


def test_a_family_of_three_is_corrected_and_pairs_are_those_of_two() -> None:
    a, b, c = table(4, 2.0), table(5, 1.2), table(6, 0.3)
    found = compare_tables({"a": a, "b": b, "c": c}, resamples=100)
    assert [(row.name_a, row.name_b) for row in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    [alone] = compare_tables({"a": a, "c": c}, resamples=100)
    assert (alone.difference, alone.delong) == (found[1].difference, found[1].delong)
    for tests, adjusted in (
        ([row.mcnemar.p_value for row in found], [row.adjusted_mcnemar for row in found]),
        ([row.delong.p_value for row in found], [row.adjusted_delong for row in found]),
    ):
        assert adjusted == pytest.approx(holm(tests).tolist())
        assert max(tests) < 1 and adjusted != pytest.approx(tests)


def test_differences_of_every_metric_are_those_of_the_samples() -> None:
    a, b = table(4, 2.0, 40), table(5, 1.0, 40)
    first, second = softmax(a.logits), softmax(b.logits)
    metrics = [METRICS.get(name) for name in METRICS]
    found = paired_differences(a.label, (first, second), a.patient, metrics, 50)
    for metric in metrics:
        expected = np.atleast_1d(metric(a.label, first) - metric(a.label, second))
        np.testing.assert_allclose([cell.value for cell in found[metric.name]], expected)
        assert all(cell.low <= cell.high for cell in found[metric.name])
    labels = np.where(a.label == 3, 0, a.label)
    [*_, missing] = paired_differences(labels, (first, second), a.patient, metrics, 50)[
        "sensitivity"
    ]
    assert math.isnan(missing.value) and math.isnan(missing.low)


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        # The rule by hand: 0.01 * 4, 0.015 * 3 = 0.045, 0.03 * 2, and 0.04 * 1 raised to 0.06.
        ([0.01, 0.04, 0.03, 0.015], [0.04, 0.06, 0.06, 0.045]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02, math.nan, 0.03], [0.04, math.nan, 0.04]),
        ([0.2], [0.2]),
        ([], []),
    ],
)
def test_holm(p_values: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(holm(p_values), expected)


@pytest.mark.parametrize("seed", range(3))
def test_holm_rejects_what_the_sequential_rule_rejects(seed: int) -> None:
    p_values = np.random.default_rng(seed).random(12) ** 3
    for level in (0.01, 0.05, 0.2):
        rejected = np.zeros(12, dtype=bool)
        for step, test in enumerate(np.argsort(p_values)):
            if p_values[test] > level / (12 - step):
                break
            rejected[test] = True
        np.testing.assert_array_equal(holm(p_values) <= level, rejected)


def test_holm_refuses_what_is_no_probability() -> None:
    with pytest.raises(MetricError, match="expected p values from 0 to 1"):
        holm([0.2, 1.2])


def test_one_predictor_is_no_comparison() -> None:
    rows = table(4, 2.0)
    with pytest.raises(MetricError, match="expected two or more predictors to compare, got 1"):
        compare_predictors(rows.label, {"a": softmax(rows.logits)}, rows.patient)


EXAMPLE = Comparison(
    name_a="resnet50",
    name_b="vgg16",
    difference=Interval(0.021, 0.004, 0.038),
    auc_difference=Interval(-0.0012, -0.0031, 0.0007),
    mcnemar=McNemar(9, 2, 0.0654),
    delong=DeLong(0.9981, 0.9993, 0.001, -1.2, 0.2301),
    n_scans=171,
    n_patients=83,
    family=6,
    adjusted_mcnemar=0.3924,
    adjusted_delong=1.0,
)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, "resnet50 and vgg16 on the same 171 scans of 83 patients."),
        (
            {},
            "Accuracy in percentage points: resnet50 is higher than vgg16 by 2.1 (95% interval of "
            "this comparison alone 0.4 to 3.8), but after Holm over 6 comparisons no difference is "
            "shown.",
        ),
        (
            {"adjusted_mcnemar": 0.04},
            "Accuracy in percentage points: resnet50 is higher than vgg16 by 2.1 (95% interval 0.4 "
            "to 3.8).",
        ),
        (
            {"difference": Interval(-0.021, -0.038, -0.004), "family": 1},
            "vgg16 is higher than resnet50 by 2.1 (95% interval 0.4 to 3.8).",
        ),
        (
            {},
            "Only resnet50 is right on 9 scans, only vgg16 on 2 scans (McNemar's test by patient, "
            "p = 0.065, after Holm over 6 comparisons p = 0.392).",
        ),
        ({"family": 1}, "(McNemar's test by patient, p = 0.065)."),
        (
            {"mcnemar": McNemar(1, 0, 1.0)},
            "Only resnet50 is right on 1 scan, only vgg16 on 0 scans",
        ),
        (
            {"mcnemar": McNemar(0, 0, 1.0), "difference": Interval(0.0, -0.0161, 0.0161)},
            "no difference is shown; resnet50 less vgg16 is 0.0 (95% interval -1.6 to +1.6). Both "
            "are right on the same scans, so McNemar's test has nothing to weigh (p = 1.000).",
        ),
        (
            {"auc_difference": Interval(-0.00001, -0.0031, 0.00001)},
            "no difference is shown; resnet50 less vgg16 is 0.0000 (95% interval -0.0031 to "
            "0.0000).",
        ),
        (
            {},
            "Macro AUC: no difference is shown; resnet50 less vgg16 is -0.0012 (95% interval "
            "-0.0031 to +0.0007).",
        ),
        (
            {"auc_difference": Interval(math.nan, math.nan, math.nan)},
            "Macro AUC: not defined, a class does not occur.",
        ),
        (
            {"difference": Interval(0.5, math.nan, math.nan)},
            "resnet50 less vgg16 is +50.0 (no interval: too few patients).",
        ),
        ({}, "DeLong's test of the areas by patient: p = 0.230, after Holm over 6"),
        (
            {"delong": DeLong(0.9, 0.8, 0.01, 10.0, 1e-9), "adjusted_delong": 6e-9},
            "by patient: p < 0.001, after Holm over 6 comparisons p < 0.001.",
        ),
        (
            {"delong": DeLong(math.nan, math.nan, math.nan, math.nan, math.nan)},
            "by patient: p is not defined.",
        ),
    ],
)
def test_a_comparison_reads_as_sentences(change: dict[str, Any], sentence: str) -> None:
    text = describe_comparison(replace(EXAMPLE, **change))
    assert sentence in text and "nan" not in text


@pytest.mark.parametrize("patients", [None, "one"])
def test_words_of_degenerate_studies_never_say_nan(patients: str | None) -> None:
    rows = table(4, 2.0)
    labels = np.zeros(80, dtype=np.int64)
    groups = rows.patient if patients is None else np.zeros(80)
    scores = {"a": softmax(rows.logits), "b": softmax(table(5, 1.0).logits)}
    [found] = compare_predictors(labels, scores, groups, resamples=20)
    assert "nan" not in describe_comparison(found)


def test_an_ensemble_and_a_member_that_answer_alike_are_told_in_words_that_make_sense() -> None:
    rows = table(4, 3.0)
    member = softmax(rows.logits)
    ensemble = softmax(rows.logits / 1.2)  # other probabilities, the same calls
    scores = {"ensemble": ensemble, "resnet50": member, "vgg16": softmax(table(4, 1.0).logits)}
    pairs = compare_predictors(rows.label, scores, rows.patient, resamples=200)
    alike, other = pairs[0], pairs[1]
    text = describe_comparison(alike)
    assert "Both are right on the same scans" in text and "nan" not in text
    assert "ensemble less resnet50 is 0.0 (95% interval -" in text
    assert alike.difference.low < 0 < alike.difference.high
    assert alike.auc_difference.low < 0 < alike.auc_difference.high
    assert other.difference.low > 0 and "is higher than vgg16" in describe_comparison(other)


def test_one_patient_gives_a_difference_without_interval() -> None:
    a, b = table(4, 2.0), table(5, 1.0)
    found = paired_difference(a.label, (softmax(a.logits), softmax(b.logits)), np.zeros(80))
    assert found.value > 0 and math.isnan(found.low) and math.isnan(found.high)


def other_table(change: str) -> PredictionTable:
    rows = table(5, 1.0)
    changed: dict[str, Any] = {
        "scan": {"sha256": np.char.add(rows.sha256, "x")},
        "label": {"label": (rows.label + 1) % 4},
        "split": {"split": np.array(["val"] * len(rows))},
    }
    return replace(rows, **changed[change])


@pytest.mark.parametrize("change", ["scan", "label", "split"])
def test_runs_on_other_scans_are_not_compared(change: str) -> None:
    with pytest.raises(
        MetricError,
        match="expected runs that scored the same 'test' scans under the same labels",
    ):
        compare_tables({"a": table(4, 2.0), "b": other_table(change)})


def test_a_difference_needs_one_number_and_the_same_scans() -> None:
    a = table(4, 2.0)
    scores = softmax(a.logits)
    with pytest.raises(
        MetricError, match=r"expected a metric with one number, got sensitivity \(class\)"
    ):
        paired_difference(a.label, (scores, scores), a.patient, metric=METRICS.get("sensitivity"))
    with pytest.raises(MetricError, match="expected both runs to score the same scans and classes"):
        paired_difference(a.label, (scores, scores[:-1]), a.patient)
