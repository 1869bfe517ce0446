"""What one training is: its settings, its data, where it goes, and whom it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from oct_core.data.pack import Pack
from oct_core.runs.weights import LoadedRun
from oct_core.training.config import TrainingConfig
from oct_core.training.execution import Execution


@dataclass(frozen=True)
class Events:
    """What a training tells the caller.

    step : (epoch, steps done, steps an epoch). epoch : (row of history.csv, is best).
    """

    step: Callable[[int, int, int], None] = lambda epoch, done, total: None
    epoch: Callable[[dict[str, float], bool], None] = lambda row, best: None


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """One training from configuration to a finished run folder.

    config : all that decides the result, apart from the data. pack : prepared scans.
    folder : of the run; its name is the run's. device : where it is trained.
    teachers : the runs that ``config.teachers`` names (``teacher_name``), on ``device``.
    events : whom it tells. execution : how it is carried out.
    """

    config: TrainingConfig
    pack: Pack
    folder: Path
    device: torch.device
    teachers: tuple[LoadedRun, ...] = ()
    events: Events = field(default_factory=Events)
    execution: Execution = field(default_factory=Execution)
