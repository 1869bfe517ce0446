"""What the page Explanations draws, taken from the report: profiles by layer, lesion scores,
shares, tables. No streamlit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from oct_core.figures.charts import REGION_COLOURS, Profile
from oct_core.figures.colours import run_colours
from oct_core.metrics.intervals import Interval
from oct_core.models import catalog
from oct_core.trust.report_file import Report, interval_of
from oct_core.words import message, say

CORE = ("gradcam", "guided_backprop", "guided_gradcam")
BASELINES = ("random_map", "centred_gaussian", "gradient_magnitude")
# Names for reports that carry no titles of their own.
_TITLES = {
    "gradcam": message("Grad-CAM"),
    "guided_backprop": message("Guided backpropagation"),
    "guided_gradcam": message("Guided Grad-CAM"),
    "random_map": message("Random map"),
    "centred_gaussian": message("Centred Gaussian"),
    "gradient_magnitude": message("Image gradient"),
}
SOURCES = {
    "phantoms": message("Phantoms (synthetic scans)"),
    "validation": message("Validation scans"),
    "both": message("Both kinds of scans"),
}


def method_title(report: Report, name: str) -> str:
    """The name of a method or baseline for people."""
    titles = report.raw.get("methods") or {}
    return say(str(titles.get(name) or _TITLES.get(name, name)))


def measure_title(report: Report, name: str) -> str:
    """The name of a measure for people."""
    return say(str(report.measures.get(name, {}).get("title", name)))


def source_title(name: str) -> str:
    """The name of a kind of scans for people."""
    return say(SOURCES.get(name, name))


def core_of(report: Report, run: str) -> list[str]:
    """The core methods that hold for a run's network."""
    left_out = {row["method"] for row in report.raw["skipped"] if row["run"] == run}
    return [name for name in CORE if name not in left_out]


def run_title(report: Report, run: str) -> str:
    """As ``services.title_of``, for a run that need not be installed."""
    return catalog.run_title(str(report.runs[run]["architecture"]), run)


def colours(report: Report) -> dict[str, str]:
    """As ``services.colours_of``, for the runs of the report."""
    return run_colours(
        {run_title(report, run): str(about["architecture"]) for run, about in report.runs.items()}
    )


def count_text(report: Report, kind: str) -> str:
    """How many scans of a kind ("phantoms", "validation") each run was measured on: ``24``, or ``16
    to 24`` where runs differ.
    """
    counts = [int(about["scans"][kind]) for about in report.runs.values()] or [0]
    if min(counts) == max(counts):
        return str(counts[0])
    return say("{fewest} to {most}", fewest=min(counts), most=max(counts))


def layers_of(report: Report, run: str) -> list[str]:
    """Layer names, shallow to deep."""
    return list(report.runs[run]["layers"])


def layer_profiles(
    report: Report, measure: str, source: str
) -> tuple[dict[str, list[Profile]], dict[str, dict[str, float]]]:
    """For figures.scores_by_layer: the methods with a map a layer, and the level of all that have
    one map a scan.
    """
    profiles: dict[str, list[Profile]] = {}
    levels: dict[str, dict[str, float]] = {}
    for run in report.runs:
        title = run_title(report, run)
        scores = report.intervals(kind="core", run=run, source=source, measure=measure)
        if not scores:
            continue
        profiles[title], levels[title] = [], {}
        for method in ("gradcam", "guided_gradcam"):
            places = tuple(layer for layer in layers_of(report, run) if (method, layer) in scores)
            if places:
                profiles[title].append(
                    Profile(
                        method_title(report, method),
                        places,
                        tuple(scores[method, layer] for layer in places),
                    )
                )
        for method in ("guided_backprop", *BASELINES):
            if (method, "input") in scores:
                levels[title][method_title(report, method)] = scores[method, "input"].value
    return profiles, levels


def scale_of(
    profiles: Mapping[str, Sequence[Profile]], levels: Mapping[str, Mapping[str, float]]
) -> tuple[float, float]:
    """The lowest and the highest figure of all runs with their intervals, and zero: one scale for
    charts that are compared.
    """
    numbers = [0.0, *(value for level in levels.values() for value in level.values())]
    for score in (score for lines in profiles.values() for line in lines for score in line.scores):
        numbers += [score.value, score.low, score.high]
    known = [number for number in numbers if not math.isnan(number)]
    low, high = min(known), max(known)
    room = 0.05 * (high - low or 1.0)
    return (low - room if low < 0 else 0.0), high + room


def stage_profiles(report: Report, score: str, depth: int) -> dict[str, list[Profile]]:
    """For figures.likeness_by_stage. score : "rank_correlation" or "ssim". depth : which layer,
    counted from the last (0).
    """
    return {
        run_title(report, run): profiles
        for run in report.runs
        if (profiles := _stages(report, run, score, layer_at(report, run, depth)))
    }


def layer_at(report: Report, run: str, depth: int) -> str:
    """The layer ``depth`` places above the last, or the first if there are fewer."""
    layers = layers_of(report, run)
    return layers[max(0, len(layers) - 1 - depth)]


