"""What leaves the program as a file: answers as CSV, maps as .npz. The command line and the viewer
write the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from oct_core.reasons import reasons_words
from oct_core.runs.files import GATE_COLUMNS
from oct_core.runs.versions import versions
from oct_core.types import CLASSES, QUESTIONS, Explanation, Judgement, Prediction, RunCard
from oct_core.words import say

PREDICTION_COLUMNS = (
    "image",
    "run",
    "predicted",
    *(f"p_{label}" for label in CLASSES),
    "verdict",
    "reason",
    *GATE_COLUMNS,
    "gate_change",
    "notes",
)
# A spreadsheet takes text that begins so for a formula, and runs it (OWASP, CSV injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def table_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table as CSV in UTF-8; None is an empty cell.

    Text that a spreadsheet would run as a formula gets an apostrophe before it. A file name that is
    not UTF-8 keeps its own bytes.
    """
    lines = [_line(columns), *(_line([_disarm(cell) for cell in row]) for row in rows)]
    return "".join(lines).encode("utf-8", "surrogateescape")


def _line(cells: Sequence[object]) -> str:
    """One row. The csv module puts quotes around a line break only if it is one of its own
    terminator, so both kinds are in that, and a name cannot begin a row of its own.
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _disarm(cell: object) -> object:
    return "'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


def predictions_csv(judged: Iterable[tuple[str, Judgement]]) -> bytes:
    """``prediction_rows`` as CSV: one row a scan and run, the ensemble's first; probabilities with
    six decimals, the gate's scores with three.
    """
    first, last = 3, 3 + len(CLASSES)
    return table_csv(
        PREDICTION_COLUMNS,
        (
            [
                *row[:first],
                *(f"{p:.6f}" for p in row[first:last]),
                *(f"{cell:.3f}" if isinstance(cell, float) else cell for cell in row[last:]),
            ]
            for row in prediction_rows(judged)
        ),
    )


def prediction_rows(
    judged: Iterable[tuple[str, Judgement]],
) -> list[tuple[str | float | None, ...]]:
    """One row a scan and run in the columns PREDICTION_COLUMNS, from (name of the scan,
    judgement): of an ensemble its own row first, then its members'.

    Each row has the verdict on that run alone, so it does not depend on what else was asked; the
    reason is in words, worst first, "" for an answer. None: no gate has been fitted. The notes are
    those on how the scan was read, joined by "; ".
    """
    return [
        (
            name,
            one.prediction.run,
            one.prediction.predicted,
            *by_class(one.prediction),
            one.verdict.kind,
            reasons_words(one.verdict),
            *(getattr(one.scores, question, None) for question in QUESTIONS),
            None if one.scores is None else one.scores.change,
            "; ".join(map(say, judgement.notes)),
        )
        for name, judgement in judged
        for one in judgement.rows
    ]


def by_class(prediction: Prediction) -> list[float]:
    """The probabilities in the order of CLASSES, whatever the order of the run."""
    shares = dict(zip(prediction.classes, prediction.probabilities, strict=True))
    return [float(shares[label]) for label in CLASSES]


def maps_npz(card: RunCard, judgement: Judgement, maps: Sequence[Explanation]) -> bytes:
    """``method/layer`` -> float32 (H, W) in the scan's own pixels; ``meta`` holds JSON
    (``maps_meta``). No file name is in it.
    """
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {each.key: each.values for each in maps}
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        meta=np.array(json.dumps(maps_meta(card, judgement, maps))),
        **arrays,
    )
    return buffer.getvalue()


def maps_meta(card: RunCard, judgement: Judgement, maps: Sequence[Explanation]) -> dict[str, Any]:
    """What makes a map readable years later: run, weights, answer and verdict, target, range and
    sign of each map, versions.

    ``target`` is of the first map; each map has its own, for they may differ.
    """
    prediction, verdict = judgement.prediction, judgement.verdict
    return {
        "run": card.name,
        "architecture": card.architecture,
        "weights_sha256": card.weights_sha256,
        "predicted": prediction.predicted,
        "probabilities": dict(
            zip(prediction.classes, map(float, prediction.probabilities), strict=True)
        ),
        "verdict": verdict.kind,
        "reason": reasons_words(verdict),
        "gate": None if judgement.scores is None else asdict(judgement.scores),
        "target": maps[0].target if maps else prediction.predicted,
        "maps": {
            each.key: {
                "target": each.target,
                "signed": each.signed,
                "minimum": float(each.values.min()),
                "maximum": float(each.values.max()),
                "evidence": each.evidence,
            }
            for each in maps
        },
        "gray_unit": "0 black to 1 white",
        "versions": versions(),
        "use": "research only",
    }
