"""How often the intervals, tests and prediction sets hold what they promise: studies with patients
whose scans are alike, of the size of our validation and test part, simulated.

A study's scans have logits with a component of the patient (half of their variance) and one of the
scan; the truth is known. Prints, for each metric, the share of the 95 % intervals that hold it,
that lie above it, and their mean width, for models that are right on 82 %, 97 % and 98.5 % of the
scans, and for contrast the same of plain percentiles of the resamples; then of the differences of
two models; how often McNemar's and DeLong's test call equal models different; and how often the
prediction sets at 0.05 hold the true class, by class and over all.

    python benchmarks/coverage.py
    python benchmarks/coverage.py --studies 200 --resamples 300

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oct_core.metrics import METRICS, Interval, Metric, bootstrap_metrics
from oct_core.metrics.calibration import softmax
from oct_core.metrics.comparison import compare_predictors, paired_differences
from oct_core.metrics.delong import delong_macro
from oct_core.metrics.intervals import bootstrap_samples, percentile_interval
from oct_core.trust.conformal import fit_sets
from oct_core.types import FloatArray, IntArray

PARTS = {
    "test part": [1] * 57 + [2] * 13 + [3] * 6 + [4] * 3 + [5] + [11] * 2 + [31],
    "validation part": [1] * 41 + [2] * 10 + [3] * 4 + [4, 5, 16],
    "two scans a patient": [2] * 83,
    "one scan a patient": [1] * 98,
}
"""Scans of each patient: those of this project's parts, 83 patients with 171 scans and 58 with 98;
and evenly."""
SIGNALS = {"82 %": 2.0, "97 %": 3.2, "98.5 %": 3.6}
"""How far the true class's logit stands out, by the share of scans that are called rightly."""
LIKENESS = 0.5
"""The share of a logit's variance that is the patient's."""
COMMON = 0.8
"""The share of two models' variance that they have in common."""
DIFFERENCES = ("accuracy", "macro_auc", "balanced_accuracy")
CONTRAST = ("accuracy", "sensitivity", "macro_auc")
CLASSES = 4


@dataclass(frozen=True)
class Setting:
    """A kind of study. sizes : the scans of each patient. signals : one a model. likeness : the
    share of the patient in the variance.
    """

    sizes: Sequence[int]
    signals: tuple[float, ...]
    likeness: float = LIKENESS


Study = tuple[IntArray, list[FloatArray], IntArray]


def draw_study(random: np.random.Generator, setting: Setting) -> Study:
    """Labels (N,), each model's probabilities (N, 4), patients (N,). They are calibrated: softmax(s
    x) is the posterior of logits x with unit variance around s in the class's own place.
    """
    sizes = random.permutation(setting.sizes)
    patients = np.repeat(np.arange(len(sizes)), sizes)
    labels = random.permutation(np.arange(len(sizes)) % CLASSES)[patients]

    def noise() -> FloatArray:
        alike = random.normal(size=(len(sizes), CLASSES))[patients]
        own = random.normal(size=(len(patients), CLASSES))
        return math.sqrt(setting.likeness) * alike + math.sqrt(1 - setting.likeness) * own

    common, models = noise(), []
    for signal in setting.signals:
        both = (
            math.sqrt(COMMON) * common + math.sqrt(1 - COMMON) * noise()
            if len(setting.signals) > 1
            else common
        )
        logits = signal * (signal * np.eye(CLASSES)[labels] + both)
        models.append(softmax(logits))
    return labels, models, patients


def measure_truth(
    metrics: Sequence[Metric], setting: Setting, crowds: int = 6
) -> list[dict[str, FloatArray]]:
    """Each model's figures over so many times 40,000 patients of one scan each."""
    random = np.random.default_rng(1)
    crowd = Setting([1] * 40_000, setting.signals, 0.0)
    studies = [draw_study(random, crowd) for _ in range(crowds)]
    return [
        {
            metric.name: np.mean(
                [metric(labels, models[number]) for labels, models, _ in studies], axis=0
            )
            for metric in metrics
        }
        for number in range(len(setting.signals))
    ]


