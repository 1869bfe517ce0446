"""The evaluation of a table: agrees with the metrics, survives JSON, and loads nothing heavy."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from oct_core.errors import MetricError
from oct_core.metrics import METRICS, Evaluation, Interval, evaluate_table
from oct_core.metrics.calibration import softmax
from oct_core.metrics.intervals import interval_text
from oct_core.types import CLASSES, PredictionTable


def table(classes_used: int = 4, n: int = 80) -> PredictionTable:
    random = np.random.default_rng(0)
    labels = (np.arange(n) % classes_used).astype(np.int64)
    logits = (random.normal(size=(n, 4)) + 1.5 * np.eye(4)[labels]).astype(np.float32)
    names = np.array([f"scan{k}" for k in range(n)])
    split = np.where(np.arange(n) < n // 4, "val", "test")
    return PredictionTable(
        split, names, names, np.array([f"patient{k // 2}" for k in range(n)]), labels, logits
    )


def test_it_measures_only_its_split_at_its_temperature() -> None:
    rows = table()
    found, part = evaluate_table(rows, "test", temperature=2.0, resamples=50), rows.of_split("test")
    scores = softmax(part.logits, 2.0)
    assert (found.n_scans, found.n_patients, found.resamples, found.temperature) == (
        60,
        30,
        50,
        2.0,
    )
    assert found.confusion.sum() == 60 and found.confusion.dtype == np.int64
    scalars = {
        "accuracy": found.accuracy.value,
        "balanced_accuracy": found.balanced_accuracy.value,
        "macro_auc": found.macro_auc.value,
    }
    scalars |= {
        "expected_calibration_error": found.ece,
        "brier_score": found.brier,
        "log_loss": found.log_loss,
    }
    for name, value in scalars.items():
        assert value == pytest.approx(float(METRICS.get(name)(part.label, scores))), name
    tables = {
        "sensitivity": found.sensitivity,
        "specificity": found.specificity,
        "auc_one_vs_rest": found.auc,
        "auc_one_vs_one": found.auc_pairs,
    }
    for name, cells in tables.items():
        np.testing.assert_allclose(
            [cell.value for cell in cells.values()], METRICS.get(name)(part.label, scores)
        )
    for name in METRICS:
        cells = found.intervals(name)
        np.testing.assert_allclose(
            [cell.value for cell in cells.values()],
            np.atleast_1d(METRICS.get(name)(part.label, scores)),
            err_msg=name,
        )
        assert all(cell.low <= cell.value <= cell.high for cell in cells.values()), name
    assert {METRICS.get(name).kind for name in METRICS if "all" in found.intervals(name)} == {
        "scalar"
    }
    assert tuple(found.sensitivity) == tuple(found.intervals("f1_score")) == CLASSES
    assert next(iter(found.auc_pairs)) == "CNV vs DME" and len(found.auc_pairs) == 6


def test_the_same_seed_gives_the_same_intervals() -> None:
    first, again, other = (
        evaluate_table(table(), "test", resamples=50, seed=seed).accuracy for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize("classes_used", [4, 3])
def test_it_survives_strict_json(classes_used: int) -> None:
    found = evaluate_table(table(classes_used), "test", resamples=20)
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert Evaluation.from_dict(json.loads(text)).to_dict() == found.to_dict()
    assert math.isnan(Evaluation.from_dict(json.loads(text)).macro_auc.value) is (classes_used == 3)


def test_an_interval_is_an_interval_again() -> None:
    found = evaluate_table(table(), "val", resamples=20)
    assert isinstance(Evaluation.from_dict(found.to_dict()).auc["DME"], Interval)
    assert isinstance(Evaluation.from_dict(found.to_dict()).confusion, np.ndarray)


def test_a_card_of_an_older_version_still_loads_without_the_newer_figures() -> None:
    new = evaluate_table(table(), "test", resamples=20)
    old = {name: value for name, value in new.to_dict().items() if name != "figures"}
    found = Evaluation.from_dict(json.loads(json.dumps(old)))
    assert found.figures == {} and found.intervals("cohen_kappa") == {}
    assert found.describe("cohen_kappa") == ""
    assert found.intervals("accuracy") == {"all": new.accuracy}
    assert found.describe("accuracy") == new.describe("accuracy") == interval_text(new.accuracy)


def test_a_table_shows_a_reason_and_never_nan() -> None:
    found = evaluate_table(table(3), "test", resamples=20)
    assert found.describe("macro_auc") == "not defined: no NORMAL"
    assert found.describe("sensitivity", "NORMAL") == "not defined: no NORMAL"
    assert found.describe("auc_one_vs_one", "CNV vs NORMAL") == "not defined: no NORMAL"
    assert found.describe("auc_one_vs_one", "CNV vs DME") == interval_text(
        found.auc_pairs["CNV vs DME"]
    )
    for name in METRICS:
        for cell in found.intervals(name):
            assert "nan" not in found.describe(name, cell), name


def test_other_classes_have_no_costs_and_no_triage() -> None:
    rows = replace(table(), classes=("A", "B", "C", "D"))
    found = evaluate_table(rows, "test", resamples=5)
    named = {name for name in METRICS if METRICS.get(name).by_name}
    assert named == {"triage_accuracy", "urgent_missed", "kermany_cost"}
    assert {name for name in METRICS if not found.intervals(name)} == named


def test_an_empty_split_is_an_error_that_names_the_others() -> None:
    with pytest.raises(
        MetricError,
        match="expected predictions of the split 'train', got none; the table has: test, val",
    ):
        evaluate_table(table(), "train")


@pytest.mark.parametrize(
    ("name", "value"),
    [("accuracy", None), ("auc", 3), ("ece", "much"), ("figures", {"f1_score": 3})],
)
def test_a_broken_card_is_an_error(name: str, value: object) -> None:
    data = evaluate_table(table(), "test", resamples=5).to_dict()
    with pytest.raises(MetricError, match="expected an evaluation as to_dict writes it"):
        Evaluation.from_dict({**data, name: value})
    del data[name]
    if name == "figures":
        return  # older cards have none
    with pytest.raises(MetricError, match=f"bad field .*{name}"):
        Evaluation.from_dict(data)
