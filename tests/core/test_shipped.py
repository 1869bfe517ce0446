"""The runs in the repository: complete, consistent with each other, and quoted rightly in README
and docs.
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


def test_the_documents_quote_the_cards_and_the_report() -> None:
    """Every table stands between marks in README or docs, and says what the files say."""
    script = results()
    tables, quoted = script.all_tables(), set()
    for path in script.documents():
        for name, text in script.marked_tables(path.read_text(encoding="utf-8")).items():
            assert text == tables[name], f"{path.name}, {name}: run benchmarks/results.py --write"
            quoted.add(name)
    assert quoted == set(tables)
    in_readme = script.marked_tables((ROOT / "README.md").read_text(encoding="utf-8"))
    assert set(in_readme) == {"held out", "verdicts in short", "maps in short"}


def test_a_table_that_is_wrong_is_written_anew() -> None:
    script = results()
    text = "Before\n\n<!-- table: gate -->\n\n| old |\n\n<!-- end of table -->\n\nAfter\n"
    written = script.write_tables(text, {"gate": "| new |"})
    assert written == text.replace("old", "new")
    assert script.marked_tables(written) == {"gate": "| new |"}
    empty = text.replace("| old |\n\n", "")
    assert script.write_tables(empty * 2, {"gate": "| new |"}) == written * 2


def test_the_report_is_of_these_weights() -> None:
    report = read_report(ROOT / "reports" / "explanations.json")
    assert report is not None
    shipped = {card.name: card.weights_sha256 for card in list_runs() if card.name in SHIPPED}
    assert {name: about["weights_sha256"] for name, about in report.runs.items()} == shipped