@dataclass
class Tally:
    """Intervals of one figure: how many there are, hold the truth, lie above it; their widths."""

    count: int = 0
    held: int = 0
    above: int = 0
    width: float = 0.0

    def add(self, cells: Sequence[Interval], truth: FloatArray) -> None:
        """Count the cells that have an interval."""
        for cell, value in zip(cells, np.atleast_1d(truth).tolist(), strict=True):
            if not math.isnan(cell.low):
                self.count += 1
                self.held += cell.low <= value <= cell.high
                self.above += value < cell.low
                self.width += cell.high - cell.low

    @property
    def coverage(self) -> float:
        """The share that holds the truth."""
        return self.held / self.count

    def to_dict(self) -> dict[str, float]:
        """For JSON."""
        return {
            "coverage": round(self.coverage, 4),
            "above": round(self.above / self.count, 4),
            "width": round(self.width / self.count, 4),
        }


def cover_metrics(
    metrics: Sequence[Metric], setting: Setting, studies: int, resamples: int, crowds: int = 6
) -> dict[str, Tally]:
    """The intervals of each metric's figures over many studies of one model. The truth of a
    distance from calibration is its mean over the studies: its intervals promise no more.
    """
    random, [truth] = np.random.default_rng(2), measure_truth(metrics, setting, crowds)
    found = []
    for seed in range(studies):
        labels, [scores], patients = draw_study(random, setting)
        found.append(bootstrap_metrics(metrics, labels, scores, patients, resamples, seed))
    tallies = {metric.name: Tally() for metric in metrics}
    for metric in metrics:
        studied = [cells[metric.name] for cells in found]
        if metric.biased:
            truth[metric.name] = np.mean([[cell.value for cell in cells] for cells in studied], 0)
        for cells in studied:
            tallies[metric.name].add(cells, truth[metric.name])
    return tallies


def cover_percentiles(
    metrics: Sequence[Metric], setting: Setting, studies: int, resamples: int, crowds: int = 6
) -> dict[str, Tally]:
    """The same of plain percentiles of the resamples, which our intervals are not."""
    random, [truth] = np.random.default_rng(2), measure_truth(metrics, setting, crowds)
    tallies = {metric.name: Tally() for metric in metrics}
    for seed in range(studies):
        labels, [scores], patients = draw_study(random, setting)
        [samples] = bootstrap_samples(metrics, labels, [scores], patients, resamples, seed)
        for name, tally in tallies.items():
            ends = [np.atleast_1d(end).tolist() for end in percentile_interval(samples[name])]
            cells = [Interval((low + high) / 2, low, high) for low, high in zip(*ends, strict=True)]
            tally.add(cells, truth[name])
    return tallies


def cover_differences(
    metrics: Sequence[Metric], setting: Setting, studies: int, resamples: int, crowds: int = 6
) -> dict[str, Tally]:
    """The intervals of the differences of two models over many studies, and DeLong's normal one of
    the macro AUC's.
    """
    random, (first, second) = np.random.default_rng(3), measure_truth(metrics, setting, crowds)
    same = setting.signals[0] == setting.signals[1]
    truth = {name: (first[name] - second[name]) * (not same) for name in first}
    tallies, delong = {metric.name: Tally() for metric in metrics}, Tally()
    for seed in range(studies):
        labels, models, patients = draw_study(random, setting)
        found = paired_differences(
            labels, (models[0], models[1]), patients, metrics, resamples, seed
        )
        for name in found:
            tallies[name].add(found[name], truth[name])
        test = delong_macro(labels, (models[0], models[1]), patients)
        delong.add([Interval(test.difference, *test.interval)], truth["macro_auc"])
    return {**tallies, "macro_auc, DeLong": delong}


def count_false_alarms(setting: Setting, studies: int) -> dict[str, float]:
    """How often each test calls two equal models different at 0.05."""
    random = np.random.default_rng(4)
    alarms = {"mcnemar": 0, "delong": 0}
    for _ in range(studies):
        labels, models, patients = draw_study(random, setting)
        named = {str(number): scores for number, scores in enumerate(models)}
        [pair] = compare_predictors(labels, named, patients, resamples=1)
        alarms["mcnemar"] += pair.mcnemar.p_value < 0.05
        alarms["delong"] += pair.delong.p_value < 0.05
    return {name: round(count / studies, 4) for name, count in alarms.items()}


