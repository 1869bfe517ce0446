"""The viewer's choices: what to explain and how to draw it. They survive a change of page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from oct_core.figures.overlay import COLORMAPS
from oct_core.types import CLASS_TITLES, CLASSES, RunCard
from oct_core.words import message, say
from pages.ui.app.services import title_of
from pages.ui.app.session import choices_kept, kept
from pages.ui.viewer.compute import TRIO

OWN = message("Each model's own prediction")


@dataclass(frozen=True)
class Choices:
    """What the person chose.

    target : one class for all models, or None for each model's own prediction. opacity : of a map
    over the scan, 0 to 1.
    colormap : for maps that are not signed (signed ones are blue and orange). one_scale : one
    maximum a model instead of one a map.
    methods : registry names, in the registry's order. hide_names : show "Scan 1" instead of file
    names.
    outline : draw a sample's lesion. hide_answer : keep a sample's class to itself. models : names
    of the runs to compare.
    """

    target: str | None
    opacity: float
    colormap: str
    one_scale: bool
    methods: tuple[str, ...]
    hide_names: bool
    outline: bool
    hide_answer: bool
    models: tuple[str, ...]


def method_titles() -> dict[str, str]:
    """Every registered method that can run here, name -> title."""
    from importlib.util import find_spec

    from oct_core.explanations import METHODS

    importable = {"grad-cam": "pytorch_grad_cam", "pytorch-grad-cam": "pytorch_grad_cam"}
    usable = [
        name
        for name in METHODS
        if all(find_spec(importable.get(need, need)) for need in METHODS.get(name).needs)
    ]
    return {name: METHODS.get(name).title for name in usable}


def first_models(cards: Sequence[RunCard]) -> list[str]:
    """The runs compared at first: one of each architecture, the repository's own or else the last
    by name.
    """
    newest = {card.architecture: card.name for card in cards}
    own = {card.architecture: card.name for card in cards if card.name == card.architecture}
    return list((newest | own).values())


def controls(cards: Sequence[RunCard]) -> Choices:
    """Draw the choices in the sidebar and return them. cards : the runs that can be compared."""
    with st.sidebar:
        st.subheader(say("Explain"), divider="gray")
        models, names = first_models(cards), {card.name: title_of(card) for card in cards}
        if len(names) > len(models):
            models = kept(
                "models", models, st.multiselect, "Models", list(names), format_func=names.get
            )
        target = kept(
            "target",
            OWN,
            st.selectbox,
            say("Target class"),
            [OWN, *CLASSES],
            format_func=_class_title,
        )
        titles = method_titles()
        methods = kept(
            "methods",
            list(TRIO),
            st.multiselect,
            "Methods",
            list(titles),
            format_func=titles.get,
            help=_METHODS_HELP,
        )
        st.subheader(say("Display"), divider="gray")
        opacity = kept("opacity", 45, st.slider, say("Map opacity"), 0, 100, step=5, format="%d%%")
        colormap = kept(
            "colormap",
            "inferno",
            st.selectbox,
            say("Colour map"),
            tuple(COLORMAPS),
            format_func=str.capitalize,
        )
        one_scale = kept(
            "one_scale", False, st.toggle, say("One scale within a model"), help=_SCALE_HELP
        )
        hide_names = kept(
            "hide_names",
            False,
            st.toggle,
            say("Hide file names"),
            help=say("File names may carry patient names."),
        )
        st.subheader(say("Samples"), divider="gray")
        hidden = choices_kept("hide_answer", False)
        outline = kept(
            "outline",
            False,
            st.toggle,
            say("Outline the lesion"),
            disabled=hidden,
            help=say("Samples are synthetic: the lesion is known exactly."),
        )
        hide_answer = kept(
            "hide_answer",
            False,
            st.toggle,
            say("Hide the answer"),
            help=say("For teaching: a sample does not say its class."),
        )
    ordered = tuple(name for name in titles if name in methods)
    chosen = None if target == OWN else target
    return Choices(
        chosen,
        opacity / 100,
        colormap,
        one_scale,
        ordered,
        hide_names,
        outline and not hide_answer,
        hide_answer,
        tuple(models),
    )


def _class_title(name: str) -> str:
    return f"{name} · {CLASS_TITLES[name]}" if name in CLASS_TITLES else name


_METHODS_HELP = message(
    "Grad-CAM and the guided pair come from one pass at every layer. Other methods are drawn at "
    "each model's last layer; "
    "Score-CAM, Ablation-CAM and occlusion run the model many times and take longer."
)
_SCALE_HELP = message(
    "Off: each map is scaled to its own maximum (printed below it). On: the maps of one method "
    "share one maximum within a model."
)
