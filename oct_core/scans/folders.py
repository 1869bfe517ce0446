"""Searching folders: links are followed, what programs hide is passed over, nothing stops it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from oct_core.words import say_count

_OF_SYSTEMS = ("__macosx", "#recycle", "#snapshot", "$recycle.bin", "lost+found")
"""Folders that are not the user's own, beside those whose names begin with . or @ (@eaDir holds
the thumbnails of a Synology).
"""


@dataclass
class PassedOver:
    """What ``walk`` did not look into. hidden : folders of programs and systems. again : links that
    lead back, or to a folder that was searched already. locked : (folder, why) that could not be
    opened. outside : files of an archive that lead out of it.
    """

    hidden: list[Path] = field(default_factory=list)
    again: list[Path] = field(default_factory=list)
    locked: list[tuple[Path, str]] = field(default_factory=list)
    outside: list[Path] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """What a person should know of it, one sentence a kind."""
        texts = []
        if self.hidden:
            texts.append(
                say_count(
                    "{count} hidden folder was passed over: {folder}",
                    "{count} hidden folders were passed over, such as {folder}",
                    len(self.hidden),
                    folder=self.hidden[0],
                )
            )
        if self.again:
            texts.append(
                say_count(
                    "{count} linked folder was searched once only: {folder}",
                    "{count} linked folders were searched once only, such as {folder}",
                    len(self.again),
                    folder=self.again[0],
                )
            )
        if self.locked:
            folder, reason = self.locked[0]
            texts.append(
                say_count(
                    "{count} folder could not be opened: {folder} ({reason})",
                    "{count} folders could not be opened, such as {folder} ({reason})",
                    len(self.locked),
                    folder=folder,
                    reason=reason,
                )
            )
        if self.outside:
            texts.append(
                say_count(
                    "{count} file of the archive leads out of it and was passed over: {file}",
                    "{count} files of the archive lead out of it and were passed over, such as "
                    "{file}",
                    len(self.outside),
                    file=self.outside[0],
                )
            )
        return texts


def walk(
    source: Path,
    passed: PassedOver | None = None,
    meaning: Callable[[Path], object] = lambda folder: None,
) -> Iterator[tuple[Path, list[str]]]:
    """``source`` and every folder below it, each with the sorted names of its files, in a stable
    order.

    A folder that several links lead to is searched once for each ``meaning`` that the ways to it
    have; a link that leads back is not followed. What is passed over goes to ``passed``.
    """
    passed = PassedOver() if passed is None else passed
    seen: set[tuple[str, object]] = set()
    waiting: list[tuple[Path, tuple[str, ...]]] = [(source, ())]
    while waiting:
        folder, above = waiting.pop()
        real = os.path.realpath(folder)
        if real in above or (real, meaning(folder)) in seen:
            passed.again.append(folder)
            continue
        seen.add((real, meaning(folder)))
        try:
            with os.scandir(folder) as entries:
                kinds = sorted((entry.name, _is_folder(entry)) for entry in entries)
        except OSError as error:
            passed.locked.append((folder, str(error.strerror)))
            continue
        inside = [folder / name for name, is_folder in kinds if is_folder]
        passed.hidden += [path for path in inside if is_hidden_folder(path.name)]
        waiting += [
            (path, (*above, real)) for path in reversed(inside) if not is_hidden_folder(path.name)
        ]
        yield folder, [name for name, is_folder in kinds if not is_folder]


def is_hidden_folder(name: str) -> bool:
    """Whether a folder of that name is one of programs or systems."""
    return name.startswith((".", "@")) or name.lower() in _OF_SYSTEMS


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
