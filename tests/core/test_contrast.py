"""WCAG's contrast of the theme's colours and of what is written in charts, light and dark."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from oct_core.figures import charts
from oct_core.types import VERDICTS

ROOT = Path(__file__).resolve().parents[2]
THEME = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
CSS = "".join(
    (ROOT / "pages" / "ui" / name).read_text() for name in ("app/layout.py", "viewer/style.py")
)
TEXT, MARK = 4.5, 3.0
# Rules that let what is written shine through.
FAINT = (
    ".oct-research ",
    ".oct-muted ",
    ".oct-maps figcaption span ",
    ".oct-key ",
    ".oct-answers.oct-refer :is(.oct-call",
    "display: block; } .oct-row span ",
)


def parts(colour: str) -> list[int]:
    if colour.startswith("#"):
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        return [int(digits[at : at + 2], 16) for at in (0, 2, 4)]
    return [int(part) for part in re.findall(r"\d+", colour)[:3]]


def luminance(colour: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in parts(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def mixed(front: str, back: str, opacity: float) -> str:
    pairs = zip(parts(front), parts(back), strict=True)
    return "#" + "".join(f"{round(a * opacity + b * (1 - opacity)):02x}" for a, b in pairs)


def rule(selector: str) -> str:
    """The declarations of the style sheet's rule whose selectors begin so."""
    return CSS.split(selector, 1)[1].split("{", 1)[1].split("}", 1)[0]


def of_scheme(declarations: str, scheme: str) -> str:
    found = re.search(r"light-dark\((#\w+), (#\w+)\)", declarations)
    assert found
    return found[1 if scheme == "light" else 2]


def test_the_measure_itself() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)
    assert mixed("#000000", "#FFFFFF", 0.2) == "#cccccc"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_focus_of_the_theme(scheme: str) -> None:
    theme: dict[str, Any] = THEME[scheme]
    text, primary = theme["textColor"], theme["primaryColor"]
    for back in (theme["backgroundColor"], theme["secondaryBackgroundColor"]):
        assert contrast(text, back) >= TEXT
        for name in FAINT:
            [opacity] = re.findall(r"opacity: ([.\d]+)", rule(name))
            assert contrast(mixed(text, back, float(opacity)), back) >= TEXT, name
        [share] = re.findall(r"currentColor (\d+)%", rule('[data-testid="stCaptionContainer"]'))
        assert contrast(mixed(text, back, int(share) / 100), back) >= TEXT
        assert contrast(of_scheme(rule('="stBaseButton-primary"]'), scheme), primary) >= TEXT
        # Streamlit lays the primary colour thinly under what is chosen and writes in it
        assert contrast(primary, mixed(primary, back, 0.1)) >= TEXT
        assert contrast(of_scheme(rule("\n:focus-visible"), scheme), back) >= MARK
        assert contrast(of_scheme(rule("\n:is([class"), scheme), back) >= TEXT


def test_the_marks_of_verdicts() -> None:
    tones = re.findall(r"--tone: (#\w{6})", CSS)
    assert len(tones) == 3
    assert all(contrast("#fff", tone) >= TEXT for tone in tones)


def test_what_is_written_on_bars_of_verdicts() -> None:
    counts = {"VGG16": dict.fromkeys(VERDICTS, 5)}
    titles = {kind: kind for kind in VERDICTS}
    figure: go.Figure = charts.verdict_bars(counts, titles, "Verdicts")
    assert len(figure.data) == len(VERDICTS)
    for bar in figure.data:
        assert contrast(bar.insidetextfont.color, bar.marker.color) >= TEXT


def test_what_is_written_in_a_confusion_matrix() -> None:
    heat = charts.confusion_matrix([[9, 1, 0, 0]] * 4).data[0]
    for (_, one), (_, other) in pairwise(heat.colorscale):
        for step in range(11):
            assert contrast(heat.textfont.color, mixed(other, one, step / 10)) >= TEXT
