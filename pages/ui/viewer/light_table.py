"""The light table: any picture of the viewer large, beside the scan and the other models, and the
keys of the page. It runs in the browser (light_table.js) on what the page shows.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from oct_core.words import message, say
from pages.ui.app.language import choose_language
from pages.ui.app.session import Viewer

_HERE = Path(__file__).parent
WORDS = {
    "title": message("Pictures, enlarged"),
    "scan": message("Scan as read"),
    "smaller": message("Zoom out (-)"),
    "larger": message("Zoom in (+)"),
    "whole": message("The whole picture (0)"),
    "overlay": message("Maps"),
    "overlayHelp": message("Maps on or off (O)"),
    "shallower": message("Shallower layer (←)"),
    "deeper": message("Deeper layer (→)"),
    "above": message("Row above (↑)"),
    "below": message("Row below (↓)"),
    "single": message("One map"),
    "singleHelp": message("One map alone, or beside the scan and the other models (S)"),
    "model": message("One model"),
    "modelHelp": message("All maps of this row, shallow to deep (M)"),
    "projector": message("Projector"),
    "projectorHelp": message("One map and its words large, on the whole screen (P)"),
    "close": message("Close (Esc)"),
    "keys": message(
        "Keys: ← → layer, ↑ ↓ row, J K next and previous scan, O maps on or off, S one map, "
        "M one model, P projector, + - 0 zoom, Esc close. Drag to move; all pictures move together."
    ),
}
"""What the table says, by the names that light_table.js knows."""


@cache
def _component() -> Any:
    return st.components.v2.component(
        "oct_light_table",
        js=(_HERE / "light_table.js").read_text("utf-8"),
        css=(_HERE / "light_table.css").read_text("utf-8"),
        isolate_styles=False,
    )


def light_table(state: Viewer, keys: bool) -> None:
    """Have the pictures of this page enlarge on a click, and the keys work. A tab that holds an
    uploaded scan asks before it is closed or loaded anew, on every page. keys : whether they work
    here.
    """
    items = state.ordered()
    _component()(
        key="light_table",
        data={
            "language": choose_language(),
            "words": {name: say(text) for name, text in WORDS.items()},
            "scans": [{"id": item.id, "current": item.id == state.current} for item in items],
            "unsaved": any(item.sample is None for item in items),
            "keys": keys,
        },
    )
