"""How a scan was read goes with its answers into the table of all open scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from oct_core.scans.phantom import make_phantom
from oct_core.types import Judgement, Prediction, Scan, Verdict
from pages.ui.app.session import Viewer
from pages.ui.viewer import page as viewer_page

CHANCES = np.array([0.97, 0.01, 0.01, 0.01])
PLAIN = Judgement(Prediction("vgg16", np.log(CHANCES), CHANCES), Verdict("answer", "CNV", 0.97))


def test_the_notes_of_each_scan_stand_in_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    state = Viewer()
    for seed, notes in enumerate([("damaged in places",), ()]):
        scan = make_phantom("CNV", seed, 96, 128).scan
        state.open(replace(scan, name=f"{seed}.png", source="upload", notes=notes))
    shown: list[tuple[str, Judgement]] = []

    def judge(state: Viewer, scans: Sequence[Scan], *_: object) -> list[Judgement]:
        return [PLAIN for _ in scans]

    monkeypatch.setattr(viewer_page, "judgements_of", judge)
    monkeypatch.setattr(viewer_page.viewer_predictions, "table_of_all", shown.extend)
    choices = SimpleNamespace(level=0.1, hide_answer=False, hide_names=False)
    viewer_page._all_scans(state, [], choices)
    assert {name: each.notes for name, each in shown} == {
        "0.png": ("damaged in places",),
        "1.png": (),
    }
