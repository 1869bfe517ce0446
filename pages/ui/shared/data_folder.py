"""The operator's own scans, if the server was told where. Never a path typed into a page."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import streamlit as st

from oct_core.errors import OctError
from oct_core.scans import is_scan_name, read_scan
from oct_core.types import Scan
from oct_core.words import say
from pages.ui.app.cache import cache_data


def data_folder() -> Path | None:
    """The folder of ``streamlit run streamlit_app.py -- --data DIR``, else of OCT_DATA; None if
    neither names a folder.
    """
    named = _named()
    folder = Path(named).expanduser() if named else None
    return folder if folder is not None and folder.is_dir() else None


def _named() -> str:
    return _flag(sys.argv) or os.environ.get("OCT_DATA", "")


def _flag(arguments: list[str]) -> str:
    for place, argument in enumerate(arguments):
        if argument == "--data" and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith("--data="):
            return argument.removeprefix("--data=")
    return ""


def pictures_at_hand(images: Iterable[str]) -> bool:
    """Whether there is a data folder with at least one of these test scans in it; says what is
    wrong with one that was named.
    """
    named = _named()
    if not named:
        return False
    if data_folder() is None:
        st.warning(
            say(
                "The data folder that this app was started with does not exist. Start it again "
                "with another."
            ),
            icon=":material/folder_off:",
        )
        return False
    with st.spinner(say("Looking through the data folder …")):
        at_hand = any(holds_name(image) for image in images)
    if at_hand:
        return True
    st.warning(
        say(
            "The data folder holds none of these scans. Start the app with the folder of the "
            "original pictures, not the prepared one."
        ),
        icon=":material/folder_off:",
    )
    return False


def open_picture(image: str, sha256: str) -> Scan | None:
    """The scan of a row of predictions.csv, or None if the folder does not hold it.

    File names are not unique between train/ and test/, so a file counts only if its sha256 is the
    row's.
    """
    folder = data_folder()
    if folder is None:
        return None
    for path in (folder / image, *_index(str(folder)).get(Path(image).name, ())):
        data = _inside(folder, path)
        if data is not None and hashlib.sha256(data).hexdigest() == sha256:
            try:
                return read_scan(data, name=Path(image).name)
            except OctError:
                return None
    return None


def holds_name(image: str) -> bool:
    """Whether the data folder has a file of that name, whatever its content; quick, for choosing
    among many.
    """
    folder = data_folder()
    return folder is not None and Path(image).name in _index(str(folder))


def _inside(folder: Path, path: Path) -> bytes | None:
    """The file's bytes; None if there is no such file, or the name leads out of the folder."""
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return None
    return path.read_bytes()


@cache_data(max_entries=2, ttl=600)
def _index(folder: str) -> dict[str, tuple[Path, ...]]:
    """File name -> every path that has it."""
    index: dict[str, list[Path]] = {}
    for path in sorted(Path(folder).rglob("*")):
        if is_scan_name(path):
            index.setdefault(path.name, []).append(path)
    return {name: tuple(paths) for name, paths in index.items()}
