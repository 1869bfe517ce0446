"""Text that is not ours inside Markdown: shown letter by letter, never interpreted."""

from __future__ import annotations

import re

_WORD_JOINER = "\u2060"
_SYNTAX = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:=&^\"'])")
# What Streamlit's Markdown replaces after it has taken the backslashes away: `:smile:` and
# `:material/home:` by icons, `->` and `--` by typographic characters, addresses by links. An
# invisible character that joins words keeps each from being recognised.
_RECOGNISED = re.compile(r"(?<=[:@])(?=\S)|(?<=[-<>=~])(?=[-<>=~])|(?<=www)(?=\.)", re.IGNORECASE)


def escape_markdown(text: str) -> str:
    """A text of somebody else's (a file name, the name of a run, a patient, an error's sentence)
    for ``st.markdown``, labels, captions, help texts and messages: it appears as it is.

    White space of any kind, line breaks too, becomes one space.
    """
    flat = " ".join(text.split())
    return _SYNTAX.sub(r"\\\1", _RECOGNISED.sub(_WORD_JOINER, flat))
