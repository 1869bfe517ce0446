"""The ensemble against the mean written out: scan by scan, and from stored tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from random_runs import random_run, scans

from oct_core.data.pack import Pack
from oct_core.errors import CheckpointError, RunExistsError
from oct_core.figures.colours import CLASS_COLOURS, model_colour
from oct_core.metrics.calibration import softmax
from oct_core.models.catalog import ARCHITECTURES, ENSEMBLE, ENSEMBLE_COLOUR, run_title
from oct_core.runs.ensemble import (
    Ensemble,
    calibrated_table,
    ensemble_card,
    ensemble_table,
    mean_prediction,
)
from oct_core.runs.predictor import Predictor
from oct_core.training.job import TrainingJob
from oct_core.training.recipes import recipe
from oct_core.training.run import train_run
from oct_core.types import CLASSES, Prediction, PredictionTable, RunCard

TURNED = CLASSES[::-1]


def prediction(run: str, values: Sequence[float], classes: tuple[str, ...] = CLASSES) -> Prediction:
    chances = np.array([values[CLASSES.index(name)] for name in classes])
    return Prediction(run, np.log(chances).astype(np.float32), chances, classes)


def test_the_mean_is_taken_class_by_class_whatever_the_order_of_a_member() -> None:
    first = prediction("a", [0.7, 0.1, 0.1, 0.1])
    second = prediction("b", [0.1, 0.6, 0.2, 0.1], TURNED)
    mean = mean_prediction([first, second])
    assert (mean.run, mean.classes, mean.members) == (ENSEMBLE, CLASSES, (first, second))
    literal = [
        (dict(zip(CLASSES, first.probabilities, strict=True))[name]
         + dict(zip(TURNED, second.probabilities, strict=True))[name]) / 2
        for name in CLASSES
    ]  # fmt: skip
    np.testing.assert_allclose(mean.probabilities, literal, rtol=1e-12)
    np.testing.assert_allclose(softmax(mean.logits), literal, rtol=1e-6)
    assert mean.predicted == "CNV" and mean.confidence == pytest.approx(0.4)


def test_a_class_that_no_member_believes_in_gives_no_infinity() -> None:
    sure = Prediction("a", np.zeros(4, np.float32), np.array([1.0, 0, 0, 0]))
    mean = mean_prediction([sure, replace(sure, run="b")])
    assert np.isfinite(mean.logits).all()
    np.testing.assert_allclose(softmax(mean.logits), [1, 0, 0, 0], atol=1e-9)


def test_an_ensemble_needs_members_of_the_same_classes() -> None:
    with pytest.raises(CheckpointError, match="at least one run, got none"):
        mean_prediction([])
    with pytest.raises(CheckpointError, match="at least one run, got none"):
        ensemble_card([])
    with pytest.raises(CheckpointError, match="at least one run, got none"):
        Ensemble(())
    other = Prediction("b", np.zeros(2, np.float32), np.array([0.5, 0.5]), ("AMD", "NORMAL"))
    with pytest.raises(CheckpointError, match="run b tells AMD, NORMAL apart, the others CNV"):
        mean_prediction([prediction("a", [0.25] * 4), other])


def test_an_ensemble_is_a_predictor_and_asks_each_member_once() -> None:
    runs = (random_run("resnet50"), random_run("densenet121"))
    predictor: Predictor = Ensemble(runs)
    assert (predictor.name, predictor.title, predictor.classes) == (ENSEMBLE, "Ensemble", CLASSES)
    answers = predictor.predict(scans())
    alone = [run.predict(scans()) for run in runs]
    for place, answer in enumerate(answers):
        assert [member.run for member in answer.members] == ["resnet50", "densenet121"]
        mean = (alone[0][place].probabilities + alone[1][place].probabilities) / 2
        np.testing.assert_allclose(answer.probabilities, mean, atol=1e-6)
    with pytest.raises(CheckpointError, match="expected a loaded run, got RunCard"):
        Ensemble((runs[0].card,))  # type: ignore[arg-type]


def test_its_card_changes_with_a_members_weights_and_is_calibrated() -> None:
    cards = [
        RunCard(name, Path("runs") / name, "done", name, CLASSES, {}, sha * 64, 1.5, 1, {})
        for name, sha in (("resnet50", "a"), ("densenet121", "b"))
    ]
    card = ensemble_card(cards)
    assert (card.name, card.architecture, card.temperature) == (ENSEMBLE, ENSEMBLE, 1.0)
    assert card.raw["members"] == {each.name: each.weights_sha256 for each in cards}
    changed = ensemble_card([cards[0], replace(cards[1], weights_sha256="0" * 64)])
    assert len(card.weights_sha256) == 64 and changed.weights_sha256 != card.weights_sha256


def table(
    keys: Sequence[tuple[str, str]], logits: np.ndarray, labels: Sequence[int] | None = None
) -> PredictionTable:
    n = len(keys)
    return PredictionTable(
        np.array([split for split, _ in keys]),
        np.array([f"{sha}.png" for _, sha in keys]),
        np.array([sha for _, sha in keys]),
        np.array([f"p{sha}" for _, sha in keys]),
        np.arange(n) % 4 if labels is None else np.array(labels),
        np.asarray(logits, dtype=np.float32).reshape(n, 4),
    )


def test_stored_answers_are_matched_by_part_and_scan_and_averaged_after_their_temperature() -> None:
    generator = np.random.default_rng(0)
    keys = [("val", "a"), ("val", "b"), ("test", "a"), ("test", "c")]
    other = [("test", "c"), ("val", "x"), ("val", "b"), ("test", "a")]
    first = table(keys, generator.normal(size=(4, 4)), [0, 1, 2, 3])
    second = table(other, generator.normal(size=(4, 4)), [3, 0, 1, 2])
    mean = ensemble_table({"one": first, "two": second}, {"one": 0.5, "two": 2.0})
    assert list(zip(mean.split, mean.sha256, strict=True)) == [
        ("val", "b"),
        ("test", "a"),
        ("test", "c"),
    ]
    assert mean.label.tolist() == [1, 2, 3] and list(mean.members) == ["one", "two"]
    for row, (mine, theirs) in enumerate(((1, 2), (2, 3), (3, 0))):
        literal = (softmax(first.logits[mine], 0.5) + softmax(second.logits[theirs], 2.0)) / 2
        np.testing.assert_allclose(softmax(mean.logits[row]), literal, rtol=1e-5)
        np.testing.assert_allclose(
            softmax(mean.members["two"].logits[row]), softmax(second.logits[theirs], 2.0), rtol=1e-5
        )
    test = mean.of_split("test")
    assert len(test) == 2 and all(len(member) == 2 for member in test.members.values())


def test_a_scan_that_stands_twice_in_a_table_is_matched_twice() -> None:
    keys = [("val", "a"), ("val", "a"), ("val", "b")]
    logits = np.arange(12.0)
    both = ensemble_table(
        {"one": table(keys, logits), "two": table(keys, -logits)}, {"one": 1.0, "two": 1.0}
    )
    assert len(both) == 3


def test_the_ensemble_of_one_run_is_that_run_calibrated() -> None:
    only = table([("val", "a")], np.array([2.0, 0, 0, 0]))
    mean = ensemble_table({"one": only}, {"one": 2.0})
    np.testing.assert_allclose(mean.logits, [[1, 0, 0, 0]])
    np.testing.assert_allclose(mean.logits, calibrated_table(only, 2.0).logits)
    assert not mean.members


def test_the_members_gates_are_combined_by_who_knows_how() -> None:
    gated = replace(table([("val", "a")], np.zeros(4)), gate=np.array([[1.0, 2, 3]]))
    tables, ones = {"one": gated, "two": gated}, {"one": 1.0, "two": 1.0}
    assert ensemble_table(tables, ones).gate is None
    combined = ensemble_table(
        tables, ones, lambda members: sum(member.gate for member in members) / 4
    )
    np.testing.assert_allclose(combined.gate, [[0.5, 1, 1.5]])
    np.testing.assert_allclose(combined.of_split("val").gate, combined.gate)


def test_tables_that_do_not_fit_are_refused() -> None:
    one = table([("val", "a")], np.zeros(4), [0])
    ones = {"one": 1.0, "two": 1.0}
    with pytest.raises(CheckpointError, match="at least one run"):
        ensemble_table({}, {})
    with pytest.raises(CheckpointError, match="one, two have no scan in common"):
        ensemble_table({"one": one, "two": table([("val", "b")], np.zeros(4))}, ones)
    with pytest.raises(CheckpointError, match="run two has other labels for the same scans"):
        ensemble_table({"one": one, "two": table([("val", "a")], np.zeros(4), [1])}, ones)


def test_it_has_a_title_and_a_colour_of_its_own() -> None:
    assert run_title(ENSEMBLE) == run_title(ENSEMBLE, ENSEMBLE) == "Ensemble"
    assert run_title("vgg16") == "VGG16" and run_title("mine") == "mine"
    others = {ARCHITECTURES.get(name).colour for name in ARCHITECTURES} | {*CLASS_COLOURS.values()}
    assert model_colour(ENSEMBLE) == ENSEMBLE_COLOUR not in others
    assert model_colour("transformer") != ENSEMBLE_COLOUR
    for ground in ("#FFFFFF", "#0E1117"):  # WCAG 2.1, 1.4.11: 3 to 1 for parts of a picture
        lighter, darker = sorted(map(luminance, (ENSEMBLE_COLOUR, ground)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_no_training_may_take_its_name(tiny_pack: Pack, tmp_path: Path) -> None:
    config = recipe("densenet121", initialisation="random", epochs=1)
    job = TrainingJob(config, tiny_pack, tmp_path / ENSEMBLE, torch.device("cpu"))
    with pytest.raises(RunExistsError, match="ensemble is what several runs asked together"):
        train_run(job)
    assert not (tmp_path / ENSEMBLE).exists()
