"""Distillation from a finished run: which run may teach, what the card says of it, and that a
stopped student goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scan_folders import write_pack
from typer.testing import CliRunner

from oct_core.cli import program
from oct_core.data.pack import Pack
from oct_core.errors import TrainingError
from oct_core.runs.files import WEIGHTS, read_card, read_history
from oct_core.runs.weights import LoadedRun
from oct_core.training.job import Events, TrainingJob
from oct_core.training.recipes import recipe
from oct_core.training.run import train_run
from oct_core.training.teachers import teacher_name

torch.set_num_threads(1)
CPU = torch.device("cpu")


@pytest.fixture
def teacher(demo_run: Callable[[str], LoadedRun]) -> LoadedRun:
    return demo_run("vgg16")


def test_the_answers_of_a_teacher_change_what_is_learned_and_the_card_names_it(
    teacher: LoadedRun, tiny_pack: Pack, tmp_path: Path
) -> None:
    alone = recipe("densenet121", initialisation="random", epochs=1, batch_size=4)
    taught = replace(alone, teachers=(teacher_name(teacher),))
    train_run(TrainingJob(alone, tiny_pack, tmp_path / "alone", CPU))
    train_run(TrainingJob(taught, tiny_pack, tmp_path / "taught", CPU, teachers=(teacher,)))
    assert (tmp_path / "alone" / WEIGHTS).read_bytes() != (
        tmp_path / "taught" / WEIGHTS
    ).read_bytes()
    named = read_card(tmp_path / "taught").raw["training"]["teachers"]
    assert (
        named == [f"vgg16:{teacher.card.weights_sha256[:12]}"]
        and read_card(tmp_path / "alone").raw["training"]["teachers"] == []
    )


def test_a_stopped_student_goes_on_to_the_same_weights_and_with_no_other_teacher(
    teacher: LoadedRun, tiny_pack: Pack, tmp_path: Path
) -> None:
    config = recipe(
        "densenet121",
        initialisation="random",
        epochs=2,
        batch_size=4,
        teachers=(teacher_name(teacher),),
    )

    def stop(epoch: int, done: int, total: int) -> None:
        if (epoch, done) == (2, 1):
            raise KeyboardInterrupt

    train_run(TrainingJob(config, tiny_pack, tmp_path / "whole", CPU, teachers=(teacher,)))
    with pytest.raises(KeyboardInterrupt):
        train_run(
            TrainingJob(
                config,
                tiny_pack,
                tmp_path / "cut",
                CPU,
                events=Events(step=stop),
                teachers=(teacher,),
            )
        )
    with pytest.raises(TrainingError, match="started with other settings"):
        train_run(
            TrainingJob(replace(config, teachers=()), tiny_pack, tmp_path / "cut", CPU), resume=True
        )
    train_run(
        TrainingJob(config, tiny_pack, tmp_path / "cut", CPU, teachers=(teacher,)), resume=True
    )
    assert (tmp_path / "cut" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    np.testing.assert_array_equal(
        read_history(tmp_path / "cut")["train_loss"], read_history(tmp_path / "whole")["train_loss"]
    )


def test_a_teacher_that_reads_smaller_scans_is_shown_them_at_its_size(
    teacher: LoadedRun, tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = recipe(
        "densenet121",
        initialisation="random",
        epochs=1,
        batch_size=4,
        augmentation=0.0,
        styles=0.0,
        lesions=0.0,
        widening=0.0,
        phantoms_per_class=0,
        limit=8,
        teachers=(teacher_name(teacher),),
    )
    seen = []
    monkeypatch.setattr(
        teacher.model, "forward", lambda gray: seen.append(gray) or torch.zeros(len(gray), 4)
    )
    doubled = Pack(
        tiny_pack.folder, tiny_pack.records, tiny_pack.pixels.repeat(2, 1).repeat(2, 2), 128
    )
    train_run(TrainingJob(config, doubled, tmp_path / "run", CPU, teachers=(teacher,)))
    shown = [
        np.asarray(Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR)) / 255
        for pixels in doubled.pixels
    ]
    assert len(seen) == 2
    for one in torch.cat(seen).numpy()[:, 0]:
        assert min(np.abs(one - other).max() for other in shown) < 0.01  # rounded to 1 / 255


def test_a_teacher_of_a_larger_size_or_another_split_is_refused(
    teacher: LoadedRun, tiny_pack: Pack, tmp_path: Path
) -> None:
    config = recipe("densenet121", initialisation="random", teachers=(teacher_name(teacher),))
    with pytest.raises(TrainingError, match=r"the runs given are \(\)"):
        train_run(TrainingJob(config, tiny_pack, tmp_path / "run", CPU))
    smaller = Pack(tiny_pack.folder, tiny_pack.records, tiny_pack.pixels[:, ::2, ::2], 32)
    with pytest.raises(TrainingError, match="reads scans of 64 px, these are packed at 32"):
        train_run(TrainingJob(config, smaller, tmp_path / "run", CPU, teachers=(teacher,)))
    swapped = {"train": "test", "test": "train", "val": "val"}
    records = tuple(replace(record, split=swapped[record.split]) for record in tiny_pack.records)
    with pytest.raises(TrainingError, match="may have seen validation or test scans"):
        train_run(
            TrainingJob(
                config,
                Pack(tiny_pack.folder, records, tiny_pack.pixels, 64),
                tmp_path / "run",
                CPU,
                teachers=(teacher,),
            )
        )
    assert not (tmp_path / "run").exists()


def test_the_command_takes_the_name_of_a_run(
    demo_root: Path, tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pack(tmp_path, tiny_pack)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "vgg16").symlink_to(demo_root / "vgg16")
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "runs"))
    options = [
        "train",
        "densenet121",
        "--data",
        str(tmp_path),
        "--run",
        "student",
        "--init",
        "random",
        "--epochs",
        "1",
        "--batch-size",
        "4",
    ]
    done = CliRunner().invoke(program, [*options, "--device", "cpu", "--teacher", "vgg16"])
    assert done.exit_code == 0, done.output
    [named] = read_card(tmp_path / "runs" / "student").raw["training"]["teachers"]
    assert named.startswith("vgg16:")
