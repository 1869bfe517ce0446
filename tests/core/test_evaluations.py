"""Scored sets in a run folder: what there is to choose, coarse labels, files written and read back;
figures of labels coarser than the classes, written out.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from oct_core.errors import CheckpointError, DataError, MetricError
from oct_core.metrics.calibration import softmax
from oct_core.metrics.classification import accuracy
from oct_core.metrics.comparison import compare_tables
from oct_core.metrics.merging import called_groups, measurable, merged_classes
from oct_core.metrics.summary import evaluate_table
from oct_core.runs.evaluations import (
    CORRUPTED,
    DataChoice,
    ExternalSet,
    corrupted_key,
    data_choices,
    external_key,
    read_external,
    read_scored,
    write_corrupted,
    write_external,
)
from oct_core.runs.files import CARD, read_card, read_predictions, write_card
from oct_core.types import CLASSES, PredictionTable, RunCard

LABELS = {"AMD": ("CNV", "DRUSEN"), "DME": ("DME",), "HEALTHY": ("NORMAL",)}


@pytest.fixture
def card(demo_root: Path, tmp_path: Path) -> RunCard:
    """A run of its own folder."""
    return read_card(Path(shutil.copytree(demo_root / "densenet121", tmp_path / "densenet121")))


def table_of(
    given: list[str], logits: list[list[float]], split: str = "external/clinic", patients: str = ""
) -> PredictionTable:
    """A table whose labels stand for LABELS, one patient a scan unless they are given as a text."""
    n = len(given)
    truth = np.array([[name in LABELS[label] for name in CLASSES] for label in given])
    one = truth.sum(1) == 1
    return PredictionTable(
        np.array([split] * n),
        np.array([f"{i}.png" for i in range(n)]),
        np.array([f"{i:064x}" for i in range(n)]),
        np.array(list(patients) or [f"p{i}" for i in range(n)]),
        np.where(one, truth.argmax(1), -1),
        np.array(logits, dtype=np.float32),
        given=np.array(given),
        truth=truth,
    )


def about(card: RunCard, **changes: object) -> ExternalSet:
    fields = {
        "name": "clinic",
        "date": "2026-11-28",
        "labels": LABELS,
        "left_out": {"OTHER": 3},
        "unreadable": 1,
        "repeated": 0,
        "seen": 0,
        "n_scans": 3,
        "n_patients": 3,
        "patients_from": "manifest",
        "weights_sha256": card.weights_sha256,
        "temperature": card.temperature,
    }
    return ExternalSet(**{**fields, **changes})  # type: ignore[arg-type]


CLINIC = table_of(["AMD", "DME", "HEALTHY"], [[1, 1.2, 0.9, -2], [0, 2, 0, 0], [2, 0.5, 0, 1.5]])
"""The first scan's highest class is DME, yet CNV and DRUSEN together have more."""


def test_a_run_offers_what_it_has_answers_for(card: RunCard) -> None:
    assert [(choice.key, choice.kind) for choice in data_choices(card)] == [
        ("test", "test"),
        ("val", "validation"),
    ]
    write_external(card.folder, about(card), CLINIC)
    val = read_predictions(card.folder).of_split("val")
    blurred = [
        replace(val, split=np.array([corrupted_key(name, 2)] * len(val)))
        for name in ("blur", "gamma")
    ]
    both = replace(
        blurred[0],
        **{
            name: np.concatenate([getattr(part, name) for part in blurred])
            for name in ("split", "image", "sha256", "patient", "label", "logits")
        },
    )
    write_corrupted(card.folder, both)
    assert data_choices(card)[2:] == [
        DataChoice("external/clinic", "External set: clinic", "external"),
        DataChoice("corrupted", "Validation scans under every corruption", "corrupted"),
        DataChoice("corrupted/blur/2", "Validation scans under blur, grade 2", "corrupted"),
        DataChoice("corrupted/gamma/2", "Validation scans under gamma, grade 2", "corrupted"),
    ]
    for choice in data_choices(card):
        table = read_scored(card, choice.key)
        assert len(table) == len(table.of_split(choice.key)) > 0, choice
        assert evaluate_table(table, choice.key, resamples=20).n_scans == len(table)
    pooled = evaluate_table(read_scored(card, CORRUPTED), CORRUPTED, resamples=20)
    assert pooled.n_scans == 2 * len(val) and pooled.n_patients == len(set(val.patient))
    shutil.rmtree(card.folder / "external")
    (card.folder / "predictions.csv").unlink()
    (card.folder / "corrupted.csv").unlink()
    assert data_choices(card) == []