def cover_sets(setting: Setting, studies: int, level: float = 0.05) -> dict[str, float]:
    """Of conformal sets fitted on a study: how often they hold the true class of new scans, on
    average over the fits, by class (the least of the four) and over all; what a fit in twenty falls
    below; the least that is promised by patient; and the mean number of classes in a set.
    """
    random = np.random.default_rng(5)
    crowd = Setting([1] * 40_000, setting.signals, 0.0)
    labels, [scores], _ = draw_study(random, crowd)
    own = [np.sort(scores[labels == k, k]) for k in range(CLASSES)]
    ranked = [np.sort(scores[:, k]) for k in range(CLASSES)]
    coverages, sizes, promised = [], [], []
    for _ in range(studies):
        truth, [chances], patients = draw_study(random, setting)
        sets = fit_sets(truth, chances, patients, [str(k) for k in range(CLASSES)], level)
        least = sets.least.tolist()
        coverages.append(
            [
                1 - np.searchsorted(column, q) / len(column)
                for column, q in zip(own, least, strict=True)
            ]
        )
        sizes.append(
            sum(
                1 - np.searchsorted(column, q) / len(column)
                for column, q in zip(ranked, least, strict=True)
            )
        )
        promised.append([worth.by_patient for worth in sets.worth])
    by_class = np.mean(coverages, axis=0)
    return {
        "by_class": round(float(by_class.min()), 4),
        "marginal": round(float(by_class.mean()), 4),
        "one_fit_in_twenty_below": round(float(np.quantile(coverages, 0.05)), 4),
        "promised_by_patient": round(float(np.mean(promised)), 4),
        "classes_in_a_set": round(float(np.mean(sizes)), 4),
    }


def main() -> None:
    """Print a table a setting, then JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=400)
    options = parser.parse_args()
    counts = (options.studies, options.resamples)
    metrics = [METRICS.get(name) for name in METRICS]
    few = [METRICS.get(name) for name in DIFFERENCES]
    contrast = [METRICS.get(name) for name in CONTRAST]
    result: dict[str, dict[str, object]] = {"intervals": {}, "differences": {}}
    result |= {"percentiles": {}, "false_alarms": {}, "sets": {}}

    def show(title: str, tallies: dict[str, Tally]) -> dict[str, dict[str, float]]:
        print(f"\n{title}: share of intervals that hold the truth, that lie above it; mean width")
        for name, tally in tallies.items():
            row = tally.to_dict()
            print(f"  {name:<32}{row['coverage']:.3f}  {row['above']:.3f}  {row['width']:.4f}")
        return {name: tally.to_dict() for name, tally in tallies.items()}

    for part, sizes in PARTS.items():
        for right, signal in SIGNALS.items():
            title = f"{part}, right on {right}"
            tallies = cover_metrics(metrics, Setting(sizes, (signal,)), *counts)
            result["intervals"][title] = show(title, tallies)
            plain = cover_percentiles(contrast, Setting(sizes, (signal,)), *counts)
            result["percentiles"][title] = show(f"{title}, percentiles", plain)
        for signals in ((3.2, 3.2), (3.2, 2.8), (2.2, 2.0)):
            title = f"{part}, difference of two models ({signals[0]}, {signals[1]})"
            tallies = cover_differences(few, Setting(sizes, signals), *counts)
            result["differences"][title] = show(title, tallies)
        for signal in (2.0, 3.2):
            title = f"{part}, two equal models ({signal})"
            alarms = count_false_alarms(Setting(sizes, (signal, signal)), options.studies)
            result["false_alarms"][title] = alarms
            print(f"\n{title}: called different {alarms}")
        for likeness in (0.0, LIKENESS, 1.0):
            title = f"{part}, prediction sets, likeness {likeness}"
            held = cover_sets(Setting(sizes, (2.0,), likeness), options.studies)
            result["sets"][title] = held
            print(f"\n{title}: {held}")
    print(json.dumps({"studies": options.studies, "resamples": options.resamples, **result}))


if __name__ == "__main__":
    main()
