"""The viewer's quick service calls: predictions first, then maps from one pass, each computed once
a (scan as read, run, target). Slow maps: see slow.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from oct_core.figures.pictures import stretch_values
from oct_core.runs.ensemble import ensemble_card
from oct_core.system import give_memory_back, start_side_by_side
from oct_core.types import Explanation, Judgement, Prediction, RunCard, Scan
from oct_core.words import say
from pages.ui.app.services import answer_stamp, get_run, judge_of, title_of, trust_stamps
from pages.ui.app.session import Bounded, Job, Viewer, colour_print, fingerprint
from pages.ui.viewer.reading import Reading

TRIO: tuple[str, ...] = ("gradcam", "guided_backprop", "guided_gradcam")
BATCH = 8
"""Scans read at once: another person's scan need not wait for all."""
Progress = Callable[[float, str], None]
Pair = tuple[str, Scan]
"""The fingerprint of a scan, and the scan."""


def core_of(card: RunCard) -> tuple[str, ...]:
    """Those of the trio that hold for the network of a run."""
    from oct_core.explanations import methods_for

    usable = methods_for(card.architecture)
    return tuple(method for method in TRIO if method in usable)


def silent(_share: float, _text: str) -> None:
    """A progress that nobody watches."""


def predictions_of(
    state: Viewer, scans: Sequence[Scan], cards: Sequence[RunCard], progress: Progress = silent
) -> list[list[Prediction]]:
    """One list of predictions a scan, in the order of the cards; computed where this session has
    none; raises OctError.
    """
    keys = [fingerprint(scan) for scan in scans]
    different = list(dict(zip(keys, scans, strict=True)).items())
    for start in range(0, len(different), BATCH):
        batch = different[start : start + BATCH]

        def within(share: float, text: str, start: int = start, count: int = len(batch)) -> None:
            progress((start + share * count) / len(different), text)

        _ask(state, batch, cards, within)
    progress(1.0, say("Predictions ready"))
    rows = [[state.predictions.get(_key(card, key)) for card in cards] for key in keys]
    return [[prediction for prediction in row if prediction is not None] for row in rows]


def judgements_of(
    state: Viewer,
    scans: Sequence[Scan],
    cards: Sequence[RunCard],
    level: float,
    progress: Progress = silent,
) -> list[Judgement]:
    """One judgement a scan, of the ensemble where there are several cards; what this session has
    not is read. level : of the conformal sets. Raises OctError.
    """
    found = [judgement_at_hand(state, scan, cards, level) for scan in scans]
    missing = [scan for scan, judgement in zip(scans, found, strict=True) if judgement is None]
    rows = iter(predictions_of(state, missing, cards, progress))
    judge = judge_of(cards, level)
    judgements = []
    for scan, judgement in zip(scans, found, strict=True):
        if judgement is None:
            judgement = judge.of(scan, next(rows))
            state.judgements.put(_judgement_key(scan, cards, level), judgement)
        judgements.append(judgement)
    return judgements


def judgement_at_hand(
    state: Viewer, scan: Scan, cards: Sequence[RunCard], level: float
) -> Judgement | None:
    """The judgement on a scan if this session has it."""
    return state.judgements.get(_judgement_key(scan, cards, level))


def _judgement_key(scan: Scan, cards: Sequence[RunCard], level: float) -> str:
    runs = [_key(card, fingerprint(scan)) for card in cards]
    stamps = [str(trust_stamps(card)) for card in cards]
    return "|".join((*runs, *stamps, f"{level:g}", colour_print(scan)))


def _ask(
    state: Viewer, batch: Sequence[Pair], cards: Sequence[RunCard], progress: Progress
) -> None:
    """Ask the models at the same time for what this session has not."""
    missing: dict[str, tuple[RunCard, list[Pair]]] = {}
    for card in cards:
        pairs = [pair for pair in batch if state.predictions.get(_key(card, pair[0])) is None]
        if pairs:
            missing[_key(card, *(key for key, _ in pairs))] = card, pairs

    work = {
        key: _Quick(
            partial(_predict, card, [scan for _, scan in pairs]),
            frozenset(key for key, _ in pairs),
            partial(_keep_predictions, state.predictions, card, [key for key, _ in pairs]),
        )
        for key, (card, pairs) in missing.items()
    }
    with _side_by_side(state, work) as result_of:
        for place, (key, (card, _)) in enumerate(missing.items()):
            progress(place / len(missing), say("{model}: reading", model=title_of(card)))
            result_of(key)


def _keep_predictions(
    store: Bounded[Prediction], card: RunCard, keys: Sequence[str], answers: list[Prediction]
) -> None:
    for key, prediction in zip(keys, answers, strict=True):
        store.put(_key(card, key), prediction)


def _predict(card: RunCard, scans: Sequence[Scan]) -> list[Prediction]:
    from oct_core.runs.predict import predict

    return predict(scans, get_run(card.name))


class _Quick:
    """A piece of quick work, see Job."""

    def __init__(
        self,
        make: Callable[[], object],
        fingerprints: frozenset[str],
        land: Callable[[Any], object],
    ) -> None:
        self.make, self.fingerprints, self.land = make, fingerprints, land


