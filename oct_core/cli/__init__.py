"""python -m oct_core: prepare, train, evaluate, predict, explain, runs, phantom."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from oct_core.errors import OctError, UnknownNameError
from oct_core.system import keep_freed_memory, yield_when_waiting
from oct_core.types import CLASSES

app = typer.Typer(
    name="oct_core",
    help="Train CNNs on retinal OCT B-scans, measure them, and show where they look. For research, "
    "not a medical device. "
    "With --debug an error shows its traceback.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# Names of files and runs are printed as they are: no [markup], no :emoji:.
_STOPPED = 130
"""The exit status of Ctrl-C, which typer gives too."""
out, err = (
    Console(markup=False, emoji=False, highlight=False, stderr=stderr) for stderr in (False, True)
)

RunName = Annotated[
    str,
    typer.Option(
        "--run", help="Name of the run: a folder in checkpoints/ (or in $OCT_CHECKPOINTS)."
    ),
]
Device = Annotated[str, typer.Option(help="cuda, mps or cpu; by default the best there is.")]


@contextmanager
def _bar(what: str) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        progress.add_task(what, total=None)
        yield progress


def _device(name: str) -> Any:
    import torch

    if not name:
        name = (
            "cuda"
            if torch.cuda.is_available()
            else "mps"
            if torch.backends.mps.is_available()
            else "cpu"
        )
    if (name.startswith("cuda") and not torch.cuda.is_available()) or (
        name == "mps" and not torch.backends.mps.is_available()
    ):
        raise UnknownNameError(
            "this machine has no device {name!r} that torch can use; leave --device out to take "
            "what there is",
            name=name,
        )
    if name.split(":")[0] not in ("cuda", "mps", "cpu"):
        raise UnknownNameError("no device is called {name!r}; there are: cuda, mps, cpu", name=name)
    return torch.device(name)


@app.command()
def prepare(
    folder: Annotated[
        Path,
        typer.Argument(
            help="OCT2017 folder, a folder of class folders, or a CSV (path, label, patient, "
            "split)."
        ),
    ],
    out_folder: Annotated[
        Path, typer.Option("--out", help="New folder for the manifest and the pack.")
    ],
    size: Annotated[
        int, typer.Option(help="Side of the packed scans in pixels: 224, 192 or 128.")
    ] = 224,
    repool: Annotated[
        bool, typer.Option(help="Pool every given part and split anew by patient.")
    ] = False,
    test_fraction: Annotated[
        float, typer.Option(help="Share of the scans for the test part, if one is made.")
    ] = 0.2,
    val_fraction: Annotated[
        float, typer.Option(help="Share of the remaining scans for validation.")
    ] = 0.15,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that decode; 0 takes one a core.")] = 0,
) -> None:
    """Check, split by patient and pack a folder of scans, once. Nothing is written over."""
    from oct_core.data.pack import prepare as prepare_folder
    from oct_core.data.split import SplitOptions

    options = SplitOptions(repool, test_fraction, val_fraction, seed)
    with _bar("reading scans") as bar:
        report = prepare_folder(
            folder,
            out_folder,
            options,
            size,
            workers or None,
            lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total),
        )
    _print_report(report)


def _print_report(report: Any) -> None:
    table = Table("part", *CLASSES, title="scans (patients)")
    for split, classes in report.counts.items():
        table.add_row(
            split,
            *(f"{classes[label]['images']} ({classes[label]['patients']})" for label in CLASSES),
        )
    out.print(table)
    if any(report.left_out.values()):
        left = ", ".join(f"{label} {number}" for label, number in report.left_out.items())
        out.print(f"left out of training because their patients are in the test part: {left}")
    if report.no_patient:
        err.print(
            f"warning: {report.no_patient} file names have no patient number; each such file "
            f"counts as its own patient"
        )
    if report.official_test:
        err.print(
            f"warning: {report.official_test} training or validation scans are images of OCT2017's "
            f"official test set; "
            "do not report a score on that set",
            soft_wrap=True,
        )
    for group in report.duplicates:
        err.print(
            f"warning: the same picture stands in several parts or classes: {', '.join(group)}",
            soft_wrap=True,
        )
    for path, reason in report.unreadable:
        err.print(f"left out: {path}: {reason}", soft_wrap=True)


@app.command()
def train(
    architecture: Annotated[str, typer.Argument(help="vgg16, resnet50 or densenet121.")],
    data: Annotated[Path, typer.Option(help="A folder made by prepare.")],
    run: RunName,
    init: Annotated[
        str, typer.Option(help="imagenet, random, or a .safetensors file of backbone keys.")
    ] = "imagenet",
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training part; the recipe's by default.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Scans a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak rate of the backbone.")] = None,
    head_learning_rate: Annotated[
        float | None, typer.Option(help="Peak rate of the classifier, where it is trained.")
    ] = None,
    augmentation: Annotated[float | None, typer.Option(help="Strength, 0 (off) to 1.")] = None,
    frozen_layers: Annotated[
        int | None,
        typer.Option(help="So many named layers, from the input on, stay as they start."),
    ] = None,
    trained_layers: Annotated[
        int | None,
        typer.Option(
            help="Only the first so many named layers are trained, the rest stays as in the run "
            "whose weights.safetensors --init names."
        ),
    ] = None,
    weight_averaging: Annotated[
        float | None,
        typer.Option(help="Decay a step of the averaged weights that are kept; 0 is off."),
    ] = None,
    phantoms: Annotated[
        int | None, typer.Option(help="Synthetic scans a class, added to the training part.")
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="Finished run of the same scans, at this size or below, whose answers are learned "
            "too; may be repeated."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of initial weights, order and augmentation.")] = 0,
    limit: Annotated[
        int | None, typer.Option(help="Train on so many scans only, for a trial.")
    ] = None,
    device: Device = "",
    resume: Annotated[bool, typer.Option(help="Go on with a run that was stopped.")] = False,
) -> None:
    """Train one network. Stopped at any moment, it goes on with --resume."""
    from oct_core.data.pack import open_pack
    from oct_core.runs.files import checkpoints_root
    from oct_core.runs.weights import load_run
    from oct_core.training.config import recipe
    from oct_core.training.run import teacher_name, train_run

    where = _device(device)
    teachers = [load_run(name, where) for name in teacher or []]
    config = recipe(
        architecture,
        initialisation=init,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        head_learning_rate=head_learning_rate,
        augmentation=augmentation,
        frozen_layers=frozen_layers,
        trained_layers=trained_layers,
        weight_averaging=weight_averaging,
        phantoms_per_class=phantoms,
        teachers=tuple(teacher_name(one) for one in teachers),
        seed=seed,
        limit=limit,
    )
    if not run.strip(".") or Path(run).name != run:
        raise UnknownNameError(
            "the name of a run is one folder name, not {run!r}; $OCT_CHECKPOINTS says where runs "
            "lie",
            run=run,
        )
    folder = checkpoints_root() / run
    with _bar(f"{run}: epoch 1 of {config.epochs}") as bar:
        events = _training_events(bar, run, config.epochs)
        train_run(config, open_pack(data), folder, where, resume, events, teachers)
    out.print(f"{run} is trained: {folder}", soft_wrap=True)


def _training_events(bar: Progress, run: str, epochs: int) -> Any:
    """The bar of the epoch, an estimate of the whole after the first steps, and a line an epoch."""
    from oct_core.training.estimate import Estimate
    from oct_core.training.run import Events

    estimate = Estimate(epochs)

    def step(epoch: int, done: int, total: int) -> None:
        bar.update(
            bar.task_ids[0],
            description=f"{run}: epoch {epoch} of {epochs}",
            completed=done,
            total=total,
        )
        text = estimate.after_step(epoch, done, total)
        if text:
            err.print(f"{run}: {text}")

    def epoch(row: dict[str, float], best: bool) -> None:
        kept = "  best so far" if best else ""
        err.print(
            f"{run}: epoch {row['epoch']:.0f}  training loss {row['train_loss']:.3f}  validation "
            f"loss {row['val_loss']:.3f}  "
            f"validation accuracy {row['val_accuracy']:.3f}{kept}",
            soft_wrap=True,
        )

    return Events(step, epoch)


@app.command()
def predict(
    paths: Annotated[
        list[Path], typer.Argument(help="Scans and folders of scans (searched to any depth).")
    ],
    out_file: Annotated[Path, typer.Option("--out", help="CSV file to write.")],
    run: Annotated[
        list[str] | None,
        typer.Option("--run", help="Run to use, may be repeated; all finished runs by default."),
    ] = None,
    device: Device = "",
) -> None:
    """Classify scans with one or all runs. Unreadable files are named on stderr, the rest is
    scored, exit status 1.
    """
    from oct_core.cli.files import check_out, predict_files, predictions_csv
    from oct_core.runs.files import damaged_runs, write_atomically

    check_out(out_file, paths)
    with _bar("predicting") as bar:
        rows, unreadable = predict_files(
            paths,
            run or [],
            str(_device(device)),
            lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total),
        )
    write_atomically(out_file, predictions_csv(rows))
    for name, reason in {} if run else damaged_runs().items():
        err.print(f"left out: the run {name}: {reason}", soft_wrap=True)
    for path, reason in unreadable:
        err.print(f"left out: {path}: {reason}", soft_wrap=True)
    out.print(f"{len(rows)} rows in {out_file}", soft_wrap=True)
    if unreadable:
        raise typer.Exit(1)


@app.command()
def explain(
    image: Annotated[Path, typer.Argument(help="One scan.")],
    run: RunName,
    out_folder: Annotated[Path, typer.Option("--out", help="Folder for the PNG and the .npz.")],
    target: Annotated[
        str | None, typer.Option(help="Class to explain; the model's own prediction by default.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Method, may be repeated; gradcam and the guided pair by default."),
    ] = None,
    layer: Annotated[
        list[str] | None, typer.Option(help="Named layer, may be repeated; all by default.")
    ] = None,
    device: Device = "",
) -> None:
    """Show where one network looked: a PNG, and an .npz of float32 maps named method/layer in the
    scan's own pixels.
    """
    from oct_core.cli.files import explain_file

    with _bar("making maps"):
        found = explain_file(image, run, out_folder, target, method, layer, str(_device(device)))
    if found.without_evidence:
        err.print(
            f"no evidence for {found.target}: these maps are zero everywhere: "
            f"{', '.join(found.without_evidence)}",
            soft_wrap=True,
        )
    out.print(f"{found.png}\n{found.npz}", soft_wrap=True)


@app.command()
def runs(
    names: Annotated[list[str] | None, typer.Argument(help="Runs to list; all by default.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the cards' main fields as JSON.")
    ] = False,
) -> None:
    """List the runs, finished, being trained, failed and damaged, with test accuracy and its
    interval by patient.
    """
    from oct_core.runs.files import checkpoints_root, damaged_runs, list_runs

    cards = [card for card in list_runs() if not names or card.name in names]
    damaged = {
        name: reason for name, reason in damaged_runs().items() if not names or name in names
    }
    if as_json:
        fields = ("status", "architecture", "best_epoch")
        print(
            json.dumps(
                [
                    {"run": card.name} | {field: getattr(card, field) for field in fields}
                    for card in cards
                ]
            )
        )
        return
    table = Table(
        "run", "status", "architecture", "size", "test accuracy", title=str(checkpoints_root())
    )
    for card in cards:
        figure = card.raw.get("metrics", {}).get("test", {}).get("accuracy", {})
        shown = (
            f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})" if figure else ""
        )
        table.add_row(
            card.name,
            card.status,
            card.architecture,
            f"{card.preprocessing.get('size', '?')} px",
            shown,
        )
    out.print(table)
    for name, reason in damaged.items():
        err.print(f"damaged: {name}: {reason}", soft_wrap=True)


@app.command()
def phantom(
    out_folder: Annotated[
        Path, typer.Option("--out", help="Folder for the pictures and lesion masks.")
    ],
    per_class: Annotated[int, typer.Option(help="Pictures a class.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the first picture; the next count up.")] = 0,
    height: Annotated[int, typer.Option(help="Pixels.")] = 496,
    width: Annotated[int, typer.Option(help="Pixels.")] = 512,
) -> None:
    """Draw synthetic B-scans with their lesion masks, as class folders that prepare can read."""
    from oct_core.cli.files import write_phantoms

    with _bar("drawing") as bar:
        written = write_phantoms(
            out_folder,
            per_class,
            seed,
            height,
            width,
            lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total),
        )
    out.print(f"{written} synthetic scans and their masks in {out_folder}", soft_wrap=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; one readable line for an error, a traceback only with --debug, which
    may stand anywhere.
    """
    yield_when_waiting()
    keep_freed_memory()
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    try:
        status = int(app(given, standalone_mode=False) or 0)
    except typer.Exit as stop:
        status = stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        status = _STOPPED
    except Exception as error:
        if debug:
            raise
        return _explain_error(error)
    if status == _STOPPED:
        err.print(
            "stopped; the last finished epoch is kept, and --resume goes on from it"
            if given[:1] == ["train"]
            else "stopped"
        )
    return status


def _explain_error(error: Exception) -> int:
    usage = getattr(error, "format_message", None)
    if usage is not None:
        err.print(f"error: {usage()} (see --help)", soft_wrap=True)
        return 2
    if isinstance(error, OctError | OSError):
        err.print(f"error: {error}", soft_wrap=True)
        return 1
    err.print(
        f"error: {type(error).__name__}: {error} (run again with --debug for the traceback)",
        soft_wrap=True,
    )
    return 1


from oct_core.cli import evaluate as evaluate
from oct_core.cli import explain_report as explain_report
