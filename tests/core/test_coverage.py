"""What intervals, tests and prediction sets promise, held against studies whose truth is known; the
1,000 studies of a setting are in benchmarks/coverage.py, whose functions these are.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from oct_core.metrics import METRICS


def benchmark() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


simulation = benchmark()
STUDIES = 200
NAMES = (
    "accuracy",
    "sensitivity",
    "specificity",
    "urgent_missed",
    "cohen_kappa",
    "kermany_cost",
    "brier_score",
    "log_loss",
    "expected_calibration_error",
    "auc_one_vs_rest",
    "macro_auc",
)


def least(promised: float, studies: int = STUDIES) -> float:
    """What a true coverage of ``promised`` falls below in one of 1,000 series of studies."""
    return promised - 3.1 * math.sqrt(promised * (1 - promised) / studies)


def study_of(part: str, *right: str, likeness: float = 0.5) -> Any:
    signals = tuple(simulation.SIGNALS[name] for name in right)
    return simulation.Setting(simulation.PARTS[part], signals, likeness)


@pytest.mark.parametrize(("part", "right"), [("test part", "98.5 %"), ("validation part", "97 %")])
def test_intervals_hold_the_truth_where_errors_are_rare(part: str, right: str) -> None:
    """At least 92 % but for the simulation's own error: 86 % of 200 studies. Percentiles of the
    resamples hold the truth in half of them.
    """
    metrics = [METRICS.get(name) for name in NAMES]
    tallies = simulation.cover_metrics(metrics, study_of(part, right), STUDIES, 100, crowds=1)
    coverage = {name: tally.coverage for name, tally in tallies.items()}
    assert all(share >= least(0.92) for share in coverage.values()), coverage
    assert all(tally.count >= STUDIES for tally in tallies.values())


def test_percentiles_would_not_hold_it() -> None:
    """Why they are not used."""
    metrics = [METRICS.get(name) for name in NAMES[:2]]
    setting = study_of("validation part", "98.5 %")
    tallies = simulation.cover_percentiles(metrics, setting, STUDIES, 100, crowds=1)
    assert all(tally.coverage < 0.85 for tally in tallies.values())


def test_differences_hold_the_truth() -> None:
    setting = study_of("test part", "98.5 %", "97 %")
    metrics = [METRICS.get(name) for name in ("accuracy", "macro_auc")]
    tallies = simulation.cover_differences(metrics, setting, STUDIES, 100, crowds=1)
    coverage = {name: tally.coverage for name, tally in tallies.items()}
    assert coverage.pop("macro_auc, DeLong") < 0.9, "near 1 the normal interval is too short"
    assert all(share >= least(0.95) for share in coverage.values()), coverage


def test_tests_seldom_call_equal_models_different() -> None:
    """At most 5 % and the simulation's error, of models that are often wrong, whose patients' scans
    are alike: McNemar's test by scan would call 11 %.
    """
    studies = 300
    alarms = simulation.count_false_alarms(study_of("test part", "82 %", "82 %"), studies)
    assert all(share <= 1 - least(0.95, studies) for share in alarms.values()), alarms


@pytest.mark.parametrize("likeness", [0.0, 0.5])
def test_prediction_sets_hold_the_class_as_often_as_they_promise(likeness: float) -> None:
    """Of each class 95 % on average over calibrations, here less 1 % for the simulation and for
    patients whose scans are alike; and never less than is promised by patient.
    """
    held = simulation.cover_sets(study_of("validation part", "82 %", likeness=likeness), 300)
    assert held["by_class"] >= 0.94 and held["marginal"] >= 0.94
    assert held["by_class"] >= held["promised_by_patient"] - 0.01
    assert held["classes_in_a_set"] < 3


def test_prediction_sets_hold_only_what_is_promised_by_patient_where_scans_are_all_alike() -> None:
    """Ten scans of each of 40 patients that differ in nothing: ten patients a class are worth ten
    scans, whose sets hold it in 10 of 11, not in 95 of 100.
    """
    setting = simulation.Setting([10] * 40, (simulation.SIGNALS["82 %"],), 1.0)
    held = simulation.cover_sets(setting, 300)
    assert held["promised_by_patient"] == pytest.approx(10 / 11, abs=1e-3)
    assert held["marginal"] == pytest.approx(10 / 11, abs=0.02)
