"""The report as a file: where it lies, and how it is read and checked. Loads no torch, so that the
page opens at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oct_core.errors import ReportError
from oct_core.metrics.intervals import Interval
from oct_core.runs.files import beside_the_library, run_rank
from oct_core.trust.randomisation import half_depth, verdict
from oct_core.words import say, say_count

SCHEMA = 3
COMMAND = "python -m oct_core explain-report --data DATA"
Line = dict[str, Any]
_KEYS: dict[str, type | tuple[type, ...]] = {
    "complete": bool,
    "tasks": dict,
    "seconds": (int, float),
    "note": str,
    "runs": dict,
    "measures": dict,
    "rows": list,
    "sanity": list,
    "verdicts": list,
    "skipped": list,
    "right": dict,
    "lesions": dict,
}
_FIELDS = {
    "rows": {
        "kind",
        "run",
        "method",
        "layer",
        "source",
        "measure",
        "n",
        "patients",
        "value",
        "low",
        "high",
    },
    "sanity": {"run", "method", "layer", "depth", "stage", "rank_correlation", "ssim"},
    "skipped": {"run", "method", "reason"},
    "runs": {
        "architecture",
        "weights_sha256",
        "layers",
        "size",
        "temperature",
        "scans",
        "settings",
        "device",
        "tasks",
        "seconds",
    },
}


def report_path() -> Path:
    """Where the report lies: the environment variable OCT_REPORT, else reports/explanations.json
    beside the library or, where pip installed it elsewhere, in the current folder.
    """
    given = os.environ.get("OCT_REPORT")
    name = "explanations.json"
    return Path(given) if given else beside_the_library("reports", name) / name


@dataclass(frozen=True, eq=False)
class Report:
    """A report as read. raw : the whole file, see report.write_report."""

    raw: Line

    @property
    def rows(self) -> list[Line]:
        """One a (kind, run, method, layer, source, measure): n, patients, value, low, high."""
        return list(self.raw["rows"])

    @property
    def runs(self) -> dict[str, Line]:
        """Run -> architecture, weights_sha256, layers (shallow to deep), size, temperature, and how
        it was measured.

        scans : phantoms, validation, and how many of these were packed pictures. settings, device,
        tasks (done, planned).
        seconds : None where it is not known.
        """
        return dict(self.raw["runs"])

    @property
    def measures(self) -> dict[str, dict[str, str]]:
        """Measure -> name, title, definition, better, source; as they were when the report was
        made.
        """
        return dict(self.raw["measures"])

    @property
    def sources(self) -> list[str]:
        """The kinds of scans that rows exist of, phantoms first."""
        return sorted({row["source"] for row in self.rows})

    def intervals(self, **fields: str) -> dict[tuple[str, str], Interval]:
        """(method, layer) -> value and interval of the rows that have all these fields (kind,
        run, source, measure).
        """
        return {
            (row["method"], row["layer"]): interval_of(row)
            for row in self.rows
            if all(row[name] == value for name, value in fields.items())
        }

    def verdict_of(self, run: str, weights_sha256: str, method: str, layer: str) -> str:
        """What the randomisation said of a map of these weights, in words; "" if it was not
        measured.
        """
        if self.runs.get(run, {}).get("weights_sha256") != weights_sha256:
            return ""
        return self.verdict(run, method, layer)

    def verdict(self, run: str, method: str, layer: str) -> str:
        """As ``verdict_of``, whatever weights are installed. Said anew from the figures, since the
        file's own sentence is in English.
        """
        left = self.left_over(run, method, layer)
        return "" if left is None else verdict(*left)

    def left_over(self, run: str, method: str, layer: str) -> tuple[float, float] | None:
        """Rank correlation left with the upper half of the network random, and with all of it;
        None if it was not measured.
        """
        place = {"run": run, "method": method, "layer": layer}
        left = {
            int(row["depth"]): row["rank_correlation"]["value"]
            for row in self.raw["sanity"]
            if place.items() <= row.items()
        }
        deepest = max(left, default=0)
        half, whole = left.get(half_depth(deepest)), left.get(deepest)
        return None if half is None or whole is None else (float(half), float(whole))

    @property
    def note(self) -> str:
        """On which scans the maps were measured, in words."""
        return scans_note(self.runs)


def interval_of(row: Mapping[str, Any]) -> Interval:
    """The value and interval of a row; NaN where it has none."""
    return Interval.from_dict(row)


def of_runs(parts: Line, names: Sequence[str]) -> Line:
    """The parts of a report that are told by run, cut to some runs."""
    lists = {
        part: [row for row in parts[part] if row["run"] in names]
        for part in ("rows", "sanity", "verdicts", "skipped")
    }
    return lists | {
        part: {name: parts[part][name] for name in names if name in parts[part]}
        for part in ("runs", "right", "lesions")
    }


def merged(first: Line, second: Line) -> Line:
    """Two reports of different runs (``of_runs``, or {}) as one, and what is told of all their
    runs: note, tasks, seconds.

    The runs stand by name, in the order of ``runfiles.list_runs``.
    """
    whole: Line = {}
    for part, lines in first.items():
        other = second.get(part, type(lines)())
        whole[part] = [*lines, *other] if isinstance(lines, list) else lines | other
    whole["runs"] = dict(sorted(whole["runs"].items(), key=lambda run: run_rank(run[0])))
    abouts = list(whole["runs"].values())
    tasks = {count: sum(about["tasks"][count] for about in abouts) for count in ("done", "planned")}
    seconds = sum(about["seconds"] or 0 for about in abouts)
    return whole | {
        "complete": tasks["done"] == tasks["planned"],
        "tasks": tasks,
        "seconds": round(seconds, 1),
        "note": scans_note(whole["runs"]),
    }


def scans_note(runs: Mapping[str, Line]) -> str:
    """On which scans the maps were measured, in words; run by run where they differ."""
    by_words: dict[str, list[str]] = {}
    for name, about in runs.items():
        by_words.setdefault(_scans_in_words(about["scans"]), []).append(name)
    if len(by_words) == 1:
        return next(iter(by_words))
    return " ".join(f"{', '.join(names)}: {words}" for words, names in by_words.items())


def _scans_in_words(scans: Mapping[str, int]) -> str:
    if not scans["validation"]:
        return say(
            "Measured on {phantoms} synthetic scans only, because no folder of scans was given. "
            "These figures do not describe maps of real scans.",
            phantoms=scans["phantoms"],
        )
    words = say(
        "Measured on {phantoms} synthetic scans and {validation} validation scans; the test part "
        "is never used.",
        phantoms=scans["phantoms"],
        validation=scans["validation"],
    )
    if not scans["packed"]:
        return words
    replaced = say_count(
        "The file of {count} scan was missing; its prepared picture (square, wedges painted over) "
        "was used instead.",
        "The files of {count} scans were missing; their prepared pictures (square, wedges painted "
        "over) were used instead.",
        scans["packed"],
    )
    return f"{words} {replaced}"


def _check(raw: Any, path: Path) -> None:
    if not isinstance(raw, dict) or "schema" not in raw:
        raise ReportError(
            "expected a report with a schema in {file}, got another JSON file; make it again with "
            "`{command}`",
            file=path.name,
            command=COMMAND,
        )
    if raw["schema"] != SCHEMA:
        raise ReportError(
            "expected a report of schema {expected} in {file}, got {found}; update the app, or "
            "make the report again with `{command}`",
            expected=SCHEMA,
            file=path.name,
            found=raw["schema"],
            command=COMMAND,
        )
    wrong = [name for name, kind in _KEYS.items() if not isinstance(raw.get(name), kind)]
    listed = {name: raw[name] for name in ("rows", "sanity", "skipped") if name not in wrong}
    listed |= {} if "runs" in wrong else {"runs": list(raw["runs"].values())}
    wrong += [name for name, lines in listed.items() if not _all_have(lines, _FIELDS[name])]
    if wrong:
        raise ReportError(
            "expected the parts of a report in {file}, missing or of another form: {wrong}; make "
            "it again with `{command}`",
            file=path.name,
            wrong=", ".join(wrong),
            command=COMMAND,
        )


def _all_have(rows: list[Any], fields: set[str]) -> bool:
    return all(isinstance(row, dict) and fields <= row.keys() for row in rows)


def read_report(path: Path | None = None) -> Report | None:
    """The report at ``path`` (by default ``report_path()``), or None if there is none.

    Raises ReportError for a file that cannot be read, is no JSON, has another schema, or lacks a
    part.
    """
    path = path or report_path()
    if not path.is_file():
        return None
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(
            "expected JSON in {file}, got a damaged file ({fault}); make it again with `{command}`",
            file=path.name,
            fault=type(error).__name__,
            command=COMMAND,
        ) from error
    _check(raw, path)
    return Report(raw)
