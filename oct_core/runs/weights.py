"""Trained runs: loaded, asked, and their weights in and out, only as safetensors with a checked
hash. The other files of a run: oct_core.runs.files.
"""

from __future__ import annotations

import hashlib
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
from oct_core.models.catalog import ARCHITECTURES, Architecture, run_title
from oct_core.models.device import choose_device
from oct_core.models.features import answer_with_features
from oct_core.models.networks import GrayClassifier, build_model, layer_modules
from oct_core.models.state import check_evaluation_mode
from oct_core.runs.files import (
    CARD,
    WEIGHTS,
    checkpoints_root,
    damaged_runs,
    list_runs,
    no_finished_run,
    read_card,
)
from oct_core.runs.predictor import make_prediction
from oct_core.runs.turns import ModelLock
from oct_core.scans.checks import as_scans
from oct_core.scans.preprocess import Preprocessing, Rows
from oct_core.types import Prediction, RunCard, Scan
from oct_core.words import say

_BATCH = 16


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A trained run in memory, a Predictor, safe to share between threads that take ``lock``.

    model : in eval mode, float32, parameters frozen.
    """

    card: RunCard
    model: GrayClassifier
    architecture: Architecture
    preprocessing: Preprocessing
    device: torch.device
    lock: ModelLock = field(default_factory=ModelLock)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.card.name

    @property
    def title(self) -> str:
        """The architecture's title, and the run's name where that says more."""
        return run_title(self.architecture.name, self.name)

    @property
    def colour(self) -> str:
        """The colour of its architecture, "#RRGGBB"."""
        return self.architecture.colour

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of its logits."""
        return self.card.classes

    @property
    def layers(self) -> dict[str, nn.Module]:
        """The named layers, shallow to deep."""
        return layer_modules(self.model, self.architecture.name)

    def inputs(self, scans: Sequence[Scan]) -> Tensor:
        """The network's input, float32 (N, 1, S, S) in [0, 1] on the run's device."""
        packed = np.stack([self.preprocessing.prepare(scan.pixels) for scan in scans])
        return torch.from_numpy(packed).to(self.device)[:, None].float().div_(255.0)

    def rows(self, scan: Scan) -> Rows:
        """The rows of the scan that the network sees."""
        return self.preprocessing.rows(scan.pixels)

    def predict(self, scans: Scan | Sequence[Scan]) -> list[Prediction]:
        """One Prediction a scan, in order, 16 scans a pass, with the features that the run's gate
        reads; holds the lock while the model works.

        A model of another type than float32 is asked in its own. Raises ScanError for what is no
        scan, CheckpointError for a model in training mode.
        """
        check_evaluation_mode(self.model, CheckpointError)
        kind = next(self.model.parameters()).dtype
        listed, predictions = as_scans(scans), []
        for start in range(0, len(listed), _BATCH):
            batch = self.inputs(listed[start : start + _BATCH]).to(kind)
            with self.lock, torch.inference_mode():
                answers = answer_with_features(self.model, self.layers, batch)
                rows = zip(*(part.cpu().numpy() for part in answers), strict=True)
            predictions += [make_prediction(self.card, *row) for row in rows]
        return predictions


def load_run(
    run: str | Path, device: str | torch.device = "cpu", root: Path | None = None
) -> LoadedRun:
    """Load a trained run by name (in ``root``) or folder.

    Raises CheckpointError if there is no such run, its training is not done, or its weights are not
    those of the card; UnknownNameError for a device that is not there.
    """
    where = choose_device(device) if isinstance(device, str) else device
    folder = _find(run, root)
    card = read_card(folder)
    if card.status != "done":
        raise CheckpointError(
            "run {run} is {status!r}; it can be used when its training is done (go on with "
            "--resume)",
            run=card.name,
            status=card.status,
        )
    preprocessing = Preprocessing.from_dict(card.preprocessing)
    model = build_model(
        card.architecture, len(card.classes), preprocessing.mean, preprocessing.std, hollow=True
    )
    load_weights(model, folder / WEIGHTS, card.weights_sha256)
    model.eval().requires_grad_(False)
    model = model.to(where).to(
        memory_format=torch.channels_last
    )  # the layout that convolutions are quickest in
    return LoadedRun(card, model, ARCHITECTURES.get(card.architecture), preprocessing, where)


def load_runs(
    names: Sequence[str] = (), device: str | torch.device = "cpu", root: Path | None = None
) -> list[LoadedRun]:
    """The runs of those names, each once, or every finished one. Raises CheckpointError as
    ``load_run`` does, and if there is none.
    """
    names = names or [card.name for card in list_runs(root) if card.status == "done"]
    if not names:
        raise no_finished_run(root)
    return [load_run(name, device, root) for name in dict.fromkeys(names)]


def load_sound_runs(
    device: str | torch.device = "cpu", root: Path | None = None
) -> tuple[list[LoadedRun], dict[str, str]]:
    """Every finished run that can be loaded, and name -> reason of each that cannot, be it for its
    card or its weights. Raises CheckpointError if none can.
    """
    runs, reasons = [], damaged_runs(root)
    for card in list_runs(root):
        try:
            runs += [load_run(card.folder, device)] if card.status == "done" else []
        except CheckpointError as error:
            reasons[card.name] = str(error)
    if not runs:
        raise no_finished_run(root, reasons)
    return runs, reasons


def _find(run: str | Path, root: Path | None) -> Path:
    if isinstance(run, Path):
        return run
    if not isinstance(run, str):
        raise CheckpointError(
            "expected the name or the folder of a run, got {kind}; list the runs with: python -m "
            "oct_core runs",
            kind=type(run).__name__,
        )
    base = root or checkpoints_root()
    if run and (base / run / CARD).is_file():
        return base / run
    if run and (Path(run) / CARD).is_file():
        return Path(run)
    names = ", ".join(card.name for card in list_runs(base))
    if names:
        raise CheckpointError(
            "there is no run {run!r} in {base}; there are: {names}", run=run, base=base, names=names
        )
    raise CheckpointError(
        "there is no run {run!r} in {base}; there are: none yet. Point OCT_CHECKPOINTS at a folder "
        "of runs, or give the folder of one as --run",
        run=run,
        base=base,
    )


def load_weights(model: GrayClassifier, path: Path, sha256: str) -> None:
    """Fill a model from safetensors after checking the hash; raises CheckpointError and leaves the
    model as it was.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            "{path} cannot be read ({reason}); restore it or train the run again",
            path=path,
            reason=error.strerror,
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise CheckpointError(
            "{path} is not the file of its card: sha256 {digest}, expected {expected}; restore it",
            path=path,
            digest=digest[:12],
            expected=sha256[:12] or say("none"),
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
            "{path} does not fit the architecture of its card: {count} tensors differ, "
            "{odd!r} for one; restore it",
            path=path,
            count=len(odd),
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
