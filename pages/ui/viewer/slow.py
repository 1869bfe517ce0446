"""Slow work in the viewer: what it will take is said first, it runs beside the page, and a button
stops it.

Its results land in the session's store when the page runs next, whatever the person does meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


@dataclass(frozen=True)
class Offer:
    """A slow map that could be made. key : of its result. name : of its run and method. seconds :
    about how long it takes.
    """

    key: str
    name: str
    task: Task
    seconds: float


def slow_map(
    state: Viewer, scan: Scan, reading: Reading, method: str, layer: str, place: str
) -> Explanation | None:
    """A map of a slow method if this session has it; else the offer to make it, or that it is being
    made, is drawn. place : tells the buttons of several offers apart. Raises OctError.
    """
    maps = slow_map_at_hand(state, scan, reading, method, layer)
    if maps:
        return maps[0]
    offer_slow_maps(state, scan, slow_map_offers(state, scan, reading, method, layer), place)
    return None


def slow_map_offers(
    state: Viewer, scan: Scan, reading: Reading, method: str, layer: str
) -> list[Offer]:
    """The offer to make a slow map, in a list that is empty if it was made; raises OctError."""
    from oct_core.explanations import METHODS
    from oct_core.explanations.estimate import runs_of, seconds_of

    if slow_map_at_hand(state, scan, reading, method, layer):
        return []
    entry = METHODS.get(method)
    layers = (layer,) if entry.kind == "layer" else None
    key = maps_key(scan, reading, (method,), layers)
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
    pace = pace_of(reading.card)
    make = partial(make_maps_now, scan, reading.card, reading.target, (method,), layers)
    task = Task(title, runs_of(entry, pace, layer), make, partial(keep_maps, state.maps, key))
    return [
        Offer(key, f"{reading.card.name}_{method}", task, max(1.0, seconds_of(entry, pace, layer)))
    ]


def offer_slow_maps(
    state: Viewer, scan: Scan, offers: Sequence[Offer], place: str = "grid"
) -> None:
    """One line a slow map: how long it takes and a button, or that it is being made; before several
    the time of all and one button.
    """
    waiting = [offer for offer in offers if offer.key not in state.jobs]
    if len(waiting) > 1:
        seconds = sum(offer.seconds for offer in waiting)
        words = say(
            "All {count} slow maps below, one after the other: about {duration} on this machine.",
            count=len(waiting),
            duration=duration_text(seconds),
        )
        _offer(f"**{words}**", say("Make all"), f"start_all_{place}", state, scan, waiting)
    for offer in offers:
        title = escape_markdown(say(offer.task.title))
        if offer.key in state.jobs:
            st.caption(say("{title}: being made.", title=title))
            continue
        words = say(
            "{title}: the model has to run {runs} times, about {duration} on this machine.",
            title=title,
            runs=offer.task.total,
            duration=duration_text(offer.seconds),
        )
        _offer(words, say("Make this map"), f"start_{place}_{offer.name}", state, scan, [offer])


def _offer(
    words: str, label: str, key: str, state: Viewer, scan: Scan, offers: Sequence[Offer]
) -> None:
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.caption(words)
    right.button(
        label,
        key=key,
        icon=":material/hourglass_empty:",
        on_click=_start_all,
        args=(state, scan, offers),
        width="stretch",
    )


def _start_all(state: Viewer, scan: Scan, offers: Sequence[Offer]) -> None:
    for offer in offers:
        start_job(state, offer.key, scan, offer.task)


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
        if len(jobs) > 1:
            st.button(
                say("Stop all"),
                key="stop_all",
                icon=":material/stop_circle:",
                on_click=_stop,
                args=(state, *jobs),
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


def _stop(state: Viewer, *keys: str) -> None:
    for key in keys:
        job = state.jobs.pop(key, None)
        if job is not None:
            job.stop()
