"""Per-scan scores -> means with intervals from a bootstrap by patient."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from oct_core.errors import MetricError
from oct_core.metrics.intervals import (
    Interval,
    patient_weights,
    percentile_interval,
    share_interval,
)
from oct_core.trust.randomisation import half_depth, verdict

Line = dict[str, Any]
PROPORTIONS = {"pointing", "average_increase", "no_evidence"}
"""Measures whose value on one scan is 0 or 1."""


def mean_interval(
    values: ArrayLike,
    patients: ArrayLike,
    resamples: int = 1000,
    seed: int = 0,
    proportion: bool = False,
) -> Interval:
    """The mean of values (N,) and its 95% percentile interval from resampling whole patients (N,).

    proportion : every value is 0 or 1; the interval is that of ``share_interval``, which does not
    claim certainty where all are alike. With fewer than two patients there is no interval: NaN.
    Raises MetricError for no value, NaN or another number of patients.
    """
    numbers, groups = np.asarray(values, dtype=np.float64), np.asarray(patients)
    if (
        numbers.ndim != 1
        or not numbers.size
        or groups.shape != numbers.shape
        or not np.isfinite(numbers).all()
    ):
        raise MetricError(
            "expected finite values (N,) and as many patients, got {values} and {patients}; leave "
            "undefined ones out",
            values=numbers.shape,
            patients=groups.shape,
        )
    mean = float(numbers.mean())
    if len(np.unique(groups)) < 2:
        return Interval(mean, math.nan, math.nan)
    if proportion:
        return share_interval(numbers > 0, np.ones(len(numbers)), groups, resamples, seed)
    means = np.concatenate(
        [
            weights @ numbers / weights.sum(axis=1)
            for weights in patient_weights(groups, resamples, seed)
        ]
    )
    low, high = percentile_interval(means)
    return Interval(mean, float(low), float(high))


def _figure(
    values: Sequence[float],
    patients: Sequence[str],
    resamples: int,
    seed: int,
    proportion: bool = False,
) -> Line:
    interval = mean_interval(values, patients, resamples, seed, proportion)
    rounded = {
        name: None if number is None else round(number, 4)
        for name, number in interval.to_dict().items()
    }
    return {"n": len(values), "patients": len(set(patients)), **rounded}


def _table(rows: Sequence[Line], resamples: int, seed: int) -> list[Line]:
    groups: dict[tuple[str, ...], list[tuple[float, str]]] = defaultdict(list)
    for row in rows:
        for measure, value in row["values"].items():
            groups[
                row["kind"], row["run"], row["method"], row["layer"], row["source"], measure
            ].append((value, row["patient"]))
    names = ("kind", "run", "method", "layer", "source", "measure")
    return [
        dict(zip(names, key, strict=True))
        | _figure(
            [value for value, _ in pairs],
            [patient for _, patient in pairs],
            resamples,
            seed,
            key[-1] in PROPORTIONS,
        )
        for key, pairs in groups.items()
    ]


def _sanity(rows: Sequence[Line], resamples: int, seed: int) -> list[Line]:
    return [
        {name: row[name] for name in ("run", "method", "layer", "depth", "stage")}
        | {
            name: _figure(row[name], row["patients"], resamples, seed)
            for name in ("rank_correlation", "ssim")
        }
        for row in rows
    ]


def _verdicts(table: Sequence[Line]) -> list[Line]:
    """What the randomisation says of each run, method and layer."""
    curves: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
    for row in table:
        curves[row["run"], row["method"], row["layer"]][row["depth"]] = row["rank_correlation"][
            "value"
        ]
    return [
        {
            "run": run,
            "method": method,
            "layer": layer,
            "verdict": verdict(curve[half_depth(max(curve))], curve[max(curve)]),
        }
        for (run, method, layer), curve in curves.items()
    ]


def _read_rightly(rows: Sequence[Line]) -> Mapping[str, Mapping[str, Line]]:
    """run -> source -> how many of its core scans the model reads rightly."""
    seen: dict[str, dict[str, dict[str, bool]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row["kind"] == "core":
            seen[row["run"]][row["source"]][row["scan"]] = row["right"]
    return {
        run: {
            source: {"n": len(scans), "right": sum(scans.values())}
            for source, scans in sources.items()
        }
        for run, sources in seen.items()
    }


def _lesions(rows: Sequence[Line]) -> Mapping[str, Line]:
    """run -> of how many phantoms with a lesion, and how many of them the model reads rightly:
    those that the pointing game counts.
    """
    seen: dict[str, dict[str, bool]] = defaultdict(dict)
    for row in rows:
        if row["kind"] == "core" and row["lesion"]:
            seen[row["run"]][row["scan"]] = row["right"]
    return {run: {"n": len(scans), "right": sum(scans.values())} for run, scans in seen.items()}


def summarise(rows: Sequence[Line], resamples: int = 1000, seed: int = 0) -> Line:
    """The tables of a report from the rows of its tasks: "rows", "sanity", "verdicts", "right",
    "lesions" and "skipped".
    """
    scored = [row for row in rows if row["kind"] in ("core", "wider")]
    sanity_table = _sanity([row for row in rows if row["kind"] == "sanity"], resamples, seed)
    skipped = {
        (row["run"], row["method"]): row["reason"] for row in rows if row["kind"] == "skipped"
    }
    return {
        "rows": _table(scored, resamples, seed),
        "sanity": sanity_table,
        "verdicts": _verdicts(sanity_table),
        "right": _read_rightly(scored),
        "lesions": _lesions(scored),
        "skipped": [
            {"run": run, "method": method, "reason": reason}
            for (run, method), reason in skipped.items()
        ],
    }
