"""The viewer's service calls: predictions first, then maps, each computed once a (scan as read,
run, target).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from oct_core.system import give_memory_back
from oct_core.types import Explanation, Prediction, RunCard, Scan
from oct_core.words import say
from pages.ui.app.services import get_run, title_of
from pages.ui.app.session import Viewer, fingerprint
from pages.ui.viewer.pictures import sized

TRIO: tuple[str, ...] = ("gradcam", "guided_backprop", "guided_gradcam")
Progress = Callable[[float, str], None]


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
    for start in range(0, len(different), 8):
        batch = different[start : start + 8]

        def within(share: float, text: str, start: int = start, count: int = len(batch)) -> None:
            progress((start + share * count) / len(different), text)

        _read(state, batch, cards, within)
    progress(1.0, say("Predictions ready"))
    found_all = [[state.predictions.get(_key(card, key)) for card in cards] for key in keys]
    return [[prediction for prediction in row if prediction is not None] for row in found_all]


def _read(
    state: Viewer, batch: Sequence[tuple[str, Scan]], cards: Sequence[RunCard], progress: Progress
) -> None:
    """Ask the models at the same time for what this session has not. A batch at a time: another
    person's scan need not wait for all.
    """
    from oct_core.runs.predict import predict
    from oct_core.system import begun

    missing = {
        card.name: [
            (key, scan) for key, scan in batch if state.predictions.get(_key(card, key)) is None
        ]
        for card in cards
    }
    asked = [card for card in cards if missing[card.name]]

    def answer(card: RunCard) -> list[Prediction]:
        return predict([scan for _, scan in missing[card.name]], get_run(card.name))

    with begun([partial(answer, card) for card in asked]) as answers:
        for place, (card, found) in enumerate(zip(asked, answers, strict=True)):
            progress(place / len(asked), f"{title_of(card)}: reading")
            for (key, _), prediction in zip(missing[card.name], found(), strict=True):
                state.predictions.put(_key(card, key), prediction)


def _key(card: RunCard, *parts: str) -> str:
    return "|".join((card.name, card.weights_sha256, *parts))


def target_of(prediction: Prediction, choice: str | None) -> str:
    """The class to explain: the one chosen for all, or the model's own prediction."""
    return choice or prediction.predicted


def trio_maps(state: Viewer, scan: Scan, card: RunCard, target: str) -> list[Explanation]:
    """Grad-CAM and guided Grad-CAM at every layer and guided backpropagation, from one pass, at the
    network's size; raises OctError.
    """
    return _explained(state, scan, card, target, TRIO, None)


def one_map(
    state: Viewer, scan: Scan, card: RunCard, target: str, method: str, layer: str
) -> Explanation:
    """One map of any registered method; the trio's come from their common pass; raises OctError."""
    found = (
        trio_maps(state, scan, card, target)
        if method in TRIO
        else _explained(state, scan, card, target, (method,), (layer,))
    )
    return next(
        (each for each in found if each.method == method and each.layer in (layer, "input")),
        found[0],
    )


def in_scan_pixels(scan: Scan, maps: Sequence[Explanation]) -> list[Explanation]:
    """The maps of one run as the command line gives them, (H, W); made anew, but for methods that
    are slow, which are stretched.
    """
    from oct_core.explanations import METHODS, explain

    slow = {each.key for each in maps if METHODS.get(each.method).slow}
    found = {
        key: replace(each, values=sized(each.values, scan.pixels.shape))
        for each in maps
        if (key := each.key) in slow
    }
    for method in dict.fromkeys(each.method for each in maps if each.key not in slow):
        layers = [each.layer for each in maps if each.method == method and each.layer != "input"]
        for each in explain(scan, get_run(maps[0].run), maps[0].target, (method,), layers or None)[
            0
        ]:
            found[each.key] = each
    return [found[each.key] for each in maps]


@contextmanager
def trio_ahead(
    state: Viewer, scan: Scan, wanted: Sequence[tuple[RunCard, str]]
) -> Iterator[Callable[[RunCard, str], list[Explanation]]]:
    """Begin ``trio_maps`` of each (card, target) at once; gives a function that waits for those of
    one; it raises OctError.
    """
    from oct_core.system import begun

    keys = {_maps_key(scan, card, target, TRIO, None): (card, target) for card, target in wanted}
    missing = {key: pair for key, pair in keys.items() if state.maps.get(key) is None}
    with begun(
        [partial(_made, scan, card, target, TRIO, None) for card, target in missing.values()]
    ) as made:
        waiting = dict(zip(missing, made, strict=True))

        def finished(card: RunCard, target: str) -> list[Explanation]:
            key = _maps_key(scan, card, target, TRIO, None)
            return (
                _keep(state, key, waiting.pop(key)())
                if key in waiting
                else trio_maps(state, scan, card, target)
            )

        yield finished


def _explained(
    state: Viewer,
    scan: Scan,
    card: RunCard,
    target: str,
    methods: tuple[str, ...],
    layers: tuple[str, ...] | None,
) -> list[Explanation]:
    key = _maps_key(scan, card, target, methods, layers)
    kept = state.maps.get(key)
    return _keep(state, key, _made(scan, card, target, methods, layers)) if kept is None else kept


def _made(
    scan: Scan, card: RunCard, target: str, methods: tuple[str, ...], layers: tuple[str, ...] | None
) -> list[Explanation]:
    from oct_core.explanations import explain_with_predictions

    ((_, maps),) = explain_with_predictions(
        scan, get_run(card.name), target, methods=methods, layers=layers, network_size=True
    )
    return maps


def _maps_key(
    scan: Scan, card: RunCard, target: str, methods: tuple[str, ...], layers: tuple[str, ...] | None
) -> str:
    return _key(card, fingerprint(scan), target, ",".join(methods), ",".join(layers or ()))


def _keep(state: Viewer, key: str, maps: list[Explanation]) -> list[Explanation]:
    state.maps.put(key, maps)
    give_memory_back()
    return maps
