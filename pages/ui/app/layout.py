"""What every page looks like: its settings, a few lines of CSS and the one quiet research-only
line.
"""

from __future__ import annotations

import html
from functools import lru_cache

import streamlit as st
from PIL import Image, ImageDraw

from oct_core.system import keep_little_memory, yield_when_waiting
from oct_core.words import RESEARCH_LINE, message, say
from pages.ui.app.streamlit_inside import end_closed_tabs

APP_TITLE = message("OCT B-scan CNN comparison")

# Colours come from the theme's own variables or are half transparent, so that light and dark both
# work.
_CSS = """
<style>
.block-container, [data-testid="stMainBlockContainer"] {
  padding-top: 3.2rem; padding-bottom: 3rem; max-width: 1500px;
}
/* The menu names the entry file "streamlit app"; only st.navigation has a setting for it. */
[data-testid="stSidebarNavItems"] > li:first-child [data-testid="stSidebarNavLink"] span {
  font-size: 0;
}
[data-testid="stSidebarNavItems"] > li:first-child [data-testid="stSidebarNavLink"] span::before {
  content: "HOME_LABEL"; font-size: .875rem;
}
.oct-research { font-size: .78rem; opacity: .72; letter-spacing: .01em; margin: -.4rem 0 .2rem 0; }
.oct-muted { opacity: .72; font-size: .85rem; }
.oct-maps { display: grid; gap: .45rem; align-items: start; }
.oct-maps figure { margin: 0; min-width: 0; }
.oct-maps img { width: 100%; height: auto; display: block; border-radius: .3rem; background: #000; }
.oct-maps figcaption {
  font-size: .74rem; line-height: 1.25; padding: .2rem .1rem .3rem; overflow-wrap: anywhere;
}
.oct-maps figcaption b { font-weight: 600; }
.oct-maps figcaption span { opacity: .7; }
.oct-key { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; font-size: .78rem; opacity: .85; }
.oct-key i {
  display: inline-block; width: 7rem; height: .6rem; border-radius: .2rem;
  vertical-align: middle; margin: 0 .3rem;
}
@media (max-width: 1280px) {
  [data-testid="stHorizontalBlock"] { flex-wrap: wrap; }
  [data-testid="stColumn"] { min-width: min(100%, 12rem); }
  [data-testid="stMainBlockContainer"] { padding-inline: 2rem; }
}
@media (max-width: 1100px) {
  .oct-maps.oct-grid { grid-template-columns: repeat(3, minmax(0, 1fr)) !important; }
  [data-testid="stColumn"] { min-width: min(100%, 15rem); flex: 1 1 15rem; }
  [data-testid="stMainBlockContainer"] { padding-inline: 1.5rem; }
}
</style>
"""


@lru_cache(1)
def _icon() -> Image.Image:
    """An eye."""
    icon = Image.new("RGBA", (64, 64))
    draw = ImageDraw.Draw(icon)
    draw.ellipse((2, 14, 62, 50), fill="#0072B2")
    draw.ellipse((20, 20, 44, 44), fill="white")
    draw.ellipse((26, 26, 38, 38), fill="#1c1e24")
    return icon


def page_setup(title: str) -> None:
    """Set up a page: wide, named, styled, with its title and the research-only line once. Call it
    first.

    title : the page's heading and browser title. The browser's icon is drawn here: a named one
    would be fetched from elsewhere.
    """
    yield_when_waiting()
    keep_little_memory()
    end_closed_tabs()
    st.set_page_config(page_title=f"{title} · {say(APP_TITLE)}", page_icon=_icon(), layout="wide")
    st.html(_CSS.replace("HOME_LABEL", say("Home")))
    st.title(title, anchor=False)
    st.html(f'<p class="oct-research" role="note">{html.escape(say(RESEARCH_LINE))}</p>')


def invitation(heading: str, sentence: str) -> None:
    """What a page shows when there is nothing to show yet: what is missing and how to get it."""
    with st.container(border=True):
        st.markdown(f"#### {heading}")
        st.markdown(sentence)
