"""The evaluation of a table: agrees with the metrics, survives JSON, and loads nothing heavy."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from oct_core.errors import MetricError
from oct_core.metrics import METRICS, Evaluation, Interval, evaluate_table
from oct_core.metrics.calibration import softmax
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
    assert tuple(found.sensitivity) == CLASSES
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


def test_an_empty_split_is_an_error_that_names_the_others() -> None:
    with pytest.raises(
        MetricError,
        match="expected predictions of the split 'train', got none; the table has: test, val",
    ):
        evaluate_table(table(), "train")


@pytest.mark.parametrize(("name", "value"), [("accuracy", None), ("auc", 3), ("ece", "much")])
def test_a_broken_card_is_an_error(name: str, value: object) -> None:
    data = evaluate_table(table(), "test", resamples=5).to_dict()
    with pytest.raises(MetricError, match="expected an evaluation as to_dict writes it"):
        Evaluation.from_dict({**data, name: value})
    del data[name]
    with pytest.raises(MetricError, match=f"bad field .*{name}"):
        Evaluation.from_dict(data)


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("oct_core.metrics", ("torch", "pandas", "plotly", "streamlit")),
        ("oct_core.figures.charts", ("torch", "streamlit")),
    ],
)
def test_importing_loads_nothing_heavy(module: str, unwanted: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([name for name in {unwanted!r} if name in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )
