"""The one way to a text that a person reads: ``say``.

A message is written in English, and that is its key: ``say("{count} scans are open", count=3)``.
Catalogues in ``locale/`` hold translations (gettext; Babel extracts the messages, see
CONTRIBUTING.md). An error carries its message and its values and is translated when it is shown,
see ``oct_core.errors``.
"""

from __future__ import annotations

import functools
import gettext
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

DOMAIN = "oct_core"
LOCALE = Path(__file__).resolve().parent / "locale"
_language: ContextVar[str] = ContextVar("language", default="en")


@contextmanager
def language(name: str) -> Iterator[None]:
    """Say everything inside in the language of that name ("en", "ko"); English where it has no
    catalogue or no translation.
    """
    token = _language.set(name)
    try:
        yield
    finally:
        _language.reset(token)


@functools.cache
def _catalogue(name: str, folder: Path) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, folder, [name], fallback=True)


def message(text: str) -> str:
    """The text itself: marks a message that is written down here and said elsewhere,
    ``say(TITLE)``.
    """
    return text


def say(text: str, /, **values: Any) -> str:
    """The message in the language of the moment, with its values filled in as ``str.format`` does.

    Without values the text stands as it is, braces and all. Raises KeyError for a placeholder
    without a value.
    """
    said = _catalogue(_language.get(), LOCALE).gettext(text) if text else text
    return said.format(**values) if values else said


def say_count(one: str, many: str, count: int, /, **values: Any) -> str:
    """One of two messages, by ``count`` and the rules of the language; ``{count}`` stands for it in
    both.
    """
    said = _catalogue(_language.get(), LOCALE).ngettext(one, many, count)
    return said.format(count=count, **values)


RESEARCH_LINE = message(
    "Research and teaching demo, not a medical device. Do not use it for diagnosis or treatment."
)
"""On every page and on every figure that leaves the program."""
