"""Two maps of the same scan on top of each other, with a handle to wipe between them."""

from __future__ import annotations

import html
from collections.abc import Sequence

import streamlit as st

from oct_core.figures.pictures import draw_map, fit_size, format_maximum, maximum_of
from oct_core.types import Explanation, Scan
from oct_core.words import say
from pages.ui.app.streamlit_inside import forget_addresses
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.pictures import LARGE, data_uri
from pages.ui.viewer.controls import Choices
from pages.ui.viewer.reading import Reading

# A range input moves the clip edge: works with mouse, touch and the arrow keys. All text in it is
# escaped.
_WIPE = """<!doctype html><meta charset="utf-8"><title>{title}</title><style>
body{{margin:0;font:13px system-ui,sans-serif;color:#808080;background:transparent}}
.w{{position:relative;width:min(100%,{width}px);margin:auto}}
.w img{{width:100%;display:block;border-radius:6px}}
.w img.b{{position:absolute;inset:0;clip-path:inset(0 0 0 var(--x,50%))}}
.w i{{position:absolute;top:0;bottom:0;left:var(--x,50%);width:2px;background:#fff;
box-shadow:0 0 4px #000;pointer-events:none}}
.w i::after{{content:"◂▸";position:absolute;top:50%;left:-14px;width:30px;height:30px;
margin-top:-15px;border-radius:50%;background:#fff;
color:#333;font-style:normal;line-height:30px;text-align:center;font-size:12px;
box-shadow:0 1px 4px #0008}}
input{{position:absolute;inset:0;width:100%;height:100%;margin:0;opacity:0;cursor:ew-resize}}
input:focus-visible+p{{outline:2px solid #56b4e9}}
p{{display:flex;justify-content:space-between;gap:1rem;margin:6px auto;
width:min(100%,{width}px)}}</style>
<div class="w" id="w"><img src="{first}" alt="{left}">
<img class="b" src="{second}" alt="{right}"><i></i>
<input type="range" min="0" max="100" value="50" step="1"
aria-label="{handle}"
oninput="document.getElementById('w').style.setProperty('--x',this.value+'%')"></div>
<p><span>◂ {left}</span><span style="text-align:right">{right} ▸</span></p>"""


def wipe_html(first: str, second: str, left: str, right: str, width: int) -> str:
    """The comparison as one document. first, second : data URIs. left, right : plain text."""
    return _WIPE.format(
        title=html.escape(say("Comparison")),
        handle=html.escape(say("Wipe between {left} and {right}", left=left, right=right), True),
        first=first,
        second=second,
        left=html.escape(left, True),
        right=html.escape(right, True),
        width=width,
    )


def comparable(
    readings: Sequence[Reading], methods: Sequence[str]
) -> dict[str, tuple[Reading, Explanation]]:
    """Everything that can be compared, by a key that says run, method and layer."""
    return {
        f"{reading.card.name}|{each.key}": (reading, each)
        for reading in readings
        for each in reading.maps
        if each.method in methods
    }


def comparison(
    scan: Scan, readings: Sequence[Reading], choices: Choices, titles: dict[str, str]
) -> None:
    """Two menus and the wipe."""
    options = comparable(readings, choices.methods)
    if len(options) < 2:
        st.info(
            say("A comparison needs two maps: choose a method in the sidebar."),
            icon=":material/compare:",
        )
        return

    def label(key: str) -> str:
        reading, each = options[key]
        return f"{reading.title} · {titles.get(each.method, each.method)} · {each.layer}"

    keys = list(options)
    deepest = [f"{reading.card.name}|gradcam/{reading.layers[-1]}" for reading in readings]
    starts = [key for key in deepest if key in options][:2] or keys[:2]
    left, right = st.columns(2)
    first = left.selectbox(
        say("Left"), keys, index=keys.index(starts[0]), format_func=label, key="compare_left"
    )
    second = right.selectbox(
        say("Right"), keys, index=keys.index(starts[-1]), format_func=label, key="compare_right"
    )
    width, height = fit_size(scan.pixels.shape[0], scan.pixels.shape[1], LARGE)
    width, height = _at_most(width, height, 560)
    before, after = (_picture(scan, *options[key], choices) for key in (first, second))
    try:
        st.iframe(
            wipe_html(before, after, label(first), label(second), width),
            height=height + 48,
            alt=say("{first} against {second}", first=label(first), second=label(second)),
        )
    finally:  # the person may go on meanwhile
        forget_addresses()
    for key in (first, second) if choices.scale else ():
        st.caption(
            say(
                "{map}: maximum {maximum}",
                map=escape_markdown(label(key)),
                maximum=format_maximum(maximum_of(options[key][1])),
            )
        )


def _at_most(width: int, height: int, tallest: int) -> tuple[int, int]:
    share = min(1.0, tallest / height)
    return round(width * share), round(height * share)


def _picture(scan: Scan, reading: Reading, explanation: Explanation, choices: Choices) -> str:
    top = reading.scale_of(explanation, choices.one_scale)
    return data_uri(
        draw_map(scan.pixels, explanation, choices.opacity, choices.colormap, top, LARGE)
    )
