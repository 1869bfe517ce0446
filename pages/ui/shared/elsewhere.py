"""How often runs were right at home and on labelled sets from elsewhere, by class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oct_core.errors import OctError
from oct_core.metrics.intervals import Interval, share_interval
from oct_core.runs.evaluations import (
    EXTERNAL,
    data_choices,
    external_key,
    external_names,
    read_scored,
)
from oct_core.runs.files import PREDICTIONS, read_card
from oct_core.types import RunCard
from oct_core.words import message
from pages.ui.app.cache import cache_data

HOME = "test"
"""The key of the part that was held out; others are "external/NAME"."""
CHOSE_RECIPE = "external_dev"
"""The set from elsewhere that recipes were compared on."""
TOO_GOOD = message("{name} helped choose the recipe of the training: expect a little less.")
"""What is to be said of it."""


@dataclass(frozen=True)
class Shares:
    """What one run, or several as an ensemble, made of one set.

    accuracy : share of right answers. by_label : label of the set -> (right, of how many scans,
    share with its interval by patient). n_scans, n_patients : of the whole set.
    """

    accuracy: Interval
    by_label: dict[str, tuple[int, int, Interval]]
    n_scans: int
    n_patients: int


def sets_of(cards: Sequence[RunCard]) -> dict[str, str]:
    """Key -> title of the held-out part and of every set from elsewhere that a run answered."""
    titles: dict[str, str] = {}
    for card in cards:
        choices = data_choices(card)
        titles |= {one.key: one.title for one in choices if one.kind in (HOME, EXTERNAL)}
    return titles


def external_sets(cards: Sequence[RunCard]) -> list[str]:
    """The keys of the sets from elsewhere that each of the runs has answered."""
    names = [set(external_names(card.folder)) for card in cards]
    return [external_key(name) for name in sorted(set.intersection(*names))] if names else []


def shares_of(cards: Sequence[RunCard], key: str) -> Shares | None:
    """What those runs made of the set, together if they are several; None where one has no answers,
    or they cannot be put together.
    """
    folders = tuple(str(card.folder) for card in cards)
    return _shares(folders, tuple(_stamp(card, key) for card in cards), key)


def _stamp(card: RunCard, key: str) -> str:
    """Changes with whatever the answers rest on."""
    file = card.folder / (PREDICTIONS if key == HOME else f"{key}.csv")
    when = file.stat().st_mtime_ns if file.is_file() else 0
    parts = (card.weights_sha256, card.temperature, when)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@cache_data(max_entries=64)
def _shares(folders: tuple[str, ...], stamps: tuple[str, ...], key: str) -> Shares | None:
    from oct_core.trust.judge import scored_table

    try:
        cards = [read_card(Path(folder)) for folder in folders]
        tables = {card.name: read_scored(card, key) for card in cards}
        table = scored_table(cards, tables) if len(cards) > 1 else tables[cards[0].name]
    except OctError:
        return None
    if not len(table):
        return None
    right = table.is_right(table.logits.argmax(axis=1))
    labels = (
        np.array(table.classes)[table.label] if table.given is None else np.char.upper(table.given)
    )
    by_label = {
        str(label): (
            int(right[labels == label].sum()),
            int((labels == label).sum()),
            share_interval(right, labels == label, table.patient),
        )
        for label in sorted(set(labels.tolist()), key=str)
    }
    return Shares(
        share_interval(right, np.ones(len(table), bool), table.patient),
        by_label,
        len(table),
        len(np.unique(table.patient)),
    )
