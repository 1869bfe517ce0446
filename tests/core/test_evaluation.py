"""evaluate_run: figures go into the card, from the predictions of the weights on disk; other data
is refused.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from oct_core import evaluation
from oct_core.data.manifest import manifest_sha256
from oct_core.data.pack import Pack, draw_patients
from oct_core.errors import CheckpointError, DataError
from oct_core.evaluation import (
    answer_corrupted,
    answer_parts,
    corruption_accuracy,
    evaluate_run,
    phantom_accuracy,
)
from oct_core.runs.evaluations import corrupted_key, read_scored
from oct_core.runs.files import CARD, PREDICTIONS, read_card, read_predictions, write_card
from oct_core.runs.predict import answers_of_pack, logits_of_pack, predict
from oct_core.runs.weights import LoadedRun, load_run
from oct_core.scans.corruptions import CORRUPTIONS, corrupt
from oct_core.scans.phantom import make_phantom
from oct_core.training.data import PHANTOM_SEED
from oct_core.types import CLASSES

torch.set_num_threads(1)


@pytest.fixture
def own_run(demo_run: Callable[[str], LoadedRun], tmp_path: Path, tiny_pack: Pack) -> Path:
    """A copy of the DenseNet run whose data is the tiny pack."""
    folder = Path(shutil.copytree(demo_run("densenet121").card.folder, tmp_path / "densenet121"))
    raw = json.loads((folder / CARD).read_text())
    raw["data"]["manifest_sha256"] = manifest_sha256(tiny_pack.records)
    write_card(folder, raw)
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One severity and one phantom a class: the whole is measured on real runs."""
    monkeypatch.setattr(evaluation, "SEVERITIES", (1,))
    whole = phantom_accuracy
    monkeypatch.setattr(evaluation, "phantom_accuracy", lambda run: whole(run, per_class=1))


def test_without_data_the_figures_come_from_predictions_csv(own_run: Path) -> None:
    raw = json.loads((own_run / CARD).read_text())
    write_card(own_run, {**raw, "metrics": {}, "operating_points": {}})
    before = (own_run / PREDICTIONS).read_bytes()
    found = evaluate_run(own_run)
    card, table = read_card(own_run), read_predictions(own_run)
    for split in ("val", "test"):
        part = table.of_split(split)
        assert found[split].n_scans == len(part) == 8
        assert found[split].accuracy.value == pytest.approx(
            (part.logits.argmax(1) == part.label).mean()
        )
        assert card.raw["metrics"][split] == json.loads(json.dumps(found[split].to_dict()))
    assert card.raw["operating_points"] and (own_run / PREDICTIONS).read_bytes() == before
    assert {
        key: value for key, value in card.raw.items() if key not in ("metrics", "operating_points")
    } == {key: value for key, value in raw.items() if key not in ("metrics", "operating_points")}


@pytest.mark.usefixtures("small")
def test_with_data_the_predictions_are_made_anew_from_the_weights(
    own_run: Path, tiny_pack: Pack
) -> None:
    lines = (own_run / PREDICTIONS).read_text().splitlines()
    (own_run / PREDICTIONS).write_text(
        "\n".join(lines[:1]) + "\n"
    )  # lost: must come from the weights
    said: list[str] = []
    evaluate_run(own_run, tiny_pack, progress=said.append)
    table, run = read_predictions(own_run), load_run(own_run)
    expected = logits_of_pack(run.model, tiny_pack.pixels[tiny_pack.rows("test")], run.device)
    np.testing.assert_allclose(table.of_split("test").logits, expected, atol=1e-4)
    assert set(read_card(own_run).raw["robustness"]["accuracy"]) == set(CORRUPTIONS)
    assert read_card(own_run).raw["phantoms"]["n"] == 4 and len(said) == 3
    assert table.gate is None, "no gate has been fitted"
    kept = read_scored(read_card(own_run), corrupted_key("blur", 1))
    blurred = corrupt(tiny_pack.pixels[tiny_pack.rows("val")], "blur", 1)
    expected = logits_of_pack(run.model, blurred, run.device)
    np.testing.assert_allclose(kept.logits, expected, atol=1e-4)
    assert kept.sha256.tolist() == table.of_split("val").sha256.tolist() and kept.gate is None


