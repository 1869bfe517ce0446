"""explain-report: how faithful, how sane and how well placed the maps of every run are, as one JSON
file.

The work is cut into tasks of one run and one scan (faithfulness and place) or one run
(randomisation). The result of each task is a line of a .tasks.jsonl file beside the report: stopped
at any moment, the next call goes on after the last full line. A line counts only if it was made
with the same weights and settings.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from oct_core.errors import CheckpointError, DataError, ExplanationError, ReportError
from oct_core.explanations.api import DEFAULT_METHODS, default_methods, explain_with_predictions
from oct_core.explanations.methods import METHODS, check_methods
from oct_core.models.precision import PRECISIONS
from oct_core.runs.files import checkpoints_root, list_runs, write_atomically
from oct_core.runs.weights import LoadedRun
from oct_core.trust import sanity
from oct_core.trust.baselines import BASELINES
from oct_core.trust.faithfulness import FILLS, STEPS
from oct_core.trust.measure import MEASURES, ScoreOptions, faithfulness_scores, place_scores
from oct_core.trust.report_file import SCHEMA, Line, merged, of_runs, read_report
from oct_core.trust.report_items import Item, phantom_items, validation_items
from oct_core.trust.report_summary import summarise
from oct_core.types import Explanation, Float32Array
from oct_core.words import language

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class ReportOptions:
    """What the report measures.

    phantoms, validation : scans of each kind for the core (validation needs ``data``). wider :
    scans for the wider family of methods
    at the last layer, and for the randomisation. steps : of the deletion and insertion curves.
    resamples : of the bootstrap.
    minutes : stop after so long, in a state that can go on; None has no limit. seed : of samples,
    baselines and fresh weights.
    precision : of the passes that score a map, "float32" or "bfloat16" (autocast; areas within
    0.02). Maps are made in float32.
    """

    phantoms: int = 24
    validation: int = 24
    wider: int = 8
    steps: int = STEPS
    resamples: int = 1000
    minutes: float | None = None
    precision: str = "float32"
    seed: int = 0
    height: int = 496
    width: int = 512

    def __post_init__(self) -> None:
        if (
            self.phantoms < 1
            or min(self.validation, self.wider) < 0
            or self.steps < 1
            or self.resamples < 1
        ):
            raise DataError(
                "expected at least 1 phantom, step and resample, and no negative number of scans; "
                "correct the options"
            )
        if self.minutes is not None and self.minutes <= 0:
            raise DataError(
                "expected minutes above 0, got {minutes}; leave it out for no limit",
                minutes=self.minutes,
            )
        if self.precision not in PRECISIONS:
            raise DataError(
                "expected a precision of {precisions}, got {precision!r}; use one of these",
                precisions=", ".join(PRECISIONS),
                precision=self.precision,
            )


@dataclass(frozen=True, eq=False)
class Task:
    """One piece of work. kind : "core", "wider" or "sanity". items : one scan, or those of the
    randomisation.
    """

    kind: str
    run: str
    items: tuple[Item, ...]
    method: str = ""

    @property
    def key(self) -> str:
        """What the line of its result is called."""
        return "/".join(
            [self.kind, self.run, self.method, "+".join(item.key for item in self.items)]
        )


def wider_methods() -> list[str]:
    """The registered methods beyond the core, quick ones first."""
    rest = [name for name in METHODS if name not in DEFAULT_METHODS]
    return sorted(rest, key=lambda name: (METHODS.get(name).slow, name in ("scorecam",)))


def _balanced(phantoms: Sequence[Item], real: Sequence[Item], count: int) -> list[Item]:
    """``count`` scans, half of each kind where there are both."""
    half = min(len(real), count // 2)
    return [*phantoms[: count - half], *real[:half]]


def plan(
    runs: Sequence[str], phantoms: Sequence[Item], real: Sequence[Item], options: ReportOptions
) -> list[Task]:
    """Every task: the randomisation, which is quick; the core scan by scan over all runs, so that a
    report cut short is balanced; then the wider family.
    """
    mixed = [item for pair in zip(phantoms, real, strict=False) for item in pair]
    ordered = mixed + list(phantoms[len(real) :]) + list(real[len(phantoms) :])
    few = _balanced(phantoms, real, options.wider)
    tasks = [Task("sanity", run, tuple(few)) for run in runs] if few else []
    tasks += [Task("core", run, (item,)) for item in ordered for run in runs]
    return tasks + [
        Task("wider", run, (item,), method)
        for method in wider_methods()
        for item in few
        for run in runs
    ]


def _named_maps(
    explained: Sequence[Explanation], item: Item, options: ReportOptions
) -> dict[tuple[str, str], Float32Array]:
    maps = {(each.method, each.layer): each.values for each in explained}
    # Seeded by the scan, so that every run meets the same random map.
    seed = int(hashlib.sha256(f"{options.seed}/{item.key}".encode()).hexdigest()[:8], 16)
    return maps | {
        (name, "input"): BASELINES.get(name).compute(item.scan.pixels, seed) for name in BASELINES
    }


def _score_scan(task: Task, run: LoadedRun, options: ReportOptions) -> list[Line]:
    (item,) = task.items
    wider = task.kind == "wider"
    layers = [run.architecture.last_layer] if wider else None
    methods = [task.method] if wider else default_methods(run.model)
    ((prediction, explained),) = explain_with_predictions(
        item.scan, run, methods=methods, layers=layers, network_size=True
    )
    maps = (
        {(each.method, each.layer): each.values for each in explained}
        if wider
        else _named_maps(explained, item, options)
    )
    right = prediction.predicted == item.label
    faithful = faithfulness_scores(
        run,
        item.scan,
        list(maps.values()),
        prediction.predicted,
        ScoreOptions(tuple(FILLS), options.steps, True, options.precision),
    )
    lesion = item.lesion is not None and bool(item.lesion.any())
    places = place_scores(item.scan, list(maps.values()), item.lesion if right else None)
    return [
        {
            "kind": task.kind,
            "run": task.run,
            "method": method,
            "layer": layer,
            "source": item.source,
            "scan": item.key,
            "patient": _hidden(item.patient),
            "right": right,
            "lesion": lesion,
            "values": {**first, **second},
        }
        for (method, layer), first, second in zip(maps, faithful, places, strict=True)
    ]


def _beside_the_wider(
    rows: Sequence[Line], few: Sequence[str], runs: Mapping[str, LoadedRun]
) -> list[Line]:
    """What the wider family is held against: the core's maps of the last layer and of the input,
    and the baselines, on its scans.
    """
    last = {name: run.architecture.last_layer for name, run in runs.items()}
    return [
        row | {"kind": "wider"}
        for row in rows
        if row["kind"] == "core"
        and row["scan"] in few
        and row["layer"] in ("input", last[row["run"]])
    ]


def _left_out(runs: Mapping[str, LoadedRun]) -> list[Line]:
    """The core methods that do not hold for a run's network, and why."""
    rows = []
    for name, run in runs.items():
        for method in DEFAULT_METHODS:
            try:
                check_methods([METHODS.get(method)], run.model)
            except ExplanationError as error:
                rows.append(
                    {"kind": "skipped", "run": name, "method": method, "reason": str(error)}
                )
    return rows


