"""Several processes that train one run together, as torchrun starts them: one a GPU."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from oct_core.errors import TrainingError
from oct_core.models.networks import GrayClassifier
from oct_core.words import message, say

T = TypeVar("T")


LOST = message(
    "another process of this training ended, or all were stopped; the last finished epoch is kept: "
    "start all processes again with --resume"
)


@dataclass(frozen=True)
class Crew:
    """The processes of a training. rank : the number of this one; 0 leads: it writes and tells.
    size : how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes and tells."""
        return self.rank == 0

    def own(self, count: int) -> slice:
        """This process's part of ``count`` things, one after the other; the parts differ by one at
        most.
        """
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def share_statistics(self, model: GrayClassifier, device: torch.device) -> GrayClassifier:
        """The model, such that its normalisation layers take their statistics from the scans of all
        processes. PyTorch has it for GPUs only; elsewhere each process has those of its own.
        """
        if self.size == 1 or device.type != "cuda":
            return model
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-any-return,no-untyped-call]

    def share(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model, such that all processes learn the mean of their gradients."""
        if self.size == 1:
            return model
        ids = [device] if device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=ids)

    def total(self, values: Tensor) -> Tensor:
        """The sum of the values over all processes, in each of them."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def told(self, value: T) -> T:
        """What the leader gives here, in each process."""
        if self.size == 1:
            return value
        box = [value if self.leads else None]
        dist.broadcast_object_list(box)
        return box[0]  # type: ignore[return-value]


ALONE = Crew()


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Crew, torch.device]]:
    """The crew that torchrun started this process in, and this process's device: on a GPU the one
    of its number on the machine. Without torchrun it is alone, on the device as it is.

    torchrun stops all processes when one ended; each then says so and is gone. Raises TrainingError
    if there are more processes on a machine than GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE, device
        return
    if device.type == "cuda":
        device = _own_gpu(int(os.environ["LOCAL_RANK"]))
    before = signal.signal(signal.SIGTERM, _stopped)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    yield Crew(dist.get_rank(), size), device
    # Not after an error: with a process gone, this would wait for it.
    dist.destroy_process_group()
    signal.signal(signal.SIGTERM, before)


def _stopped(number: int, frame: object) -> None:
    """At once: an error would come up in the middle of torch's own work, and nothing is open that
    is not written whole.
    """
    print(say(LOST), file=sys.stderr, flush=True)
    os._exit(128 + number)


def _own_gpu(number: int) -> torch.device:
    count = torch.cuda.device_count()
    if number >= count:
        raise TrainingError(
            "process {number} of this machine has no GPU of its own: there are {count}; start as "
            "many processes as GPUs",
            number=number + 1,
            count=count,
        )
    device = torch.device("cuda", number)
    torch.cuda.set_device(device)
    return device


def is_lost_process(error: BaseException) -> bool:
    """Whether the error is that another process of the crew is gone. gloo, which CPUs use, has no
    class for it.
    """
    return isinstance(error, dist.DistError) or "gloo" in str(error)
