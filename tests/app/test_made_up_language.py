"""In a language made up by this test, no page shows an English word: every text that a person reads
goes through ``say``.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

sys.path.insert(0, str(Path(__file__).resolve().parent))
from page_texts import (
    NOT_WORDS,
    PAGES,
    REPOSITORY,
    english,
    quotations,
    texts_of,
    visit,
    words_of,
)

from oct_core import words

POT = words.LOCALE / f"{words.DOMAIN}.pot"

FULL_WIDTH = {code: code - 0x41 + 0xFF21 for code in range(0x41, 0x5B)} | {
    code: code - 0x61 + 0xFF41 for code in range(0x61, 0x7B)
}


def invented(text: str) -> str:
    """The message in the made-up language ⟦ｔｈｕｓ⟧, placeholders and markup unchanged."""
    heading = re.match(r"#+ ", text)
    start = heading.end() if heading else 0
    parts, end = [], start
    for match in re.finditer(NOT_WORDS, text):
        parts += [text[end : match.start()].translate(FULL_WIDTH), match.group()]
        end = match.end()
    parts.append(text[end:].translate(FULL_WIDTH))
    return f"{text[:start]}⟦{''.join(parts)}⟧"


def test_the_made_up_language_changes_every_word_and_nothing_else() -> None:
    assert (
        invented("##### Open {count:.1f} of `x --y`") == "##### ⟦Ｏｐｅｎ {count:.1f} ｏｆ `x --y`⟧"
    )
    assert invented(":red-badge[:material/close: no]") == "⟦:red-badge[:material/close: ｎｏ]⟧"
    assert invented("{low:.{digits}f} to") == "⟦{low:.{digits}f} ｔｏ⟧"
    assert words_of("⟦Ｏｐｅｎ⟧ `code` CNV and that") == ["CNV", "and", "that"]


@pytest.fixture(scope="module")
def locale(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of catalogues whose English is the made-up language."""
    folder = tmp_path_factory.mktemp("locale")
    with POT.open("rb") as file:
        template = read_po(file)
    catalogue = Catalog(locale="en")
    for entry in template:
        if isinstance(entry.id, list | tuple):
            catalogue.add(entry.id, tuple(map(invented, entry.id)))
        elif entry.id:
            catalogue.add(entry.id, invented(entry.id))
    path = folder / "en" / "LC_MESSAGES" / f"{words.DOMAIN}.mo"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        write_mo(file, catalogue)
    return folder


@pytest.fixture
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locale: Path, measured: Path
) -> Iterator[Path]:
    st.cache_data.clear()
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("OCT_REPORT", str(tmp_path / "explanations.json"))
    monkeypatch.delenv("OCT_DATA", raising=False)
    monkeypatch.syspath_prepend(str(REPOSITORY))
    monkeypatch.setattr(words, "LOCALE", locale)
    yield tmp_path
    st.cache_data.clear()


@pytest.mark.parametrize("name", PAGES)
def test_no_page_shows_an_english_word(folder: Path, name: str) -> None:
    page = visit(name)
    assert not page.exception and not page.error
    also = quotations(folder)
    texts = list(texts_of(page))
    assert sum("⟦" in text for _, text in texts) >= 10, "the page is not in the made-up language"
    wrong = [f"{kind}: {text!r}: {found}" for kind, text in texts if (found := english(text, also))]
    assert not wrong, "\n".join([f"{len(wrong)} texts with English words:", *wrong])
