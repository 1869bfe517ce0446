"""The read side of the pages: what lies in checkpoints/<run>/, and the scores computed from it.

Nothing here comes from an upload, so the scores may be shared between browser sessions. Their cache
is keyed on the digest of the predictions file: a file that changes is evaluated again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import streamlit as st

from oct_core.errors import OctError
from oct_core.metrics.summary import Evaluation, evaluate_table
from oct_core.runs.ensemble import ensemble_card
from oct_core.types import FloatArray, RunCard
from oct_core.words import message, say
from pages.ui.app import services
from pages.ui.app.cache import cache_data

Columns = dict[str, FloatArray]

SPLITS = {
    "test": message("Test part (held out)"),
    "val": message("Validation part (used to choose the epoch)"),
}


@dataclass(frozen=True, eq=False)
class Runs:
    """The checkpoints folder at this moment.

    cards : the runs that can be read, the shipped ones first. damaged : (folder name, reason) of
    the others. state : of the folder itself.
    """

    root: Path
    cards: tuple[RunCard, ...]
    damaged: tuple[tuple[str, str], ...]
    state: Literal["there", "missing", "unreadable"] = "there"

    @property
    def training(self) -> tuple[RunCard, ...]:
        """Runs whose card says that they are still being trained."""
        return tuple(card for card in self.cards if card.status == "training")

    @property
    def scored(self) -> tuple[RunCard, ...]:
        """Runs with predictions of the held-out scans."""
        return tuple(card for card in self.cards if (card.folder / "predictions.csv").is_file())


def find_runs() -> Runs:
    """Every run folder; a damaged one is reported and never hides the others."""
    from oct_core.runs.files import checkpoints_root, damaged_runs

    root = checkpoints_root()
    try:
        os.listdir(root)
    except (FileNotFoundError, NotADirectoryError):
        return Runs(root, (), (), "missing")
    except OSError:
        return Runs(root, (), (), "unreadable")
    return Runs(root, tuple(services.runs()), tuple(damaged_runs(root).items()))


def columns_of(card: RunCard, read: Callable[[RunCard], Columns]) -> Columns:
    """``services.history`` or ``services.steps``; {} while the file is missing or half written."""
    try:
        return read(card)
    except OctError:
        return {}


def seconds_since_growth(card: RunCard) -> float | None:
    """Seconds since the run last wrote a figure; None if it has written none."""
    files = [card.folder / name for name in ("history.csv", "steps.csv")]
    times = [path.stat().st_mtime for path in files if path.is_file()]
    return max(0.0, time.time() - max(times)) if times else None


def splits(card: RunCard) -> tuple[str, ...]:
    """The parts of the data that the run has predictions of, the test part first; raises
    CheckpointError.
    """
    present = set(services.prediction_table(card).split.tolist())
    return tuple(split for split in SPLITS if split in present)


def stored_evaluation(card: RunCard, split: str = "test") -> Evaluation | None:
    """What the run card says of a part, or None; Home needs no more, and computes nothing."""
    stored = (card.raw.get("metrics") or {}).get(split)
    try:
        return Evaluation.from_dict(stored) if stored else None
    except OctError:
        return None


def predictions_digest(card: RunCard) -> str:
    """SHA-256 of the predictions file, "" without one."""
    path = card.folder / "predictions.csv"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def evaluation(card: RunCard, split: str, temperature: float | None = None) -> Evaluation:
    """Scores of one part, computed from its predictions, with intervals by patient; raises
    OctError. temperature : another than the card's.
    """
    used = card.temperature if temperature is None else temperature
    with st.spinner(say("Computing intervals by patient …")):
        return _evaluation(str(card.folder), predictions_digest(card), split, used)


@cache_data(max_entries=32)
def _evaluation(folder: str, digest: str, split: str, temperature: float) -> Evaluation:
    from oct_core.runs.files import read_predictions

    return evaluate_table(read_predictions(Path(folder)), split, temperature)


def one_of_each(cards: Sequence[RunCard]) -> list[RunCard]:
    """One run of each architecture, the repository's own or else the last by name: those that are
    compared, and make the ensemble, unless others are chosen.
    """
    last = {card.architecture: card for card in cards}
    own = {card.architecture: card for card in cards if card.name == card.architecture}
    return list((last | own).values())


def with_ensemble(cards: Sequence[RunCard]) -> list[RunCard]:
    """All that can be asked: first the ensemble of ``one_of_each`` where there are several."""
    members = one_of_each(cards)
    return [ensemble_card(members), *cards] if len(members) > 1 else list(cards)


def ensemble_evaluation(cards: Sequence[RunCard], split: str = "test") -> Evaluation | None:
    """Scores of the ensemble of these runs on one part, with intervals by patient; None of fewer
    than two runs, or if they did not answer the same scans.
    """
    if len(cards) < 2:
        return None
    keys = tuple((str(card.folder), predictions_digest(card)) for card in cards)
    return _ensemble_evaluation(keys, split)


@cache_data(max_entries=16)
def _ensemble_evaluation(keys: tuple[tuple[str, str], ...], split: str) -> Evaluation | None:
    from oct_core.runs.files import read_card, read_predictions
    from oct_core.trust.judge import scored_table

    folders = [Path(folder) for folder, _ in keys]
    try:
        cards = [read_card(folder) for folder in folders]
        tables = {card.name: read_predictions(card.folder) for card in cards}
        return evaluate_table(scored_table(cards, tables), split, 1.0)
    except OctError:
        return None
