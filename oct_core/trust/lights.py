"""How far the maps of a method may be relied on, as a traffic light and three plain sentences.

One rule for all methods, from the figures of the report alone. The worst of the models decides, so
that a sentence holds for each of them. Loads no torch, so that a page can say it.

Follows  : rank correlation left with random weights, see ``randomisation``.
Faithful : ROAD, on real scans where there are some, against the best map that does not use the
           network: clear if the whole 95% interval is above it, no if the whole is below.
Placed   : on synthetic scans, clear if the maximum lies on the lesion in most of them (the whole
           interval of the pointing game from MOST on); in part if more of the map lies on the
           lesion than of any map that does not use the network (the whole interval of the energy).

Green needs all three clear. Red is a map that does not follow the network, or is less faithful than
one that ignores it. Without one of these two there is no light. All else is amber.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oct_core.metrics.intervals import Interval
from oct_core.trust.randomisation import FOLLOWS, PARTLY
from oct_core.trust.report_file import Report, interval_of
from oct_core.words import message, say

MOST = 0.5
"""From this share of the scans on the maximum lies on the lesion in most of them."""
IGNORANT = ("random_map", "centred_gaussian", "gradient_magnitude")
"""Maps that know nothing of what the network learned, or of the network at all."""
GRADES = ("clear", "partly", "no", "unmeasured")
LIGHTS = {
    "green": message("Reliable in these tests"),
    "amber": message("Use with care"),
    "red": message("Do not rely on it"),
    "none": message("Not measured enough"),
}
"""Light -> its word."""

_SENTENCES = {
    "follows": {
        "clear": message(
            "It follows what the network learned: little of it is left with random weights."
        ),
        "partly": message(
            "It follows what the network learned only in part: some of it is left with random "
            "weights."
        ),
        "no": message(
            "It shows the picture more than what the network learned: much of it is left with "
            "random weights."
        ),
        "unmeasured": message("Whether it follows what the network learned was not measured."),
    },
    "faithful": {
        "clear": message(
            "What it marks matters for the answer, more than what a map without the network marks."
        ),
        "partly": message(
            "What it marks matters for the answer, but not clearly more than what a map without "
            "the network marks."
        ),
        "no": message(
            "What it marks matters less for the answer than what a map without the network marks."
        ),
        "unmeasured": message("Whether what it marks matters for the answer was not measured."),
    },
    "placed": {
        "clear": message(
            "Its maximum lies on the lesion in most synthetic scans that a model classifies "
            "correctly."
        ),
        "partly": message(
            "It leans to the lesion, but do not read its maximum as the lesion: of the synthetic "
            "scans with a lesion that a model classifies correctly, it lies on it in as few as "
            "{share:.0%}."
        ),
        "no": message(
            "Do not read it as the place of a lesion: it finds that of synthetic scans not "
            "clearly better than a map without the network."
        ),
        "unmeasured": message("Whether it lies on the lesion was not measured."),
    },
}


@dataclass(frozen=True)
class Light:
    """What the report says of a method.

    colour : a key of LIGHTS. follows, faithful, placed : of GRADES. share : of the synthetic scans
    with a lesion that a model classifies correctly, those whose lesion holds the maximum, 0 to 1,
    of the worst model; NaN if unmeasured.
    missing : the runs of which one of the three was not measured.
    """

    colour: str
    follows: str
    faithful: str
    placed: str
    share: float
    missing: tuple[str, ...]

    @property
    def word(self) -> str:
        """The light in words."""
        return say(LIGHTS[self.colour])

    @property
    def sentences(self) -> tuple[str, str, str]:
        """What it follows, whether it is faithful, where it lies; plain text."""
        return (
            say(_SENTENCES["follows"][self.follows]),
            say(_SENTENCES["faithful"][self.faithful]),
            say(_SENTENCES["placed"][self.placed], share=self.share),
        )


def light_of(report: Report, method: str) -> Light:
    """The light of a method's maps at the last layer or at the input, over all models of the
    report; unmeasured is what was measured of none of them.
    """
    by_run = {run: _grades(report, run, method) for run in report.runs}
    follows, faithful, placed = (
        _worst([grades[place] for grades in by_run.values()]) for place in range(3)
    )
    shares = [share for run in report.runs if not math.isnan(share := _share(report, run, method))]
    return Light(
        colour=colour_of(follows, faithful, placed),
        follows=follows,
        faithful=faithful,
        placed=placed,
        share=min(shares, default=math.nan),
        missing=tuple(run for run, grades in by_run.items() if "unmeasured" in grades),
    )


def colour_of(follows: str, faithful: str, placed: str) -> str:
    """The light of three grades."""
    if "no" in (follows, faithful):
        return "red"
    if "unmeasured" in (follows, faithful):
        return "none"
    return "green" if {follows, faithful, placed} == {"clear"} else "amber"


def measured_methods(report: Report) -> list[str]:
    """The methods that the report has any figure of, in its order, without the maps that they are
    held against.
    """
    names = [row["method"] for row in (*report.rows, *report.raw["sanity"])]
    return [name for name in dict.fromkeys(names) if name not in IGNORANT]


def _worst(grades: Sequence[str]) -> str:
    """The worst of the grades that were measured."""
    measured = [grade for grade in grades if grade != "unmeasured"]
    return max(measured, key=GRADES.index, default="unmeasured")


def _grades(report: Report, run: str, method: str) -> tuple[str, str, str]:
    return (
        _follows(report, run, method),
        _faithful(report, run, method),
        _placed(report, run, method),
    )


def _follows(report: Report, run: str, method: str) -> str:
    for layer in _layers(report, run):
        left = report.left_over(run, method, layer)
        if left is not None:
            worse = max(left)
            return "clear" if worse < FOLLOWS else "partly" if worse < PARTLY else "no"
    return "unmeasured"


def _faithful(report: Report, run: str, method: str) -> str:
    for source in ("validation", "phantoms"):
        score, others = _figures(report, run, method, source, "road")
        if score is not None and others:
            best = max(others)
            return "clear" if score.low > best else "no" if score.high < best else "partly"
    return "unmeasured"


def _placed(report: Report, run: str, method: str) -> str:
    pointing, _ = _figures(report, run, method, "phantoms", "pointing")
    energy, others = _figures(report, run, method, "phantoms", "energy")
    if pointing is None or energy is None or not others:
        return "unmeasured"
    if pointing.low >= MOST:
        return "clear"
    return "partly" if energy.low > max(others) else "no"


def _share(report: Report, run: str, method: str) -> float:
    pointing, _ = _figures(report, run, method, "phantoms", "pointing")
    return math.nan if pointing is None else pointing.value


def _layers(report: Report, run: str) -> tuple[str, str]:
    """Where a map may be made: the last layer, or the input."""
    return report.runs[run]["layers"][-1], "input"


def _figures(
    report: Report, run: str, method: str, source: str, measure: str
) -> tuple[Interval | None, list[float]]:
    """The figure of a method, and those of the maps without the network on the same scans; None
    and [] if it was not measured.
    """
    about = {"run": run, "source": source, "measure": measure}
    for kind in ("core", "wider"):
        rows = [row for row in report.rows if _has(row, about | {"kind": kind})]
        own = [
            row for row in rows if row["method"] == method and row["layer"] in _layers(report, run)
        ]
        if own:
            others = [float(row["value"]) for row in rows if row["method"] in IGNORANT]
            return interval_of(own[0]), others
    return None, []


def _has(row: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    return fields.items() <= row.items()
