"""python -m oct_core train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oct_core.cli.app import Bar, Device, RunName, err, out, progress_bar
from oct_core.errors import UnknownNameError
from oct_core.models.catalog import ARCHITECTURES

if TYPE_CHECKING:
    from oct_core.training.job import Events


def train(
    architecture: Annotated[str, typer.Argument(help=f"One of: {', '.join(ARCHITECTURES)}.")],
    data: Annotated[Path, typer.Option(help="A folder made by prepare.")],
    run: RunName,
    init: Annotated[
        str, typer.Option(help="imagenet, random, or a .safetensors file of backbone keys.")
    ] = "imagenet",
    fill_missing: Annotated[
        bool,
        typer.Option(
            "--fill-missing",
            help="Start fresh what the file of --init lacks, and say which, not refuse it.",
        ),
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training part; the recipe's by default.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Scans a step, over all processes together; the recipe's 16 by default, on a GPU "
            "128 with --scale-rates from 10,000 training scans on."
        ),
    ] = None,
    scale_rates: Annotated[
        bool,
        typer.Option(
            "--scale-rates",
            help="With another --batch-size, rates go with its root, and the averaging follows.",
        ),
    ] = False,
    learning_rate: Annotated[float | None, typer.Option(help="Peak rate of the backbone.")] = None,
    head_learning_rate: Annotated[
        float | None, typer.Option(help="Peak rate of the classifier, where it is trained.")
    ] = None,
    augmentation: Annotated[float | None, typer.Option(help="Strength, 0 (off) to 1.")] = None,
    styles: Annotated[
        float | None,
        typer.Option(help="How far scans are made to look as of other devices, 0 (off) to 1."),
    ] = None,
    lesions: Annotated[
        float | None,
        typer.Option(help="Share of NORMAL scans that cysts and foci are drawn into: DME, 0 to 1."),
    ] = None,
    widening: Annotated[
        float | None,
        typer.Option(help="Share of scans that a NORMAL one is put beside, 0 to 1."),
    ] = None,
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
    phantom_views: Annotated[
        float | None,
        typer.Option(help="Share of these of which a part off the fovea is taken, 0 to 1."),
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
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile", help="Through torch.compile: pays on a GPU from some thousand steps on."
        ),
    ] = False,
    device: Device = "",
    resume: Annotated[bool, typer.Option(help="Go on with a run that was stopped.")] = False,
) -> None:
    """Train one network. Stopped at any moment, it goes on with --resume.

    Started by torchrun, its processes train together, each on a GPU of its own: torchrun
    --nproc-per-node 8 -m oct_core -- train ...
    """
    from oct_core.data.pack import open_pack
    from oct_core.models.device import choose_device
    from oct_core.runs.files import checkpoints_root
    from oct_core.runs.weights import load_run
    from oct_core.training.distributed import joined
    from oct_core.training.execution import Execution
    from oct_core.training.initial import fresh_tensors
    from oct_core.training.job import Events, TrainingJob
    from oct_core.training.recipes import default_batch, recipe
    from oct_core.training.run import train_run
    from oct_core.training.teachers import teacher_name

    _check_name(run)
    with joined(choose_device(device)) as (crew, where):
        teachers = tuple(load_run(name, where) for name in teacher or [])
        options: dict[str, Any] = {
            "initialisation": init,
            "fill_missing": fill_missing,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "head_learning_rate": head_learning_rate,
            "augmentation": augmentation,
            "styles": styles,
            "lesions": lesions,
            "widening": widening,
            "frozen_layers": frozen_layers,
            "trained_layers": trained_layers,
            "weight_averaging": weight_averaging,
            "phantoms_per_class": phantoms,
            "phantom_views": phantom_views,
            "teachers": tuple(map(teacher_name, teachers)),
            "seed": seed,
            "limit": limit,
        }
        config = recipe(architecture, scale_rates, **options)
        pack = open_pack(data)
        scans = min(len(pack.rows("train")), limit or len(pack.records))
        if batch_size is None and (large := default_batch(scans, where.type)):
            config = recipe(architecture, True, **{**options, "batch_size": large})
            if crew.leads:
                err.print(f"{large} scans a step, with rates to match; see --batch-size")
        if crew.leads and (fresh := fresh_tensors(config)):
            err.print(
                f"{Path(init).name} lacks {len(fresh)} tensors, which start fresh: "
                f"{', '.join(fresh)}",
                soft_wrap=True,
            )
        folder = checkpoints_root() / run
        execution = Execution(crew, compiled=compiled, tell=err.print)
        with progress_bar(f"{run}: epoch 1 of {config.epochs}", crew.leads) as bar:
            events = training_events(bar, run, config.epochs) if crew.leads else Events()
            job = TrainingJob(config, pack, folder, where, teachers, events, execution)
            train_run(job, resume)
        if crew.leads:
            out.print(f"{run} is trained: {folder}", soft_wrap=True)


def _check_name(run: str) -> None:
    if not run.strip(".") or Path(run).name != run:
        raise UnknownNameError(
            "the name of a run is one folder name, not {run!r}; $OCT_CHECKPOINTS says where runs "
            "lie",
            run=run,
        )


def training_events(bar: Bar, run: str, epochs: int) -> Events:
    """The bar of the epoch, an estimate of the whole after the first steps, and a line an epoch."""
    from oct_core.training.estimate import Estimate
    from oct_core.training.job import Events

    estimate = Estimate(epochs)

    def step(epoch: int, done: int, total: int) -> None:
        bar.step(done, total, f"{run}: epoch {epoch} of {epochs}")
        text = estimate.after_step(epoch, done, total)
        if text:
            err.print(f"{run}: {text}")

    def epoch(row: dict[str, float], best: bool) -> None:
        mark = "  best so far" if best else ""
        err.print(
            f"{run}: epoch {row['epoch']:.0f}  training loss {row['train_loss']:.3f}  validation "
            f"loss {row['val_loss']:.3f}  "
            f"validation accuracy {row['val_accuracy']:.3f}{mark}",
            soft_wrap=True,
        )

    return Events(step, epoch)
