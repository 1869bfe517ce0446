"""Overlays: colour tables against matplotlib, the blend against arithmetic on single pixels."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pytest

from oct_core.errors import ExplanationError, UnknownNameError
from oct_core.figures.overlay import COLORMAPS, MIDDLE, NEGATIVE, POSITIVE, overlay, paint_signed

PIXELS = np.array([[0, 100], [200, 255]], np.uint8)
VALUES = np.array([[0.0, 1.0], [2.0, 4.0]], np.float32)


@pytest.mark.parametrize("name", list(COLORMAPS))
def test_tables_are_matplotlibs_within_5_of_255(name: str) -> None:
    theirs = np.array(matplotlib.colormaps[name](np.linspace(0, 1, 256)))[:, :3] * 255
    assert np.abs(COLORMAPS.get(name).astype(float) - theirs).max() <= 5.5


def test_opacity_goes_from_the_scan_to_the_map() -> None:
    gray = np.repeat(PIXELS[..., None], 3, axis=2)
    np.testing.assert_array_equal(overlay(PIXELS, VALUES, 0.0), gray)
    np.testing.assert_array_equal(
        overlay(PIXELS, VALUES, 1.0, "inferno"),
        COLORMAPS.get("inferno")[np.rint(VALUES / 4 * 255).astype(int)],
    )
    half = overlay(PIXELS, VALUES, 0.5, "gray")
    assert half[0, 1].tolist() == [round((100 + 64) / 2)] * 3 and half.dtype == np.uint8


def test_a_signed_map_stands_on_mid_gray_dark_below_and_bright_above_zero() -> None:
    signed = np.array([[0.0, -2.0], [2.0, 0.125]], np.float32)
    picture = paint_signed(signed)
    assert picture.dtype == np.uint8 and MIDDLE == (127, 127, 127)
    assert picture[0, 0].tolist() == [127, 127, 127]
    assert picture[0, 1].tolist() == list(NEGATIVE) and picture[1, 0].tolist() == list(POSITIVE)
    assert picture[1, 1].tolist() == [
        round(127 + (channel - 127) * 0.5) for channel in POSITIVE
    ]  # the root of 0.125 / (2 / 4)
    quarter = np.array([[0.5, -0.5]], np.float32)
    assert paint_signed(quarter, 2.0).tolist() == [[list(POSITIVE), list(NEGATIVE)]]
    assert (paint_signed(np.zeros((3, 3), np.float32)) == 127).all()


def test_for_and_against_differ_from_mid_gray_alike_in_a_print_without_colour() -> None:
    weights = np.array([0.299, 0.587, 0.114])
    above, below = np.array(POSITIVE) @ weights - 127, 127 - np.array(NEGATIVE) @ weights
    assert above > 60 and below > 60 and abs(above - below) < 20


def test_one_maximum_gives_one_scale_and_clips() -> None:
    alone, half = overlay(PIXELS, VALUES, 1.0, "gray"), overlay(PIXELS, VALUES, 1.0, "gray", 2.0)
    np.testing.assert_array_equal(half[1, 0], half[1, 1])
    assert half[0, 1, 0] > alone[0, 1, 0], "half the maximum, twice the colour"
    np.testing.assert_array_equal(overlay(PIXELS, VALUES, 1.0, "gray", maximum=4.0), alone)


@pytest.mark.parametrize("scale", [1e-35, 1.0, 1e35])
def test_a_literal_twin_in_float64_agrees_within_one_of_255(scale: float) -> None:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (40, 50), dtype=np.uint8)
    values = (draw.standard_normal((40, 50)) * scale).astype(np.float32)
    gray, table = (
        np.repeat(pixels[..., None], 3, axis=2).astype(float),
        COLORMAPS.get("turbo").astype(float),
    )
    for opacity in (0.3, 1.0):
        for top in (float(np.abs(values).max()), 0.4 * scale):
            part = np.clip(np.abs(values).astype(float) / top, 0, 1)
            colours = gray * (1 - opacity) + table[np.rint(part * 255).astype(int)] * opacity
            strength = np.sqrt(np.clip(4 * np.abs(values).astype(float) / top, 0, 1))[..., None]
            sides = np.where(values[..., None] > 0, np.array(POSITIVE), np.array(NEGATIVE))
            signed = 127 * (1 - strength) + sides * strength
            assert (
                np.abs(overlay(pixels, np.abs(values), opacity, "turbo", top) - colours).max() <= 1
            )
            assert np.abs(paint_signed(values, top) - signed).max() <= 1


@pytest.mark.parametrize("maximum", [None, 0.0, 1e-60])
def test_a_map_of_zeros_leaves_the_scan(maximum: float | None) -> None:
    picture = overlay(PIXELS, np.zeros((2, 2), np.float32), 0.9, maximum=maximum)
    np.testing.assert_array_equal(picture, np.repeat(PIXELS[..., None], 3, axis=2))


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        (
            {"values": VALUES[:1]},
            ExplanationError,
            r"one shape \(H, W\), got \(2, 2\) and \(1, 2\)",
        ),
        ({"values": VALUES * np.nan}, ExplanationError, "expected finite map values"),
        ({"opacity": 1.2}, ExplanationError, "opacity from 0 to 1, got 1.2"),
        ({"maximum": -1.0}, ExplanationError, "maximum of at least 0, got -1.0"),
        ({"colormap": "virdis"}, UnknownNameError, "did you mean viridis"),
    ],
)
def test_wrong_overlays_say_what_was_expected(
    changed: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        overlay(**{"pixels": PIXELS, "values": VALUES, **changed})


@pytest.mark.parametrize(
    ("values", "maximum", "message"),
    [
        (VALUES * np.nan, None, "expected finite map values"),
        (VALUES, -1.0, "maximum of at least 0, got -1.0"),
    ],
)
def test_a_wrong_signed_map_says_what_was_expected(
    values: np.ndarray, maximum: float | None, message: str
) -> None:
    with pytest.raises(ExplanationError, match=message):
        paint_signed(values, maximum)
