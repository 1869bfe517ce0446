"""The parts of the page Training curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from oct_core.figures import charts
from oct_core.types import RunCard
from oct_core.words import message, say
from pages.ui.app import services
from pages.ui.app.services import title_of
from pages.ui.app.session import kept
from pages.ui.shared.charts import show
from pages.ui.shared.run_data import Columns, columns_of, find_runs, seconds_since_growth
from pages.ui.shared.tables import duration_text

# A run that has written nothing for this long (seconds) has probably been stopped.
STALE_AFTER = 900.0


def choose(cards: Sequence[RunCard]) -> list[str]:
    """The names of the runs to draw, all of them at first."""
    titles = {card.name: title_of(card) for card in cards}
    return list(
        kept(
            "runs",
            list(titles),
            st.pills,
            "Runs",
            list(titles),
            page="curve",
            selection_mode="multi",
            format_func=titles.get,
        )
    )


def curves(names: Sequence[str], watching: bool = False) -> None:
    """Everything below the choice; drawn again by a timer, a quick one while ``watching`` a
    training.

    The run folders are read anew each time. When a training begins or the last one ends, the whole
    page is drawn once more with its other timer.
    """
    runs = find_runs()
    if watching is not bool(runs.training):
        st.rerun()
    cards = [card for card in runs.cards if card.name in names]
    for card in cards:
        _status(card)
    epochs = {card: columns_of(card, services.history) for card in cards}
    epochs = {card: columns for card, columns in epochs.items() if _rows(columns)}
    by_step = {card: columns_of(card, services.steps) for card in cards}
    by_step = {card: columns for card, columns in by_step.items() if _rows(columns)}
    if not epochs and not by_step:
        st.info(
            say("The chosen runs have not finished an epoch or written a step yet."),
            icon=":material/hourglass_empty:",
        )
        return
    per_epoch, per_step, table = st.tabs(
        [
            ":material/timeline: Per epoch",
            ":material/ssid_chart: Per step",
            ":material/table: Table",
        ]
    )
    with per_epoch:
        _per_epoch(epochs)
    with per_step:
        _per_step(by_step)
    with table:
        _table(epochs)


def _rows(columns: Columns) -> int:
    return len(next(iter(columns.values()), ()))


def _status(card: RunCard) -> None:
    """One line for a run that is not simply done."""
    if card.status == "failed":
        st.warning(
            say(
                "**{model}** stopped early. `train --resume` goes on from its last good state.",
                model=title_of(card),
            ),
            icon=":material/warning:",
        )
    if card.status != "training":
        return
    done = _rows(columns_of(card, services.history))
    planned = card.raw.get("training", {}).get("epochs")
    quiet = seconds_since_growth(card)
    if quiet is not None and quiet > STALE_AFTER:
        st.warning(
            say(
                "**{model}** says that it is being trained, but has written nothing for "
                "{duration_text}. If it was stopped, `train --resume` goes on from its last good "
                "state.",
                model=title_of(card),
                duration_text=duration_text(quiet),
            ),
            icon=":material/warning:",
        )
        return
    text = say(
        "**{model}** is being trained: {done} {value}epochs done. This page grows by itself.",
        model=title_of(card),
        done=done,
        value=f"of {planned} " if planned else "",
    )
    st.progress(min(1.0, done / planned) if planned else 0.0, text=text)


def _titled(columns: dict[RunCard, Columns]) -> dict[str, Columns]:
    return {title_of(card): values for card, values in columns.items()}


def _best(epochs: dict[RunCard, Columns]) -> dict[str, int]:
    return {title_of(card): card.best_epoch for card in epochs if card.best_epoch is not None}


def _per_epoch(epochs: dict[RunCard, Columns]) -> None:
    if not epochs:
        st.info(
            say("No run has finished an epoch yet; the steps are in the next tab."),
            icon=":material/hourglass_empty:",
        )
        return
    histories, best = _titled(epochs), _best(epochs)
    left, right = st.columns(2, gap="medium")
    with left:
        show(charts.training_curves(histories, "loss", best), "epoch_loss")
    with right:
        show(charts.training_curves(histories, "accuracy", best), "epoch_accuracy")
    left, right = st.columns(2, gap="medium")
    with left:
        show(charts.training_curves(histories, "auc", best), "epoch_auc")
    with right:
        show(charts.learning_rate_curves(histories), "epoch_rate")
    st.caption(
        say(
            "Solid: validation. Dotted: training. The star marks the epoch whose weights were "
            "kept, the best by validation loss."
        )
    )


def _per_step(by_step: dict[RunCard, Columns]) -> None:
    if not by_step:
        st.info(say("The chosen runs have no record per step."), icon=":material/hourglass_empty:")
        return
    recorded = _titled(by_step)
    smoothing = st.select_slider(
        say("Mean of this many recorded steps"),
        [1, 5, 10, 20, 50],
        value=10,
        key="curve_smoothing",
        width=360,
    )
    left, right = st.columns(2, gap="medium")
    with left:
        show(charts.step_curves(recorded, "loss", smoothing), "step_loss")
    with right:
        show(charts.step_curves(recorded, "accuracy", smoothing), "step_accuracy")
    show(charts.learning_rate_curves(recorded), "step_rate")
    st.caption(
        say(
            "Training figures of single batches, every few steps: unsmoothed they jump more than "
            "the means per epoch."
        )
    )


_SHOWN = {
    "train_loss": message("training loss"),
    "val_loss": message("validation loss"),
    "train_accuracy": message("training accuracy"),
    "val_accuracy": message("validation accuracy"),
    "val_auc": message("validation AUC"),
    "images_per_second": message("scans a second"),
}
_FORMATS = {
    title: st.column_config.NumberColumn(format="%.1f" if title == "scans a second" else "%.3f")
    for title in _SHOWN.values()
}


def _table(epochs: dict[RunCard, Columns]) -> None:
    rows = [_summary(card, columns) for card, columns in epochs.items()]
    if not rows:
        st.info(say("No run has finished an epoch yet."), icon=":material/hourglass_empty:")
        return
    st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        column_config=_FORMATS,
        alt=say("The kept epoch of each run"),
    )
    st.caption(
        say("The figures of the kept epoch; of the last one while the run is being trained.")
    )


def _summary(card: RunCard, columns: Columns) -> dict[str, object]:
    """One row: the kept epoch, or the last while there is none."""
    epochs = columns["epoch"]
    kept = (
        np.flatnonzero(epochs == card.best_epoch)
        if card.best_epoch is not None
        else np.array([], dtype=int)
    )
    row = int(kept[0]) if len(kept) else len(epochs) - 1
    values = {title: float(columns[name][row]) for name, title in _SHOWN.items() if name in columns}
    time = duration_text(float(np.nansum(columns["seconds"]))) if "seconds" in columns else ""
    return {
        "run": title_of(card),
        "status": card.status,
        "epochs": len(epochs),
        "epoch": int(epochs[row]),
        **values,
        "time": time,
    }
