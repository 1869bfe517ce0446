"""The wrong answer that is shown: how it is found, kept, and that the shipped one still holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from oct_core.errors import CheckpointError
from oct_core.models.catalog import ARCHITECTURES
from oct_core.reasons import reasons_words
from oct_core.runs.files import read_card
from oct_core.runs.weights import LoadedRun, load_run
from oct_core.scans.corruptions import CORRUPTIONS
from oct_core.trust.judge import Judge
from oct_core.trust.wrong_example import (
    CLEAN,
    FILE,
    Picture,
    WrongExample,
    find_wrong_example,
    read_example,
    write_example,
)
from oct_core.types import CLASSES, VERDICTS, Scan
from oct_core.words import language

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def judge(demo_run: Callable[[str], LoadedRun]) -> Judge:
    return Judge([demo_run("resnet50")])


@pytest.fixture(scope="module")
def example(judge: Judge) -> WrongExample:
    found = find_wrong_example(judge, [7])
    assert found is not None
    return found


def test_it_is_the_wrong_answer_that_is_warned_of_least(
    judge: Judge, example: WrongExample
) -> None:
    pictures = [Picture(label, 7, name) for label in CLASSES for name in (CLEAN, *CORRUPTIONS)]
    wrong = []
    for picture in pictures:
        verdict = judge.judge([Scan(picture.draw())])[0].verdict
        if verdict.label != picture.label:
            wrong.append((VERDICTS.index(verdict.kind), -verdict.probability, picture))
    least = min(wrong, key=lambda each: each[:2])
    assert example.picture == least[2]
    assert example.verdict.probability == pytest.approx(-least[1], abs=1e-5)
    assert (example.tried, sum(example.wrong.values())) == (len(pictures), len(wrong))
    assert example.called == {"resnet50": example.verdict.label}


def test_it_is_of_these_weights_and_no_others(judge: Judge, example: WrongExample) -> None:
    (card,) = judge.cards
    assert example.is_of([card])
    assert not example.is_of([replace(card, weights_sha256="0" * 64)])
    assert not example.is_of([]) and not example.is_of([card, replace(card, name="two")])


def test_it_is_read_as_it_was_written(example: WrongExample, tmp_path: Path) -> None:
    path = tmp_path / "reports" / FILE
    assert read_example(path) is None
    write_example(path, example)
    assert read_example(path) == example
    path.write_text('{"picture": {}}')
    with pytest.raises(CheckpointError, match=r"benchmarks/wrong_example\.py"):
        read_example(path)


def test_the_shipped_one_is_what_the_shipped_runs_say_today() -> None:
    stored = read_example(ROOT / "reports" / FILE)
    assert stored is not None
    folders = [ROOT / "checkpoints" / name for name in ARCHITECTURES]
    assert stored.is_of([read_card(folder) for folder in folders])
    judge = Judge([load_run(folder) for folder in folders])
    (judgement,) = judge.judge([Scan(stored.picture.draw())])
    verdict = judgement.verdict
    assert verdict.label == stored.verdict.label != stored.picture.label
    assert verdict.kind == stored.verdict.kind
    assert verdict.probability == pytest.approx(stored.verdict.probability, abs=0.02)
    assert [reason.key for reason in verdict.reasons] == [
        reason.key for reason in stored.verdict.reasons
    ]
    called = {each.prediction.run: each.prediction.predicted for each in judgement.members}
    assert called == stored.called


def test_its_reasons_are_said_in_korean() -> None:
    with language("ko"):
        stored = read_example(ROOT / "reports" / FILE)
        assert stored is not None
        assert "smoother" not in reasons_words(stored.verdict)
    assert "smoother" in reasons_words(read_example(ROOT / "reports" / FILE).verdict)  # type: ignore[union-attr]