def _hidden(patient: str) -> str:
    """Patients as a short digest: the report needs to know who is the same, not who."""
    return hashlib.sha256(patient.encode()).hexdigest()[:12]


def _score_sanity(task: Task, run: LoadedRun, options: ReportOptions) -> list[Line]:
    stages = sanity.cascade(
        run,
        [item.scan for item in task.items],
        default_methods(run.model),
        seed=options.seed,
    )
    return [
        {
            "kind": "sanity",
            "run": task.run,
            "method": similarity.method,
            "layer": similarity.layer,
            "depth": similarity.depth,
            "stage": similarity.stage,
            "patients": [_hidden(item.patient) for item in task.items],
            "rank_correlation": similarity.rank_correlation.tolist(),
            "ssim": similarity.ssim.tolist(),
        }
        for similarity in sanity.compare(stages)
    ]


class PartFile:
    """Finished tasks, one JSON line each; lines of another fingerprint and a last line cut short
    are passed over.

    fingerprints : run -> what its weights and the settings hash to. One run trained anew leaves the
    lines of the others good.
    """

    def __init__(self, path: Path, fingerprints: Mapping[str, str]) -> None:
        self.path, self.fingerprints = path, fingerprints

    def read(self) -> dict[str, Line]:
        """Task key -> its line."""
        return {
            line["key"]: line
            for line in self._lines()
            if line.get("fingerprint") in self.fingerprints.values()
        }

    def _lines(self) -> Iterator[Line]:
        if self.path.is_file():
            for text in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    yield json.loads(text)
                except ValueError:
                    continue

    def append(self, task: Task, rows: list[Line], seconds: float) -> None:
        """Add one finished task, on a line of its own even after one cut short."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(
            {
                "fingerprint": self.fingerprints[task.run],
                "key": task.key,
                "seconds": round(seconds, 3),
                "rows": rows,
            }
        )
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")


def _fingerprints(runs: dict[str, LoadedRun], options: ReportOptions) -> dict[str, str]:
    settings = {
        name: value
        for name, value in asdict(options).items()
        if name in ("steps", "precision", "seed", "height", "width")
    }
    texts = {
        name: json.dumps(
            [SCHEMA, settings, name, run.card.weights_sha256, run.card.temperature], sort_keys=True
        )
        for name, run in runs.items()
    }
    return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in texts.items()}


def _work(
    tasks: Sequence[Task],
    runs: dict[str, LoadedRun],
    part: PartFile,
    options: ReportOptions,
    progress: Progress,
) -> dict[str, Line]:
    """Do what is not done yet, until the time is up; the lines of ``tasks`` that are done."""
    started, done = time.monotonic(), part.read()
    budget = float("inf") if options.minutes is None else options.minutes * 60
    for number, task in enumerate(tasks):
        progress(number, len(tasks), f"{task.run}: {task.method or task.kind}")
        if task.key in done:
            continue
        if time.monotonic() - started > budget:
            break
        clock = time.monotonic()
        try:
            rows = (_score_sanity if task.kind == "sanity" else _score_scan)(
                task, runs[task.run], options
            )
        except ExplanationError as error:
            if task.kind != "wider":
                raise
            rows = [
                {"kind": "skipped", "run": task.run, "method": task.method, "reason": str(error)}
            ]
        part.append(task, rows, time.monotonic() - clock)
        done = (
            part.read()
            if task is tasks[-1]
            else done
            | {task.key: {"key": task.key, "seconds": time.monotonic() - clock, "rows": rows}}
        )
    return {task.key: done[task.key] for task in tasks if task.key in done}


@language("en")  # the file is in English, whatever language its writer speaks
def write_report(
    out: Path,
    runs: Sequence[LoadedRun],
    data: Path | None = None,
    options: ReportOptions | None = None,
    root: Path | None = None,
    progress: Progress = lambda done, total, what: None,
) -> Line:
    """Measure the maps of runs and write the report; returns what was written.

    Parameters
    ----------
    out : the JSON file. runs : loaded, all on one device; what ``out`` holds of other runs stays,
    as long as their weights are the installed ones.
    data : a prepared folder for validation scans; without it the report has phantoms only and says
    so.
    root : of the installed runs. progress : called with (tasks done, tasks in all, what).

    Raises CheckpointError without a run, DataError for a folder that is not prepared.
    """
    if not runs:
        raise CheckpointError("expected at least one run, got none; load a finished one first")
    options, by_name = options or ReportOptions(), {run.name: run for run in runs}
    phantoms = phantom_items(options.phantoms, options.height, options.width)
    real = (
        validation_items(data, options.validation, options.seed)
        if data and options.validation
        else []
    )
    # Not ".part": that is the temporary name under which the report itself is written, and it would
    # replace the lines.
    part = PartFile(out.with_suffix(".tasks.jsonl"), _fingerprints(by_name, options))
    tasks = plan(list(by_name), phantoms, real, options)
    lines = _work(tasks, by_name, part, options, progress)
    rows = [row for line in lines.values() for row in line["rows"]] + _left_out(by_name)
    few = [item.key for item in _balanced(phantoms, real, options.wider)]
    rows += _beside_the_wider(rows, few, by_name)
    scans = {
        "phantoms": len(phantoms),
        "validation": len(real),
        "packed": sum(item.packed for item in real),
    }
    settings = {**asdict(options), "minutes": None, "fills": list(FILLS)}
    measured = {
        run.name: _about(run, tasks, lines) | {"scans": scans, "settings": settings} for run in runs
    }
    report: Line = {
        "schema": SCHEMA,
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "methods": {name: METHODS.get(name).title for name in METHODS}
        | {name: BASELINES.get(name).title for name in BASELINES},
        "measures": {name: asdict(MEASURES.get(name)) for name in MEASURES},
        **merged(
            {"runs": measured, **summarise(rows, options.resamples, options.seed)},
            _other_runs(out, list(by_name), root),
        ),
    }
    write_atomically(out, (json.dumps(report, indent=1, allow_nan=False) + "\n").encode())
    return report


def _about(run: LoadedRun, tasks: Sequence[Task], lines: Mapping[str, Line]) -> Line:
    """What was measured, and how far it is."""
    keys = [task.key for task in tasks if task.run == run.name]
    done = [key for key in keys if key in lines]
    return {
        "architecture": run.architecture.name,
        "weights_sha256": run.card.weights_sha256,
        "layers": list(run.architecture.layers),
        "size": run.preprocessing.size,
        "temperature": run.card.temperature,
        "device": (
            torch.cuda.get_device_name(run.device)
            if run.device.type == "cuda"
            else f"{torch.get_num_threads()} CPU threads"
        ),
        "tasks": {"done": len(done), "planned": len(keys)},
        "seconds": round(sum(lines[key]["seconds"] for key in done), 1),
    }


def _other_runs(out: Path, measured: Sequence[str], root: Path | None) -> Line:
    """What the report at ``out`` holds of runs that are not measured now and have the same weights
    still.
    """
    try:
        report = read_report(out)
    except ReportError:
        return {}
    if report is None:
        return {}
    hashes = {card.name: card.weights_sha256 for card in list_runs(root or checkpoints_root())}
    return of_runs(
        report.raw,
        [
            name
            for name, about in report.runs.items()
            if name not in measured and hashes.get(name) == about["weights_sha256"]
        ],
    )
