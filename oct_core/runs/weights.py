"""Trained runs: weights in and out, only as safetensors with a checked hash. The other files of a
run: oct_core.runs.files.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from oct_core.errors import CheckpointError
from oct_core.models.networks import (
    ARCHITECTURES,
    Architecture,
    GrayClassifier,
    build_model,
    layer_modules,
)
from oct_core.runs.files import CARD, WEIGHTS, checkpoints_root, list_runs, read_card
from oct_core.scans.preprocess import Preprocessing
from oct_core.types import RunCard, Scan


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A trained run in memory, safe to share between threads that take ``lock``.

    model : in eval mode, float32, parameters frozen.
    """

    card: RunCard
    model: GrayClassifier
    architecture: Architecture
    preprocessing: Preprocessing
    device: torch.device
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def layers(self) -> dict[str, nn.Module]:
        """The named layers, shallow to deep."""
        return layer_modules(self.model, self.architecture.name)

    def inputs(self, scans: Sequence[Scan]) -> Tensor:
        """The network's input, float32 (N, 1, S, S) in [0, 1] on the run's device."""
        packed = np.stack([self.preprocessing.prepare(scan.pixels) for scan in scans])
        return torch.from_numpy(packed).to(self.device)[:, None].float().div_(255.0)


def load_run(
    run: str | Path, device: str | torch.device = "cpu", root: Path | None = None
) -> LoadedRun:
    """Load a trained run by name (in ``root``) or folder.

    Raises CheckpointError if there is no such run, its training is not done, or its weights are not
    those of the card.
    """
    folder = _find(run, root)
    card = read_card(folder)
    if card.status != "done":
        raise CheckpointError(
            "run {card_name} is {status!r}; it can be used when its training is done (go on with "
            "--resume)",
            card_name=card.name,
            status=card.status,
        )
    preprocessing = Preprocessing.from_dict(card.preprocessing)
    model = build_model(
        card.architecture, len(card.classes), preprocessing.mean, preprocessing.std, hollow=True
    )
    load_weights(model, folder / WEIGHTS, card.weights_sha256)
    model.eval().requires_grad_(False)
    where = torch.device(device)
    model = model.to(where).to(
        memory_format=torch.channels_last
    )  # the layout that convolutions are quickest in
    return LoadedRun(card, model, ARCHITECTURES.get(card.architecture), preprocessing, where)


def _find(run: str | Path, root: Path | None) -> Path:
    if isinstance(run, Path):
        return run
    base = root or checkpoints_root()
    if (base / run / CARD).is_file():
        return base / run
    if (Path(run) / CARD).is_file():
        return Path(run)
    names = ", ".join(card.name for card in list_runs(base)) or "none yet"
    raise CheckpointError(
        "there is no run {run!r} in {base}; there are: {names}", run=run, base=base, names=names
    )


def load_weights(model: GrayClassifier, path: Path, sha256: str) -> None:
    """Fill a model from safetensors after checking the hash; raises CheckpointError and leaves the
    model as it was.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            "{path} cannot be read ({strerror}); restore it or train the run again",
            path=path,
            strerror=error.strerror,
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise CheckpointError(
            "{path} is not the file of its card: sha256 {found}, expected {value}; restore it",
            path=path,
            found=found[:12],
            value=sha256[:12] or "none",
        )
    try:
        tensors = {
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in load_safetensors(data).items()
        }
    except SafetensorError as error:
        raise CheckpointError(
            "{path} does not fit the architecture of its card: {error}", path=path, error=error
        ) from error
    own = model.backbone.state_dict()
    odd = sorted(
        name
        for name in own.keys() | tensors.keys()
        if name not in own or name not in tensors or own[name].shape != tensors[name].shape
    )
    if odd:  # checked first: load_state_dict fills what fits before it complains of the rest
        raise CheckpointError(
            "{path} does not fit the architecture of its card: {odd_count} tensors differ, "
            "{odd!r} for one; restore it",
            path=path,
            odd_count=len(odd),
            odd=odd[0],
        )
    model.backbone.load_state_dict(tensors, assign=next(model.backbone.parameters()).is_meta)


def weights_bytes(model: GrayClassifier) -> bytes:
    """The backbone as safetensors: floating point in half precision, the counters as they are."""
    state = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous()
        for name, tensor in model.backbone.state_dict().items()
    }
    return save_safetensors(state)
