"""The colours of classes, networks and runs. No plotly, no torch.

Classes and the shipped networks have Okabe & Ito's (2008), told apart with every common colour
blindness; they share none. A network's colour stands in its entry of the catalog, the ensemble's
beside them.
"""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Mapping

from oct_core.models.catalog import ARCHITECTURES, ENSEMBLE, ENSEMBLE_COLOUR

CLASS_COLOURS: dict[str, str] = {
    "CNV": "#CC79A7",
    "DME": "#E69F00",
    "DRUSEN": "#56B4E9",
    "NORMAL": "#999999",
}
VERDICT_COLOURS: dict[str, str] = {"answer": "#3B9A5B", "caution": "#E3A21A", "refer": "#8C8C8C"}
NEUTRAL = "#8C8C8C"
INK = "#111111"
"""Of what is written on a colour of ours, on a light page and on a dark one."""
_SPARE = ("#7A8B2A", "#A6761D", "#B8506A", "#4C9A9A")
_SHADES = (1.0, 1.45, 0.65, 1.8)


def _shade(colour: str, factor: float) -> str:
    """The same hue, lighter (factor > 1) or darker (< 1), kept off black and white."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    shaded = colorsys.hls_to_rgb(hue, min(0.78, max(0.18, light * factor)), saturation)
    return "#" + "".join(f"{round(part * 255):02X}" for part in shaded)


def model_colour(architecture: str) -> str:
    """The colour of a network or of the ensemble, "#RRGGBB": its own of the catalog, or for one
    that is not there a spare that depends on its name alone.
    """
    if architecture == ENSEMBLE:
        return ENSEMBLE_COLOUR
    if architecture in ARCHITECTURES:
        return ARCHITECTURES.get(architecture).colour
    return _SPARE[zlib.crc32(architecture.encode()) % len(_SPARE)]


def run_colours(architectures: Mapping[str, str]) -> dict[str, str]:
    """A colour for each run: a second run of one network takes another shade of its colour (four
    shades, then again).

    architectures : what a run is called in the figure -> the architecture of its card.
    """
    seen: dict[str, int] = {}
    colours = {}
    for run, architecture in architectures.items():
        base = model_colour(architecture)
        earlier = seen.get(base, 0)
        colours[run] = _shade(base, _SHADES[earlier % len(_SHADES)]) if earlier else base
        seen[base] = earlier + 1
    return colours


def class_colour(name: str) -> str:
    """The colour of a class, "#RRGGBB"; gray for a name that is none of the four."""
    return CLASS_COLOURS.get(name, NEUTRAL)
