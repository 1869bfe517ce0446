"""The light of a method: from the figures of a report, by one rule."""

from __future__ import annotations

from typing import Any

import pytest

from oct_core.trust.lights import IGNORANT, colour_of, light_of, measured_methods
from oct_core.trust.report_file import Report, read_report


def row(run: str, method: str, source: str, measure: str, *figures: float) -> dict[str, Any]:
    value, low, high = figures
    layer = "last" if method == "cam" else "input"
    about = {"kind": "core", "run": run, "method": method, "layer": layer, "n": 9, "patients": 9}
    return about | {
        "source": source,
        "measure": measure,
        "value": value,
        "low": low,
        "high": high,
    }


def stages(run: str, half: float, whole: float) -> list[dict[str, Any]]:
    return [
        {"run": run, "method": "cam", "layer": "last", "depth": depth}
        | {"rank_correlation": {"value": value}}
        for depth, value in ((1, half), (2, whole))
    ]


def report(
    *runs: str,
    left: tuple[float, float] | None = (0.1, 0.0),
    road: tuple[float, float, float] | None = (0.4, 0.3, 0.5),
    pointing: tuple[float, float, float] = (0.8, 0.6, 0.9),
    energy: tuple[float, float, float] = (0.3, 0.2, 0.4),
    source: str = "validation",
) -> Report:
    """Runs that are alike, and the maps without the network: ROAD 0.2, energy 0.1."""
    rows: list[dict[str, Any]] = []
    for run in runs or ("vgg16",):
        own = {("phantoms", "pointing"): pointing, ("phantoms", "energy"): energy}
        if road is not None:
            own[source, "road"] = road
        for (scans, measure), figures in own.items():
            level = {"road": 0.2, "energy": 0.1, "pointing": 0.3}[measure]
            rows.append(row(run, "cam", scans, measure, *figures))
            rows += [row(run, name, scans, measure, level, 0, 1) for name in IGNORANT]
    sanity = [] if left is None else [s for run in runs or ("vgg16",) for s in stages(run, *left)]
    about = {run: {"layers": ["first", "last"]} for run in runs or ("vgg16",)}
    return Report({"rows": rows, "sanity": sanity, "runs": about})


@pytest.mark.parametrize(
    ("change", "colour", "words"),
    [
        ({}, "green", "Its maximum lies on the lesion in most synthetic scans"),
        ({"left": (0.1, 0.3)}, "amber", "learned only in part"),
        ({"left": (0.3, 0.1)}, "amber", "learned only in part"),
        ({"left": (0.6, 0.1)}, "red", "shows the picture more than"),
        ({"left": None}, "none", "Whether it follows what the network learned was not measured"),
        ({"road": (0.3, 0.1, 0.5)}, "amber", "but not clearly more"),
        ({"road": (0.1, 0.05, 0.15)}, "red", "matters less for the answer"),
        ({"road": None}, "none", "Whether what it marks matters for the answer was not measured"),
        ({"pointing": (0.6, 0.4, 0.7)}, "amber", "correctly, it lies on it in as few as 60%."),
        (
            {"pointing": (0.1, 0, 0.2), "energy": (0.2, 0.05, 0.3)},
            "amber",
            "not clearly better than a map",
        ),
        ({"source": "phantoms"}, "green", "more than what a map without the network marks"),
    ],
)
def test_each_figure_moves_the_light_and_its_sentence(
    change: dict[str, Any], colour: str, words: str
) -> None:
    light = light_of(report(**change), "cam")
    assert light.colour == colour and light.word
    assert sum(words in sentence for sentence in light.sentences) == 1


def test_the_worst_model_decides_and_the_one_not_measured_is_named() -> None:
    good, bad = report("vgg16"), report("resnet50", left=(0.7, 0.7), pointing=(0.2, 0.1, 0.3))
    raw = {name: [*good.raw[name], *bad.raw[name]] for name in ("rows", "sanity")}
    runs = good.raw["runs"] | bad.raw["runs"] | {"densenet121": {"layers": ["last"]}}
    light = light_of(Report(raw | {"runs": runs}), "cam")
    assert (light.colour, light.follows, light.faithful) == ("red", "no", "clear")
    assert light.share == 0.2 and light.missing == ("densenet121",)


def test_real_scans_go_before_synthetic_ones() -> None:
    real, synthetic = report(road=(0.1, 0.05, 0.15)), report(source="phantoms")
    both = Report(real.raw | {"rows": [*synthetic.raw["rows"], *real.raw["rows"]]})
    assert light_of(both, "cam").faithful == "no"


def test_a_red_figure_is_red_whatever_else_is_missing() -> None:
    assert colour_of("no", "unmeasured", "unmeasured") == "red"
    assert colour_of("unmeasured", "no", "clear") == "red"
    assert colour_of("clear", "clear", "unmeasured") == "amber"


def test_a_method_that_was_never_measured_has_no_light() -> None:
    light = light_of(report(), "another")
    assert light.colour == "none" and all("not measured" in words for words in light.sentences)


def test_the_report_of_this_repository_has_a_light_for_each_method() -> None:
    shipped = read_report()
    assert shipped is not None
    methods = measured_methods(shipped)
    assert {"gradcam", "guided_backprop", "guided_gradcam"} <= set(methods)
    assert not set(IGNORANT) & set(methods)
    for method in methods:
        assert "unmeasured" not in light_of(shipped, method).placed