def test_the_test_part_can_be_left_alone(own_run: Path) -> None:
    raw = json.loads((own_run / CARD).read_text())
    write_card(own_run, {**raw, "metrics": {}})
    assert set(evaluate_run(own_run, splits=("val",))) == {"val"}
    assert set(read_card(own_run).raw["metrics"]) == {"val"}
    evaluate_run(own_run, splits=("test",))
    assert set(read_card(own_run).raw["metrics"]) == {"val", "test"}, "figures of another part stay"


def test_other_data_or_another_size_is_refused_and_the_card_stays(
    own_run: Path, tiny_pack: Pack
) -> None:
    before = (own_run / CARD).read_bytes()
    moved = (replace(tiny_pack.records[0], patient="someone else"), *tiny_pack.records[1:])
    larger = np.zeros((len(tiny_pack.records), 128, 128), np.uint8)
    for pack in (
        Pack(tiny_pack.folder, moved, tiny_pack.pixels, 64),
        Pack(tiny_pack.folder, tiny_pack.records, larger, 128),
        Pack(tiny_pack.folder, tiny_pack.records, tiny_pack.pixels, 64, preprocessing_version=1),
    ):
        with pytest.raises(
            DataError,
            match=r"is not the data of this run \(manifest \w{12}, 64 px, preprocessing version "
            r"2\); give the prepared folder",
        ):
            evaluate_run(own_run, pack)
    assert (own_run / CARD).read_bytes() == before


def test_a_run_without_predictions_or_being_trained_says_so(own_run: Path, tiny_pack: Pack) -> None:
    (own_run / PREDICTIONS).unlink()
    with pytest.raises(CheckpointError, match=r"has no predictions\.csv yet"):
        evaluate_run(own_run)
    write_card(own_run, {**read_card(own_run).raw, "status": "training"})
    with pytest.raises(CheckpointError, match="is 'training'"):
        evaluate_run(own_run, tiny_pack)


def test_accuracy_under_corruption_written_out(
    demo_run: Callable[[str], LoadedRun], tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "SEVERITIES", (1, 3))
    run, rows = demo_run("densenet121"), tiny_pack.rows("val")
    found = corruption_accuracy(
        answer_corrupted(run, tiny_pack, None), answer_parts(run, tiny_pack, None)
    )
    pixels, labels = tiny_pack.pixels[rows], tiny_pack.labels[rows]
    expected = (
        logits_of_pack(run.model, corrupt(pixels, "gamma", 3), run.device).argmax(1) == labels
    ).mean()
    assert found["accuracy"]["gamma"][1] == pytest.approx(expected)
    assert found["mean_corrupted"] == pytest.approx(
        np.mean([value for values in found["accuracy"].values() for value in values])
    )
    assert (found["split"], found["n"], found["of"]) == ("val", 8, 8), "never the test part"
    assert found["clean"] == pytest.approx(
        (logits_of_pack(run.model, pixels, run.device).argmax(1) == labels).mean()
    )


def test_scans_are_corrupted_a_few_at_a_time_each_with_noise_of_its_own(
    demo_run: Callable[[str], LoadedRun], tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "SEVERITIES", (1,))
    whole = answer_corrupted(demo_run("densenet121"), tiny_pack, None)
    seen: list[tuple[int, int]] = []

    def counted(pixels: np.ndarray, name: str, severity: int, seed: int) -> np.ndarray:
        seen.append((len(pixels), seed))
        return corrupt(pixels, name, severity, seed)

    monkeypatch.setattr(evaluation, "_AT_ONCE", 3)
    monkeypatch.setattr(evaluation, "corrupt", counted)
    parts = answer_corrupted(demo_run("densenet121"), tiny_pack, None)
    assert seen == [(3, 0), (3, 3), (2, 6)] * len(CORRUPTIONS)
    for column in ("split", "image", "sha256", "patient", "label"):
        assert np.array_equal(getattr(parts, column), getattr(whole, column)), column
    still = ~np.char.startswith(whole.split, "corrupted/speckle")
    np.testing.assert_allclose(parts.logits[still], whole.logits[still], atol=1e-3)