def _stages(report: Report, run: str, score: str, layer: str) -> list[Profile]:
    profiles = []
    for method in CORE:
        rows = [
            row
            for row in report.raw["sanity"]
            if (row["run"], row["method"]) == (run, method) and row["layer"] in (layer, "input")
        ]
        rows.sort(key=lambda row: int(row["depth"]))
        if rows:
            places = (say("trained"), *(str(row["stage"]) for row in rows))
            scores = (Interval(1.0, 1.0, 1.0), *(interval_of(row[score]) for row in rows))
            profiles.append(Profile(method_title(report, method), places, scores))
    return profiles


def verdicts_of(report: Report, run: str, layer: str) -> dict[str, str]:
    """Method -> the verdict in words, at one layer (maps at the input are at every layer)."""
    verdicts = {
        method: report.verdict(run, method, layer) or report.verdict(run, method, "input")
        for method in CORE
    }
    return {method: verdict for method, verdict in verdicts.items() if verdict}


def last_maps(report: Report, run: str) -> list[tuple[str, str]]:
    """(method, layer) of the maps compared by place: the core at the last layer, then the
    baselines.
    """
    last = layer_at(report, run, 0)
    return [
        ("gradcam", last),
        ("guided_gradcam", last),
        ("guided_backprop", "input"),
        *((name, "input") for name in BASELINES),
    ]


def lesion_scores(
    report: Report, measure: str
) -> tuple[dict[str, dict[str, Interval]], dict[str, float]]:
    """For figures.lesion_bars: run -> map -> score over phantoms with a lesion that were
    classified correctly, and the lesion's mean area.
    """
    by_run, areas = {}, {}
    for run in report.runs:
        scores = report.intervals(kind="core", run=run, source="phantoms", measure=measure)
        area = report.intervals(kind="core", run=run, source="phantoms", measure="lesion_area")
        by_run[run_title(report, run)] = {
            method_title(report, key[0]): scores[key]
            for key in last_maps(report, run)
            if key in scores
        }
        if area:
            areas[run_title(report, run)] = next(iter(area.values())).value
    return {run: scores for run, scores in by_run.items() if scores}, areas


def region_scores(report: Report, source: str) -> dict[str, dict[str, dict[str, float]]]:
    """For figures.region_shares: run -> map -> region -> mean share."""
    by_run: dict[str, dict[str, dict[str, float]]] = {}
    for run in report.runs:
        shares = {
            region: report.intervals(kind="core", run=run, source=source, measure=f"mass_{region}")
            for region in REGION_COLOURS
        }
        maps = {
            method_title(report, key[0]): {
                region: scores[key].value for region, scores in shares.items() if key in scores
            }
            for key in last_maps(report, run)
        }
        if measured := {name: values for name, values in maps.items() if values}:
            by_run[run_title(report, run)] = measured
    return by_run


def lesion_counts(report: Report) -> dict[str, tuple[int, int]]:
    """Run -> (phantoms with a lesion that it classifies correctly, phantoms with a lesion that
    were measured).
    """
    lesions = report.raw["lesions"]
    return {
        run_title(report, run): (int(lesions[run]["right"]), int(lesions[run]["n"]))
        for run in report.runs
        if run in lesions
    }


def figure_text(row: dict[str, Any]) -> str:
    """``27% (18% to 36%)``: all measures are shares or differences of probabilities; without an
    interval ``27%``.
    """
    interval = interval_of(row)
    value, low, high = map(_percent, (interval.value, interval.low, interval.high))
    if math.isnan(interval.low):
        return value
    return say("{value} ({low} to {high})", value=value, low=low, high=high)


def _percent(share: float) -> str:
    """``27%``, and never ``-0%``."""
    return f"{share:.0%}".replace("-0%", "0%")


def wider_frame(report: Report, source: str, measures: Sequence[str]) -> pd.DataFrame:
    """One row a run and map on the same few scans: the wider family, the core and the baselines;
    one column a measure.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in report.rows:
        if row["kind"] == "wider" and row["source"] == source and row["measure"] in measures:
            key = run_title(report, row["run"]), method_title(report, row["method"])
            cells = rows.setdefault(key, {"model": key[0], "method": key[1]})
            cells[row["measure"]] = figure_text(row)
    return pd.DataFrame(list(rows.values()))


def whole_frame(report: Report) -> pd.DataFrame:
    """Every figure of the report, one a row; those of the randomisation say up to which block the
    network is random.
    """
    columns = [
        "kind",
        "run",
        "method",
        "layer",
        "source",
        "random_to",
        "measure",
        "n",
        "patients",
        "value",
        "low",
        "high",
    ]
    randomised = [
        {name: row[name] for name in ("run", "method", "layer")}
        | {
            "kind": "randomisation",
            "source": "both",
            "random_to": row["stage"],
            "measure": measure,
        }
        | row[measure]
        for row in report.raw["sanity"]
        for measure in ("rank_correlation", "ssim")
    ]
    return pd.DataFrame([*report.rows, *randomised], columns=columns).fillna({"random_to": ""})
