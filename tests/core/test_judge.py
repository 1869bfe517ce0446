"""From pixels to the verdict: one pass of each network, and nothing that depends on what else was
asked.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oct_core.errors import CheckpointError
from oct_core.exports import predictions_csv
from oct_core.reasons import reason_words
from oct_core.runs.ensemble import Ensemble, ensemble_table
from oct_core.runs.files import PREDICTIONS, read_predictions
from oct_core.runs.weights import LoadedRun, load_run
from oct_core.scans.phantom import make_phantom
from oct_core.trust.conformal import fit_table
from oct_core.trust.judge import Judge
from oct_core.types import CLASSES, Prediction, Scan

NAMES = ("resnet50", "densenet121")
SCANS = [make_phantom(label, 40, 96, 120).scan for label in ("CNV", "NORMAL")]


@pytest.fixture(scope="module")
def runs(demo_run: Callable[[str], LoadedRun]) -> list[LoadedRun]:
    return [demo_run(name) for name in NAMES]


def test_several_runs_are_judged_as_an_ensemble_with_a_row_a_member(runs: list[LoadedRun]) -> None:
    judgements = Judge(runs).judge(SCANS)
    assert len(judgements) == len(SCANS)
    for judgement in judgements:
        assert [row.prediction.run for row in judgement.rows] == ["ensemble", *NAMES]
        mean = np.mean([row.prediction.probabilities for row in judgement.members], axis=0)
        np.testing.assert_allclose(judgement.prediction.probabilities, mean)
        assert judgement.verdict.label == judgement.prediction.predicted


def test_the_row_of_a_run_does_not_depend_on_who_else_was_asked(runs: list[LoadedRun]) -> None:
    together = Judge(runs).judge(SCANS)
    for place, run in enumerate(runs):
        alone = Judge([run]).judge(SCANS)
        assert all(not judgement.members for judgement in alone)
        rows = [(str(number), judgement) for number, judgement in enumerate(alone)]
        members = [
            (str(number), judgement.members[place]) for number, judgement in enumerate(together)
        ]
        assert predictions_csv(rows) == predictions_csv(members)


def test_what_was_read_already_is_judged_without_a_network(runs: list[LoadedRun]) -> None:
    judge = Judge(runs)
    whole = judge.judge(SCANS)
    of_cards = Judge([run.card for run in runs])
    for scan, judgement in zip(SCANS, whole, strict=True):
        predictions = [member.prediction for member in judgement.members]
        again = of_cards.of(scan, predictions)
        assert predictions_csv([("a", again)]) == predictions_csv([("a", judgement)])
    with pytest.raises(CheckpointError, match="expected a loaded run, got RunCard"):
        of_cards.judge(SCANS)


def test_each_network_is_asked_once(runs: list[LoadedRun], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ask = LoadedRun.predict

    def count(run: LoadedRun, scans: Sequence[Scan]) -> list[Prediction]:
        asked.append(run.name)
        return ask(run, scans)

    monkeypatch.setattr(LoadedRun, "predict", count)
    Judge(runs).judge(SCANS)
    assert sorted(asked) == sorted(NAMES)


def test_its_sets_are_fitted_on_the_validation_part_of_the_same_runs(
    runs: list[LoadedRun],
) -> None:
    tables = {run.name: read_predictions(run.card.folder).of_split("val") for run in runs}
    temperatures = {run.name: run.card.temperature for run in runs}
    judge = Judge(runs, level=0.4)
    sets = judge.sets
    assert sets is not None and sets.level == judge.rule.level == 0.4
    expected = fit_table(ensemble_table(tables, temperatures), 0.4)
    np.testing.assert_array_equal(sets.least, expected.least)
    with pytest.raises(CheckpointError, match="at least one run"):
        Judge([])


def test_a_run_without_stored_answers_gives_caution(demo_root: Path, tmp_path: Path) -> None:
    bare = tmp_path / "densenet121"
    shutil.copytree(demo_root / "densenet121", bare)
    (bare / PREDICTIONS).unlink()
    [judgement] = Judge([load_run(bare)]).judge(SCANS[:1])
    keys = [reason.key for reason in judgement.verdict.reasons]
    assert judgement.verdict.kind == "caution" and "no sets" in keys
    assert judgement.verdict.prediction_set == CLASSES


def test_runs_of_different_data_are_judged_without_sets(
    runs: list[LoadedRun], tmp_path: Path
) -> None:
    other = tmp_path / "densenet121"
    shutil.copytree(runs[1].card.folder, other)
    lines = (other / PREDICTIONS).read_text().splitlines()
    sha = lines[1].split(",")[2]
    changed = [line.replace(sha[:8], "ffffffff") for line in lines]
    (other / PREDICTIONS).write_text("\n".join(changed) + "\n")
    cards = [runs[0].card, replace(runs[1].card, folder=other)]
    judge = Judge(cards)
    assert judge.sets is None


def test_without_a_gate_a_picture_that_is_no_scan_is_still_told(runs: list[LoadedRun]) -> None:
    """Case c06 of the field: a fundus picture, an en-face one, a black one."""
    y, x = np.mgrid[:256, :256]
    disc = np.where(np.hypot(x - 128, y - 128) < 120, 120, 0).astype(np.uint8)
    noise = np.clip(np.random.default_rng(3).normal(120, 25, (256, 256)), 0, 255).astype(np.uint8)
    pictures = [disc, noise, np.zeros((248, 256), np.uint8)]
    for judgement in Judge(runs).judge([Scan(pixels) for pixels in pictures]):
        first = judgement.verdict.reasons[0]
        assert judgement.verdict.kind == "refer" and first.key == "objection"
        assert "does not look like a retinal B-scan" in reason_words(first)
    [phantom, _] = Judge(runs).judge(SCANS)
    assert phantom.verdict.kind == "caution"


def test_a_gate_that_cannot_be_used_is_told_and_stops_nobody(
    runs: list[LoadedRun], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(runs[1].card.folder, tmp_path / NAMES[1]))
    raw = {**runs[1].card.raw, "gate": {"sha256": "0" * 64, "weights_sha256": "x"}}
    damaged = replace(runs[1], card=replace(runs[1].card, folder=folder, raw=raw))
    (folder / "gate.npz").write_bytes(b"cut")
    judge = Judge([runs[0], damaged])
    [problem] = judge.problems
    assert str(folder / "gate.npz") in problem and "oct_core gate" in problem
    [judgement] = judge.judge(SCANS[:1])
    assert judgement.verdict.kind == "caution"
    assert "no gate" in [reason.key for reason in judgement.verdict.reasons]
    assert Judge([runs[0]]).problems == ()


def test_two_runs_of_one_name_are_refused(runs: list[LoadedRun]) -> None:
    with pytest.raises(CheckpointError, match="two runs are called resnet50"):
        Judge([runs[0], runs[0]])
    with pytest.raises(CheckpointError, match="two runs are called resnet50"):
        Ensemble((runs[0], runs[0]))
