"""The one way to a text that a person reads: ``say``.

A message is written in English, and that is its key: ``say("{count} scans are open", count=3)``.
Catalogues in ``locale/`` hold translations (gettext; Babel extracts the messages, see
CONTRIBUTING.md). An error carries its message and its values and is translated when it is shown,
see ``oct_core.errors``; so does a ``Note``, which is kept with a scan.

The app says everything inside ``language(...)``. The command line stays English: its output is read
by programs too.
"""

from __future__ import annotations

import functools
import gettext
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

DOMAIN = "oct_core"
LOCALE = Path(__file__).resolve().parent / "locale"
R = TypeVar("R")
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


def current_language() -> str:
    """The name of the language of the moment."""
    return _language.get()


def keep_language(function: Callable[[], R]) -> Callable[[], R]:
    """The function, to be called in another thread or later, in the language of the moment."""
    return partial(_call_in, current_language(), function)


def _call_in(name: str, function: Callable[[], R]) -> R:
    with language(name):
        return function()


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

    Without values the text stands as it is, braces and all; a Note is said anew. Raises KeyError
    for a placeholder without a value.
    """
    if isinstance(text, Note):
        return text.say_again()
    said = _catalogue(_language.get(), LOCALE).gettext(text) if text else text
    return said.format(**_say_notes(values)) if values else said


def say_count(one: str, many: str, count: int, /, **values: Any) -> str:
    """One of two messages, by ``count`` and the rules of the language; ``{count}`` stands for it in
    both.
    """
    said = _catalogue(_language.get(), LOCALE).ngettext(one, many, count)
    return said.format(count=count, **_say_notes(values))


def _say_notes(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.say_again() if isinstance(value, Note) else value
        for name, value in values.items()
    }


class Note(str):
    """A text that was said, and can be said again in another language: ``say(note)``.

    messages : its English, two for a count. values : what fills them in, Notes too.
    """

    messages: tuple[str, ...]
    values: dict[str, Any]

    def say_again(self) -> str:
        """The text in the language of the moment."""
        if len(self.messages) == 1:
            return say(self.messages[0], **self.values)
        rest = {name: value for name, value in self.values.items() if name != "count"}
        return say_count(self.messages[0], self.messages[1], self.values["count"], **rest)

    def change_values(self, change: Callable[[Any], Any]) -> Note:
        """The same text, filled in with what ``change`` makes of each value."""
        return _make_note(self.messages, {key: change(value) for key, value in self.values.items()})


def note(text: str, /, **values: Any) -> Note:
    """``say``, for a text that is kept while the language may change."""
    return _make_note((text,), values)


def note_count(one: str, many: str, count: int, /, **values: Any) -> Note:
    """``say_count``, for a text that is kept while the language may change."""
    return _make_note((one, many), {"count": count, **values})


def _make_note(messages: tuple[str, ...], values: dict[str, Any]) -> Note:
    draft = Note()
    draft.messages, draft.values = messages, values
    made = Note(draft.say_again())
    made.messages, made.values = messages, values
    return made


RESEARCH_LINE = message(
    "Research and teaching demo, not a medical device. Do not use it for diagnosis or treatment."
)
"""On every page and on every figure that leaves the program."""