def test_odd_files_beside_a_set_are_passed_over(card: RunCard) -> None:
    write_external(card.folder, about(card), CLINIC)
    for name in ("._clinic.json", "my set.json"):
        (card.folder / "external" / name).write_bytes(b"\x00\x05")
    (card.folder / "corrupted.csv").write_bytes(b"split,image\ncorrupted/blur/2,caf\xe9.png\n")
    keys = [choice.key for choice in data_choices(card)]
    assert keys[:3] == ["test", "val", "external/clinic"]
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_scored(card, corrupted_key("blur", 2))


@pytest.mark.parametrize("damage", ["nan", "stray quote"])
def test_damaged_answers_are_told(card: RunCard, damage: str) -> None:
    file = card.folder / "predictions.csv"
    head, first, *rest = file.read_text().splitlines()
    if damage == "nan":
        cells = first.split(",")
        first = ",".join([*cells[:5], "nan", *cells[6:]])
    else:
        first = first.replace(",", ',"', 1) + "x" * 140_000
    file.write_text("\n".join([head, first, *rest]) + "\n")
    with pytest.raises(CheckpointError, match=r"predictions\.csv cannot be read"):
        read_predictions(card.folder)


def test_a_set_is_read_back_as_it_was_written(card: RunCard) -> None:
    gated = replace(CLINIC, gate=np.array([[0.25, 0.5, 2.0]] * 3))
    write_external(card.folder, about(card), gated)
    assert read_external(card, "clinic") == about(card)
    table = read_scored(card, "external/clinic")
    for name in ("split", "image", "sha256", "patient", "label", "truth", "given", "gate"):
        assert np.array_equal(getattr(table, name), getattr(gated, name)), name
    np.testing.assert_allclose(table.logits, gated.logits, atol=1e-5)
    assert table.label.tolist() == [-1, 1, 3]
    lines = (card.folder / "external" / "clinic.csv").read_text().splitlines()
    assert lines[0].startswith("split,image,sha256,patient,label,logit_CNV")
    assert [line.split(",")[4] for line in lines[1:]] == ["AMD", "DME", "HEALTHY"]


def test_labels_of_one_class_each_give_a_table_like_any_other(card: RunCard) -> None:
    two = table_of(["DME", "HEALTHY"], [[0, 1, 0, 0], [0, 0, 0, 1]])
    write_external(card.folder, about(card), two)
    table = read_scored(card, "external/clinic")
    assert table.truth is None and table.label.tolist() == [1, 3]
    assert table.given is not None and table.given.tolist() == ["DME", "HEALTHY"]
    found = evaluate_table(table, "external/clinic", resamples=20)
    assert found.classes == CLASSES and found.accuracy.value == 1
    assert found.describe("macro_auc") == "not defined: no CNV, no DRUSEN"
    assert found.describe("sensitivity", "CNV") == "not defined: no CNV"


def test_errors_say_what_is_there_and_what_to_do(card: RunCard) -> None:
    with pytest.raises(CheckpointError, match="no answers for an external set 'x'; it has: none"):
        read_scored(card, "external/x")
    write_external(card.folder, about(card, weights_sha256="0" * 64), CLINIC)
    with pytest.raises(CheckpointError, match="are of other weights than it has now; score it"):
        read_scored(card, "external/clinic")
    path = card.folder / "external" / "clinic.json"
    for damage in ("{", "[]", json.dumps({**asdict(about(card)), "labels": None}), "{}"):
        path.write_text(damage)
        with pytest.raises(CheckpointError, match=r"clinic.json cannot be read .* --name clinic"):
            read_scored(card, "external/clinic")
    write_external(card.folder, about(card, labels={"DME": ("DME",)}), CLINIC)
    with pytest.raises(CheckpointError, match=r"clinic.csv cannot be read \(KeyError\('AMD'\)\)"):
        read_scored(card, "external/clinic")
    with pytest.raises(CheckpointError, match=re.escape("has no corrupted.csv yet")):
        read_scored(card, "corrupted/blur/1")
    for name in ("", "a/b", "..", "-x", "a b", "x" * 65):
        with pytest.raises(DataError, match="cannot name a set; give it a --name of letters"):
            external_key(name)


def test_merged_probabilities_written_out() -> None:
    merged, temperature = measurable(CLINIC, 2.0)
    assert merged.classes == ("AMD", "DME", "NORMAL") and temperature == 1.0
    assert merged.label.tolist() == [0, 1, 2] and merged.truth is None
    for row, found in zip(CLINIC.logits.tolist(), softmax(merged.logits), strict=True):
        powers = [math.exp(value / 2.0) for value in row]
        expected = [powers[0] + powers[2], powers[1], powers[3]]
        assert found == pytest.approx([value / sum(powers) for value in expected], abs=1e-6)
    extreme = replace(CLINIC, logits=np.array([[900, -900, 0, -50]] * 3, dtype=np.float32))
    assert np.isfinite(measurable(extreme, 0.2)[0].logits).all()
    plain = replace(CLINIC, truth=None, given=None, label=np.array([0, 1, 3]))
    assert measurable(plain, 2.0) == (plain, 2.0)
    assert list(merged_classes(plain)) == list(CLASSES)


