"""A tiny typed registry: refuses duplicates and suggests near names."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Generic, TypeVar

from oct_core.errors import UnknownNameError
from oct_core.words import note

Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """An ordered name -> entry table.

    Parameters
    ----------
    kind : what an entry is called in messages, such as message("architecture").
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, entry: Entry) -> Entry:
        """Register and return ``entry``; raises ValueError if the name is taken."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._entries[name] = entry
        return entry

    def get(self, name: str) -> Entry:
        """The entry of that name; raises UnknownNameError naming the near ones."""
        if name in self._entries:
            return self._entries[name]
        near = difflib.get_close_matches(name, self._entries, n=3)
        if near:
            raise UnknownNameError(
                "no {kind} is called {name!r}; did you mean {near}?",
                kind=note(self.kind),
                name=name,
                near=", ".join(near),
            )
        raise UnknownNameError(
            "no {kind} is called {name!r}; there are: {names}",
            kind=note(self.kind),
            name=name,
            names=", ".join(self._entries),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries
