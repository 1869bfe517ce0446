"""What the page Explanations draws, taken from the report: profiles by layer, lesion scores,
shares, tables. No streamlit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from oct_core.figures.charts import REGION_COLOURS, Profile
from oct_core.metrics.intervals import Interval
from oct_core.trust.report_file import Report, interval_of
from oct_core.words import message, say
from pages.ui.shared.tables import interval_text

CORE = ("gradcam", "guided_backprop", "guided_gradcam")
BASELINES = ("random_map", "centred_gaussian", "gradient_magnitude")
# Names for reports that carry no titles of their own.
_TITLES = {
    "gradcam": "Grad-CAM",
    "guided_backprop": message("Guided backpropagation"),
    "guided_gradcam": message("Guided Grad-CAM"),
    "random_map": message("Random map"),
    "centred_gaussian": message("Centred Gaussian"),
    "gradient_magnitude": message("Image gradient"),
}
SOURCES = {
    "phantoms": message("Phantoms (synthetic scans)"),
    "validation": message("Validation scans"),
}


def method_title(report: Report, name: str) -> str:
    """The name of a method or baseline for people."""
    titles = report.raw.get("methods") or {}
    return str(titles.get(name) or _TITLES.get(name, name.replace("_", " ")))


def run_title(report: Report, run: str) -> str:
    """As ``services.title_of``, for a run that need not be installed."""
    titles = {"vgg16": "VGG16", "resnet50": "ResNet50", "densenet121": "DenseNet121"}
    architecture = str(report.runs[run].get("architecture", run))
    title = titles.get(architecture, architecture)
    return title if run == architecture else f"{title} ({run})"


def count_text(report: Report, kind: str) -> str:
    """How many scans of a kind ("phantoms", "validation") each run was measured on: ``24``, or ``16
    to 24`` where runs differ.
    """
    counts = sorted({int(about["scans"][kind]) for about in report.runs.values()})
    return (
        "0"
        if not counts
        else str(counts[0])
        if len(counts) == 1
        else f"{counts[0]} to {counts[-1]}"
    )


def layers_of(report: Report, run: str) -> list[str]:
    """Layer names, shallow to deep."""
    return list(report.runs[run]["layers"])


def layer_profiles(
    report: Report, measure: str, source: str
) -> tuple[dict[str, list[Profile]], dict[str, dict[str, float]]]:
    """For figures.scores_by_layer: the methods with a map a layer, and the level of all that have
    one map a scan.
    """
    found: dict[str, list[Profile]] = {}
    levels: dict[str, dict[str, float]] = {}
    for run in report.runs:
        scores, title = (
            report.intervals(kind="core", run=run, source=source, measure=measure),
            run_title(report, run),
        )
        if not scores:
            continue
        found[title], levels[title] = [], {}
        for method in ("gradcam", "guided_gradcam"):
            places = tuple(layer for layer in layers_of(report, run) if (method, layer) in scores)
            if places:
                found[title].append(
                    Profile(
                        method_title(report, method),
                        places,
                        tuple(scores[method, layer] for layer in places),
                    )
                )
        for method in ("guided_backprop", *BASELINES):
            if (method, "input") in scores:
                levels[title][method_title(report, method)] = scores[method, "input"].value
    return found, levels


def stage_profiles(report: Report, score: str, depth: int) -> dict[str, list[Profile]]:
    """For figures.likeness_by_stage. score : "rank_correlation" or "ssim". depth : which layer,
    counted from the last (0).
    """
    return {
        run_title(report, run): found
        for run in report.runs
        if (found := _stages(report, run, score, layer_at(report, run, depth)))
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
            places = ("trained", *(str(row["stage"]) for row in rows))
            scores = (Interval(1.0, 1.0, 1.0), *(interval_of(row[score]) for row in rows))
            profiles.append(Profile(method_title(report, method), places, scores))
    return profiles


def verdicts_of(report: Report, run: str, layer: str) -> dict[str, str]:
    """Method -> the finding in words, at one layer (maps at the input are at every layer)."""
    found = {
        row["method"]: row["verdict"]
        for row in report.raw["verdicts"]
        if row["run"] == run and row["layer"] in (layer, "input")
    }
    return {method: str(found[method]) for method in CORE if method in found}


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
    """For figures.lesion_bars: run -> map -> score over phantoms with a lesion read rightly, and
    the lesion's mean area.
    """
    found, areas = {}, {}
    for run in report.runs:
        scores = report.intervals(kind="core", run=run, source="phantoms", measure=measure)
        area = report.intervals(kind="core", run=run, source="phantoms", measure="lesion_area")
        found[run_title(report, run)] = {
            method_title(report, key[0]): scores[key]
            for key in last_maps(report, run)
            if key in scores
        }
        if area:
            areas[run_title(report, run)] = next(iter(area.values())).value
    return {run: scores for run, scores in found.items() if scores}, areas


def region_scores(report: Report, source: str) -> dict[str, dict[str, dict[str, float]]]:
    """For figures.region_shares: run -> map -> region -> mean share."""
    found: dict[str, dict[str, dict[str, float]]] = {}
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
        if kept := {name: values for name, values in maps.items() if values}:
            found[run_title(report, run)] = kept
    return found


def lesion_counts(report: Report) -> dict[str, tuple[int, int]]:
    """Run -> (phantoms with a lesion that it reads rightly, phantoms with a lesion that were
    measured).
    """
    found = report.raw["lesions"]
    return {
        run_title(report, run): (int(found[run]["right"]), int(found[run]["n"]))
        for run in report.runs
        if run in found
    }


def figure_text(row: dict[str, Any]) -> str:
    """0.27 (0.18 to 0.36), n 24."""
    return f"{interval_text(interval_of(row), 2)}, n {row['n']}"


def wider_frame(report: Report, source: str, measures: Sequence[str]) -> pd.DataFrame:
    """One row a run and map on the same few scans: the wider family, the core and the baselines;
    one column a measure.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in report.rows:
        if row["kind"] == "wider" and row["source"] == source and row["measure"] in measures:
            key = run_title(report, row["run"]), method_title(report, row["method"])
            cells = rows.setdefault(key, {"model": key[0], "method": key[1]})
            cells[report.measures[row["measure"]]["title"]] = figure_text(row)
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
        say("random to"),
        "measure",
        "n",
        "patients",
        "value",
        "low",
        "high",
    ]
    random = [
        {name: row[name] for name in ("run", "method", "layer")}
        | {
            "kind": "randomisation",
            "source": "both",
            say("random to"): row["stage"],
            "measure": measure,
        }
        | row[measure]
        for row in report.raw["sanity"]
        for measure in ("rank_correlation", "ssim")
    ]
    return pd.DataFrame([*report.rows, *random], columns=columns).fillna({say("random to"): ""})
