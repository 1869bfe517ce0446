"""Labels coarser than the classes: "AMD" that may be CNV or DRUSEN.

A run answers one of its classes, and the answer is right if the label may stand for it. Whatever is
measured on probabilities is measured between groups: the classes that a label stands for become
one, whose probability is the sum of theirs, and every other class stays as it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from oct_core.errors import MetricError
from oct_core.metrics.calibration import softmax
from oct_core.types import FloatArray, IntArray, Mask, PredictionTable


def merged_classes(table: PredictionTable) -> dict[str, Mask]:
    """The groups by name, each a bool (K,) over the table's classes, in their order: together they
    hold every class once. A group of several is called as its labels are ("AMD", "AMD/ARMD").

    Raises MetricError for labels that overlap without being the same.
    """
    whole = np.eye(len(table.classes), dtype=np.bool_)
    if table.truth is None:
        return dict(zip(table.classes, whole, strict=True))
    coarse = np.unique(table.truth[table.label < 0], axis=0)
    members = [*coarse, *(row for row in whole if not (row @ coarse.T).any())]
    _refuse_overlap(table, members)
    return {
        _group_name(table, member): member
        for member in sorted(members, key=lambda row: int(row.argmax()))
    }


def _group_name(table: PredictionTable, member: Mask) -> str:
    names = np.array(table.classes)[member].tolist()
    if len(names) > 1 and table.given is not None and table.truth is not None:
        names = sorted(set(table.given[(table.truth == member).all(axis=1)].tolist()))
    return "/".join(names)


def _refuse_overlap(table: PredictionTable, members: list[Mask]) -> None:
    sets = [] if table.truth is None else [*members, *np.unique(table.truth, axis=0)]
    for first in members:
        for second in sets:
            if (first & second).any() and (first != second).any():
                a, b = (" / ".join(np.array(table.classes)[side]) for side in (first, second))
                raise MetricError(
                    "expected labels that stand for the same classes or for other ones, got one "
                    "for {a} and one for {b}; map both to the same classes, or leave one out",
                    a=a,
                    b=b,
                )


def measurable(table: PredictionTable, temperature: float) -> tuple[PredictionTable, float]:
    """The table and the temperature that metrics are to be given: the same, or, where labels are
    coarser than the classes, the table between groups.

    Its ``classes`` are the names of ``merged_classes``, ``logits`` float32 (N, G) the logarithms of
    the groups' calibrated probabilities (so its temperature is 1), ``label`` the group. Raises
    MetricError as ``merged_classes`` does.
    """
    if table.truth is None:
        return table, temperature
    groups = merged_classes(table)
    scaled = np.asarray(table.logits, dtype=np.float64) / temperature
    total = np.logaddexp.reduce(scaled, axis=1)
    logits = [np.logaddexp.reduce(scaled[:, member], axis=1) - total for member in groups.values()]
    label = [(table.truth & member).any(axis=1) for member in groups.values()]
    merged = replace(
        table,
        label=np.argmax(label, axis=0).astype(np.int64),
        logits=np.stack(logits, axis=1).astype(np.float32),
        classes=tuple(groups),
        truth=None,
    )
    return merged, 1.0


def called_groups(table: PredictionTable, temperature: float) -> tuple[IntArray, FloatArray]:
    """The group (N,) of each scan's answer, which is the class with the highest probability, and
    the groups' probabilities (N, G), in the order of ``merged_classes``.

    The answer need not lie in the group whose classes together have most.
    """
    merged, used = measurable(table, temperature)
    answer = softmax(table.logits, temperature).argmax(axis=1)
    members = np.stack(list(merged_classes(table).values()))
    return members[:, answer].argmax(axis=0).astype(np.int64), softmax(merged.logits, used)
