"""The state a training goes on from: safetensors with JSON in its header, so no pickle is ever
loaded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.optim import Optimizer

from oct_core.errors import RunExistsError, TrainingError
from oct_core.runs.files import write_atomically

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None  # type: ignore[assignment]

FOLDER, STATE = "resume", "state.safetensors"


def best_file(folder: Path, epoch: int | None) -> Path:
    """Where the weights of the best epoch lie while a run is trained.

    One file an epoch: one killed before its state was written, and trained again on a device that
    is not exact, leaves the earlier best.
    """
    return folder / FOLDER / f"best-{epoch}.safetensors"


def drop_other_bests(folder: Path, epoch: int | None) -> None:
    """Remove the weights of epochs that are not the best any more. Call it when the state that says
    so is on disk.
    """
    for path in (folder / FOLDER).glob("best-*.safetensors"):
        if path != best_file(folder, epoch):
            path.unlink()


def drop_state(folder: Path) -> None:
    """Remove what a finished run needs no more. What another process opens there at this moment may
    stay; it removes it itself.
    """
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a run folder; the lock ends with the process, however that ends. Raises RunExistsError
    if another process holds it.
    """
    path = folder / FOLDER / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunExistsError(
                "run {run} is being trained by another process; wait for it, or stop it first",
                run=folder.name,
            ) from error
        yield


@dataclass
class Progress:
    """How far a training is. epoch : epochs done. step : steps done. seconds : of wall time,
    earlier parts included.
    """

    epoch: int = 0
    step: int = 0
    best_epoch: int | None = None
    best_loss: float = float("inf")
    seconds: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)


def save_state(
    folder: Path,
    progress: Progress,
    model: dict[str, Tensor],
    average: dict[str, Tensor],
    optimizer: Optimizer,
) -> None:
    """Write the state of a finished epoch atomically. Random generators need no state: each epoch
    seeds its own.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    for index, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in entry.items()}
    plain = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    write_atomically(
        folder / FOLDER / STATE, save(plain, metadata={"progress": json.dumps(progress.__dict__)})
    )


@dataclass(frozen=True)
class State:
    """What save_state wrote."""

    progress: Progress
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]


def load_state(folder: Path) -> State | None:
    """The last good state, or None if no epoch was finished; raises TrainingError if it cannot be
    read.
    """
    path = folder / FOLDER / STATE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            "{path} cannot be read ({error}); remove the run {run} and train it anew",
            path=path,
            error=error,
            run=folder.name,
        ) from error
    optimizer: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            optimizer.setdefault(int(index), {})[key] = tensor
    return State(progress, _under(tensors, "model."), _under(tensors, "average."), optimizer)


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def restore_optimizer(optimizer: Optimizer, saved: dict[int, dict[str, Tensor]]) -> None:
    """Put the saved moments back; the rates are recomputed from the step."""
    state = optimizer.state_dict()
    state["state"] = {
        index: {name: torch.as_tensor(tensor) for name, tensor in entry.items()}
        for index, entry in saved.items()
    }
    optimizer.load_state_dict(state)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            moments = optimizer.state[parameter]
            for name, tensor in moments.items():
                # In memory as the weights lie: the fused optimizer goes through both in that order.
                if tensor.shape == parameter.shape:
                    moments[name] = torch.empty_like(parameter).copy_(tensor)
