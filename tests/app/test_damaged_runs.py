"""What a visitor reads of a folder that is damaged, empty, gone or closed: the app's own words, and
never a path of the server or what a parser said.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parent))
from demo_runs import write_run, write_scores
from page_texts import PAGES, texts_of, visit

from oct_core.errors import CheckpointError
from oct_core.runs.files import damaged_runs, list_runs, read_card
from oct_core.words import Note, language
from pages.ui.app.services import describe_error, for_visitors

NOBODY = 65534
# What Python, its parsers and the system say of a file.
FOREIGN = re.compile(
    r"Errno|Expecting|Error\(|Traceback|line \d+ column|could not convert|codec|invalid|Header|"
    r"NoneType|object|pickled|Something went wrong|서버에 문제가"
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    st.cache_data.clear()
    st.cache_resource.clear()
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("OCT_REPORT", str(tmp_path / "explanations.json"))
    monkeypatch.delenv("OCT_DATA", raising=False)
    return tmp_path / "checkpoints"


def plain(text: str) -> str:
    """Without what ``escape_markdown`` puts in."""
    return text.replace("\\", "").replace("\u2060", "")


def change_card(folder: Path, **values: object) -> None:
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def write_damaged(root: Path) -> None:
    """Runs that are each damaged in another file, and a report that is no JSON."""
    names = ("card", "list", "history", "answers", "weights", "gate", "external", "metrics")
    names += ("long", "stages")
    runs = {name: write_run(root, f"{name}-resnet50", weights=name == "gate") for name in names}
    (runs["card"] / "card.json").write_text('{"schema": 1, "name": ')
    (runs["list"] / "card.json").write_text("[1, 2]")
    (runs["history"] / "history.csv").write_text("epoch,train_loss\n1,many\n")
    (runs["history"] / "steps.csv").write_bytes(b"\xff\xfe\x00")
    (runs["answers"] / "predictions.csv").write_text("image,label\nx.png,CNV\n")
    (runs["weights"] / "weights.safetensors").write_bytes(b"no weights")
    change_card(runs["weights"], weights_sha256=hashlib.sha256(b"no weights").hexdigest())
    write_scores(runs["gate"])
    (runs["gate"] / "gate.npz").write_bytes(b"no gate")
    change_card(runs["metrics"], metrics={"test": {"accuracy": "high"}}, data=[])
    change_card(runs["long"], training="long")
    change_card(runs["stages"], earlier_stages="x")
    (runs["external"] / "external").mkdir()
    (runs["external"] / "external" / "clinic.json").write_text("{")
    (runs["external"] / "external" / "clinic.csv").write_text("{")
    (root.parent / "explanations.json").write_text("{")


@pytest.mark.parametrize(("page", "locale"), [*((page, "en") for page in PAGES), ("", "ko")])
def test_of_damaged_files_a_visitor_reads_words_only(root: Path, page: str, locale: str) -> None:
    write_damaged(root)
    said = [plain(text) for _, text in texts_of(visit(page, locale))]
    foreign = [text for text in said if FOREIGN.search(text) or str(root.parent) in text]
    assert foreign == []


@pytest.mark.parametrize(
    "stages", [None, [3], [""], "x", {}, [{"history": [["a", 1]]}], [{"history": {"epoch": ["x"]}}]]
)
def test_damaged_stages_are_found_with_the_card(root: Path, stages: object) -> None:
    folder = write_run(root, "vgg16")
    change_card(folder, earlier_stages=stages)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_card(folder)
    assert "vgg16" in damaged_runs(root) and not list_runs(root)


@pytest.fixture
def closed(root: Path) -> Iterator[Path]:
    """A checkpoints folder that the app may not read, whoever runs the test."""
    root.mkdir(mode=0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    yield root
    if user == 0:
        os.seteuid(0)


@pytest.mark.parametrize("page", ["", "1_Viewer", "2_Training_curves", "3_Performance"])
def test_an_empty_folder_and_one_that_is_not_there_are_told_apart(root: Path, page: str) -> None:
    said = [plain(text) for _, text in texts_of(visit(page))]
    assert any("no trained model: the folder **checkpoints** is not there" in s for s in said)
    root.mkdir()
    said = [plain(text) for _, text in texts_of(visit(page))]
    assert any("no trained model in the folder **checkpoints** yet" in s for s in said)


@pytest.mark.parametrize("page", ["", "1_Viewer", "3_Performance"])
def test_a_folder_that_may_not_be_read_is_said_to_be_so(closed: Path, page: str) -> None:
    said = [plain(text) for _, text in texts_of(visit(page))]
    assert any("folder **checkpoints** of the trained models cannot be read" in s for s in said)
    assert not [text for text in said if FOREIGN.search(text) or str(closed.parent) in text]


def test_an_error_keeps_its_meaning_without_what_is_the_servers_own(tmp_path: Path) -> None:
    path = tmp_path / "vgg16" / "card.json"
    told = {
        ValueError("Expecting value"): "its content is damaged",
        PermissionError(13, "Permission denied"): "the app has no permission to read it",
        OSError(5, "Input/output error"): "the system cannot read it",
    }
    for cause, words in told.items():
        for form in ("{error}", "{error!r}"):
            message = "{path} cannot be used (" + form + "); {why}"
            error = CheckpointError(message, path=path, error=cause, why="mend it")
            assert describe_error(error) == f"vgg16/card.json cannot be used ({words}); mend it"
    assert for_visitors("as it is") == "as it is"


def test_what_is_kept_of_an_error_is_said_in_the_language_of_the_moment(tmp_path: Path) -> None:
    kept = describe_error(
        CheckpointError(
            "{path} cannot be read ({error!r}); restore it or train the run again",
            path=tmp_path / "vgg16" / "card.json",
            error=ValueError("Expecting value"),
        )
    )
    assert isinstance(kept, Note)
    with language("ko"):
        assert re.search("[가-힣]", kept.say_again()) and "damaged" not in kept.say_again()
