"""What leaves the program as a file: answers as CSV, maps as .npz. The command line and the viewer
write the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from oct_core.runs.versions import versions
from oct_core.types import CLASSES, Explanation, Prediction, RunCard

PREDICTION_COLUMNS = ("image", "run", "predicted", *(f"p_{label}" for label in CLASSES))
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


def predictions_csv(answers: Iterable[tuple[str, Prediction]]) -> bytes:
    """One row a scan and run, from (name of the scan, prediction), in the columns
    PREDICTION_COLUMNS; probabilities with six decimals.
    """
    return table_csv(
        PREDICTION_COLUMNS,
        (
            [
                name,
                prediction.run,
                prediction.predicted,
                *(f"{p:.6f}" for p in by_class(prediction)),
            ]
            for name, prediction in answers
        ),
    )


def by_class(prediction: Prediction) -> list[float]:
    """The probabilities in the order of CLASSES, whatever the order of the run."""
    shares = dict(zip(prediction.classes, prediction.probabilities, strict=True))
    return [float(shares[label]) for label in CLASSES]


def maps_npz(card: RunCard, prediction: Prediction, maps: Sequence[Explanation]) -> bytes:
    """``method/layer`` -> float32 (H, W) in the scan's own pixels; ``meta`` holds JSON
    (``maps_meta``). No file name is in it.
    """
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {each.key: each.values for each in maps}
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        meta=np.array(json.dumps(maps_meta(card, prediction, maps))),
        **arrays,
    )
    return buffer.getvalue()


def maps_meta(card: RunCard, prediction: Prediction, maps: Sequence[Explanation]) -> dict[str, Any]:
    """What makes a map readable years later: run, weights, target, range and sign of each map,
    versions.

    ``target`` is of the first map; each map has its own, for they may differ.
    """
    return {
        "run": card.name,
        "architecture": card.architecture,
        "weights_sha256": card.weights_sha256,
        "predicted": prediction.predicted,
        "probabilities": dict(
            zip(prediction.classes, map(float, prediction.probabilities), strict=True)
        ),
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
