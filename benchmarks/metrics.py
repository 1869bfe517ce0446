"""How long every metric takes with intervals by patient: three models and their mean, 1,000 scans;
and what the audit and the split of a data set of OCT2017's size take.

The logits are generated; a patient has two scans. Prints the seconds of each metric alone and of
what an evaluation takes: all metrics together for the four predictors, the comparison of every
pair and one decision curve a predictor. Aim: under 3 s on two cores.

The audit's figures are of 109,309 generated scans of 5,420 patients, as many as OCT2017 has:
near_duplicate_seconds of comparing every two of their perceptual hashes (aim: under 60 s on two
cores), audit_split_seconds of the split by patient and the audit's checks of it.

    python benchmarks/metrics.py
    python benchmarks/metrics.py --scans 1000 --resamples 2000 --collection 109309

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oct_core.data.duplicates import find_conflicts, find_duplicates
from oct_core.data.manifest import Record, count
from oct_core.data.near import Hashes, find_near
from oct_core.data.official import official_test_in_training
from oct_core.data.split import SplitOptions, split_records
from oct_core.metrics import METRICS, bootstrap_metrics
from oct_core.metrics.calibration import softmax
from oct_core.metrics.comparison import compare_predictors
from oct_core.metrics.decision import decision_curve
from oct_core.metrics.triage import urgent_probability
from oct_core.types import CLASSES, FloatArray, IntArray


def make_study(scans: int) -> tuple[IntArray, dict[str, FloatArray], IntArray]:
    """Labels, probabilities by predictor, patients: models about as good and as alike as ours."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, len(CLASSES), scans)
    common = generator.normal(size=(scans, len(CLASSES))) + 4 * np.eye(len(CLASSES))[labels]
    predictors = {
        f"model {number}": softmax(common + generator.normal(size=common.shape))
        for number in (1, 2, 3)
    }
    predictors["ensemble"] = np.mean(list(predictors.values()), axis=0)
    return labels, predictors, np.arange(scans) // 2


def make_collection(scans: int) -> tuple[Hashes, list[Record]]:
    """Perceptual hashes alike within a patient, and the scans that they are of."""
    generator = np.random.default_rng(0)
    patients = generator.integers(0, max(1, round(scans * 5420 / 109_309)), scans)

    def sparse(size: int) -> Hashes:
        """An eighth of the bits."""
        words = generator.integers(0, 2**64, (3, size, 5), dtype=np.uint64)
        return np.bitwise_and.reduce(words)

    own = generator.integers(0, 2**64, (200, 5), dtype=np.uint64)
    of_patient = own[generator.integers(0, 200, patients.max() + 1)] ^ sparse(patients.max() + 1)
    labels = generator.choice(CLASSES, scans, p=[0.34, 0.11, 0.08, 0.47])
    records = [
        Record(f"{row}.jpeg", str(label), str(patient), f"{row:064x}", 512, 496)
        for row, (label, patient) in enumerate(zip(labels, patients, strict=True))
    ]
    return of_patient[patients] ^ sparse(scans), records


def time_audit(scans: int) -> dict[str, float]:
    """Seconds of the search for near duplicates among all patients, and of split and checks."""
    hashes, records = make_collection(scans)
    patients = np.unique([record.patient for record in records], return_inverse=True)[1]
    near, _ = seconds(lambda: find_near(hashes, patients))

    def split_and_check() -> None:
        placed = split_records(records, [""] * scans, SplitOptions()).records
        find_duplicates(placed)
        find_conflicts(placed)
        official_test_in_training(placed)
        count(placed)

    split, _ = seconds(split_and_check)
    return {"near_duplicate_seconds": near, "audit_split_seconds": split}


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Print one line a metric, one a part of an evaluation, then JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--collection", type=int, default=109_309)
    options = parser.parse_args()
    labels, predictors, patients = make_study(options.scans)
    metrics = [METRICS.get(name) for name in METRICS]

    def measure(*names: str) -> None:
        chosen = [METRICS.get(name) for name in names] or metrics
        for scores in predictors.values():
            bootstrap_metrics(chosen, labels, scores, patients, options.resamples)

    def curves() -> None:
        for scores in predictors.values():
            urgent = urgent_probability(scores)
            decision_curve(labels < 2, urgent, patients=patients, resamples=options.resamples)

    for metric in metrics:
        wall, cpu = seconds(lambda name=metric.name: measure(name))
        print(f"{metric.name}: {wall:.2f} s ({cpu:.2f} s of processor)")
    parts = {
        "metrics": measure,
        "comparisons": lambda: compare_predictors(labels, predictors, patients, options.resamples),
        "decision_curves": curves,
    }
    times = {name: seconds(work) for name, work in parts.items()}
    for name, (wall, cpu) in times.items():
        print(f"{name} of {len(predictors)} predictors: {wall:.2f} s ({cpu:.2f} s of processor)")
    audit = time_audit(options.collection)
    for name, wall in audit.items():
        print(f"{name} of {options.collection} scans: {wall:.2f}")
    wall, cpu = np.sum(list(times.values()), axis=0).tolist()
    result = {
        "scans": options.scans,
        "resamples": options.resamples,
        "metrics": len(metrics),
        "predictors": len(predictors),
        f"seconds_{options.resamples}_resamples": round(wall, 3),
        f"processor_seconds_{options.resamples}_resamples": round(cpu, 3),
        **{f"{name}_seconds": round(wall, 3) for name, (wall, _) in times.items()},
        "collection": options.collection,
        **{name: round(wall, 3) for name, wall in audit.items()},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
