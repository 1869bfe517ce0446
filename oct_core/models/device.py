"""Which device networks run on: one choice for the app and the command line; how arrays get
there.
"""

from __future__ import annotations

import os

import numpy as np
import torch
from numpy.typing import NDArray

from oct_core.errors import UnknownNameError

DEVICES = ("cuda", "mps", "cpu")
VARIABLE = "OCT_DEVICE"
"""The environment variable that chooses the device where no name is given."""


def choose_device(name: str = "") -> torch.device:
    """The device of that name ("cuda:1" too), without one that of OCT_DEVICE, and without that the
    best there is; raises UnknownNameError for one that this machine does not have.
    """
    name = (name or os.environ.get(VARIABLE, "")).strip().lower()
    if not name:
        name = next(kind for kind in DEVICES if _count(kind))
    kind, _, number = name.partition(":")
    if kind not in DEVICES or (number and not number.isdecimal()):
        raise UnknownNameError(
            "no device is called {name!r}; there are: {devices} (--device or {variable})",
            name=name,
            devices=", ".join(DEVICES),
            variable=VARIABLE,
        )
    if int(number or 0) >= _count(kind):
        raise UnknownNameError(
            "this machine has no device {name!r} that torch can use; leave --device and {variable} "
            "out to take what there is",
            name=name,
            variable=VARIABLE,
        )
    return torch.device(name)


def upload(array: NDArray[np.generic], device: torch.device) -> torch.Tensor:
    """The array on the device. A GPU takes it while it works: nothing waits.

    On the CPU the array's own memory is used where torch can; of a read-only one it is a copy.
    """
    tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _count(kind: str) -> int:
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return int(torch.backends.mps.is_available()) if kind == "mps" else 1
