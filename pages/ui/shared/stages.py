"""How each run was trained: its stages in words, and why its training loss is what it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from oct_core.models.catalog import ARCHITECTURES
from oct_core.runs.lineage import Origin, Stage
from oct_core.types import RunCard
from oct_core.words import say, say_count
from pages.ui.app.services import title_of
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.tables import duration_text


def how_trained(stages: dict[RunCard, list[Stage]]) -> None:
    """A heading and, for each run, its stages, oldest first."""
    st.header(say("How each run was trained"), anchor=False)
    for card, all_stages in stages.items():
        st.markdown(f"**{escape_markdown(title_of(card))}**")
        several = len(all_stages) > 1
        lines = [stage_words(stage, place, several) for place, stage in enumerate(all_stages)]
        for place, stage in enumerate(all_stages[:-1]):
            name = escape_markdown(stage.name)
            lines[place] += " " + say("It is the run **{run}**.", run=name)
        st.markdown("\n".join(f"{place}. {line}" for place, line in enumerate(lines, start=1)))


def origin_words(origin: Origin) -> str:
    """Where weights came from, with source and licence where they are known; for Markdown."""
    title = escape_markdown(say(origin.title))
    known = ", ".join(escape_markdown(part) for part in (origin.source, origin.licence) if part)
    return f"{title} ({known})" if known else title


def stage_words(stage: Stage, place: int, several: bool) -> str:
    """One training: where it started, what it learned, for how long. place : 0 for the first.
    several : whether the run has other stages.
    """
    start = (
        say("Starts from the weights of stage {number}.", number=place)
        if place
        else say("Starts from {origin}.", origin=origin_words(stage.origin))
    )
    sentences = [start, _fresh(stage), _learned(stage), _taught(stage)]
    sentences.append(_saved(stage, place + 1 if several else 0))
    return " ".join(sentence for sentence in sentences if sentence)


def _fresh(stage: Stage) -> str:
    fresh = len(stage.raw.get("fresh_tensors") or ())
    return (
        say_count(
            "{count} tensor that this file lacks starts from random values.",
            "{count} tensors that this file lacks start from random values.",
            fresh,
        )
        if fresh
        else ""
    )


def learned_words(stage: Stage) -> str:
    """``584 scans and 100 phantoms``; "" if its card does not say."""
    scans, limit = stage.count("train"), stage.training.get("limit")
    scans = min(scans, int(limit)) if limit else scans
    if not scans:
        return ""
    words = say_count("{count} scan", "{count} scans", scans)
    if not stage.phantoms:
        return words
    both = say_count("{count} phantom", "{count} phantoms", stage.phantoms)
    return say("{scans} and {phantoms}", scans=words, phantoms=both)


def _learned(stage: Stage) -> str:
    words, epochs = learned_words(stage), stage.training.get("epochs")
    if not words or not epochs:
        return ""
    return say("Learns {scans} in {epochs} epochs.", scans=words, epochs=epochs)


def _taught(stage: Stage) -> str:
    names = ", ".join(escape_markdown(teacher.split(":")[0]) for teacher in stage.teachers)
    return say("Learns the answers of {teachers}, too (distillation).", teachers=names) * bool(
        names
    )


def _epoch(epoch: int, stage: int) -> str:
    """``Epoch 6``, counted within its stage. stage : its number, 0 if it is the only one."""
    if not stage:
        return say("Epoch {epoch}", epoch=epoch)
    return say("Epoch {epoch} of stage {stage}", epoch=epoch, stage=stage)


def _saved(stage: Stage, number: int) -> str:
    best, seconds = stage.raw.get("best_epoch"), stage.raw.get("wall_seconds")
    if best is None:
        return ""
    if not seconds:
        return say("{epoch} was saved.", epoch=_epoch(best, number))
    return say(
        "{epoch} was saved, after {time} in all.",
        epoch=_epoch(best, number),
        time=duration_text(float(seconds)),
    )


def why_losses_differ(stages: dict[RunCard, list[Stage]]) -> None:
    """One line a run on its training loss against its validation loss."""
    lines = [
        f"- **{escape_markdown(title_of(card))}.** {words}"
        for card, all_stages in stages.items()
        if (words := loss_words(card, all_stages))
    ]
    if not lines:
        return
    st.markdown(say("**Why the two losses differ**"))
    st.markdown("\n".join(lines))
    if any(of_run[-1].training.get("weight_averaging") for of_run in stages.values()):
        st.caption(
            say(
                "Validation scans stay as they were recorded, and the weights that read them are "
                "averaged over the last steps."
            )
        )


def loss_words(card: RunCard, stages: Sequence[Stage]) -> str:
    """Which of the two losses of a run's last stage is higher at the saved epoch, and why; ""
    without a record.
    """
    stage = stages[-1]
    row = _row(card, stage)
    if row is None:
        return ""
    train, val = (float(stage.history[name][row]) for name in ("train_loss", "val_loss"))
    told = say(
        "{epoch}: training {train:.3f}, validation {val:.3f}.",
        epoch=_epoch(int(stage.history["epoch"][row]), len(stages) if len(stages) > 1 else 0),
        train=train,
        val=val,
    )
    if train <= val:
        why = say("The network knows its training scans best.")
    elif harder := _what_makes_it_harder(card, stage):
        why = say("Training is made harder: {reasons}.", reasons=", ".join(harder))
    else:
        why = say("No setting makes training harder; its loss is a mean over the whole epoch.")
    return f"{told} {why}"


def _row(card: RunCard, stage: Stage) -> int | None:
    """The row of the saved epoch, or the last one."""
    epochs = stage.history.get("epoch", np.array([]))
    if not len(epochs) or "train_loss" not in stage.history or "val_loss" not in stage.history:
        return None
    best = np.flatnonzero(epochs == (-1 if card.best_epoch is None else card.best_epoch))
    return int(best[0]) if len(best) else len(epochs) - 1


def _what_makes_it_harder(card: RunCard, stage: Stage) -> Sequence[str]:
    """What raises the training loss and not the validation loss, by the run's own settings."""
    network = card.architecture
    given = {name: float(stage.training.get(name) or 0) for name in _SETTINGS}
    dropout = ARCHITECTURES.get(network).dropout if network in ARCHITECTURES else 0.0
    reasons = {
        say("changed scans (augmentation {value:g})", value=given["augmentation"]): given[
            "augmentation"
        ],
        say("looks of other devices ({value:g})", value=given["styles"]): given["styles"],
        say("drawn lesions"): given["lesions"],
        say("two scans in one"): given["widening"],
        say("smoothed labels ({value:g})", value=given["label_smoothing"]): given[
            "label_smoothing"
        ],
        say("dropout ({value:g})", value=dropout): dropout,
        say("teachers that are never quite sure"): len(stage.teachers),
    }
    return [words for words, holds in reasons.items() if holds]


_SETTINGS = ("augmentation", "styles", "lesions", "widening", "label_smoothing")
