"""Where each run comes from, step by step, as a list that reads from top to bottom."""

from __future__ import annotations

import html
from collections.abc import Sequence

import streamlit as st

from oct_core.runs.lineage import Stage, stages_of
from oct_core.types import CLASSES, RunCard
from oct_core.words import say, say_count
from pages.ui.app.services import colours_of, title_of
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.stages import learned_words

_STYLE = """
<style>
ol.oct-line.oct-line { list-style: none; margin: .2rem 0 1rem; padding: 0; }
.oct-line > li {
  position: relative; margin: 0; padding: 0 0 .9rem 1.5rem; line-height: 1.4;
  overflow-wrap: anywhere;
}
.oct-line > li::before {
  content: ""; position: absolute; left: .2rem; top: .35rem; width: .7rem; height: .7rem;
  border-radius: 50%; background: var(--own);
}
.oct-line > li:not(:last-child)::after {
  content: ""; position: absolute; left: .5rem; top: 1.1rem; bottom: -.3rem; width: 2px;
  background: color-mix(in srgb, var(--own) 45%, transparent);
}
.oct-line ul { margin: .15rem 0 0; padding-left: 1.1rem; font-size: .88rem; }
.oct-line ul li { margin: 0; }
.oct-line code { font-size: .8rem; }
</style>
"""
_HASH = 16
"""Letters of a hash that are shown."""


def lineage(cards: Sequence[RunCard]) -> None:
    """A heading, and for each run the way from its first weights to its own, three in a row."""
    st.header(say("Where each model comes from"), anchor=False)
    st.html(_STYLE)
    colours = colours_of(cards)
    for start in range(0, len(cards), 3):
        row = cards[start : start + 3]
        for column, card in zip(st.columns(3, gap="medium"), row, strict=False):
            title = title_of(card)
            with column:
                st.subheader(escape_markdown(title), anchor=False)
                st.html(_steps(card, stages_of(card, cards), colours[title]))


def _steps(card: RunCard, stages: Sequence[Stage], colour: str) -> str:
    first = stages[0]
    steps = [_item(say("Initial weights"), _start_lines(first))]
    steps += [
        _item(say("Training, stage {number}", number=place), _stage_lines(stage))
        for place, stage in enumerate(stages, start=1)
    ]
    steps.append(_item(say("Weights of this run"), _end_lines(card)))
    return f'<ol class="oct-line" style="--own:{colour}">{"".join(steps)}</ol>'


def _item(title: str, lines: Sequence[str]) -> str:
    inner = "".join(f"<li>{line}</li>" for line in lines if line)
    return f"<li><b>{html.escape(title)}</b><ul>{inner}</ul></li>"


def _line(name: str, value: str) -> str:
    return f"{html.escape(name)}: {html.escape(value)}" if value else ""


def _code(name: str, digest: str) -> str:
    """A hash, shortened."""
    if not digest:
        return ""
    return f"{html.escape(name)}: <code>{html.escape(digest[:_HASH])}</code>"


def _start_lines(stage: Stage) -> list[str]:
    origin = stage.origin
    fresh = len(stage.raw.get("fresh_tensors") or ())
    return [
        html.escape(say(origin.title)),
        _line(say("Source"), origin.source or say("not recorded")) if _is_file(stage) else "",
        _line(say("Licence"), origin.licence or say("not recorded")) if _is_file(stage) else "",
        _line(
            say("Started from random values"), say_count("{count} tensor", "{count} tensors", fresh)
        )
        if fresh
        else "",
        _code("SHA-256", str(stage.raw.get("initial_weights_sha256") or "")),
    ]


def _is_file(stage: Stage) -> bool:
    """Random weights have no source and no licence."""
    return stage.raw.get("initialisation") != "random"


def _stage_lines(stage: Stage) -> list[str]:
    best, epochs = stage.raw.get("best_epoch"), stage.training.get("epochs")
    data = stage.raw.get("data") or {}
    return [
        _line(say("Run"), stage.name),
        _line(say("Epochs"), str(epochs or ""))
        + (", " + html.escape(say("epoch {epoch} saved", epoch=best)) if best and epochs else ""),
        _line(say("Learned"), learned_words(stage)),
        *_parts(stage),
        _code(say("Manifest of the data"), str(data.get("manifest_sha256") or "")),
        _teachers(stage),
        _line(say("Device"), str(stage.raw.get("device") or "")),
    ]


def _parts(stage: Stage) -> list[str]:
    """Scans and patients of each part, and the scans of each class."""
    titles = {
        "train": say("Training part"),
        "val": say("Validation part"),
        "test": say("Test part"),
    }
    counts = (stage.raw.get("data") or {}).get("counts") or {}
    lines = []
    for part, title in titles.items():
        if part not in counts:
            continue
        classes = ", ".join(
            f"{name} {counts[part][name].get('images', 0)}"
            for name in CLASSES
            if name in counts[part]
        )
        scans = say_count("{count} scan", "{count} scans", stage.count(part))
        lines.append(_line(title, f"{scans} ({classes})"))
    return lines


def _teachers(stage: Stage) -> str:
    if not stage.teachers:
        return _line(say("Teacher models"), say("none"))
    names = [
        f"{html.escape(name)} <code>{html.escape(digest)}</code>"
        for name, _, digest in (teacher.partition(":") for teacher in stage.teachers)
    ]
    title = html.escape(say("Teacher models"))
    return f"{title}: {', '.join(names)}"


def _end_lines(card: RunCard) -> list[str]:
    if not card.weights_sha256:
        return [html.escape(say("none yet: the training has not ended"))]
    return [
        _code("SHA-256", card.weights_sha256),
        _line(say("Licence"), str(card.raw.get("licence") or "")),
        _line(say("Git commit"), str(card.raw.get("git_commit") or "")[:12]),
    ]
