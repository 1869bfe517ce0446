"""Every text of a page that a person reads or has read out, and what in it is no word."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

from oct_core.explanations.methods import METHODS
from oct_core.models.catalog import ARCHITECTURES
from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES
from pages.ui.data.page import MAP_REFERENCES

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = ["", *sorted(path.stem for path in (REPOSITORY / "pages").glob("*.py"))]

# Not words: code, icons, colours of badges, addresses, placeholders, HTML tags.
NOT_WORDS = (
    r"`[^`]*`|:material/\w+:|:(?:green|red|orange|gray)(?:-badge)?(?=\[)|\]\([^)]*\)"
    r"|https?://\S+|%?\{(?:[^{}]|\{[^{}]*\})*\}|<[^<>]*>|&\w+;|\b[0-9a-f]{12,64}\b"
)

# Letters that are names, not words: what stands for itself in every language.
NAMES = {
    *CLASSES,
    *("VGG", "ResNet", "DenseNet", "mine", "vgg", "densenet", "resnet", "damaged"),
    *("stem", "layer", "head", "input", "block", "denseblock"),  # as the networks' code has them
    *("paper", "domain"),  # plotly's
    *METHODS,
    "arXiv",
    "SHA",
    "English",  # a language by its own name
}
CARD = ("Research and teaching.", "Random weights, made for tests.", "MIT", "random", "cpu")


def visit(page: str, locale: str = "") -> AppTest:
    """A page of the app in a browser of that language; the viewer with a scan open."""
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=240)
    if locale:
        app.context["locale"] = locale
    if "Viewer" in page:
        app.session_state["open_scan"] = replace(make_phantom("CNV", 3, 64, 64).scan, name="X1")
    return (app.switch_page(f"pages/{page}.py") if page else app).run()


def quotations(folder: Path) -> tuple[str, ...]:
    """What stands on pages as it is, in any language: paths, devices, sources, citations."""
    raw = json.loads((folder / "explanations.json").read_text())
    return (
        str(folder),
        "damaged/card.json",
        *(str(about["device"]) for about in raw["runs"].values()),
        *(about["source"] for about in raw["measures"].values() if ":" in about["source"]),
        *(ARCHITECTURES.get(name).citation for name in ARCHITECTURES),
        *(citation for _, citation, _ in MAP_REFERENCES),
        *(title for title in raw["methods"].values() if " " not in title),  # names: HiResCAM
    )


def words_of(text: str) -> list[str]:
    """The words in Latin letters, one letter alone aside."""
    return re.findall(r"[A-Za-z]{2,}", re.sub(NOT_WORDS, " ", text))


def english(text: str, also: tuple[str, ...] = ()) -> list[str]:
    text = text.replace("\u2060", "").replace("\\", "")
    for passage in sorted((*CARD, *also), key=len, reverse=True):
        text = text.replace(passage, "")
    return [word for word in words_of(text) if word not in NAMES]


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
    for node in (*every_node(page.main), *every_node(page.sidebar)):
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
