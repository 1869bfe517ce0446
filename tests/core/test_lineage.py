"""What a run's weights went through, from real trainings; and sensitivities by epoch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from oct_core.data.pack import Pack
from oct_core.models.catalog import ARCHITECTURES
from oct_core.models.networks import build_model
from oct_core.runs.files import (
    HISTORY,
    WEIGHTS,
    append_rows,
    list_runs,
    read_card,
    read_history,
    read_predictions,
    write_card,
)
from oct_core.runs.lineage import earlier_stages, join_histories, stage_record, stages_of
from oct_core.training.config import TrainingConfig
from oct_core.training.job import TrainingJob
from oct_core.training.run import train_run
from oct_core.types import CLASSES, SENSITIVITY

CPU = torch.device("cpu")
FIRST = TrainingConfig(
    "vgg16", "random", epochs=1, batch_size=12, frozen_layers=0, weight_averaging=0.0
)


@pytest.fixture(scope="module")
def root(tiny_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trainings, the second from the weights of the first."""
    folder = tmp_path_factory.mktemp("lineage")
    train_run(TrainingJob(FIRST, tiny_pack, folder / "one", CPU))
    second = replace(FIRST, initialisation=str(folder / "one" / WEIGHTS), phantoms_per_class=1)
    train_run(TrainingJob(second, tiny_pack, folder / "two", CPU))
    return folder


def test_a_card_keeps_every_training_before_its_own(root: Path) -> None:
    card = read_card(root / "two")
    stages = stages_of(card, [])
    assert [stage.name for stage in stages] == ["one", "two"]
    assert [stage.phantoms for stage in stages] == [0, 4]
    assert stages[0].origin.title == "random weights" and not stages[0].origin.licence
    assert stages[1].raw["initial_weights_sha256"] == stages[0].raw["weights_sha256"]
    np.testing.assert_equal(stages[0].history, read_history(root / "one"))
    third = earlier_stages(str(root / "two" / WEIGHTS), card.weights_sha256)
    assert [record["name"] for record in third] == ["one", "two"]


def test_without_that_record_the_hashes_are_followed(root: Path, tmp_path: Path) -> None:
    cards = list_runs(root)
    for card in cards:
        raw = {key: value for key, value in card.raw.items() if key != "earlier_stages"}
        write_card(tmp_path / card.name, raw)
    older = list_runs(tmp_path)
    of_last = next(card for card in older if card.name == "two")
    assert [stage.name for stage in stages_of(of_last, older)] == ["one", "two"]
    assert [stage.name for stage in stages_of(of_last, [of_last])] == ["two"]


@pytest.mark.parametrize("record", [True, False])
def test_a_new_run_on_old_ones_has_them_all(root: Path, tmp_path: Path, record: bool) -> None:
    """Cards of before say nothing of earlier stages; that of "new" says it of "two" alone."""
    for name in ("one", "two"):
        raw = dict(read_card(root / name).raw)
        del raw["earlier_stages"]
        write_card(tmp_path / name, raw)
    weights = tmp_path / "two" / WEIGHTS
    weights.write_bytes((root / "two" / WEIGHTS).read_bytes())
    two = read_card(tmp_path / "two")
    records = earlier_stages(str(weights), two.weights_sha256)
    assert [each["name"] for each in records] == ["one", "two"]
    assert all(each["device"] == two.raw["device"] for each in records)
    own = {"weights_sha256": "ab" * 32, "initial_weights_sha256": two.weights_sha256}
    kept = [stage_record(two)] if record else records
    write_card(tmp_path / "new", {**two.raw, **own, "earlier_stages": kept})
    new = read_card(tmp_path / "new")
    stages = stages_of(new, list_runs(tmp_path))
    assert [stage.name for stage in stages] == ["one", "two", "new"]


