"""The viewer's choices: what to explain and how to draw it. They survive a change of page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from oct_core.figures.overlay import COLORMAP, COLORMAPS, OPACITY
from oct_core.models.catalog import ARCHITECTURES
from oct_core.trust.conformal import LEVEL
from oct_core.types import CLASS_TITLES, CLASSES, RunCard
from oct_core.words import message, say
from pages.ui.app.services import title_of
from pages.ui.app.session import keep_choice, read_choice
from pages.ui.shared.run_data import one_of_each
from pages.ui.viewer.compute import TRIO

OWN = "own"
"""The choice of each model's own prediction as the class to explain."""


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
    of the runs to compare. level : of the conformal sets that the verdict asks.
    """

    target: str | None
    opacity: float
    colormap: str
    one_scale: bool
    scale: bool
    keys: bool
    methods: tuple[str, ...]
    hide_names: bool
    outline: bool
    hide_answer: bool
    models: tuple[str, ...]
    level: float


def method_titles(cards: Sequence[RunCard]) -> dict[str, str]:
    """Every registered method that can run here and holds for a network of these runs, name ->
    title.
    """
    from importlib.util import find_spec

    from oct_core.explanations import METHODS, methods_for

    architectures = {card.architecture for card in cards if card.architecture in ARCHITECTURES}
    holding = {name for architecture in architectures for name in methods_for(architecture)}
    importable = {"grad-cam": "pytorch_grad_cam"}
    usable = [
        name
        for name in METHODS
        if (name in holding or not holding)
        and all(find_spec(importable.get(need, need)) for need in METHODS.get(name).needs)
    ]
    return {name: say(METHODS.get(name).title) for name in usable}


def is_slow(method: str) -> bool:
    """Whether a method runs a model too often to be made without being asked for."""
    from oct_core.explanations import METHODS

    return METHODS.get(method).slow


def controls(cards: Sequence[RunCard]) -> Choices:
    """Draw the choices in the sidebar and return them. cards : the runs that can be compared."""
    with st.sidebar:
        st.header(say("Explain"), divider="gray")
        models = [card.name for card in one_of_each(cards)]
        titles = {card.name: title_of(card) for card in cards}
        if len(titles) > 1:
            models = keep_choice(
                "models",
                models,
                st.multiselect,
                say("Models"),
                list(titles),
                format_func=titles.get,
            )
        target = keep_choice(
            "target",
            OWN,
            st.selectbox,
            say("Target class"),
            [OWN, *CLASSES],
            format_func=_target_title,
        )
        methods = _methods([card for card in cards if card.name in models])
        st.header(say("Display"), divider="gray")
        opacity = keep_choice(
            "opacity",
            round(100 * OPACITY),
            st.slider,
            say("Map opacity"),
            0,
            100,
            step=5,
            format="%d%%",
        )
        colormap = keep_choice(
            "colormap",
            COLORMAP,
            st.selectbox,
            say("Colour map"),
            tuple(COLORMAPS),
            format_func=str.capitalize,
        )
        one_scale = keep_choice(
            "one_scale", False, st.toggle, say("One scale within a model"), help=say(_SCALE_HELP)
        )
        scale = keep_choice(
            "scale",
            False,
            st.toggle,
            say("Say each map's maximum"),
            help=say(
                "A maximum has no unit: compare those of one method in one model, never those of "
                "two models."
            ),
        )
        keys = keep_choice(
            "keys",
            True,
            st.toggle,
            say("Keys on this page"),
            help=say("J and K: next and previous scan. O: maps on or off. P: projector."),
        )
        hide_names = keep_choice(
            "hide_names",
            False,
            st.toggle,
            say("Hide file names"),
            help=say("File names may carry patient names."),
        )
        outline, hide_answer = _sample_choices()
    return Choices(
        None if target == OWN else target,
        opacity / 100,
        colormap,
        one_scale,
        scale,
        keys,
        methods,
        hide_names,
        outline and not hide_answer,
        hide_answer,
        tuple(models),
        read_choice("level", LEVEL),
    )


def _methods(cards: Sequence[RunCard]) -> tuple[str, ...]:
    titles = method_titles(cards)
    methods = keep_choice(
        "methods",
        [method for method in TRIO if method in titles],
        st.multiselect,
        say("Methods"),
        list(titles),
        format_func=titles.get,
        help=say(_METHODS_HELP),
    )
    return tuple(name for name in titles if name in methods)


def _sample_choices() -> tuple[bool, bool]:
    """Whether to outline a sample's lesion, and whether to hide its class."""
    st.header(say("Samples"), divider="gray")
    outline = keep_choice(
        "outline",
        False,
        st.toggle,
        say("Outline the lesion"),
        disabled=read_choice("hide_answer", False),
        help=say("Samples are synthetic: the lesion is known exactly."),
    )
    hide_answer = keep_choice(
        "hide_answer",
        False,
        st.toggle,
        say("Hide the answer"),
        help=say("For teaching: a sample does not say its class."),
    )
    return outline, hide_answer


def _target_title(name: str) -> str:
    if name == OWN:
        return say("Each model's own prediction")
    return f"{name} · {say(CLASS_TITLES[name])}"


_METHODS_HELP = message(
    "Grad-CAM and the guided pair come from one pass, at every layer. Other methods are drawn at "
    "each model's last layer. Score-CAM, Ablation-CAM, occlusion and integrated gradients run the "
    "model many times: the page says how long each takes and waits for you to start it."
)
_SCALE_HELP = message(
    "Off: each map is scaled to its own maximum. On: the maps of one method "
    "share one maximum within a model."
)
