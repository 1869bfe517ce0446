"""The top of the page Explanations: for each method a light and three plain sentences."""

from __future__ import annotations

import html

import streamlit as st

from oct_core.models.catalog import ENSEMBLE, run_title
from oct_core.trust.lights import Light, light_of, measured_methods
from oct_core.trust.report_file import Report
from oct_core.words import message, say, say_count
from pages.ui.shared.markdown import escape_markdown
from pages.ui.trust import data as data

_MARKS = {
    "green": ("answer", "✓"),
    "amber": ("caution", "!"),
    "red": ("refer", "✕"),
    "none": ("unknown", "–"),
}
"""Light -> the class of its tone, and its mark."""
_GRAINS = {
    "gradcam": message("A coarse map: one value covers many pixels of the scan."),
    "guided_backprop": message("A fine map: each pixel has a value of its own."),
    "guided_gradcam": message(
        "A fine map: the one by guided backpropagation, weighed by Grad-CAM."
    ),
}
"""What kind of map a method makes, by its definition."""


def lights(report: Report) -> None:
    """A card a core method, the others folded, and what the maps of the ensemble are."""
    st.header(say("How far each map may be trusted"), anchor=False)
    methods = measured_methods(report)
    core = [name for name in data.CORE if name in methods]
    if core:
        for column, name in zip(st.columns(len(core), gap="medium"), core, strict=True):
            with column.container(border=True, height="stretch", gap="small"):
                _card(report, name)
    _explain(report)
    others = [name for name in methods if name not in data.CORE]
    if others:
        title = say_count("{count} further method", "{count} further methods", len(others))
        with st.expander(title, icon=":material/traffic:"):
            for name in others:
                _card(report, name)
    st.markdown(
        say(
            "**{ensemble}.** It has no map of its own: its answer is the mean of its models' "
            "answers. Look at the maps of its models side by side; each light is that of the "
            "worst of them. Maps that agree are a hint, no proof: the models can be wrong "
            "together.",
            ensemble=run_title(ENSEMBLE),
        )
    )


def _card(report: Report, method: str) -> None:
    light = light_of(report, method)
    st.subheader(escape_markdown(data.method_title(report, method)), anchor=False)
    st.html(light_html(light))
    if method in _GRAINS:
        st.caption(say(_GRAINS[method]))
    st.markdown("\n".join(f"- {escape_markdown(sentence)}" for sentence in light.sentences))
    if light.missing and len(light.missing) < len(report.runs):
        models = ", ".join(data.run_title(report, run) for run in light.missing)
        st.caption(say("Not all was measured of {models}.", models=escape_markdown(models)))


def light_html(light: Light) -> str:
    """The light: a mark in its colour, and its word."""
    tone, mark = _MARKS[light.colour]
    return (
        f'<p class="oct-light" style="margin:0;display:flex;gap:.5rem;align-items:center">'
        f'<i class="oct-mark oct-{tone}" aria-hidden="true">{mark}</i>'
        f"<b>{html.escape(light.word)}</b></p>"
    )


def _explain(report: Report) -> None:
    """What the lights rest on, and what was not measured."""
    sentences = [
        escape_markdown(report.note),
        say(
            "The lights follow from the figures below by one rule; the worst of the models decides."
        ),
    ]
    methods = measured_methods(report)
    rest = [
        data.method_title(report, name)
        for name in report.raw.get("methods") or {}
        if name not in (*methods, *data.BASELINES)
    ]
    if rest:
        names = escape_markdown(", ".join(rest))
        sentences.append(say("Not measured at all: {methods}.", methods=names))
    st.caption(" ".join(sentences))
