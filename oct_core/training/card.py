"""The card of a run that starts: what it is trained with, on what, by which version, where."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from oct_core.data.manifest import count, manifest_sha256
from oct_core.data.pack import Pack
from oct_core.models.precision import best_precision
from oct_core.runs.files import SCHEMA
from oct_core.runs.lineage import earlier_stages
from oct_core.runs.versions import versions
from oct_core.scans.preprocess import Preprocessing
from oct_core.training.config import TrainingConfig
from oct_core.training.initial import fresh_tensors
from oct_core.types import CLASSES, RunCard
from oct_core.words import message

INTENDED_USE = message(
    "Research and teaching: comparing networks and explanations on retinal OCT B-scans."
)
LIMITS = message(
    "Not a medical device. Four classes only; one source of scans; no statement about other "
    "scanners, clinics or diseases."
)

_OFF = {
    "teachers": [],
    "trained_layers": 0,
    "fill_missing": False,
    "styles": 0.0,
    "lesions": 0.0,
    "widening": 0.0,
    "phantom_views": 0.0,
}
"""Settings that older cards lack: they were off."""


def settings(config: TrainingConfig, pack: Pack) -> dict[str, Any]:
    """What must be the same when a run is resumed."""
    return {"training": config.to_dict(), "data": manifest_sha256(pack.records), "size": pack.size}


def settings_of(card: RunCard) -> dict[str, Any]:
    """The settings that a run was started with."""
    return {
        "training": {**_OFF, **card.raw["training"]},
        "data": card.raw["data"]["manifest_sha256"],
        "size": card.raw["preprocessing"]["size"],
    }


def new_card(config: TrainingConfig, pack: Pack, name: str, device: torch.device) -> dict[str, Any]:
    """The card of a run that starts now."""
    mean, std = config.normalisation
    digest = initial_sha256(config.initialisation)
    return {
        "schema": SCHEMA,
        "name": name,
        "status": "training",
        "architecture": config.architecture,
        "classes": list(CLASSES),
        "preprocessing": Preprocessing(
            pack.size, mean, std, version=pack.preprocessing_version
        ).to_dict(),
        "weights_sha256": "",
        "initialisation": config.to_dict()["initialisation"],
        "initial_weights_sha256": digest,
        "earlier_stages": earlier_stages(config.initialisation, digest),
        "fresh_tensors": fresh_tensors(config),
        "data": {"manifest_sha256": manifest_sha256(pack.records), "counts": count(pack.records)},
        "training": config.to_dict(),
        "versions": versions(),
        "git_commit": git_commit(),
        "device": device_name(device),
        "precision": best_precision(device),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_seconds": 0.0,
        "best_epoch": None,
        "temperature": 1.0,
        "operating_points": {},
        "metrics": {},
        "intended_use": INTENDED_USE,
        "limits": LIMITS,
        "licence": "Apache-2.0",
    }


def initial_sha256(initialisation: str) -> str:
    """The hash of a file of initial weights, "" for the named ways to start."""
    return (
        ""
        if initialisation in ("imagenet", "random")
        else hashlib.sha256(Path(initialisation).read_bytes()).hexdigest()
    )


def git_commit() -> str:
    """The commit of the library's own checkout, with "-changed" if files differ from it, or ""
    outside of one.
    """
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=-changed"]
    try:
        here = Path(__file__).resolve().parent
        return subprocess.run(
            command, cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def device_name(device: torch.device) -> str:
    """The device as a person knows it."""
    return (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{device.type}, {torch.get_num_threads()} threads"
    )
