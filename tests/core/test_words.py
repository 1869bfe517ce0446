"""What people read: one function, messages with values, catalogues, and how the code says it."""

from __future__ import annotations

import ast
import os
import pickle
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from oct_core import errors, words
from oct_core.errors import CheckpointError, DataError, OctError, RunExistsError
from oct_core.words import language, message, say, say_count

COUNTS = {"say_count", "note_count"}
REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = [
    REPOSITORY / "streamlit_app.py",
    *sorted((REPOSITORY / "pages").rglob("*.py")),
    *sorted((REPOSITORY / "oct_core").rglob("*.py")),
]
ERRORS = {
    name
    for name, entry in vars(errors).items()
    if isinstance(entry, type) and issubclass(entry, OctError)
}


def write_catalogue(folder: Path, name: str, texts: dict[str | tuple[str, str], object]) -> None:
    catalogue = Catalog(locale=name)
    for text, translation in texts.items():
        catalogue.add(text, translation)
    path = folder / name / "LC_MESSAGES" / f"{words.DOMAIN}.mo"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        write_mo(file, catalogue)


@pytest.fixture
def german(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue that knows three messages."""
    texts: dict[str | tuple[str, str], object] = {
        "expected {count} scans in {folder}": "In {folder} fehlen {count} Scans",
        ("{count} scan", "{count} scans"): ("{count} Aufnahme", "{count} Aufnahmen"),
        "braces {stay}": "Klammern {stay}",
    }
    write_catalogue(tmp_path, "de", texts)
    monkeypatch.setattr(words, "LOCALE", tmp_path)


def test_a_message_is_filled_in_and_stands_as_it_is_without_values() -> None:
    assert say("{count} of {total:.1f}", count=3, total=4) == "3 of 4.0"
    assert say("a {brace} and %{x}") == "a {brace} and %{x}" and say("") == ""
    assert message("{kept} as written") == "{kept} as written"
    assert [say_count("{count} scan", "{count} scans", n) for n in (0, 1, 2)] == [
        "0 scans",
        "1 scan",
        "2 scans",
    ]
    with pytest.raises(KeyError, match="total"):
        say("{count} of {total}", count=3)


def test_every_kind_of_text_follows_the_language(german: None) -> None:
    error = DataError("expected {count} scans in {folder}", count=2, folder="x")
    assert str(error) == "expected 2 scans in x"
    with language("de"):
        assert str(error) == "In x fehlen 2 Scans"
        assert say("braces {stay}") == "Klammern {stay}"
        assert [say_count("{count} scan", "{count} scans", n) for n in (1, 2)] == [
            "1 Aufnahme",
            "2 Aufnahmen",
        ]
        assert say("without a translation") == "without a translation"
        with language("en"):
            assert str(error) == "expected 2 scans in x"
        assert str(error) == "In x fehlen 2 Scans"
    assert str(error) == "expected 2 scans in x"


@pytest.mark.parametrize("kind", [DataError, CheckpointError, RunExistsError])
def test_a_pickled_error_keeps_its_message_and_values(german: None, kind: type[OctError]) -> None:
    error = kind("expected {count} scans in {folder}", count=2, folder="x")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind and str(again) == str(error)
    assert (again.message, again.values) == (error.message, error.values)
    with language("de"):
        assert str(again) == "In x fehlen 2 Scans"


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """(file:line, function, call) of every place where a text is said, marked or raised."""
    names = ERRORS | {"say", "say_count", "message", "note", "note_count"}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if name in names and node.args:
                yield f"{path.relative_to(REPOSITORY)}:{node.lineno}", name, node


def constants() -> set[str]:
    """Module-level names that hold messages."""
    names = set()
    for path in SOURCES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.AnnAssign):
                targets = [node.target]
            value = getattr(node, "value", None)
            marked = value is not None and any(
                isinstance(inner, ast.Call) and getattr(inner.func, "id", "") == "message"
                for inner in ast.walk(value)
            )
            names |= {name.id for name in targets if isinstance(name, ast.Name) and marked}
    return names


# What is said although no constant holds it, and why that is a message.
FROM_ELSEWHERE = {
    "self.message",  # of an error
    "self.messages[0]",  # of a Note
    "self.messages[1]",
    "text",  # oct_core/trust/randomisation.py: one of three constants
    "about[key]",  # a measure of a report: the messages of oct_core/trust/measure.py
    "str(report.measures.get(name, {}).get('title', name))",
    "str(titles.get(name) or _TITLES.get(name, name))",
    "self.kind",  # of a registry, marked where it is made
    "note",  # pages/ui/viewer/page.py: a note of a reader, marked there
    "other",  # oct_core/scans/reading.py: one of the marked constants
    "way_out",  # oct_core/training/initial.py: one of two, marked there
    "part",  # pages/ui/data/page.py: a method's title, or the proper name of a network
    "str(part)",  # a sentence of a run card, written by oct_core/training
    "name",  # of a corruption, marked where it is registered
    "str(each['name'])",  # of a corruption, a change or a kind of picture, marked there
    "title",  # pages/ui/shared/scan_rows.py, oct_core/runs/evaluations.py: of a class, of a part
    "reason",  # pages/ui/viewer/input.py: a Note
    "problem",  # pages/ui/viewer/verdict.py: a Note
    "axes.corner",  # oct_core/figures/charts/curves.py: marked where the axes are described
    "axes.x",
    "axes.y",
    "axes.hover",
}


# Texts of a registry's entries are marked where the entry is made.
OF_ENTRIES = {"title", "definition", "blurb"}


def base_name(node: ast.expr) -> str:
    """``NAME`` of ``NAME``, ``NAME[key]``, ``NAME[key][1]`` or ``NAME.get(key, other)``."""
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Subscript | ast.Attribute):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return ""
    return node.id


def test_every_text_is_a_literal_or_a_constant_marked_as_a_message() -> None:
    known, wrong = constants(), []
    for place, name, call in calls():
        for text in call.args[: 2 if name in COUNTS else 1]:
            literal = isinstance(text, ast.Constant) and isinstance(text.value, str)
            elsewhere = name != "message" and (
                base_name(text) in known
                or ast.unparse(text) in FROM_ELSEWHERE
                or (isinstance(text, ast.Attribute) and text.attr in OF_ENTRIES)
            )
            if not literal and not elsewhere:
                wrong.append(f"{place}: {name}({ast.unparse(text)})")
    assert not wrong, "\n".join(["not a message that can be extracted:", *wrong])


def placeholders(text: str) -> set[str]:
    """The names in braces, those of nested formats too."""
    names = set()
    for _, name, form, _ in string.Formatter().parse(text):
        if name is not None:
            names.add(name.split(".")[0].split("[")[0])
            names |= placeholders(form or "")
    return names


def test_placeholders_are_the_values_given() -> None:
    wrong = []
    for place, name, call in calls():
        texts = [
            text.value
            for text in call.args[: 2 if name in COUNTS else 1]
            if isinstance(text, ast.Constant)
        ]
        given = {keyword.arg for keyword in call.keywords}
        if name == "message" or not texts or None in given:
            continue
        if not given and name not in COUNTS:
            # Without values the text stands as it is; plotly's %{x} may be in it.
            if any("{" in text.replace("%{", "") for text in texts):
                wrong.append(f"{place}: no values for {texts[0]!r}")
            continue
        if name in COUNTS:
            given |= {"count"}
            used = placeholders(texts[0]) | placeholders(texts[1])
        else:
            used = placeholders(texts[0])
        if used | ({"count"} if name in COUNTS else set()) != given:
            wrong.append(f"{place}: {sorted(used)} in the text, {sorted(map(str, given))} given")
    assert not wrong, "\n".join(wrong)


def ids(path: Path) -> set[str | tuple[str, ...]]:
    with path.open("rb") as file:
        catalogue = read_po(file)
    return {
        tuple(entry.id) if isinstance(entry.id, list | tuple) else entry.id
        for entry in catalogue
        if entry.id
    }


def test_the_catalogue_holds_every_message(tmp_path: Path) -> None:
    extracted = tmp_path / "extracted.pot"
    subprocess.run(
        [REPOSITORY / ".ci" / "words", extracted],
        check=True,
        capture_output=True,
        env=os.environ | {"PYTHON": sys.executable},
    )
    now, committed = ids(extracted), ids(words.LOCALE / f"{words.DOMAIN}.pot")
    assert len(now) > 500
    assert now == committed, (
        f"run .ci/words: {len(now - committed)} messages are new, {len(committed - now)} are gone, "
        f"such as {sorted(map(str, now ^ committed))[:3]}"
    )
