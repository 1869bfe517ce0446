"""The viewer's service calls: predictions first, then maps, each computed once a (scan as read, run, target)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from oct_core.heap import give_memory_back
from oct_core.types import Explanation, Prediction, RunCard, Scan
from pages.ui.services import get_run, title_of
from pages.ui.session import Viewer, fingerprint
from pages.ui.viewer_pictures import sized

TRIO: tuple[str, ...] = ("gradcam", "guided_backprop", "guided_gradcam")
Progress = Callable[[float, str], None]


def silent(_share: float, _text: str) -> None:
    """A progress that nobody watches."""


def predictions_of(
    state: Viewer, scans: Sequence[Scan], cards: Sequence[RunCard], progress: Progress = silent
) -> list[list[Prediction]]:
    """One list of predictions a scan, in the order of the cards; computed where this session has none; raises OctError."""
    from oct_core.inference import predict
    from oct_core.side_by_side import submit

    keys = [fingerprint(scan) for scan in scans]
    work = []
    for card in cards:
        missing = [(key, scan) for key, scan in dict(zip(keys, scans, strict=True)).items() if state.predictions.get(_key(card, key)) is None]
        for start in range(0, len(missing), 8):
            batch = missing[start : start + 8]
            work.append((card, batch, submit(predict, [scan for _, scan in batch], get_run(card.name))))
    with cancelled_at_the_end([future for _, _, future in work]):
        for done, (card, batch, future) in enumerate(work):
            progress(done / len(work), f"{title_of(card)}: reading")
            for (key, _), prediction in zip(batch, future.result(), strict=True):
                state.predictions.put(_key(card, key), prediction)
    progress(1.0, "Predictions ready")
    found_all = [[state.predictions.get(_key(card, key)) for card in cards] for key in keys]
    return [[prediction for prediction in row if prediction is not None] for row in found_all]


@contextmanager
def cancelled_at_the_end(futures: Sequence[Future[Any]]) -> Iterator[None]:
    """What is not begun when the block ends, by an error or since the person went on, is not begun any more."""
    try:
        yield
    finally:
        for future in futures:
            future.cancel()


def _key(card: RunCard, *parts: str) -> str:
    return "|".join((card.name, card.weights_sha256, *parts))


def target_of(prediction: Prediction, choice: str | None) -> str:
    """The class to explain: the one chosen for all, or the model's own prediction."""
    return choice or prediction.predicted


def trio_maps(state: Viewer, scan: Scan, card: RunCard, target: str) -> list[Explanation]:
    """Grad-CAM and guided Grad-CAM at every layer and guided backpropagation, from one pass, at the network's size; raises OctError."""
    return _explained(state, scan, card, target, TRIO, None)


def one_map(state: Viewer, scan: Scan, card: RunCard, target: str, method: str, layer: str) -> Explanation:
    """One map of any registered method; the trio's come from their common pass; raises OctError."""
    found = trio_maps(state, scan, card, target) if method in TRIO else _explained(state, scan, card, target, (method,), (layer,))
    return next((each for each in found if each.method == method and each.layer in (layer, "input")), found[0])


def in_scan_pixels(scan: Scan, maps: Sequence[Explanation]) -> list[Explanation]:
    """The maps of one run as the command line gives them, (H, W); made anew, but for methods that are slow, which are stretched."""
    from oct_core.explanations import METHODS, explain

    slow = {each.key for each in maps if METHODS.get(each.method).slow}
    found = {key: replace(each, values=sized(each.values, scan.pixels.shape)) for each in maps if (key := each.key) in slow}
    for method in dict.fromkeys(each.method for each in maps if each.key not in slow):
        layers = [each.layer for each in maps if each.method == method and each.layer != "input"]
        for each in explain(scan, get_run(maps[0].run), maps[0].target, (method,), layers or None)[0]:
            found[each.key] = each
    return [found[each.key] for each in maps]


@contextmanager
def trio_ahead(state: Viewer, scan: Scan, wanted: Sequence[tuple[RunCard, str]]) -> Iterator[Callable[[RunCard, str], list[Explanation]]]:
    """Begin ``trio_maps`` of each (card, target) at once; gives a function that waits for those of one; it raises OctError."""
    from oct_core.explanations import explain_with_predictions
    from oct_core.side_by_side import submit

    begun = {}
    for card, target in wanted:
        key = _maps_key(scan, card, target, TRIO, None)
        if state.maps.get(key) is None:
            begun[key] = submit(explain_with_predictions, scan, get_run(card.name), target, methods=TRIO, network_size=True)

    def finished(card: RunCard, target: str) -> list[Explanation]:
        key = _maps_key(scan, card, target, TRIO, None)
        if key not in begun:
            return trio_maps(state, scan, card, target)
        ((_, maps),) = begun.pop(key).result()
        return _keep(state, key, maps)

    with cancelled_at_the_end(list(begun.values())):
        yield finished


def _explained(
    state: Viewer, scan: Scan, card: RunCard, target: str, methods: tuple[str, ...], layers: tuple[str, ...] | None
) -> list[Explanation]:
    from oct_core.explanations import explain_with_predictions

    key = _maps_key(scan, card, target, methods, layers)
    kept = state.maps.get(key)
    if kept is None:
        ((_, made),) = explain_with_predictions(scan, get_run(card.name), target, methods=methods, layers=layers, network_size=True)
        kept = _keep(state, key, made)
    return kept


def _maps_key(scan: Scan, card: RunCard, target: str, methods: tuple[str, ...], layers: tuple[str, ...] | None) -> str:
    return _key(card, fingerprint(scan), target, ",".join(methods), ",".join(layers or ()))


def _keep(state: Viewer, key: str, maps: list[Explanation]) -> list[Explanation]:
    state.maps.put(key, maps)
    give_memory_back()
    return maps
