"""The runs in the repository: complete, consistent with each other, and quoted rightly in the
README.
"""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from oct_core.metrics.summary import evaluate_table
from oct_core.runs.files import (
    list_runs,
    read_card,
    read_history,
    read_predictions,
    read_steps,
)
from oct_core.runs.predict import predict
from oct_core.runs.weights import load_run
from oct_core.scans.phantom import make_phantom
from oct_core.trust.report_file import read_report
from oct_core.types import CLASSES

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINTS = ROOT / "checkpoints"
SHIPPED = ("vgg16", "resnet50", "densenet121")


def results() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results", ROOT / "benchmarks" / "results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCT_CHECKPOINTS", str(CHECKPOINTS))


def split_rows() -> list[dict[str, str]]:
    with (CHECKPOINTS / "split.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_three_are_there_and_done() -> None:
    cards = [card for card in list_runs() if card.name in SHIPPED]
    assert [card.name for card in cards] == list(SHIPPED)
    assert {card.status for card in cards} == {"done"}


def test_no_patient_is_in_two_parts_of_the_split() -> None:
    homes: dict[str, set[str]] = {}
    for row in split_rows():
        homes.setdefault(row["patient"], set()).add(row["split"])
    assert len(split_rows()) == 853
    assert all(len(parts) == 1 for parts in homes.values())


@pytest.mark.parametrize("name", SHIPPED)
def test_predictions_are_of_the_committed_split(name: str) -> None:
    table = read_predictions(CHECKPOINTS / name)
    known = {row["sha256"]: row for row in split_rows()}
    assert len(table) == sum(row["split"] != "train" for row in split_rows())
    for row in range(len(table)):
        scan = known[str(table.sha256[row])]
        assert (scan["split"], scan["patient"], scan["label"]) == (
            table.split[row],
            table.patient[row],
            CLASSES[table.label[row]],
        )


@pytest.mark.parametrize("name", SHIPPED)
def test_the_card_says_what_the_predictions_say(name: str) -> None:
    card = read_card(CHECKPOINTS / name)
    found = evaluate_table(read_predictions(CHECKPOINTS / name), "test", card.temperature).to_dict()
    stored = card.raw["metrics"]["test"]
    assert stored["confusion"] == found["confusion"]
    assert stored["accuracy"] == pytest.approx(found["accuracy"])
    history, steps = read_history(CHECKPOINTS / name), read_steps(CHECKPOINTS / name)
    assert card.best_epoch == int(history["epoch"][np.argmin(history["val_loss"])])
    assert len(steps["step"]) > len(history["epoch"])


@pytest.mark.parametrize("name", SHIPPED)
def test_the_weights_load_and_answer(name: str) -> None:
    run = load_run(name)
    [prediction] = predict([make_phantom("NORMAL", 3).scan], run)
    assert prediction.probabilities.sum() == pytest.approx(1)
    assert not any(parameter.requires_grad for parameter in run.model.parameters())


def test_the_readme_quotes_the_cards() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    cards = [card for card in list_runs() if card.name in SHIPPED]
    assert results().held_out_table(cards) in readme
    assert results().robustness_table(cards) in readme
    assert results().hardest_patient(cards) in " ".join(readme.split())
    assert results().external_table(cards, "external_dev") in readme
    keys = ["test", *results().external_keys(cards)]
    assert results().verdicts_table(cards, results().verdict_keys(cards)) in readme
    assert results().class_verdicts_table(cards, keys) in readme
    assert results().gate_table(cards, keys) in readme


def test_the_readme_quotes_the_report_and_the_report_is_of_these_weights() -> None:
    report = read_report(ROOT / "reports" / "explanations.json")
    assert report is not None
    shipped = {card.name: card.weights_sha256 for card in list_runs() if card.name in SHIPPED}
    assert {name: about["weights_sha256"] for name, about in report.runs.items()} == shipped
    assert results().explanations_table(report) in (ROOT / "README.md").read_text(encoding="utf-8")
