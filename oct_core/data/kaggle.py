"""A data set of Kaggle as a source, through the package kagglehub and its cache."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from oct_core.errors import DataError
from oct_core.words import message, say

_HANDLE = re.compile(r"kaggle:/{0,2}([\w-]+/[\w-]+)(?:/versions/(\d+))?/?")
_OFFLINE = message("Kaggle cannot be reached")
_ERROR_CHARACTERS = 200


def fetch(source: Path) -> tuple[Path, list[str]]:
    """(the local folder of a source, sentences on how it was had): ``kaggle:OWNER/NAME``, and
    ``kaggle:OWNER/NAME/versions/2`` for a version, is downloaded once into kagglehub's cache; every
    other source is its own place.

    Raises DataError with the way out if kagglehub is missing, or if it is not in the cache and
    cannot be downloaded.
    """
    text = str(source)
    if not text.startswith("kaggle:") or source.exists():
        return source, []
    match = _HANDLE.fullmatch(source.as_posix())
    if not match:
        raise DataError(
            "{source} names no data set of Kaggle; write kaggle:OWNER/NAME, such as "
            "kaggle:paultimothymooney/kermany2018",
            source=text,
        )
    name, version = match.groups()
    try:
        import kagglehub  # an extra: who has the folder needs no client of Kaggle
    except ImportError as error:
        raise DataError(
            "kagglehub is not installed; pip install kagglehub, or download the ZIP of "
            "https://www.kaggle.com/datasets/{name} by hand and give that file or its folder",
            name=name,
        ) from error
    try:
        return _download(kagglehub, name, version)
    except Exception as error:  # of requests, of kagglehub, of the disk
        raise DataError(
            "{name} could not be downloaded ({reason}); try again later, or download the ZIP of "
            "https://www.kaggle.com/datasets/{name} by hand and give that file or its folder",
            name=name,
            reason=_reason(error),
        ) from error


def _download(kagglehub: Any, name: str, version: str | None) -> tuple[Path, list[str]]:
    """Without a version the newest; if Kaggle cannot be asked for it, the newest in the cache."""
    handle = f"{name}/versions/{version}" if version else name
    try:
        return Path(kagglehub.dataset_download(handle)), []
    except Exception as error:
        cached = None if version else _newest_cached(name)
        if cached is None:
            raise
        note = say(
            "the newest version of {name} is not known ({reason}): version {version} was taken "
            "from kagglehub's cache",
            name=name,
            reason=_reason(error),
            version=cached,
        )
        return Path(kagglehub.dataset_download(f"{name}/versions/{cached}")), [note]


def _newest_cached(name: str) -> int | None:
    """The newest version that is whole in the cache (README of kagglehub: KAGGLEHUB_CACHE; a file
    ``2.complete`` beside ``versions/2``).
    """
    cache = Path(os.environ.get("KAGGLEHUB_CACHE") or Path.home() / ".cache" / "kagglehub")
    marks = (cache / "datasets" / name).glob("*.complete")
    return max((int(mark.stem) for mark in marks if mark.stem.isdigit()), default=None)


def _reason(error: Exception) -> str:
    """What went wrong in one short line; an answer that never came is all of a long text."""
    if getattr(error, "response", error) is None:
        return say(_OFFLINE)
    return " ".join((str(error) or type(error).__name__).split())[:_ERROR_CHARACTERS]
