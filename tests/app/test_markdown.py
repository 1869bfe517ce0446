"""Names that are Markdown, in Markdown."""

from __future__ import annotations

import re

import pytest

from pages.ui.shared.markdown import escape_markdown

WILD = "**x** [a](http://b) :red[c] $d$ <b>.png"


def as_read(markdown: str) -> str:
    """What a person sees of escaped Markdown."""
    return re.sub(r"\\(.)", r"\1", markdown).replace("\u2060", "")


@pytest.mark.parametrize(
    "name", [WILD, "1. scan--1.png", "`a` _b_ ~c~ &lt;", r"back\slash", ":material/home: -> a@b.de"]
)
def test_every_character_of_syntax_is_escaped_and_none_is_lost(name: str) -> None:
    escaped = escape_markdown(name)
    assert as_read(escaped) == name
    bare = re.sub(r"\\.", "", escaped)
    assert not set(bare) & set("\\`*_{}[]()#+-.!|<>~$:=&")


def test_icons_links_and_dashes_are_not_recognised_once_the_backslashes_are_gone() -> None:
    seen = re.sub(r"\\(.)", r"\1", escape_markdown(":material/home: :smile: a->b a@b.de www.b.de"))
    assert not re.search(r":\w|->|@\w|www\.", seen)


def test_a_name_stays_on_its_line() -> None:
    assert escape_markdown("a\n\n# b\tc") == r"a \# b c"
