"""A run's gate fitted on its data, measured, frozen into its folder, and read by whoever judges."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from oct_core import cli, evaluation
from oct_core.cli.explain import MapChoice, explain_file
from oct_core.data.manifest import manifest_sha256
from oct_core.data.pack import Pack
from oct_core.errors import DataError
from oct_core.evaluation import evaluate_run, fit_and_measure_gate
from oct_core.runs.evaluations import corrupted_key, read_scored
from oct_core.runs.files import CARD, read_card, read_predictions, write_card
from oct_core.runs.predict import answers_of_pack
from oct_core.runs.weights import LoadedRun, load_run
from oct_core.scans.corruptions import CORRUPTIONS, corrupt
from oct_core.scans.edit import CHANGES
from oct_core.scans.phantom import make_phantom
from oct_core.trust import gate_fit
from oct_core.trust.gate import FILE, read_gate
from oct_core.trust.gate_fit import Detection, detect, fit_run_gate
from oct_core.trust.judge import Judge
from oct_core.trust.wrong_inputs import ANATOMY, PICTURES, draw_picture
from oct_core.types import QUESTIONS

torch.set_num_threads(1)
NAME = "densenet121"


@pytest.fixture(scope="module")
def fitted(
    demo_run: Callable[[str], LoadedRun], tmp_path_factory: pytest.TempPathFactory, tiny_pack: Pack
) -> tuple[Path, list[Detection]]:
    """A copy of a tiny run with a gate, and what was measured of it; do not change it."""
    folder = Path(
        shutil.copytree(demo_run(NAME).card.folder, tmp_path_factory.mktemp("gated") / NAME)
    )
    raw = json.loads((folder / CARD).read_text())
    raw["data"]["manifest_sha256"] = manifest_sha256(tiny_pack.records)
    write_card(folder, raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_fit, "PICTURES_A_KIND", 2)
        patch.setattr(evaluation, "SEVERITIES", (2,))
        return folder, fit_and_measure_gate(folder, tiny_pack)


@pytest.fixture
def own(fitted: tuple[Path, list[Detection]], tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(fitted[0], tmp_path / NAME))


@pytest.mark.parametrize(
    ("family", "question"),
    [
        ("picture", "bscan"),
        ("anatomy", "bscan"),
        ("change", "upright"),
        ("corruption", "familiar"),
    ],
)
def test_a_detection_is_the_auroc_of_scikit_learn_and_a_share(family: str, question: str) -> None:
    rng = np.random.default_rng(4)
    usual, scores = rng.random((30, 3)).round(1), (rng.random((17, 3)) * 1.3).round(1)
    found = detect(usual, scores, "fog", family)
    column = QUESTIONS.index(question)
    labels = [0] * 30 + [1] * 17
    expected = roc_auc_score(labels, [*usual[:, column], *scores[:, column]])
    assert found.auroc == pytest.approx(expected)
    noticed = sum(any(value > 1 for value in row) for row in scores) / 17
    assert (found.noticed, found.n, found.question) == (pytest.approx(noticed), 17, question)
    assert (found.name, found.family) == ("fog", family)


def test_every_kind_of_input_is_measured(fitted: tuple[Path, list[Detection]]) -> None:
    folder, detections = fitted
    by_family = {
        family: [each.name for each in detections if each.family == family]
        for family in ("picture", "anatomy", "change", "corruption")
    }
    assert by_family == {
        "picture": list(PICTURES),
        "anatomy": list(ANATOMY),
        "change": list(CHANGES),
        "corruption": [f"{name} 2" for name in CORRUPTIONS],
    }
    assert len(detections) == sum(map(len, by_family.values()))
    assert {each.n for each in detections if each.family in ("picture", "anatomy")} == {2}
    assert {each.n for each in detections if each.family in ("change", "corruption")} == {8}
    assert all(0 <= each.auroc <= 1 and 0 <= each.noticed <= 1 for each in detections)
    about = read_card(folder).raw["gate"]
    assert [Detection(**each) for each in about["detection"]] == detections
    assert about["false_alarms"] == 0.02


def test_a_kind_is_measured_on_other_seeds_than_it_was_fitted_with(
    fitted: tuple[Path, list[Detection]], tiny_pack: Pack
) -> None:
    folder, detections = fitted
    run, kind = load_run(folder), next(iter(PICTURES))
    gate = read_gate(run.card)
    assert gate is not None
    assert gate_fit._TEST_SEED >= gate_fit._FIT_SEED + gate_fit.PICTURES_A_KIND > 2
    seeds = (gate_fit._TEST_SEED, gate_fit._TEST_SEED + 1)
    pictures = [run.preprocessing.prepare(draw_picture(kind, seed).pixels) for seed in seeds]
    scores = gate.scores(answers_of_pack(run, np.stack(pictures))[1])
    usual = gate.scores(answers_of_pack(run, tiny_pack.pixels[tiny_pack.rows("val")])[1])
    labels = [0] * len(usual) + [1] * 2
    expected = roc_auc_score(labels, [*usual[:, 0], *scores[:, 0]])
    assert detections[0].name == kind and detections[0].auroc == pytest.approx(expected)


def test_stored_answers_gain_the_scores_and_the_test_part_decides_nothing(
    fitted: tuple[Path, list[Detection]], tiny_pack: Pack
) -> None:
    folder, _ = fitted
    run, table = load_run(folder), read_predictions(folder)
    gate = read_gate(run.card)
    assert gate is not None and table.gate is not None
    for part in ("val", "test"):
        pixels = tiny_pack.pixels[tiny_pack.rows(part)]
        expected = gate.scores(answers_of_pack(run, pixels)[1])
        scores = table.of_split(part).gate
        assert scores is not None
        np.testing.assert_allclose(scores, expected, atol=2e-3)
    kept = read_scored(run.card, corrupted_key("blur", 2))
    blurred = corrupt(tiny_pack.pixels[tiny_pack.rows("val")], "blur", 2)
    expected = gate.scores(answers_of_pack(run, blurred)[1])
    assert kept.gate is not None
    np.testing.assert_allclose(kept.gate, expected, atol=2e-3)
    other = np.array(tiny_pack.pixels)
    other[tiny_pack.rows("test")] = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_fit, "PICTURES_A_KIND", 2)
        again = fit_run_gate(run, replace(tiny_pack, pixels=other))
    np.testing.assert_array_equal(again.levels, gate.levels)
    np.testing.assert_array_equal(again.weights, gate.weights)


def test_measuring_a_run_anew_keeps_its_gate_and_its_scores(
    own: Path, tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "SEVERITIES", (2,))
    monkeypatch.setattr(evaluation, "phantom_accuracy", lambda run: {})
    before, about = read_predictions(own), read_card(own).raw["gate"]
    evaluate_run(own, tiny_pack)
    after, card = read_predictions(own), read_card(own)
    assert card.raw["gate"] == about and read_gate(card) is not None
    assert before.gate is not None and after.gate is not None
    np.testing.assert_allclose(after.gate, before.gate, atol=2e-3)
    blurred = read_scored(card, corrupted_key("blur", 2))
    right = (blurred.logits.argmax(1) == blurred.label).mean()
    assert card.raw["robustness"]["accuracy"]["blur"] == [pytest.approx(right)]


def test_no_gate_without_both_parts_or_on_other_data(own: Path, tiny_pack: Pack) -> None:
    run = load_run(own)
    for part in ("train", "val"):
        records = tuple(
            replace(record, split="test") if record.split == part else record
            for record in tiny_pack.records
        )
        with pytest.raises(DataError, match="no training or no validation part"):
            fit_run_gate(run, replace(tiny_pack, records=records))
    before = (own / CARD).read_bytes()
    records = (replace(tiny_pack.records[0], patient="someone else"), *tiny_pack.records[1:])
    with pytest.raises(DataError, match="is not the data of this run"):
        fit_and_measure_gate(own, replace(tiny_pack, records=records))
    assert (own / CARD).read_bytes() == before


def test_predict_writes_the_scores_of_a_run_with_a_gate(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    monkeypatch.setenv("OCT_CHECKPOINTS", str(own.parent))
    scan = make_phantom("DME", 9, 96, 128).scan
    Image.fromarray(scan.pixels).save(tmp_path / "scan.png")
    out = tmp_path / "out.csv"
    assert cli.main(["predict", str(tmp_path / "scan.png"), "--run", NAME, "--out", str(out)]) == 0
    [row] = csv.DictReader(out.read_text().splitlines())
    [judgement] = Judge([load_run(own)]).judge([scan])
    scores = judgement.scores
    assert scores is not None and "no gate" not in row["reason"] + capsys.readouterr().err
    for question in QUESTIONS:
        value = float(row[f"gate_{question}"])
        assert value == pytest.approx(getattr(scores, question), rel=1e-3, abs=1e-3)
    assert row["gate_change"] == scores.change

    [written] = explain_file(
        tmp_path / "scan.png", NAME, tmp_path / "maps", MapChoice(methods=("gradcam",)), "cpu"
    )
    assert written.verdict == judgement.verdict, "explain asks the gate as predict does"

    (own / FILE).write_bytes(b"nothing")
    [problem] = Judge([load_run(own)]).problems
    assert "cannot be used" in problem


def test_the_command_fits_and_shows_what_it_measured(
    own: Path, tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Path] = []

    def measure(folder: Path, *rest: object) -> list[Detection]:
        asked.append(folder)
        return [Detection("jigsaw", "picture", "bscan", 7, 0.875, 0.5)]

    monkeypatch.setenv("OCT_CHECKPOINTS", str(own.parent))
    monkeypatch.setattr(evaluation, "fit_and_measure_gate", measure)
    monkeypatch.setattr("oct_core.data.pack.open_pack", lambda data: tiny_pack)
    assert cli.main(["gate", NAME, "--data", str(tiny_pack.folder)]) == 0
    shown = capsys.readouterr().out
    assert asked == [own] and NAME in shown
    assert all(word in shown for word in ("jigsaw", "picture", "7", "0.875", "50.0%"))
    assert cli.main(["gate", NAME]) != 0, "--data is needed"
