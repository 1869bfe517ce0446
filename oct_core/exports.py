"""Maps as an .npz file: what ``explain`` writes and the viewer hands out."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from oct_core.runs.versions import versions
from oct_core.types import Explanation, Prediction, RunCard


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
