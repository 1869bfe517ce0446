"""run -> what is known of it: metrics with intervals, operating points, accuracy under corruption
and on fresh phantoms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from oct_core.data.manifest import manifest_sha256
from oct_core.data.pack import Pack, draw_patients
from oct_core.errors import DataError
from oct_core.metrics.calibration import softmax
from oct_core.metrics.operating_points import choose_operating_points
from oct_core.metrics.summary import Evaluation, evaluate_table
from oct_core.runs.evaluations import corrupted_key, write_corrupted
from oct_core.runs.files import read_card, read_predictions, write_card, write_predictions
from oct_core.runs.predict import answers_of_pack
from oct_core.runs.predictor import Predictor
from oct_core.runs.weights import LoadedRun, load_run
from oct_core.scans.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from oct_core.scans.phantom import make_phantom
from oct_core.system import map_ahead, worker_count
from oct_core.trust.gate import Gate, read_gate
from oct_core.trust.gate_fit import (
    Detection,
    fit_run_gate,
    measure_corruptions,
    measure_gate,
    publish_gate,
)
from oct_core.types import CLASSES, Float32Array, IntArray, PredictionTable, join_tables

MOST_CORRUPTED = 1000
"""Validation scans at most that are corrupted: 21 answers each."""
_AT_ONCE = 128
"""Scans of a chunk. One draw of noise serves those of a chunk of corrupted scans."""
Pixels = NDArray[np.uint8]
FRESH_PHANTOM_SEED = 2_000_000
"""Fresh phantoms count up from here; no training and no sample uses these seeds."""


def evaluate_run(
    folder: Path,
    pack: Pack | None = None,
    device: str | torch.device = "cpu",
    progress: Callable[[str], None] = lambda what: None,
    splits: Sequence[str] = ("val", "test"),
) -> dict[str, Evaluation]:
    """Measure a finished run on some of its parts, and write the figures into its card; those of
    the other parts stay as they are.

    Without a pack the figures come from predictions.csv. With one, the predictions are made anew
    from the weights on disk, with the gate's scores if the run has one, those to corrupted
    validation scans are kept beside them (corrupted.csv), and the card also gains accuracy under
    graded corruptions and on fresh phantoms. Raises DataError if the pack is not what the run was
    trained on, CheckpointError if the run is not finished.
    """
    card = read_card(folder)
    raw = dict(card.raw)
    if pack is not None:
        run = load_run(folder, device)
        refuse_other_data(raw, pack)
        gate = read_gate(run.card)
        progress("predicting validation and test scans")
        write_predictions(folder, answer_parts(run, pack, gate))
        progress("measuring graded corruptions and fresh phantoms")
        corrupted = answer_corrupted(run, pack, gate)
        write_corrupted(folder, corrupted)
        raw["robustness"] = corruption_accuracy(corrupted, read_predictions(folder))
        raw["phantoms"] = phantom_accuracy(run)
    progress("computing intervals by patient")
    table = read_predictions(folder)
    evaluations = {split: evaluate_table(table, split, card.temperature) for split in splits}
    val = table.of_split("val")
    points = choose_operating_points(val.label, softmax(val.logits, card.temperature), card.classes)
    raw["operating_points"] = {name: point.to_dict() for name, point in points.items()}
    raw["metrics"] = {
        **raw.get("metrics", {}),
        **{split: evaluation.to_dict() for split, evaluation in evaluations.items()},
    }
    write_card(folder, raw)
    return evaluations


def fit_and_measure_gate(
    folder: Path,
    pack: Pack,
    device: str | torch.device = "cpu",
    progress: Callable[[str], None] = lambda what: None,
) -> list[Detection]:
    """Fit the gate of a finished run on the data it was trained with, freeze its thresholds on the
    validation part, and measure it; gate.npz, the card and the scores in predictions.csv are
    written. The test part decides nothing. Raises DataError if the pack is not what the run was
    trained on, CheckpointError if the run is not finished.
    """
    run = load_run(folder, device)
    refuse_other_data(run.card.raw, pack)
    gate = fit_run_gate(run, pack, progress)
    detections = measure_gate(run, gate, pack, progress)
    progress("gate: scores of validation, test and corrupted scans")
    table, corrupted = answer_parts(run, pack, gate), answer_corrupted(run, pack, gate)
    detections += measure_corruptions(table.of_split("val"), corrupted)
    write_card(folder, {**run.card.raw, "gate": publish_gate(run, gate, detections)})
    write_predictions(folder, table)
    write_corrupted(folder, corrupted)
    return detections


def refuse_other_data(raw: dict[str, Any], pack: Pack) -> None:
    """Raise DataError if the pack is not what the run of that card was trained on."""
    trained_on, preprocessing = raw["data"]["manifest_sha256"], raw["preprocessing"]
    form = (preprocessing["size"], preprocessing.get("version", 1))
    if manifest_sha256(pack.records) != trained_on or (
        form != (pack.size, pack.preprocessing_version)
    ):
        raise DataError(
            "{folder} is not the data of this run (manifest {trained_on}, {size} px, "
            "preprocessing version {version}); give the prepared folder it was trained on, or "
            "leave --data out",
            folder=pack.folder,
            trained_on=trained_on[:12],
            size=form[0],
            version=form[1],
        )


def answer_parts(
    run: LoadedRun, pack: Pack, gate: Gate | None, parts: Sequence[str] = ("val", "test")
) -> PredictionTable:
    """The run's answers to parts of a pack, with the gate's scores if there is one."""
    rows = np.concatenate([pack.rows(part) for part in parts])
    chunks = [_Chunk(rows[start : start + _AT_ONCE]) for start in range(0, len(rows), _AT_ONCE)]
    return _answer(run, pack, gate, chunks)


def answer_corrupted(run: LoadedRun, pack: Pack, gate: Gate | None) -> PredictionTable:
    """The run's answers to validation scans under each corruption at each severity, with the gate's
    scores if there is one; of more than MOST_CORRUPTED scans those of patients drawn at random.
    """
    rows = draw_patients(pack, pack.rows("val"), MOST_CORRUPTED)
    chunks = [
        _Chunk(
            rows[start : start + _AT_ONCE],
            corrupted_key(name, severity),
            partial(corrupt, name=name, severity=severity, seed=start),
        )
        for name, severity in product(CORRUPTIONS, SEVERITIES)
        for start in range(0, len(rows), _AT_ONCE)
    ]
    return _answer(run, pack, gate, chunks)


@dataclass(frozen=True)
class _Chunk:
    """Rows of a pack that are asked at once. split : what the answers are kept under, that of each
    record if empty. change : what is done to the pixels first.
    """

    rows: IntArray
    split: str = ""
    change: Callable[[Pixels], Pixels] = lambda pixels: pixels


def _answer(
    run: LoadedRun, pack: Pack, gate: Gate | None, chunks: Sequence[_Chunk]
) -> PredictionTable:
    """The answers to all chunks. The network has this thread; others read and change the next
    chunks' pixels and score the last one's features, so that a GPU does not wait for them. On a
    CPU, which the network fills, there is one of each.
    """
    readers = 1 if run.device.type == "cpu" else worker_count()

    def read(chunk: _Chunk) -> Pixels:
        return chunk.change(np.array(pack.pixels[chunk.rows]))

    def keep(answered: tuple[_Chunk, Float32Array, Float32Array]) -> PredictionTable:
        chunk, logits, features = answered
        records = [pack.records[row] for row in chunk.rows]
        return PredictionTable(
            np.array([chunk.split or record.split for record in records], dtype=np.str_),
            np.array([Path(record.path).name for record in records], dtype=np.str_),
            np.array([record.sha256 for record in records], dtype=np.str_),
            np.array([record.patient for record in records], dtype=np.str_),
            pack.labels[chunk.rows],
            logits,
            run.classes,
            None if gate is None else gate.scores(features),
        )

    pixels = map_ahead(read, chunks, readers)
    answered = (
        (chunk, *answers_of_pack(run, some)) for chunk, some in zip(chunks, pixels, strict=True)
    )
    return join_tables(list(map_ahead(keep, answered)))


def corruption_accuracy(corrupted: PredictionTable, clean: PredictionTable) -> dict[str, Any]:
    """Accuracy on validation scans, clean and under each corruption at each severity, 0 to 1, and
    the mean of them; on n of the validation part's scans.

    corrupted : as ``answer_corrupted`` gives it. clean : answers to the scans as they are.
    """

    def accuracy(table: PredictionTable) -> float:
        return float((table.logits.argmax(1) == table.label).mean())

    by_name = {
        name: [
            accuracy(corrupted.of_split(corrupted_key(name, severity))) for severity in SEVERITIES
        ]
        for name in CORRUPTIONS
    }
    mean = float(np.mean(list(by_name.values())))
    scans = np.unique(corrupted.sha256)
    val = clean.of_split("val")
    return {
        "split": "val",
        "n": len(corrupted) // (len(CORRUPTIONS) * len(SEVERITIES)),
        "of": len(val),
        "clean": accuracy(val.take(np.isin(val.sha256, scans))),
        "mean_corrupted": mean,
        "accuracy": by_name,
    }


def phantom_accuracy(run: Predictor, per_class: int = 25) -> dict[str, Any]:
    """Accuracy on phantoms of seeds that nothing else uses: n in all, and by class."""
    right = {}
    for label in CLASSES:
        draw = partial(make_phantom, label)
        seeds = range(FRESH_PHANTOM_SEED, FRESH_PHANTOM_SEED + per_class)
        scans = [phantom.scan for phantom in map_ahead(draw, seeds, worker_count())]
        right[label] = sum(prediction.predicted == label for prediction in run.predict(scans))
    total = per_class * len(CLASSES)
    return {
        "n": total,
        "accuracy": sum(right.values()) / total,
        "by_class": {label: count / per_class for label, count in right.items()},
    }
