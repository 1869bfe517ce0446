"""In a language made up by this test, no page shows an English word: every text that a person reads
goes through ``say``.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from demo_runs import write_run

from oct_core import words
from oct_core.explanations.methods import METHODS
from oct_core.models.catalog import ARCHITECTURES
from oct_core.runs.weights import load_runs
from oct_core.scans.phantom import make_phantom
from oct_core.trust import report as report_module
from oct_core.trust.report import ReportOptions, write_report
from oct_core.types import CLASSES
from pages.ui.data import MAP_REFERENCES

REPOSITORY = Path(__file__).resolve().parents[2]
POT = words.LOCALE / f"{words.DOMAIN}.pot"
PAGES = ["", *sorted(path.stem for path in (REPOSITORY / "pages").glob("*.py"))]

# Not words: code, icons, colours of badges, addresses, placeholders, HTML tags.
NOT_WORDS = (
    r"`[^`]*`|:material/\w+:|:(?:green|red|orange|gray)(?:-badge)?(?=\[)|\]\([^)]*\)"
    r"|https?://\S+|%?\{(?:[^{}]|\{[^{}]*\})*\}|<[^<>]*>|&\w+;"
)
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


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, one in training, one that stopped, one that is damaged, and a
    report on the maps of the first.
    """
    folder = tmp_path_factory.mktemp("measured")
    root = folder / "checkpoints"
    write_run(root, "resnet50", weights=True)
    options = ReportOptions(
        phantoms=4, validation=0, wider=1, steps=1, resamples=20, height=64, width=64
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_module, "wider_methods", lambda: ["hirescam"])
        write_report(folder / "explanations.json", load_runs(root=root), options=options, root=root)
    write_run(root, "mine-vgg16", "training")
    write_run(root, "mine-densenet121", "failed")
    (root / "damaged").mkdir()
    (root / "damaged" / "card.json").write_text('{"schema": 99}')
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


def visit(page: str) -> AppTest:
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=240)
    if "Viewer" in page:
        app.session_state["open_scan"] = replace(make_phantom("CNV", 3, 64, 64).scan, name="X1")
    return (app.switch_page(f"pages/{page}.py") if page else app).run()


# Fields of Streamlit's messages that hold texts for people.
TEXTS = {
    "label",
    "body",
    "help",
    "tooltip",
    "text",
    "options",
    "content",
    "placeholder",
    "alt",
    "caption",
    "captions",
    "delta",
    "title",
    "page_label",
}


def texts_of(page: AppTest) -> Iterator[tuple[str, str]]:
    """(kind of element, text) of everything a person reads or has read out."""
    for node in every_node(page.main):
        proto = getattr(node, "proto", None)
        kind = getattr(node, "type", "")
        if kind in {"json", "code"} or proto is None:
            continue
        if kind == "html":
            yield from ((kind, text) for text in html_texts(proto.body))
            continue
        if kind == "plotly_chart":
            yield from ((kind, text) for text in plotly_texts(json.loads(proto.spec)))
        if kind in {"arrow_data_frame", "dataframe"}:
            columns = json.loads(proto.columns or "{}")
            for column in columns.values():
                yield from ((kind, str(column[key])) for key in ("label", "help") if key in column)
            untitled = [name for name in map(str, node.value.columns) if name not in columns]
            yield from ((kind, name) for name in untitled)
        if kind in {"table", "arrow_table"}:
            yield from ((kind, str(name)) for name in node.value.index)
        yield from ((kind, text) for text in proto_texts(proto))


def every_node(block: Any) -> Iterator[Any]:
    for child in block.children.values():
        yield child
        if hasattr(child, "children"):
            yield from every_node(child)


def proto_texts(proto: Message) -> Iterator[str]:
    for field, value in proto.ListFields():
        repeated = not isinstance(value, str | bytes | Message) and hasattr(value, "__iter__")
        for part in value if repeated else [value]:
            if isinstance(part, Message):
                yield from proto_texts(part)
            elif isinstance(part, str) and field.name in TEXTS:
                yield part


def html_texts(body: str) -> Iterator[str]:
    body = re.sub(r"<style>.*?</style>", "", body, flags=re.DOTALL)
    yield from map(html.unescape, re.findall(r'(?:alt|title|aria-label)="([^"]*)"', body))
    yield html.unescape(re.sub(r"<[^>]*>", " ", body))


def plotly_texts(spec: Any) -> Iterator[str]:
    """Titles, names, hovers, ticks and annotations; x and y where they are categories."""
    if isinstance(spec, list):
        for part in spec:
            yield from plotly_texts(part)
    elif isinstance(spec, dict):
        for key, value in spec.items():
            texts = value if isinstance(value, list) else [value]
            if key in {"text", "name", "hovertemplate", "ticktext", "alt", "x", "y"}:
                yield from (text for text in texts if isinstance(text, str))
            if key not in {"template", "colorway"}:
                yield from plotly_texts(value)


# Letters that are names, not words: what stands for itself in every language.
NAMES = {
    *CLASSES,
    *("VGG", "ResNet", "DenseNet", "mine", "vgg", "densenet", "resnet", "damaged"),
    *("stem", "layer", "head", "input", "block", "denseblock"),  # as the networks' code has them
    *("paper", "domain"),  # plotly's
    *METHODS,
    "arXiv",
}
CARD = ("Research and teaching.", "Random weights, made for tests.", "MIT", "random", "cpu")


def words_of(text: str) -> list[str]:
    """The words in Latin letters, one letter alone aside."""
    return re.findall(r"[A-Za-z]{2,}", re.sub(NOT_WORDS, " ", text))


def english(text: str, also: tuple[str, ...] = ()) -> list[str]:
    text = text.replace("\u2060", "").replace("\\", "")
    for passage in sorted((*CARD, *also), key=len, reverse=True):
        text = text.replace(passage, "")
    return [word for word in words_of(text) if word not in NAMES]


@pytest.mark.parametrize("name", PAGES)
def test_no_page_shows_an_english_word(folder: Path, name: str) -> None:
    page = visit(name)
    assert not page.exception and not page.error
    raw = json.loads((folder / "explanations.json").read_text())
    also = (
        str(folder),
        "checkpoints/damaged/card.json",
        *(str(about["device"]) for about in raw["runs"].values()),
        *(about["source"] for about in raw["measures"].values() if ":" in about["source"]),
        *(ARCHITECTURES.get(name).citation for name in ARCHITECTURES),
        *(citation for _, citation, _ in MAP_REFERENCES),
    )
    texts = list(texts_of(page))
    assert sum("⟦" in text for _, text in texts) >= 10, "the page is not in the made-up language"
    wrong = [f"{kind}: {text!r}: {found}" for kind, text in texts if (found := english(text, also))]
    assert not wrong, "\n".join([f"{len(wrong)} texts with English words:", *wrong])
