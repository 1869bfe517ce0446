"""Slow work in the viewer: what it will take is said first, it runs beside the page, and a button
stops it.

Its results land in the session's store when the page runs next, whatever the person does meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from oct_core.runs.turns import Work, start_work
from oct_core.types import Explanation, Scan
from oct_core.words import note, say, say_count
from pages.ui.app.language import fragment
from pages.ui.app.services import pace_of, show_error
from pages.ui.app.session import Job, Viewer, fingerprint, viewer
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.tables import duration_text
from pages.ui.viewer.compute import keep_maps, make_maps_now, maps_key
from pages.ui.viewer.reading import Reading

EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class Task:
    """Slow work on one scan. title : for people, without the scan's name. total : forward passes.
    make : does it. land : puts the result into a store.
    """

    title: str
    total: int
    make: Callable[[], Any]
    land: Callable[[Any], object]


def start_job(state: Viewer, key: str, scan: Scan, task: Task) -> None:
    """Start slow work, once. key : of its result."""
    if key not in state.jobs:
        work = Work(task.total)
        future = start_work(work, task.make)
        prints = frozenset([fingerprint(scan)])
        state.jobs[key] = Job(task.title, prints, future, task.land, work)


def slow_map_at_hand(
    state: Viewer, scan: Scan, reading: Reading, method: str, layer: str
) -> list[Explanation]:
    """The map of a slow method, or nothing if this session has not made it."""
    from oct_core.explanations import METHODS

    layers = (layer,) if METHODS.get(method).kind == "layer" else None
    return state.maps.get(maps_key(scan, reading, (method,), layers)) or []


def slow_map(
    state: Viewer, scan: Scan, reading: Reading, method: str, layer: str, place: str
) -> Explanation | None:
    """A map of a slow method if this session has it; else the offer to make it, or that it is being
    made, is drawn. place : tells the buttons of several offers apart. Raises OctError.
    """
    from oct_core.explanations import METHODS
    from oct_core.explanations.estimate import runs_of, seconds_of

    entry = METHODS.get(method)
    layers = (layer,) if entry.kind == "layer" else None
    key = maps_key(scan, reading, (method,), layers)
    maps = state.maps.get(key)
    if maps is not None:
        return maps[0]
    title = (
        note(
            "{method} of {model} at {layer}",
            method=note(entry.title),
            model=reading.title,
            layer=layer,
        )
        if layers
        else note("{method} of {model}", method=note(entry.title), model=reading.title)
    )
    if key in state.jobs:
        st.caption(say("{title}: being made.", title=escape_markdown(title)))
        return None
    pace = pace_of(reading.card)
    runs = runs_of(entry, pace, layer)

    make = partial(make_maps_now, scan, reading.card, reading.target, (method,), layers)
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.caption(
        say(
            "{title}: the model has to run {runs} times, about {duration} on this machine.",
            title=escape_markdown(title),
            runs=runs,
            duration=duration_text(max(1.0, seconds_of(entry, pace, layer))),
        )
    )
    right.button(
        say("Make this map"),
        key=f"start_{place}_{reading.card.name}_{method}",
        icon=":material/hourglass_empty:",
        on_click=start_job,
        args=(state, key, scan, Task(title, runs, make, partial(keep_maps, state.maps, key))),
        width="stretch",
    )
    return None


def land_finished(state: Viewer) -> None:
    """Take over what was finished since the page ran last; what failed is said."""
    for error in state.land_jobs():
        show_error(error)


def watch_jobs(state: Viewer) -> None:
    """The slow work of this session, each with its progress and a button that stops it; looked at
    again every second while there is any.
    """
    if any(job.work is not None for job in state.jobs.values()):
        fragment(_draw_jobs, run_every=EVERY_SECONDS)()


def _draw_jobs() -> None:
    state = viewer()
    jobs = {key: job for key, job in state.jobs.items() if job.work is not None}
    if not jobs or any(job.future.done() for job in jobs.values()):
        st.rerun()
    with st.container(border=True):
        st.markdown(
            say_count(
                "**{count} slow computation** goes on beside this page",
                "**{count} slow computations** go on beside this page, one after the other",
                len(jobs),
            )
        )
        for place, (key, job) in enumerate(jobs.items()):
            left, right = st.columns([5, 1], vertical_alignment="center")
            if job.work is not None:
                left.progress(job.work.share, _progress_text(job.title, job.work))
            right.button(
                say("Stop"),
                key=f"stop_{place}",
                icon=":material/stop_circle:",
                on_click=_stop,
                args=(state, key),
                width="stretch",
            )


def _progress_text(title: str, work: Work) -> str:
    name = escape_markdown(say(title))
    if work.began is None:
        return say("{title}: waits for other slow work", title=name)
    left = work.seconds_left
    if left is None:
        return say("{title}: starting", title=name)
    return say("{title}: about {duration} left", title=name, duration=duration_text(left))


def _stop(state: Viewer, key: str) -> None:
    job = state.jobs.pop(key, None)
    if job is not None:
        job.stop()
