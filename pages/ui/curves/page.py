"""Below the choice of runs: their status, curves, table and stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from oct_core.figures import charts
from oct_core.runs.lineage import Joined, Stage, join_histories, stages_of
from oct_core.types import SENSITIVITY, RunCard
from oct_core.words import message, say, say_count
from pages.ui.app import services
from pages.ui.app.services import title_of
from pages.ui.app.session import keep_choice, read_choice
from pages.ui.shared.charts import show
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.run_data import Columns, columns_of, find_runs, seconds_since_growth
from pages.ui.shared.stages import how_trained, why_losses_differ
from pages.ui.shared.tables import COLUMNS, STATUSES, duration_text, show_table

# A run that has recorded nothing for this long (seconds) has probably been stopped.
STALE_AFTER = 900.0


def choose(cards: Sequence[RunCard]) -> list[str]:
    """The names of the runs to draw, all of them at first."""
    titles = {card.name: escape_markdown(title_of(card)) for card in cards}
    return list(
        keep_choice(
            "runs",
            list(titles),
            st.pills,
            say("Runs"),
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
            say("These runs have not finished an epoch or recorded a step yet."),
            icon=":material/hourglass_empty:",
        )
        return
    stages = {card: stages_of(card, runs.cards) for card in cards}
    per_epoch, by_class, per_step, table = st.tabs(
        [
            say(":material/timeline: Per epoch"),
            say(":material/category: By class"),
            say(":material/ssid_chart: Per step"),
            say(":material/table: Table"),
        ]
    )
    with per_epoch:
        _per_epoch({card: stages[card] for card in epochs})
    with by_class:
        _by_class({card: stages[card] for card in epochs})
    with per_step:
        _per_step(by_step)
    with table:
        _table(epochs)
    how_trained(stages)


def _rows(columns: Columns) -> int:
    return len(next(iter(columns.values()), ()))


def _status(card: RunCard) -> None:
    """One line for a run that is not simply done."""
    model = escape_markdown(title_of(card))
    if card.status == "failed":
        st.warning(
            say(
                "**{model}** stopped early. `train --resume` continues from its last saved state.",
                model=model,
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
                "**{model}** is marked as in training, but has recorded nothing for {duration}. "
                "If it was stopped, `train --resume` continues from its last saved state.",
                model=model,
                duration=duration_text(quiet),
            ),
            icon=":material/warning:",
        )
        return
    if planned:
        text = say(
            "**{model}** is being trained: {done} of {planned} epochs done. This page updates "
            "itself.",
            model=model,
            done=done,
            planned=planned,
        )
        st.progress(min(1.0, done / planned), text=text)
    else:
        text = say_count(
            "**{model}** is being trained: {count} epoch done. This page updates itself.",
            "**{model}** is being trained: {count} epochs done. This page updates itself.",
            done,
            model=model,
        )
        st.progress(0.0, text=text)


def _titled(columns: dict[RunCard, Columns]) -> dict[str, Columns]:
    return {title_of(card): values for card, values in columns.items()}


AXES = {"epoch": message("epochs"), "time": message("time of training")}


def _choose_axis() -> str:
    """By epoch or by time, for all curves by epoch."""
    return keep_choice(
        "axis",
        "epoch",
        st.segmented_control,
        say("Along the x axis"),
        list(AXES),
        page="curve",
        format_func=lambda name: say(AXES[name]),
        required=True,
        help=say(
            "Time counts the training steps of each epoch, without validation, on the device that "
            "the run was trained on."
        ),
    )


def _joined(stages: dict[RunCard, list[Stage]]) -> dict[RunCard, Joined]:
    return {
        card: join_histories([stage.history for stage in of_run]) for card, of_run in stages.items()
    }


def _best(joined: dict[RunCard, Joined]) -> dict[str, int]:
    """The saved epoch of each run, counted from the start of its first stage."""
    return {
        title_of(card): card.best_epoch + (record.starts[-1] if record.starts else 0)
        for card, record in joined.items()
        if card.best_epoch is not None
    }


def _by(axis: str, records: Iterable[Joined]) -> str:
    """The axis chosen, or epochs where a record has no times."""
    return axis if all("hours" in record.columns for record in records) else "epoch"


def _per_epoch(stages: dict[RunCard, list[Stage]]) -> None:
    if not stages:
        st.info(
            say("No run has finished an epoch yet; the steps are in the tab Per step."),
            icon=":material/hourglass_empty:",
        )
        return
    axis, joined = _choose_axis(), _joined(stages)
    by, best = _by(axis, joined.values()), _best(joined)
    if by != axis:
        st.caption(say("One of these runs has no times on record, so all stand by epoch."))
    histories = {title_of(card): record.columns for card, record in joined.items()}
    colours = services.colours_of(stages)
    left, right = st.columns(2, gap="medium")
    with left:
        show(charts.training_curves(histories, colours, "loss", best, by), "epoch_loss")
    with right:
        show(charts.training_curves(histories, colours, "accuracy", best, by), "epoch_accuracy")
    left, right = st.columns(2, gap="medium")
    with left:
        show(charts.training_curves(histories, colours, "auc", best, by), "epoch_auc")
    with right:
        show(charts.learning_rate_curves(histories, colours, by), "epoch_rate")
    st.caption(
        say(
            "Solid: validation. Dotted: training. The star marks the epoch with the lowest "
            "validation loss, whose weights were saved."
        )
    )
    if any(len(of_run) > 1 for of_run in stages.values()):
        st.caption(say("A dashed vertical line parts two stages; epochs are counted through."))
    why_losses_differ(stages)


def _by_class(stages: dict[RunCard, list[Stage]]) -> None:
    """A chart a run with sensitivities on record, and which runs have none."""
    joined = _joined(stages)
    recorded = {
        card: record
        for card, record in joined.items()
        if any(name.startswith(SENSITIVITY) for name in record.columns)
    }
    lacking = [card for card in stages if card not in recorded]
    axis, best = read_choice("axis", "epoch", page="curve"), _best(recorded)
    for start in range(0, len(recorded), 2):
        for column, card in zip(
            st.columns(2, gap="medium"), list(recorded)[start : start + 2], strict=False
        ):
            title, columns = title_of(card), recorded[card].columns
            by = _by(axis, [recorded[card]])
            with column:
                figure = charts.class_curves(columns, title, best.get(title), by)
                show(figure, f"classes_{card.name}")
    if recorded:
        st.caption(say("The share of each class's validation scans that is called so."))
    if lacking:
        names = ", ".join(escape_markdown(title_of(card)) for card in lacking)
        st.info(
            say(
                "No sensitivity by class and epoch on record: {names}. They were trained before "
                "it was recorded; the page **Performance** has that of the saved epoch.",
                names=names,
            ),
            icon=":material/info:",
        )


def _per_step(by_step: dict[RunCard, Columns]) -> None:
    if not by_step:
        st.info(say("These runs have no record per step."), icon=":material/hourglass_empty:")
        return
    recorded, colours = _titled(by_step), services.colours_of(by_step)
    smoothing = st.select_slider(
        say("Recorded steps to average over"),
        [1, 5, 10, 20, 50],
        value=10,
        key="curve_smoothing",
        width=360,
    )
    left, right = st.columns(2, gap="medium")
    with left:
        show(charts.step_curves(recorded, colours, "loss", smoothing), "step_loss")
    with right:
        show(charts.step_curves(recorded, colours, "accuracy", smoothing), "step_accuracy")
    show(charts.learning_rate_curves(recorded, colours), "step_rate")
    st.caption(
        say(
            "Training figures of single batches, recorded every few steps. Without averaging they "
            "vary more than the means per epoch."
        )
    )


_FORMATS = {
    "train_loss": "%.3f",
    "val_loss": "%.3f",
    "train_accuracy": "%.3f",
    "val_accuracy": "%.3f",
    "val_auc": "%.3f",
    "images_per_second": "%.1f",
}


def _table(epochs: dict[RunCard, Columns]) -> None:
    rows = [_summary(card, columns) for card, columns in epochs.items()]
    if not rows:
        st.info(say("No run has finished an epoch yet."), icon=":material/hourglass_empty:")
        return
    formats = {
        name: st.column_config.NumberColumn(say(COLUMNS[name]), format=form)
        for name, form in _FORMATS.items()
    }
    show_table(pd.DataFrame(rows), say("The best epoch of each run"), formats)
    st.caption(
        say(
            "Each row shows the epoch whose weights were saved, or the latest epoch while the run "
            "is being trained."
        )
    )


def _summary(card: RunCard, columns: Columns) -> dict[str, object]:
    """One row: the epoch of the saved weights, or the last while there is none."""
    epochs = columns["epoch"]
    best = (
        np.flatnonzero(epochs == card.best_epoch)
        if card.best_epoch is not None
        else np.array([], dtype=int)
    )
    row = int(best[0]) if len(best) else len(epochs) - 1
    values = {name: float(columns[name][row]) for name in _FORMATS if name in columns}
    time = duration_text(float(np.nansum(columns["seconds"]))) if "seconds" in columns else ""
    return {
        "model": title_of(card),
        "status": say(STATUSES.get(card.status, card.status)),
        "epochs": len(epochs),
        "epoch": int(epochs[row]),
        **values,
        "time": time,
    }
