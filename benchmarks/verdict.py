"""What the rule of verdicts makes of labelled scans: how many it answers, and how many of those are
wrong.

    python benchmarks/verdict.py
    python benchmarks/verdict.py --runs vgg16 resnet50 --level 0.1
    python benchmarks/verdict.py --choose
    python benchmarks/verdict.py --test

Everything comes from the answers and gate scores stored beside the runs (predictions.csv,
corrupted.csv, external/). Prints validation, every corruption and every external set; the test part
only with --test, once the rule is frozen. --choose prints what constants the aims lead to, from
validation and external sets alone. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oct_core.errors import OctError
from oct_core.metrics.intervals import Interval
from oct_core.runs.evaluations import data_choices, read_scored
from oct_core.runs.files import list_runs
from oct_core.trust.conformal import ConformalSets
from oct_core.trust.judge import Judge, scored_table
from oct_core.trust.verdict import (
    NORMAL,
    VerdictRule,
    VerdictTable,
    give_verdicts,
    risk_coverage,
    verdict_table,
)
from oct_core.types import PredictionTable, RunCard

CHOICES: dict[str, tuple[float, ...]] = {
    "unfamiliar_normal": (0.1, 0.2, 0.4, 0.6, 1.0),
    "least_probability": (0.9, 0.95, 0.97, 0.98, 0.99),
    "least_unfamiliar": (0.97, 0.98, 0.99, 0.995, 0.998),
}
"""What --choose tries."""
HEADER = (
    "| data | scans | answered | caution | no answer | wrong of the answered | diseased answered "
    "NORMAL | area of risk |\n|---|---|---|---|---|---|---|---|"
)


def share(interval: Interval, count: int) -> str:
    """ "95.9% (91.2 to 98.9), 94"."""
    if np.isnan(interval.value):
        return "-"
    value, low, high = (100 * end for end in vars(interval).values())
    return f"{value:.1f}% ({low:.1f} to {high:.1f}), {count}"


def row(name: str, found: VerdictTable, area: float) -> str:
    cells = [
        share(found.shares["answer"], found.counts["answer"]),
        f"{found.shares['caution'].value:.1%}",
        f"{found.shares['refer'].value:.1%}",
        share(found.risk, found.wrong),
        share(found.missed_share, found.missed),
        f"{area:.4f}",
    ]
    return f"| {name} | {found.n_scans} | " + " | ".join(cells) + " |"


def by_class(name: str, found: VerdictTable) -> str:
    parts = [
        f"{label} {cell.answer} of {cell.n} answered, {cell.wrong} wrong"
        for label, cell in found.by_class.items()
    ]
    return f"{name}: " + "; ".join(parts)


def to_json(found: VerdictTable, area: float) -> dict[str, Any]:
    return {
        "n": found.n_scans,
        **found.counts,
        "wrong": found.wrong,
        "missed": found.missed,
        "area": round(area, 5),
    }


def tables_of(cards: Sequence[RunCard], test: bool) -> dict[str, PredictionTable]:
    """Every labelled set that all runs have answered, by title; the test part only if asked for."""
    kinds = ("validation", "corrupted", "external", *(("test",) if test else ()))
    choices = {choice.key: choice for card in cards for choice in data_choices(card)}
    tables = {}
    for key, choice in choices.items():
        if choice.kind not in kinds:
            continue
        try:
            tables[key] = scored_table(cards, {card.name: read_scored(card, key) for card in cards})
        except OctError as error:
            print(f"left out: {choice.title}: {error}", file=sys.stderr)
    return tables


@dataclass(frozen=True)
class Counts:
    """How many of n scans are answered, of these wrong, and of the diseased answered NORMAL."""

    n: int
    ill: int
    answered: int
    wrong: int
    missed: int

    def excess(self, limit: float) -> float:
        """By how much the shares of wrong answers and of missed diseases are over the aims."""
        risk, missed = self.wrong / max(self.answered, 1), self.missed / max(self.ill, 1)
        return max(0.0, risk - limit) + max(0.0, missed - 0.005)

    def __str__(self) -> str:
        return (
            f"{self.answered / self.n:.1%} of {self.n} answered, {self.wrong} wrong "
            f"({self.wrong / max(self.answered, 1):.1%}), {self.missed} diseased called NORMAL"
        )


def count(table: PredictionTable, rule: VerdictRule, sets: ConformalSets | None) -> Counts:
    """The counts of a table; no intervals, so that thousands of rules can be tried."""
    verdicts = give_verdicts(table, rule, sets)
    answered = np.array([verdict.kind == "answer" for verdict in verdicts])
    called = np.array([table.classes.index(verdict.label) for verdict in verdicts])
    normal = table.classes.index(NORMAL)
    ill = ~table.is_right(np.full(len(table), normal))
    wrong = answered & ~table.is_right(called)
    missed = answered & ill & (called == normal)
    return Counts(len(table), *(int(flags.sum()) for flags in (ill, answered, wrong, missed)))


def choose(
    tables: dict[str, PredictionTable], sets: ConformalSets | None, rule: VerdictRule
) -> None:
    """Try the constants of familiarity and probability, and print the best: those within the aims
    that answer most, the mean of the shares of validation and of external sets; if none is, those
    that come nearest. The aims: of the answers at most 0.5 % wrong on validation, 1.5 % on external
    sets, and at most 0.5 % of the diseased called NORMAL.
    """
    external = {key: table for key, table in tables.items() if key.startswith("external/")}
    found: list[tuple[float, float, VerdictRule, list[Counts]]] = []
    for values in product(*CHOICES.values()):
        tried = replace(rule, **dict(zip(CHOICES, values, strict=True)))
        if tried.least_unfamiliar < tried.least_probability:
            continue
        counts = [count(table, tried, sets) for table in (tables["val"], *external.values())]
        limits = (0.005, *([0.015] * len(external)))
        excess = sum(each.excess(limit) for each, limit in zip(counts, limits, strict=True))
        share = float(np.mean([each.answered / each.n for each in counts]))
        found.append((round(excess, 3), -share, tried, counts))
    for excess, share, tried, counts in sorted(found, key=lambda item: item[:2])[:12]:
        constants = ", ".join(f"{name} {getattr(tried, name):g}" for name in CHOICES)
        print(f"over the aims {excess:.3f}, answered {-share:.3f}: {constants}: ", end="")
        print(*counts, sep="; ")
    print()


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", nargs="+", help="all finished runs by default")
    parser.add_argument("--level", type=float, default=0.05)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--test", action="store_true")
    arguments = parser.parse_args()
    cards = [
        card
        for card in list_runs()
        if card.status == "done" and (not arguments.runs or card.name in arguments.runs)
    ]
    judge = Judge(cards, arguments.level)
    tables = tables_of(cards, arguments.test)
    if arguments.choose:
        choose(tables, judge.sets, judge.rule)
    print("\n".join(judge.rule.describe()), end="\n\n")
    figures, classes = {}, []
    print(HEADER)
    for key, table in tables.items():
        verdicts = give_verdicts(table, judge.rule, judge.sets)
        found, area = verdict_table(table, verdicts), risk_coverage(table, verdicts).area
        print(row(key, found, area))
        classes.append(by_class(key, found))
        figures[key] = to_json(found, area)
    print("", *classes, sep="\n", end="\n\n")
    print(json.dumps({"runs": [card.name for card in cards], "verdicts": figures}))


if __name__ == "__main__":
    main()
