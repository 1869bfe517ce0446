"""What a page hands out as a file: charts and tables, made when they are asked for."""

from __future__ import annotations

import re
from collections.abc import Callable

import streamlit as st

from oct_core.words import keep_language


def file_stem(*parts: str) -> str:
    """Parts of a name as one that every system takes: ``confusion_VGG16_test``."""
    return "_".join(re.sub(r"[^A-Za-z0-9.-]+", "-", part).strip("-") for part in parts if part)


def offer_file(label: str, make: Callable[[], bytes], name: str, mime: str, key: str) -> None:
    """A small button for a file that is made when it is clicked; the page is not drawn anew."""
    st.download_button(
        label,
        keep_language(make),
        name,
        mime,
        key=key,
        type="tertiary",
        icon=":material/download:",
        on_click="ignore",
    )
