"""What every page looks like: its settings, a few lines of CSS and the one quiet research-only
line.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from urllib.parse import urlsplit

import streamlit as st
from PIL import Image, ImageDraw

from oct_core.system import keep_little_memory, yield_when_waiting
from oct_core.words import RESEARCH_LINE, language, message, say
from pages.ui.app.language import choose_language, language_switch
from pages.ui.app.streamlit_inside import end_closed_tabs

APP_TITLE = message("OCT B-scan CNN comparison")

# Colours are half transparent or the browser's light-dark(), so that light and dark both work.
# Streamlit's captions, its axes of charts and its white on dark's primary colour fall short of
# WCAG's 4.5 to 1, and its ring of focus is faint or, in the side bar, none.
_CSS = """
<style>
.block-container, [data-testid="stMainBlockContainer"] {
  padding-top: 3.2rem; padding-bottom: 3rem; max-width: 1500px;
}
[data-testid="stCaptionContainer"] {
  opacity: 1; color: color-mix(in srgb, currentColor 78%, transparent);
}
[data-testid="stBaseButton-primary"], [data-testid="stMultiSelect"] [data-tag] {
  color: light-dark(#fff, #171614) !important;
}
:focus-visible, label:has(input:focus-visible) {
  outline: 3px solid light-dark(#005F96, #5AB0EA) !important; outline-offset: 2px !important;
}
[data-testid="stMain"]:focus-visible { outline-offset: -3px !important; }
input[role="combobox"]:focus-visible { outline: none !important; }
:has(> input[role="combobox"]:focus-visible):not([data-testid="stMultiSelectTagsContainer"]),
:has(> [data-testid="stMultiSelectTagsContainer"] input:focus-visible) {
  outline: 3px solid light-dark(#005F96, #5AB0EA) !important;
}
:is([class$="tick"], [class^="g-x"], [class^="g-y"], .annotation) text, .bartext-outside {
  fill: light-dark(#5A5856, #E6EAF1) !important;
}
.oct-lead { font-size: 1.25rem; font-weight: 600; line-height: 1.3; margin: 0; }
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
.oct-verdict {
  display: flex; gap: .7rem; align-items: center; padding: .55rem .9rem; border-radius: .5rem;
  border: 1px solid color-mix(in srgb, var(--tone, #8c8c8c) 45%, transparent);
  background: color-mix(in srgb, var(--tone, #8c8c8c) 12%, transparent);
}
.oct-verdict p { margin: 0; line-height: 1.35; }
.oct-verdict b { font-size: 1.12rem; font-weight: 650; margin-right: .35rem; }
.oct-answer { --tone: #1a8754; } .oct-caution { --tone: #a86200; } .oct-refer { --tone: #b3402e; }
.oct-mark {
  flex: none; display: inline-grid; place-items: center; width: 1.45em; height: 1.45em;
  border-radius: 50%; background: var(--tone, #8c8c8c); color: #fff;
  font: 700 .95em/1 system-ui, sans-serif;
}
.oct-badge { display: flex; gap: .3rem; align-items: center; font-size: .74rem; line-height: 1.2; }
.oct-badge .oct-mark { font-size: .62rem; }
.oct-answers {
  display: grid; gap: .7rem; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr));
}
.oct-card {
  border: 1px solid rgba(128, 128, 128, .3); border-top: 4px solid var(--own);
  border-radius: .5rem; padding: .5rem .8rem .7rem; min-width: 0;
}
.oct-card p { margin: 0; }
.oct-call { display: flex; justify-content: space-between; align-items: baseline; gap: .5rem; }
.oct-call b { font-size: 1.45rem; font-weight: 650; } .oct-call span { font-size: 1.2rem; }
.oct-wide {
  grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; align-items: center;
}
.oct-wide > div:first-child { flex: 1 1 11rem; } .oct-wide .oct-bars { flex: 2 1 15rem; margin: 0; }
.oct-wide .oct-call b { font-size: 1.75rem; } .oct-wide .oct-call span { font-size: 1.4rem; }
.oct-bars {
  display: grid; grid-template-columns: auto 1fr 2.6rem; gap: .18rem .5rem; align-items: center;
  font-size: .78rem; margin-top: .5rem;
}
.oct-bars span:nth-child(3n) { text-align: right; font-variant-numeric: tabular-nums; }
.oct-bars i {
  height: .8rem; border-radius: .2rem; background: rgba(128, 128, 128, .16); overflow: hidden;
}
.oct-bars i b { display: block; height: 100%; min-width: 2px; }
.oct-answers.oct-refer :is(.oct-call, .oct-bars) { opacity: .72; filter: grayscale(1); }
.oct-answers.oct-refer .oct-call b { font-weight: 400; }
.oct-answers.oct-refer .oct-bars i { opacity: .6; }
@media (max-width: 1280px) {
  [data-testid="stHorizontalBlock"] { flex-wrap: wrap; }
  [data-testid="stColumn"] { min-width: min(100%, 12rem); }
  [data-testid="stMainBlockContainer"] { padding-inline: 2rem; }
}
@media (max-width: 1100px) {
  .oct-maps.oct-grid { grid-template-columns: repeat(3, minmax(0, 1fr)) !important; }
  [data-testid="stColumn"] { min-width: min(100%, 15rem); flex: 1 1 15rem; }
  [data-testid="stMainBlockContainer"] { padding-inline: 1.5rem; }
  [data-testid="stButtonGroup"] [role="toolbar"] { flex-wrap: wrap; }
}
</style>
"""


MENU = {
    "": message("Home"),
    "Viewer": message("Viewer"),
    "Training_curves": message("Training curves"),
    "Performance": message("Performance"),
    "Predictions": message("Predictions"),
    "Gallery": message("Gallery"),
    "Explanations": message("Explanations"),
    "Data_and_models": message("Data and models"),
}
"""Address of a page -> what the menu calls it."""
_LINK = '[data-testid="stSidebarNavItems"] > li{} [data-testid="stSidebarNavLink"]{} span'


def _menu_style() -> str:
    """The names in the menu. It names pages by their files, and the first "streamlit app"; only
    st.navigation has a setting for it, which breaks a first visit to a page by its address. Theirs
    are not displayed at all, so that no screen reader reads them out beside ours.
    """
    rules = []
    for address, title in MENU.items():
        place = ("", f'[href$="/{address}"]') if address else (":first-child", "")
        link = _LINK.format(*place)
        name = json.dumps(say(title), ensure_ascii=False)
        rules.append(f"{link} * {{ display: none; }}")
        rules.append(f"{link}::before {{ content: {name}; font-size: .875rem; }}")
    return f"<style>{' '.join(rules)}</style>"


_DIALOG = '[data-testid="stDialog"] section[role="dialog"] >'


def _unknown_address_style() -> str:
    """What Streamlit's dialog says of an address without a page, "" at any other.

    It asks the home page to be drawn, and puts English words above it that no setting changes. Only
    this first run of the home page sees the address; the browser then goes to the home page's own.
    """
    path = urlsplit(st.context.url or "").path.strip("/")
    base = str(st.get_option("server.baseUrlPath")).strip("/")
    if path == base or path.rsplit("/", 1)[-1] in MENU:
        return ""
    words = {
        "h2": message("There is no such page"),
        "div": message(
            "Nothing is at this address. This is the home page; the menu at the side leads to all "
            "others."
        ),
    }
    rules = []
    for element, text in words.items():
        text = json.dumps(say(text), ensure_ascii=False)
        size = "1.25rem" if element == "h2" else "1rem"
        rules.append(
            f"{_DIALOG} {element} {{ visibility: hidden; font-size: 0; }} {_DIALOG} "
            f"{element}::before {{ visibility: visible; font-size: {size}; content: {text}; }}"
        )
    return f"<style>{' '.join(rules)}</style>"


@lru_cache(1)
def _icon() -> Image.Image:
    """An eye."""
    icon = Image.new("RGBA", (64, 64))
    draw = ImageDraw.Draw(icon)
    draw.ellipse((2, 14, 62, 50), fill="#0072B2")
    draw.ellipse((20, 20, 44, 44), fill="white")
    draw.ellipse((26, 26, 38, 38), fill="#1c1e24")
    return icon


@contextmanager
def open_page(title: str) -> Iterator[None]:
    """Set up a page: wide, named, styled, with its title and the research-only line once, and say
    everything inside in the language of the session. All of a page stands inside it.

    title : a message, the page's heading and browser title. The browser's icon is drawn here: a
    named one would be fetched from elsewhere.
    """
    yield_when_waiting()
    keep_little_memory()
    end_closed_tabs()
    name = choose_language()
    with language(name):
        heading = say(title)
        st.set_page_config(
            page_title=f"{heading} · {say(APP_TITLE)}", page_icon=_icon(), layout="wide"
        )
        st.html(_CSS + _menu_style() + _unknown_address_style())
        language_switch(name)
        st.title(heading, anchor=False)
        st.html(f'<p class="oct-research" role="note">{html.escape(say(RESEARCH_LINE))}</p>')
        yield


def invitation(heading: str, sentence: str) -> None:
    """What a page shows when there is nothing to show yet: what is missing and how to get it."""
    with st.container(border=True):
        st.header(heading, anchor=False)
        st.markdown(sentence)