class Watched:
    """Packed pixels that remember how many were asked for at once, and by which thread."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.sizes, self.threads = pixels, [], set()

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        self.sizes.append(len(rows))
        self.threads.add(threading.get_ident())
        return self.pixels[rows]


def test_a_part_is_read_in_chunks_beside_the_network(
    demo_run: Callable[[str], LoadedRun], tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, pixels = demo_run("densenet121"), Watched(tiny_pack.pixels)
    pack = Pack(tiny_pack.folder, tiny_pack.records, pixels, 64)  # type: ignore[arg-type]
    whole = answer_parts(run, tiny_pack, None)
    monkeypatch.setattr(evaluation, "_AT_ONCE", 5)
    table = answer_parts(run, pack, None)
    assert pixels.sizes == [5, 5, 5, 1] and threading.get_ident() not in pixels.threads
    assert table.sha256.tolist() == whole.sha256.tolist()
    assert table.split.tolist() == whole.split.tolist()
    np.testing.assert_allclose(table.logits, whole.logits, atol=1e-4)
    pixels.sizes.clear()
    rows = np.arange(3, 20)
    logits = logits_of_pack(run.model, pixels, run.device, 4, rows)  # type: ignore[arg-type]
    assert pixels.sizes == [4, 4, 4, 4, 1]
    expected = logits_of_pack(run.model, tiny_pack.pixels[rows], run.device)
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_the_gate_scores_each_chunk_of_answers(
    demo_run: Callable[[str], LoadedRun], tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sums:
        def scores(self, features: np.ndarray) -> np.ndarray:
            assert len(features) <= 5
            return np.repeat(features.sum(axis=1, keepdims=True), 3, axis=1)

    run = demo_run("densenet121")
    monkeypatch.setattr(evaluation, "_AT_ONCE", 5)
    table = answer_parts(run, tiny_pack, Sums(), ("test",))  # type: ignore[arg-type]
    _, features = answers_of_pack(run, tiny_pack.pixels[tiny_pack.rows("test")])
    assert table.gate is not None
    np.testing.assert_allclose(table.gate[:, 0], features.sum(axis=1), rtol=1e-4)


def test_scans_to_corrupt_are_drawn_by_patient_the_same_each_time(tiny_pack: Pack) -> None:
    """Of 24 scans of patients with 1 to 5 scans at most 10, all scans of each patient."""
    owners = np.repeat(list("abcdefgh"), [1, 2, 3, 4, 5, 4, 3, 2])
    records = tuple(
        replace(record, patient=str(owner))
        for record, owner in zip(tiny_pack.records, owners, strict=True)
    )
    pack = Pack(tiny_pack.folder, records, tiny_pack.pixels, 64)
    rows = np.arange(24)
    drawn = draw_patients(pack, rows, 10)
    assert 5 < len(drawn) <= 10 and drawn.tolist() == draw_patients(pack, rows, 10).tolist()
    for owner in owners[drawn]:
        assert set(np.flatnonzero(owners == owner)) <= set(drawn)
    assert len(set(owners[drawn])) > 1 and set(owners[drawn]) != set(owners[: len(drawn)])
    np.testing.assert_array_equal(draw_patients(pack, rows[:10], 10), rows[:10])
    alone = Pack(tiny_pack.folder, (replace(records[0], patient="one"),) * 24, pack.pixels, 64)
    assert len(draw_patients(alone, rows, 10)) == 10, "a patient of too many gives some"


def test_the_card_says_how_many_scans_were_corrupted(
    demo_run: Callable[[str], LoadedRun], tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "SEVERITIES", (1,))
    monkeypatch.setattr(evaluation, "MOST_CORRUPTED", 5)
    run = demo_run("densenet121")
    corrupted, clean = answer_corrupted(run, tiny_pack, None), answer_parts(run, tiny_pack, None)
    found = corruption_accuracy(corrupted, clean)
    assert 0 < found["n"] <= 5 and found["of"] == 8
    assert len(corrupted) == found["n"] * len(CORRUPTIONS)


def test_accuracy_on_fresh_phantoms_written_out(demo_run: Callable[[str], LoadedRun]) -> None:
    run = demo_run("densenet121")
    found = phantom_accuracy(run, per_class=1)
    right = {
        label: predict([make_phantom(label, evaluation.FRESH_PHANTOM_SEED).scan], run)[0].predicted
        == label
        for label in CLASSES
    }
    assert found == {
        "n": 4,
        "accuracy": sum(right.values()) / 4,
        "by_class": {label: float(hit) for label, hit in right.items()},
    }
    assert evaluation.FRESH_PHANTOM_SEED - PHANTOM_SEED >= 1_000_000, (
        "seeds apart from the training phantoms"
    )
