"""What the viewer computes: the models at once, and what is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import streamlit as st

from oct_core import predict
from oct_core.errors import OctError
from oct_core.explanations import explain_with_predictions
from oct_core.runs.weights import LoadedRun
from oct_core.scans.phantom import make_phantom
from pages.ui.app.services import get_run, ready_runs
from pages.ui.app.session import Viewer
from pages.ui.viewer import compute as viewer_compute
from pages.ui.viewer.compute import predictions_of, trio_ahead

SCAN = make_phantom("DME", 5, 96, 128).scan


@pytest.fixture(autouse=True)
def demo_runs(demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_resource.clear()
    monkeypatch.setenv("OCT_CHECKPOINTS", str(demo_root))


def test_the_models_asked_at_once_say_what_each_says_alone(
    demo_run: Callable[[str], LoadedRun],
) -> None:
    cards, scans = ready_runs(), [make_phantom("CNV", seed, 96, 128).scan for seed in range(10)]
    found = predictions_of(Viewer(), [*scans, SCAN, scans[0]], cards)
    for place, card in enumerate(cards):
        alone = predict([*scans, SCAN, scans[0]], demo_run(card.name))
        assert [row[place].run for row in found] == [card.name] * 12
        np.testing.assert_allclose(
            [row[place].logits for row in found],
            [one.logits for one in alone],
            rtol=1e-4,
            atol=1e-5,
        )


def test_a_scan_read_before_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    state, cards, other = Viewer(), ready_runs(), make_phantom("CNV", 1, 96, 128).scan
    first = predictions_of(state, [SCAN], cards)
    read: list[int] = []
    monkeypatch.setattr(
        "oct_core.runs.predict.predict",
        lambda scans, run: read.append(len(scans)) or predict(scans, run),
    )
    assert predictions_of(state, [SCAN, other], cards)[0] == first[0] and read == [1] * len(cards)


def test_maps_begun_ahead_are_those_of_the_library_and_are_kept(
    demo_run: Callable[[str], LoadedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, wanted = Viewer(), [(card, "CNV") for card in ready_runs()]
    with trio_ahead(state, SCAN, wanted) as trio_of:
        found = [trio_of(card, target) for card, target in wanted]
    for (card, target), maps in zip(wanted, found, strict=True):
        ((_, expected),) = explain_with_predictions(
            SCAN, demo_run(card.name), target, network_size=True
        )
        assert [(one.run, one.key, one.target) for one in maps] == [
            (card.name, one.key, "CNV") for one in expected
        ]
        for one, other in zip(maps, expected, strict=True):
            np.testing.assert_allclose(
                one.values,
                other.values,
                rtol=1e-3,
                atol=1e-4 * float(np.abs(other.values).max() + 1e-12),
            )
    monkeypatch.setattr(
        "oct_core.explanations.explain_with_predictions",
        lambda *_args, **_options: pytest.fail("it was kept"),
    )
    with trio_ahead(state, SCAN, wanted) as trio_of:
        assert [trio_of(card, target) for card, target in wanted] == found


@pytest.mark.parametrize("breaks", ["explain_with_predictions", "get_run"])
def test_a_model_that_fails_leaves_the_maps_of_the_others(
    breaks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, *others = ready_runs()

    def explains(scan: object, run: LoadedRun, *args: object, **options: object) -> object:
        if run.card.name == failing.name:
            raise OctError("this one cannot")
        return explain_with_predictions(scan, run, *args, **options)  # type: ignore[arg-type]

    def loads(name: str) -> LoadedRun:
        if name == failing.name:
            raise OctError("this one cannot")
        return get_run(name)

    if breaks == "get_run":
        monkeypatch.setattr(viewer_compute, "get_run", loads)
    else:
        monkeypatch.setattr("oct_core.explanations.explain_with_predictions", explains)
    with trio_ahead(Viewer(), SCAN, [(card, "DME") for card in (failing, *others)]) as trio_of:
        with pytest.raises(OctError, match="this one cannot"):
            trio_of(failing, "DME")
        assert others and all(len(trio_of(card, "DME")) == 11 for card in others)


def test_progress_of_many_scans_rises_to_the_end() -> None:
    shares: list[float] = []
    scans = [make_phantom("CNV", seed, 96, 128).scan for seed in range(9)]
    predictions_of(Viewer(), scans, ready_runs(), lambda share, _text: shares.append(share))
    assert (
        shares == sorted(shares)
        and shares[0] == 0
        and shares[-1] == 1
        and len(shares) == 2 * len(ready_runs()) + 1
    )
