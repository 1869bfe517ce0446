"""Pictures of the scans that predictions were stored of: from the operator's folder, if the server
was told where (never a path typed into a page), or uploaded by the person into this session.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
import streamlit as st

from oct_core.errors import OctError
from oct_core.scans import is_scan_name, read_scan, suffixes
from oct_core.types import Scan
from oct_core.words import say
from pages.ui.app.cache import cache_data
from pages.ui.app.services import MAX_UPLOAD_BYTES
from pages.ui.app.session import MAX_SCAN_BYTES, MAX_SCANS, Bounded
from pages.ui.app.streamlit_inside import forget_upload, is_gone

_UPLOADS = "own_pictures"


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
        held = names_held()
        at_hand = any(Path(image).name in held for image in images)
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


def names_held() -> frozenset[str]:
    """The names of all scans in the data folder, whatever their content; quick, for choosing among
    many.
    """
    folder = data_folder()
    return frozenset() if folder is None else frozenset(_index(str(folder)))


def _uploads() -> Bounded[Scan]:
    """sha256 of the file -> the scan, uploaded in this session."""
    if _UPLOADS not in st.session_state:
        st.session_state[_UPLOADS] = Bounded[Scan](
            MAX_SCANS, MAX_SCAN_BYTES, lambda scan: scan.pixels.nbytes
        )
    store: Bounded[Scan] = st.session_state[_UPLOADS]
    return store


def picture_or_upload(image: str, sha256: str) -> Scan | None:
    """As ``open_picture``, or what was uploaded in this session: never for a cache that sessions
    share.
    """
    return _uploads().get(sha256) or open_picture(image, sha256)


def may_be_shown(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which rows (columns image, sha256) have a file of their name in the data folder, or their
    picture uploaded.
    """
    held, uploads = names_held(), _uploads()
    return pd.Series(
        [
            Path(image).name in held or uploads.get(sha256) is not None
            for image, sha256 in zip(rows["image"], rows["sha256"], strict=True)
        ],
        index=rows.index,
        dtype=bool,
    )


def offer_upload(known: Collection[str]) -> bool:
    """A place to upload the files of these scans, so that they are seen; whether there are any.

    known : sha256 of the files. Others are refused, for they have no row.
    """
    round_ = st.session_state.setdefault(f"{_UPLOADS}_round", 0)
    key = f"{_UPLOADS}_{round_}"
    with st.expander(say("Upload files of these scans to see them"), icon=":material/upload:"):
        st.file_uploader(
            say("Files of the test scans"),
            type=list(suffixes()),
            accept_multiple_files=True,
            key=key,
            on_change=_take,
            args=(key, frozenset(known)),
            max_upload_size=MAX_UPLOAD_BYTES // 2**20,
            help=say(
                "A file is known by its content, whatever it is called. At most {max_scans} are "
                "held in memory, for this browser tab only, and never written to disk.",
                max_scans=MAX_SCANS,
            ),
        )
        taken, refused = st.session_state.get(f"{_UPLOADS}_taken", (0, 0))
        if taken or refused:
            st.caption(
                say(
                    "Files taken: {taken}. Files that are none of these scans: {refused}; open "
                    "them on the page **Viewer**.",
                    taken=taken,
                    refused=refused,
                )
            )
    return any(_uploads().get(sha256) is not None for sha256 in known)


def _take(key: str, known: Collection[str]) -> None:
    """Callback of the uploader: keep the scans that have a row, free the server's copies."""
    # An emptied uploader may be sent once more, see is_gone.
    files = [file for file in st.session_state.get(key) or [] if not is_gone(file)]
    if not files:
        return
    taken = 0
    for file in files:
        data = file.getvalue()
        digest = hashlib.sha256(data).hexdigest()
        if digest in known:
            with suppress(OctError):
                scan = read_scan(data, name=file.name)
                _uploads().put(digest, replace(scan, source="upload"))
                taken += 1
    st.session_state[f"{_UPLOADS}_taken"] = (taken, len(files) - taken)
    forget_upload(file.file_id for file in files)
    # A new key empties the widget: the session's own store holds the scans now.
    st.session_state[f"{_UPLOADS}_round"] += 1


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
