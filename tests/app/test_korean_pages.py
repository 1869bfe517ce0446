"""The app in Korean: from the browser's language or the switch, on every page, whole."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from page_texts import CARD, NAMES, NOT_WORDS, PAGES, REPOSITORY, quotations, texts_of, visit

from oct_core.errors import ScanError
from oct_core.words import language
from pages.ui.app.layout import MENU
from pages.ui.app.services import describe_error
from pages.ui.app.session import Viewer

SENTENCE = re.compile(r"(?:[A-Za-z][A-Za-z'’-]+[,;:]? ){3}[A-Za-z][A-Za-z'’-]+")
# What is Latin in Korean texts, too: names of methods, libraries, data sets, licences, authors.
KEPT = ("Kermany, Zhang and Goldbaum",)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: Path) -> Iterator[Path]:
    st.cache_data.clear()
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("OCT_REPORT", str(tmp_path / "explanations.json"))
    monkeypatch.delenv("OCT_DATA", raising=False)
    monkeypatch.syspath_prepend(str(REPOSITORY))
    yield tmp_path
    st.cache_data.clear()


def latin_sentences(text: str, also: tuple[str, ...]) -> list[str]:
    """Passages of four words in Latin letters, those that are kept and names aside."""
    text = text.replace("\u2060", "").replace("\\", "")
    for passage in sorted((*CARD, *KEPT, *also), key=len, reverse=True):
        text = text.replace(passage, "·")
    text = re.sub(NOT_WORDS, " · ", text)
    text = re.sub(
        rf"\b(?:{'|'.join(map(re.escape, sorted(NAMES, key=len, reverse=True)))})\b", "·", text
    )
    return SENTENCE.findall(text)


def test_a_latin_sentence_is_found_and_a_name_is_none() -> None:
    assert latin_sentences("이것은 a sentence that nobody translated 입니다", ())
    assert latin_sentences("No scan matches these filters. Widen", ())
    assert not latin_sentences("CNV, DME, DRUSEN, NORMAL `a b c d e` 그리고 Guided Grad-CAM", ())
    assert not latin_sentences("A quoted line of words", ("A quoted line of words",))


@pytest.mark.parametrize("name", PAGES)
def test_no_latin_sentence_stands_on_a_korean_page(folder: Path, name: str) -> None:
    page = visit(name, "ko-KR")
    assert not page.exception and not page.error
    texts = list(texts_of(page))
    assert sum(bool(re.search("[가-힣]", text)) for _, text in texts) >= 10
    also = quotations(folder)
    wrong = [
        f"{kind}: {text!r}: {found}"
        for kind, text in texts
        if (found := latin_sentences(text, also))
    ]
    assert not wrong, "\n".join([f"{len(wrong)} texts with Latin sentences:", *wrong])


def switch(page: AppTest, before: str, after: str) -> None:
    """Click in the side bar. AppTest asks for the labels of all options outside of the page."""
    with language(before):
        page.sidebar.segmented_control(key="language_switch").set_value(after).run()


def heading(page: AppTest) -> str:
    return page.title[0].value


def test_the_language_is_that_of_the_browser_and_else_english(folder: Path) -> None:
    assert heading(visit("1_Viewer")) == "Viewer"
    assert heading(visit("1_Viewer", "de-DE")) == "Viewer"
    assert heading(visit("1_Viewer", "en-US")) == "Viewer"
    assert heading(visit("1_Viewer", "ko")) == "뷰어"


def test_the_switch_beats_the_browser_and_stays_on_other_pages_and_in_the_address(
    folder: Path,
) -> None:
    page = visit("", "ko-KR")
    assert "lang" not in page.query_params
    control = page.sidebar.segmented_control(key="language_switch")
    assert control.value == "ko"
    assert control.options == ["English", "한국어"]
    switch(page, "ko", "en")
    assert heading(page) == "Three CNNs read retinal OCT"
    assert page.query_params["lang"] in ("en", ["en"])
    page.query_params.clear()  # as a change of page does
    page.switch_page("pages/3_Performance.py").run()
    assert heading(page) == "Performance"
    assert page.query_params["lang"] in ("en", ["en"])
    switch(page, "en", "ko")
    assert heading(page) == "성능"


def test_the_language_in_the_address_is_taken_and_a_strange_one_is_not(folder: Path) -> None:
    page = visit("")
    page.query_params["lang"] = "ko"
    page.switch_page("pages/1_Viewer.py").run()
    assert heading(page) == "뷰어"
    other = visit("")
    other.query_params["lang"] = "<b>xx"
    other.switch_page("pages/1_Viewer.py").run()
    assert heading(other) == "Viewer" and not other.exception


def test_what_was_said_before_the_switch_is_said_anew(folder: Path) -> None:
    page = visit("1_Viewer")
    problem = describe_error(ScanError("the level"))
    page.session_state["viewer"].problems = [(1, "x.png", problem)]
    page.run()
    assert any("the level" in error.value for error in page.error)
    english = {text for _, text in texts_of(page)}
    switch(page, "en", "ko")
    assert page.error and not any("the level" in error.value for error in page.error)
    assert isinstance(page.session_state["viewer"], Viewer)
    assert not any(latin_sentences(text, quotations(folder)) for _, text in texts_of(page))
    switch(page, "ko", "en")
    assert {text for _, text in texts_of(page)} == english


def test_a_fragment_that_is_drawn_alone_keeps_the_language(folder: Path) -> None:
    page = visit("3_Performance", "ko-KR")
    with language("ko"):
        page.segmented_control(key="performance_confusion_unit").set_value("per_cent").run()
    also = quotations(folder)
    assert not any(latin_sentences(text, also) for _, text in texts_of(page))


def test_the_menu_knows_every_page() -> None:
    names = {path.stem.split("_", 1)[1] for path in (REPOSITORY / "pages").glob("[0-9]*.py")}
    assert MENU.keys() == names | {""}


def test_every_fragment_is_one_that_keeps_the_language() -> None:
    for path in (REPOSITORY / "pages").rglob("*.py"):
        if path.name != "language.py":
            assert "st.fragment" not in path.read_text(encoding="utf-8"), path