def test_a_run_that_starts_from_itself_ends(root: Path, tmp_path: Path) -> None:
    raw = {**read_card(root / "one").raw, "weights_sha256": "ab" * 32}
    write_card(tmp_path / "ring", {**raw, "initial_weights_sha256": "ab" * 32})
    ring = read_card(tmp_path / "ring")
    assert [stage.name for stage in stages_of(ring, [ring])] == ["ring"]


def test_weights_that_are_no_runs_have_no_stages(root: Path, tmp_path: Path) -> None:
    assert earlier_stages("imagenet", "") == []
    assert earlier_stages(str(root / "one" / WEIGHTS), "0" * 64) == []
    assert earlier_stages(str(tmp_path / WEIGHTS), "0" * 64) == []


def test_the_shipped_runs_name_where_they_started_and_its_licence() -> None:
    shipped = list_runs(Path(__file__).resolve().parents[2] / "checkpoints")
    licences = {card.name: stages_of(card, shipped)[0].origin.licence for card in shipped}
    assert licences == {"vgg16": "CC BY 4.0", "resnet50": "MIT", "densenet121": "MIT"}


def test_histories_go_on_where_the_stage_before_ended() -> None:
    first = {"epoch": np.array([1.0, 2]), "seconds": np.array([1800.0, 1800]), "a": np.ones(2)}
    last = {"epoch": np.array([1.0, 2, 3]), "seconds": np.full(3, 3600.0)}
    joined = join_histories([first, {}, last])
    np.testing.assert_equal(joined.columns["epoch"], [1, 2, np.nan, 3, 4, 5])
    np.testing.assert_equal(joined.columns["hours"], [0.5, 1, np.nan, 2, 3, 4])
    assert joined.starts == (2,) and "a" not in joined.columns
    assert join_histories([{}]).columns == {}


def test_what_an_older_stage_did_not_record_is_unknown_in_it_alone() -> None:
    older = {"epoch": np.array([1.0, 2]), "val_loss": np.array([3.0, 2])}
    newer = {"epoch": np.array([1.0]), "val_loss": np.array([1.0]), "new": np.array([0.5])}
    columns = join_histories([older, newer]).columns
    np.testing.assert_equal(columns["val_loss"], [3, 2, np.nan, 1])
    np.testing.assert_equal(columns["new"], [np.nan, np.nan, np.nan, 0.5])
    assert "hours" not in columns


def test_an_epoch_has_the_sensitivity_of_each_class(root: Path, tiny_pack: Pack) -> None:
    folder = root / "two"  # of one epoch: its weights are those that were saved
    table = read_predictions(folder).of_split("val")
    called = table.logits.argmax(axis=1)
    recorded = read_history(folder)
    for index, name in enumerate(CLASSES):
        own = table.label == index
        assert own.any()
        expected = sum(called[own] == index) / own.sum()
        assert recorded[f"{SENSITIVITY}{name}"][-1] == pytest.approx(expected, abs=1e-5)


def test_a_run_from_before_goes_on_with_its_own_columns(tiny_pack: Pack, tmp_path: Path) -> None:
    folder = tmp_path / "older"
    path = folder / HISTORY
    append_rows(path, [{"epoch": 1.0, "val_loss": 2.0}])
    append_rows(path, [{"epoch": 2.0, "val_loss": 1.0, f"{SENSITIVITY}CNV": 0.5}])
    append_rows(path, [{"epoch": 3.0}])
    columns = read_history(folder)
    assert list(columns) == ["epoch", "val_loss"]
    np.testing.assert_equal(columns["val_loss"], [2, 1, np.nan])


def test_the_record_is_strict_json(root: Path) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    json.loads((root / "two" / "card.json").read_text(), parse_constant=refuse)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_the_catalogue_says_what_a_network_drops(name: str) -> None:
    model = build_model(name, len(CLASSES), (0.0,) * 3, (1.0,) * 3, hollow=True)
    shares = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert ARCHITECTURES.get(name).dropout == max(shares, default=0.0)
