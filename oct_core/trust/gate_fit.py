"""A run's gate fitted on its prepared data, and measured on what it is there to notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oct_core.data.pack import Pack, draw_patients
from oct_core.errors import DataError
from oct_core.metrics.curves import auc
from oct_core.runs.predict import answers_of_pack
from oct_core.runs.weights import LoadedRun
from oct_core.scans.corruptions import CORRUPTIONS, corrupt
from oct_core.scans.edit import CHANGES
from oct_core.trust.gate import FALSE_ALARMS, Gate, Samples, fit_gate, write_gate
from oct_core.trust.wrong_inputs import ANATOMY, PICTURES, change_scan, draw_picture
from oct_core.types import QUESTIONS, Float32Array, FloatArray, IntArray, PredictionTable

MOST_SCANS = 2000
"""Training scans that a gate is fitted on, drawn from all of them; more would only make its file
larger."""
PICTURES_A_KIND = 20
_FIT_SEED, _TEST_SEED = 0, 1000

Progress = Callable[[str], None]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Detection:
    """How well a gate tells one kind of input from validation scans as recorded.

    family : "picture", "anatomy", "change" or "corruption". question : of QUESTIONS, whose score is
    measured. n : inputs. auroc : 0 to 1. noticed : share above the threshold of any question.
    """

    name: str
    family: str
    question: str
    n: int
    auroc: float
    noticed: float


def fit_run_gate(run: LoadedRun, pack: Pack, progress: Progress = lambda what: None) -> Gate:
    """Fit the gate of a run on the training part of its pack, its thresholds on the validation
    part.

    The regression sees each training scan as recorded, corrupted once and changed once, and
    PICTURES_A_KIND drawn pictures of each kind. Raises DataError without training or validation
    scans.
    """
    rows, validation = pack.rows("train"), pack.rows("val")
    if not len(rows) or not len(validation):
        raise DataError(
            "{folder} has no training or no validation part; a gate is fitted on both",
            folder=pack.folder,
        )
    rng = np.random.default_rng(0)
    rows = np.sort(rng.permutation(rows)[:MOST_SCANS])
    train = np.array(pack.pixels[rows])
    order = rng.permutation(len(train))

    def ask(pixels: Pixels) -> Float32Array:
        return answers_of_pack(run, pixels)[1]

    progress("gate: training scans")
    known = ask(train)
    progress("gate: the same scans, corrupted")
    parts = np.array_split(order, len(CORRUPTIONS))
    plain = [
        ask(corrupt(train[part], name, 2))
        for name, part in zip(CORRUPTIONS, parts, strict=True)
        if len(part)
    ]
    progress("gate: the same scans, changed")
    changed = {
        change: ask(_changed(run, train[order[k :: len(CHANGES)]], change))
        for k, change in enumerate(CHANGES)
    }
    progress("gate: pictures that are no B-scan")
    seeds = _seeds(pack, _FIT_SEED)
    pictures = ask(np.concatenate([_pictures(run, kind, seeds) for kind in PICTURES]))
    validated = ask(np.array(pack.pixels[draw_patients(pack, validation, MOST_SCANS)]))
    labels: IntArray = pack.labels[rows]
    return fit_gate(Samples(known, labels, np.concatenate(plain), changed, pictures, validated))


def _changed(run: LoadedRun, pixels: Pixels, change: str) -> Pixels:
    changed = [change_scan(each, change, seed) for seed, each in enumerate(pixels)]
    return np.stack([run.preprocessing.prepare(each) for each in changed])


def _seeds(pack: Pack, first: int) -> range:
    """PICTURES_A_KIND seeds, fewer where all kinds together would outnumber the training scans."""
    count = min(PICTURES_A_KIND, max(2, len(pack.rows("train")) // len(PICTURES)))
    return range(first, first + count)


def _pictures(run: LoadedRun, kind: str, seeds: range) -> Pixels:
    return np.stack([run.preprocessing.prepare(_drawn(kind, each)) for each in seeds])


@lru_cache(maxsize=2048)
def _drawn(kind: str, seed: int) -> Pixels:
    """Drawn once for all runs of a process."""
    return draw_picture(kind, seed).pixels


def measure_gate(
    run: LoadedRun, gate: Gate, pack: Pack, progress: Progress = lambda what: None
) -> list[Detection]:
    """How the gate does on pictures of other seeds than it was fitted with, on anatomy that it
    never saw, and on validation scans changed, at most MOST_SCANS of these.
    """
    rows_measured = draw_patients(pack, pack.rows("val"), MOST_SCANS)
    pixels = np.array(pack.pixels[rows_measured])
    usual = gate.scores(answers_of_pack(run, pixels)[1])
    rows = []
    for name, family, inputs in _inputs(run, pixels, _seeds(pack, _TEST_SEED)):
        progress(f"gate: {name}")
        rows.append(detect(usual, gate.scores(answers_of_pack(run, inputs)[1]), name, family))
    return rows


def measure_corruptions(usual: PredictionTable, corrupted: PredictionTable) -> list[Detection]:
    """The same for validation scans under each corruption, from stored scores.

    usual : the validation part. corrupted : split "corrupted/NAME/GRADE". Both with gate scores.
    """
    rows = []
    for split in dict.fromkeys(corrupted.split.tolist()):
        scores = corrupted.of_split(split).gate
        assert usual.gate is not None and scores is not None
        _, name, grade = split.split("/")
        rows.append(detect(usual.gate, scores, f"{name} {grade}", "corruption"))
    return rows


def _inputs(run: LoadedRun, pixels: Pixels, seeds: range) -> Iterator[tuple[str, str, Pixels]]:
    for kind in PICTURES:
        yield kind, "picture", _pictures(run, kind, seeds)
    for kind in ANATOMY:
        yield kind, "anatomy", _pictures(run, kind, seeds)
    for change in CHANGES:
        yield change, "change", _changed(run, pixels, change)


_QUESTION_OF = {"picture": "bscan", "anatomy": "bscan", "change": "upright"}


def detect(usual: FloatArray, scores: FloatArray, name: str, family: str) -> Detection:
    """The Detection of one kind of input.

    usual, scores : (N, 3) and (M, 3), of validation scans as recorded and of the inputs.
    """
    question = _QUESTION_OF.get(family, "familiar")
    column = QUESTIONS.index(question)
    both = np.r_[usual[:, column], scores[:, column]]
    return Detection(
        name,
        family,
        question,
        len(scores),
        auc(np.arange(len(both)) >= len(usual), both),
        float((scores > 1).any(1).mean()),
    )


def publish_gate(run: LoadedRun, gate: Gate, detections: Sequence[Detection]) -> dict[str, Any]:
    """Write gate.npz beside the run's weights; returns what its card says of it."""
    return {
        "sha256": write_gate(run.card.folder, gate),
        "weights_sha256": run.card.weights_sha256,
        "false_alarms": FALSE_ALARMS,
        "detection": [asdict(each) for each in detections],
    }
