"""What a document holds: its blocks of commands with their marks, its links, pictures and
headings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = (
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    ROOT / "benchmarks" / "README.md",
    *sorted(DOCS.glob("*.md")),
)
COMMANDS = ("bash", "powershell", "python")
"""Languages of blocks that a reader would run."""
_MARK = re.compile(r"<!-- (?P<mark>[^:]+?) -->\s*")


@dataclass(frozen=True)
class Block:
    """A fenced block. mark : of the comment before it, "" without one."""

    place: str
    language: str
    mark: str
    text: str


def _tokens(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def blocks(text: str, name: str = "") -> list[Block]:
    """The fenced blocks of a document, each with the comment that stands before it."""
    found, mark = [], ""
    for token in _tokens(text):
        if token.type == "fence":
            line = token.map[0] + 1 if token.map else 0
            found.append(Block(f"{name}:{line}", token.info.strip(), mark, token.content))
        comment = _MARK.fullmatch(token.content) if token.type == "html_block" else None
        mark = comment["mark"] if comment else ""
    return found


def tables(text: str) -> list[tuple[str, ...]]:
    """The tables of a document, each as its lines; a line that follows without a gap is one."""
    lines, found = text.splitlines(), []
    for token in _tokens(text):
        if token.type == "table_open" and token.map:
            start, end = token.map
            found.append(tuple(line.strip() for line in lines[start:end]))
    return found


def _inline(text: str) -> Iterator[Token]:
    for token in _tokens(text):
        yield from token.children or ()


def code_spans(text: str) -> list[str]:
    """What stands between back quotes in sentences, on one line each."""
    return [" ".join(each.content.split()) for each in _inline(text) if each.type == "code_inline"]


def links(text: str) -> list[str]:
    """The targets of links, as written."""
    return [str(each.attrs["href"]) for each in _inline(text) if each.type == "link_open"]


def pictures(text: str) -> list[str]:
    """The files of pictures, as written."""
    return [str(each.attrs["src"]) for each in _inline(text) if each.type == "image"]


def anchors(text: str) -> set[str]:
    """What the headings are called in an address, as GitHub and MyST do."""
    tokens, found = _tokens(text), []
    for token, inside in pairwise(tokens):
        if token.type == "heading_open":
            words = "".join(each.content for each in inside.children or ())
            slug = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
            found.append(slug if slug not in found else f"{slug}-{found.count(slug)}")
    return set(found)


@cache
def read(path: Path) -> str:
    """A document's text."""
    return path.read_text(encoding="utf-8")


def all_blocks() -> list[Block]:
    """The blocks of all documents."""
    return [
        block for path in DOCUMENTS for block in blocks(read(path), str(path.relative_to(ROOT)))
    ]