@contextmanager
def _side_by_side(state: Viewer, work: dict[str, _Quick]) -> Iterator[Callable[[str], object]]:
    """Start pieces of quick work at once; gives a function that waits for one, by its key, and
    lands it; it raises the work's error.

    A single piece is done when it is asked for, on all cores. When the page is interrupted, what
    has not started does not start; what runs goes on, and the next run of the page takes it over:
    nothing is done twice.
    """
    alone = len(work) == 1 and not work.keys() & state.jobs.keys()
    if not alone:
        new = {key: piece for key, piece in work.items() if key not in state.jobs}
        futures = start_side_by_side([piece.make for piece in new.values()])
        for (key, piece), future in zip(new.items(), futures, strict=True):
            state.jobs[key] = Job("", piece.fingerprints, future, piece.land)

    def wait(key: str) -> object:
        if not alone:
            return state.take(key)
        result = work[key].make()
        work[key].land(result)
        return result

    try:
        yield wait
    finally:
        for key in work:
            if key in state.jobs and state.jobs[key].future.cancel():
                del state.jobs[key]


def _key(card: RunCard, *parts: str) -> str:
    return "|".join((answer_stamp(card), *parts))


def read_scan_with(
    state: Viewer, scan: Scan, cards: Sequence[RunCard], target: str | None, level: float
) -> list[Reading]:
    """What is said of one scan, without maps yet: of several models the ensemble first, then each;
    of one, that one. Raises OctError.

    target : the class to explain, or None for each model's own prediction. level : of the conformal
    sets.
    """
    (judgement,) = judgements_of(state, [scan], cards, level)
    listed = [ensemble_card(cards), *cards] if judgement.members else cards
    return [
        Reading(card, each, target or each.prediction.predicted)
        for card, each in zip(listed, judgement.rows, strict=True)
    ]


@contextmanager
def trios_side_by_side(
    state: Viewer, scan: Scan, readings: Sequence[Reading]
) -> Iterator[Callable[[Reading], list[Explanation]]]:
    """Start the trio of each reading at once; gives a function that waits for that of one; it
    raises OctError.
    """
    keys = {id(reading): maps_key(scan, reading, core_of(reading.card)) for reading in readings}
    work = {
        keys[id(reading)]: _Quick(
            partial(make_maps_now, scan, reading.card, reading.target, core_of(reading.card), None),
            frozenset([fingerprint(scan)]),
            partial(keep_maps, state.maps, keys[id(reading)]),
        )
        for reading in readings
        if state.maps.get(keys[id(reading)]) is None
    }
    with _side_by_side(state, work) as wait:

        def trio_of(reading: Reading) -> list[Explanation]:
            key = maps_key(scan, reading, core_of(reading.card))
            if key in work and state.maps.get(key) is None:
                wait(key)
            maps = state.maps.get(key)
            return (
                maps if maps is not None else make_maps(state, scan, reading, core_of(reading.card))
            )

        yield trio_of


def make_maps(
    state: Viewer,
    scan: Scan,
    reading: Reading,
    methods: tuple[str, ...],
    layers: tuple[str, ...] | None = None,
) -> list[Explanation]:
    """Maps at the network's size, from the session's store or made now; raises OctError."""
    key = maps_key(scan, reading, methods, layers)
    maps = state.maps.get(key)
    if maps is None:
        maps = make_maps_now(scan, reading.card, reading.target, methods, layers)
        keep_maps(state.maps, key, maps)
    return maps


def make_map(state: Viewer, scan: Scan, reading: Reading, method: str, layer: str) -> Explanation:
    """One map of a quick method; the trio's come from their common pass; raises OctError."""
    maps = (
        make_maps(state, scan, reading, core_of(reading.card))
        if method in TRIO
        else make_maps(state, scan, reading, (method,), (layer,))
    )
    return next(
        (each for each in maps if each.method == method and each.layer in (layer, "input")),
        maps[0],
    )


def in_scan_pixels(scan: Scan, maps: Sequence[Explanation]) -> list[Explanation]:
    """The maps of one run as the command line gives them, (H, W); made anew, but for methods that
    are slow, which are stretched.
    """
    from oct_core.explanations import METHODS, explain

    slow = {each.key for each in maps if METHODS.get(each.method).slow}
    by_key = {
        key: replace(each, values=stretch_values(each.values, scan.pixels.shape))
        for each in maps
        if (key := each.key) in slow
    }
    for method in dict.fromkeys(each.method for each in maps if each.key not in slow):
        layers = [each.layer for each in maps if each.method == method and each.layer != "input"]
        run = get_run(maps[0].run)
        for each in explain(scan, run, maps[0].target, (method,), layers or None)[0]:
            by_key[each.key] = each
    return [by_key[each.key] for each in maps]


def make_maps_now(
    scan: Scan, card: RunCard, target: str, methods: tuple[str, ...], layers: tuple[str, ...] | None
) -> list[Explanation]:
    """Maps at the network's size, whatever the session's store has; raises OctError."""
    from oct_core.explanations import explain_with_predictions

    ((_, maps),) = explain_with_predictions(
        scan, get_run(card.name), target, methods=methods, layers=layers, network_size=True
    )
    return maps


def maps_key(
    scan: Scan, reading: Reading, methods: tuple[str, ...], layers: tuple[str, ...] | None = None
) -> str:
    """Where the maps of a reading lie in the session's store."""
    return _key(
        reading.card, fingerprint(scan), reading.target, ",".join(methods), ",".join(layers or ())
    )


def keep_maps(store: Bounded[list[Explanation]], key: str, maps: list[Explanation]) -> None:
    """Put maps into the session's store."""
    store.put(key, maps)
    give_memory_back()