def test_the_answer_is_the_class_with_most_whatever_its_group_has() -> None:
    called, probabilities = called_groups(CLINIC, 1.0)
    assert called.tolist() == [1, 1, 0], "DME, DME, CNV"
    assert probabilities.argmax(1).tolist() == [0, 1, 0]
    answer = CLINIC.logits.argmax(1)
    assert CLINIC.is_right(answer).tolist() == [False, True, False]
    found = evaluate_table(CLINIC, "external/clinic", resamples=50)
    assert found.classes == ("AMD", "DME", "NORMAL")
    assert found.accuracy.value == pytest.approx(CLINIC.is_right(answer).mean())
    assert found.confusion.tolist() == [[0, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert found.sensitivity["AMD"].value == 0
    merged, _ = measurable(CLINIC, 1.0)
    confidence = softmax(merged.logits).max(1)
    assert found.log_loss == pytest.approx(
        -np.mean([math.log(softmax(merged.logits)[i, k]) for i, k in enumerate((0, 1, 2))])
    )
    assert 0 < found.ece < 1 and confidence[0] > 0.59
    assert "triage_accuracy" not in found.figures


def test_where_the_answer_is_the_group_with_most_both_ways_of_counting_agree() -> None:
    generator = np.random.default_rng(3)
    given = generator.choice(list(LABELS), 60).tolist()
    logits = generator.normal(size=(60, 4)) * 0.5
    logits[np.arange(60), generator.integers(0, 4, 60)] += 4
    table = table_of(given, logits.tolist(), patients="".join(map(chr, range(65, 125))))
    merged, _ = measurable(table, 1.0)
    found = evaluate_table(table, "external/clinic", resamples=200)
    other = evaluate_table(merged, "external/clinic", resamples=200)
    assert found.to_dict() == other.to_dict()
    assert found.accuracy.value == pytest.approx(
        accuracy(merged.label, softmax(merged.logits)).item()
    )
    uneven = replace(table, logits=np.where(np.arange(60)[:, None] == 7, [1, 1.2, 0.9, -2], logits))
    split = evaluate_table(uneven, "external/clinic", resamples=200)
    assert split.auc.keys() == found.auc.keys() and set(split.figures) == set(found.figures)


def test_names_of_groups_and_labels_that_overlap() -> None:
    both = replace(
        table_of(["AMD", "AMD", "DME"], np.eye(4)[:3].tolist()),
        given=np.array(["AMD", "ARMD", "DME"]),
    )
    assert list(merged_classes(both)) == ["AMD/ARMD", "DME", "NORMAL"]
    assert list(merged_classes(replace(both, given=None))) == ["CNV/DRUSEN", "DME", "NORMAL"]
    truth = np.array([[1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]], dtype=bool)
    overlap = replace(both, truth=truth, label=np.array([-1, 0, 1]))
    with pytest.raises(MetricError, match="got one for CNV / DRUSEN and one for CNV; map both"):
        measurable(overlap, 1.0)


def test_parts_of_a_table_keep_every_column() -> None:
    mixed = replace(CLINIC, split=np.array(["a/b", "a/c", "ab"]), gate=np.arange(9.0).reshape(3, 3))
    part = mixed.of_split("a")
    assert part.image.tolist() == ["0.png", "1.png"] and mixed.of_split("a/c").label.tolist() == [1]
    assert part.gate is not None and part.gate.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert part.given is not None and part.truth is not None and part.classes == CLASSES
    assert len(mixed.of_split("b")) == 0
    turned = mixed.take(np.array([2, 0]))
    assert turned.image.tolist() == ["2.png", "0.png"] and turned.is_right(
        np.array([3, 2])
    ).tolist() == [True, True]


def test_runs_are_compared_on_coarse_labels() -> None:
    other = replace(CLINIC, logits=np.roll(CLINIC.logits, 1, axis=1))
    [found] = compare_tables({"a": CLINIC, "b": other}, "external/clinic", resamples=50)
    right = [table.is_right(table.logits.argmax(1)).mean() for table in (CLINIC, other)]
    assert found.difference.value == pytest.approx(right[0] - right[1])
    write = asdict(about(read_card_like()))
    assert write["labels"]["AMD"] == ("CNV", "DRUSEN")


def read_card_like() -> RunCard:
    return RunCard("x", Path("."), "done", "vgg16", CLASSES, {}, "", 1.0, 1, {})


def test_a_card_without_this_still_reads(card: RunCard) -> None:
    write_card(card.folder, card.raw)
    assert (card.folder / CARD).is_file() and data_choices(read_card(card.folder))
