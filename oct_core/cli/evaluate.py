"""python -m oct_core evaluate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from oct_core.cli.app import Device, err, named_runs, out, progress_bar
from oct_core.errors import DataError
from oct_core.metrics.intervals import interval_text, share_interval
from oct_core.models.catalog import ENSEMBLE
from oct_core.runs.files import list_runs
from oct_core.scans import tell_apart
from oct_core.words import say_count

if TYPE_CHECKING:
    from oct_core.metrics.summary import Evaluation
    from oct_core.runs.evaluations import ExternalSet
    from oct_core.types import PredictionTable, RunCard


def evaluate(
    run: Annotated[
        list[str], typer.Argument(help='Names of finished runs; "ensemble" is all of them.')
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="The prepared folder they were trained on: predicts anew, adds corruptions and "
            "phantoms."
        ),
    ] = None,
    validation_only: Annotated[
        bool,
        typer.Option(
            "--validation-only",
            help="Do not score the test part: to choose between trainings without having seen it.",
        ),
    ] = False,
    labelled: Annotated[
        Path | None,
        typer.Option(
            help="Score these labelled scans instead: a folder whose folders are named as labels, "
            "or a CSV with path, label and, if known, patient. The answers are kept beside the "
            "runs, with file names and hashes, without pictures or the names of patients."
        ),
    ] = None,
    label_map: Annotated[
        list[str] | None,
        typer.Option(
            help="What a label stands for, AMD=CNV,DRUSEN; OTHER=- leaves its scans out. May be "
            "repeated."
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="What the labelled set is called; as its folder by default.")
    ] = "",
    device: Device = "",
) -> None:
    """Measure runs on validation and test scans, or on a labelled set from elsewhere, with
    intervals by patient. The figures are kept with the runs.
    """
    runs = named_runs(run) or [card.name for card in list_runs() if card.status == "done"]
    if labelled is None and (label_map or name):
        raise DataError("--label-map and --name belong to --labelled FOLDER; give that too")
    if labelled is not None and data is not None:
        raise DataError("--data and --labelled are two evaluations; run one after the other")
    if labelled is not None:
        called = name or (labelled.stem if labelled.is_file() else labelled.resolve().name)
        _score_labelled(runs, labelled, label_map or [], called, device)
        return
    for each in runs:
        _evaluate_parts(each, data, ("val",) if validation_only else ("val", "test"), device)
    if len(runs) > 1:
        _print_ensemble(runs, ("val",) if validation_only else ("val", "test"))


def _evaluate_parts(run: str, data: Path | None, parts: Sequence[str], device: str) -> None:
    from oct_core.data.pack import is_prepared, open_pack
    from oct_core.evaluation import evaluate_run
    from oct_core.models.device import choose_device
    from oct_core.runs.files import checkpoints_root, read_card

    if data is not None and not is_prepared(data):
        raise DataError(
            "{folder} is not the prepared folder of a training; labelled scans from elsewhere are "
            "scored with: python -m oct_core evaluate {run} --labelled {folder}",
            folder=data,
            run=run,
        )
    pack = open_pack(data) if data else None
    with progress_bar("evaluating") as bar:
        evaluations = evaluate_run(
            checkpoints_root() / run, pack, choose_device(device), bar.describe, parts
        )
    _print_parts(run, evaluations)
    _print_figures(evaluations)
    card = read_card(checkpoints_root() / run).raw
    if "robustness" in card:
        _print_corruptions(card["robustness"])
        out.print(
            f"accuracy on {card['phantoms']['n']} fresh phantoms {card['phantoms']['accuracy']:.3f}"
        )


def _print_ensemble(runs: Sequence[str], parts: Sequence[str]) -> None:
    """The same of the ensemble of the runs, from their stored answers."""
    from oct_core.metrics.summary import evaluate_table
    from oct_core.runs.evaluations import read_scored
    from oct_core.runs.files import checkpoints_root, read_card
    from oct_core.trust.judge import scored_table

    cards = [read_card(checkpoints_root() / run) for run in runs]
    evaluations = {}
    for part in parts:
        tables = {card.name: read_scored(card, part) for card in cards}
        evaluations[part] = evaluate_table(scored_table(cards, tables), part)
    _print_parts(ENSEMBLE, evaluations)
    _print_figures(evaluations)


def _score_labelled(
    names: Sequence[str], source: Path, label_map: Sequence[str], name: str, device: str
) -> None:
    from oct_core.cli.predict import tell_left_out, tell_others
    from oct_core.external import find_labelled, parse_label_map, score_labelled
    from oct_core.models.device import choose_device
    from oct_core.runs.weights import load_runs
    from oct_core.trust.judge import scored_table

    found = find_labelled(source, parse_label_map(label_map))
    runs = load_runs(names, choose_device(device))
    with progress_bar("scoring") as bar:
        scored = score_labelled(found, runs, name, bar.step)
    passed_over, others = tell_apart(found.passed_over)
    tell_left_out(passed_over)
    tell_others(others)
    for text in found.folders.sentences():
        err.print(f"note: {text}", soft_wrap=True)
    tell_left_out(scored.unreadable)
    if scored.first_pages:
        text = say_count(
            "{count} file has several pages; the first was scored",
            "{count} files have several pages; the first of each was scored",
            scored.first_pages,
        )
        err.print(f"warning: {text}", soft_wrap=True)
    for run in runs:
        _print_labelled(run.name, scored.tables[run.name], run.card.temperature)
        _print_verdicts([run.card], scored.tables)
    if len(runs) > 1:
        cards = [run.card for run in runs]
        _print_labelled(ENSEMBLE, scored_table(cards, scored.tables), 1.0)
        _print_verdicts(cards, scored.tables)
    _print_set(next(iter(scored.about.values())))
    if scored.unreadable or passed_over:
        raise typer.Exit(1)


def _print_verdicts(cards: Sequence[RunCard], tables: Mapping[str, PredictionTable]) -> None:
    """What the rule makes of the answers of those runs together."""
    from oct_core.trust.judge import Judge, scored_table
    from oct_core.trust.verdict import give_verdicts, verdict_table

    judge = Judge(cards)
    own = scored_table(cards, {card.name: tables[card.name] for card in cards})
    found = verdict_table(own, give_verdicts(own, judge.rule, judge.sets))
    counts = ", ".join(f"{kind} {count}" for kind, count in found.counts.items())
    out.print(
        f"verdicts: {counts}; wrong among the answered {found.wrong}, a disease answered NORMAL "
        f"{found.missed}",
        soft_wrap=True,
    )
    for problem in judge.problems:
        err.print(f"warning: {problem}", soft_wrap=True)


def _print_set(about: ExternalSet) -> None:
    """What was scored and what was not, in lines."""
    scans = say_count("{count} scan", "{count} scans", about.n_scans)
    patients = say_count("{count} patient", "{count} patients", about.n_patients)
    out.print(
        f"{scans} of {patients} (known from: {about.patients_from}); kept as external/{about.name}",
        soft_wrap=True,
    )
    for label, count in about.left_out.items():
        scans = say_count("{count} scan", "{count} scans", count)
        err.print(f"left out: {scans} with the label {label}", soft_wrap=True)
    if about.repeated:
        again = say_count(
            "{count} picture that came before", "{count} pictures that came before", about.repeated
        )
        err.print(f"left out: {again}", soft_wrap=True)
    if "files" in about.patients_from.split(", "):
        err.print(
            "warning: of some scans nothing says whose they are; each counts as its own patient, "
            "so the intervals may be too narrow (a CSV with path, label, patient tells)",
            soft_wrap=True,
        )
    if about.seen:
        err.print(
            f"warning: {about.seen} of these scans are of the run's own validation or test part",
            soft_wrap=True,
        )


def _print_labelled(run: str, table: PredictionTable, temperature: float) -> None:
    """Accuracy, the counts of answers, sensitivity and specificity, a row a label."""
    from oct_core.metrics.merging import measurable
    from oct_core.metrics.summary import evaluate_table

    evaluation = evaluate_table(table, str(table.split[0]), temperature)
    figures = Table("label", "scans", *table.classes, "sensitivity", "specificity")
    figures.title = f"{run}: accuracy {evaluation.describe('accuracy')}; answers by label"
    given = table.given if table.given is not None else np.array(table.classes)[table.label]
    called = table.logits.argmax(axis=1)
    right, (merged, _) = table.is_right(called), measurable(table, temperature)
    for label in sorted(set(given.tolist())):
        here = given == label
        counts = np.bincount(called[here], minlength=len(table.classes))
        group = merged.classes[int(merged.label[here][0])]
        figures.add_row(
            label,
            str(int(here.sum())),
            *map(str, counts.tolist()),
            interval_text(share_interval(right, here, table.patient)),
            evaluation.describe("specificity", group),
        )
    out.print(figures)


def _print_parts(run: str, evaluations: Mapping[str, Evaluation]) -> None:
    table = Table("part", "scans", "patients", "accuracy", "macro AUC", title=run)
    for split, evaluation in evaluations.items():
        figures = [evaluation.describe(name) for name in ("accuracy", "macro_auc")]
        table.add_row(split, str(evaluation.n_scans), str(evaluation.n_patients), *figures)
    out.print(table)


def _print_figures(evaluations: Mapping[str, Evaluation]) -> None:
    """What is one number, beside accuracy and macro AUC: a row a metric, a column a part."""
    from oct_core.metrics import METRICS

    table = Table("figure", *evaluations, title="other figures (95% interval by patient)")
    for name in METRICS:
        metric = METRICS.get(name)
        if metric.kind == "scalar" and name not in ("accuracy", "macro_auc"):
            cells = [evaluation.describe(name) for evaluation in evaluations.values()]
            table.add_row(metric.title, *cells)
    out.print(table)


def _print_corruptions(robustness: Mapping[str, Any]) -> None:
    grades = max(map(len, robustness["accuracy"].values()))
    table = Table(
        "validation scans under",
        *(f"grade {grade}" for grade in range(1, grades + 1)),
        title="accuracy under corruption",
    )
    for name, accuracies in robustness["accuracy"].items():
        table.add_row(name, *(f"{accuracy:.3f}" for accuracy in accuracies))
    out.print(table)
    out.print(
        f"validation accuracy {robustness['clean']:.3f}, mean over graded corruptions "
        f"{robustness['mean_corrupted']:.3f} (on {robustness['n']} of "
        f"{robustness.get('of', robustness['n'])} scans)",
        soft_wrap=True,
    )
