"""Values of any range at 0 to 255: what no scan has beside the rest does not set the range."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from oct_core.errors import ScanError
from oct_core.scans import read_scan
from oct_core.scans.phantom import make_phantom
from oct_core.scans.readers.values import format_value, scale_values
from oct_core.types import CLASSES, FloatArray

GRAY = make_phantom("CNV", 3, 248, 256).pixels.astype(float)
FLT_MAX = float(np.finfo(np.float32).max)


def stretched(values: FloatArray) -> NDArray[np.float64]:
    """Literally: the least at 0, the greatest at 255."""
    return np.round((values - values.min()) * 255 / (values.max() - values.min()))


def spoilt(slope: float, value: float, number: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Values with so many pixels of another value, and where those are."""
    values = (GRAY * slope).ravel()
    places = np.random.default_rng(0).choice(values.size, number, replace=False)
    values[places] = value
    mask = np.zeros(values.size, dtype=bool)
    mask[places] = True
    return values.reshape(GRAY.shape), mask.reshape(GRAY.shape)


@pytest.mark.parametrize("slope", [1 / 255, 1.0, 16.0, 257.0, 1e5])
@pytest.mark.parametrize("start", [0.0, -1000.0])
def test_a_sound_range_is_scaled_from_least_to_greatest(slope: float, start: float) -> None:
    scaled = scale_values(GRAY * slope + start)
    assert np.abs(scaled.pixels - stretched(GRAY)).max() <= 1
    assert not scaled.warnings and len(scaled.notes) == 1


@pytest.mark.parametrize("label", CLASSES)
def test_a_range_of_many_decades_loses_few_pixels(label: str) -> None:
    """Intensity that is not on a logarithmic scale: most of it is dark, and rightly so."""
    values = 10 ** (make_phantom(label, 5, 248, 256).pixels / 60.0)
    pixels = scale_values(values).pixels
    assert (pixels == 255).mean() < 0.02


@pytest.mark.parametrize("slope", [1 / 255, 16.0])
@pytest.mark.parametrize(
    ("value", "number", "shown"),
    [
        (65535.0, 1, 255),
        (65535.0, 50, 255),
        (65535.0, 2000, 255),
        (-9999.0, 1, 0),
        (-9999.0, 20_000, 0),
        (-32768.0, 30_000, 0),
        (FLT_MAX, 3, 0),
        (FLT_MAX, 20_000, 0),
        (-FLT_MAX, 20_000, 0),
        (np.inf, 7, 0),
        (-np.inf, 7, 0),
        (np.nan, 9000, 0),
    ],
)
def test_hot_pixels_and_sentinels_do_not_set_the_range(
    slope: float, value: float, number: int, shown: int
) -> None:
    values, mask = spoilt(slope, value, number)
    scaled = scale_values(values)
    assert np.abs(scaled.pixels[~mask] - stretched(GRAY)[~mask]).max() <= 2
    assert set(scaled.pixels[mask]) == {shown}
    assert re.fullmatch(r"values [\d.]+ to [\d.]+ scaled to 0 to 255", scaled.notes[0])
    [warning] = scaled.warnings
    assert warning.startswith(f"{number} pixel") and scaled.notes[1:] == (warning,)
    assert ("far outside" in warning) is (abs(value) < 1e30) and "e+" not in warning


def test_hot_pixels_of_many_values_and_two_sentinels_at_once() -> None:
    values, mask = spoilt(1.0, 0.0, 400)
    values[mask] = np.random.default_rng(1).integers(30_000, 65_535, 400)
    values[:20] = -9999
    values[-10:] = -32768
    values[40, 40] = np.nan
    scaled = scale_values(values)
    sound = ~mask
    sound[:20] = sound[-10:] = sound[40, 40] = False
    assert np.abs(scaled.pixels[sound] - stretched(GRAY)[sound]).max() <= 2
    assert scaled.warnings[0] == "1 pixel holds no number and is black"
    assert "pixels far outside this range (-32768 to 655" in scaled.warnings[1]


def test_a_hot_pixel_under_turned_values_stays_where_it_is() -> None:
    values, mask = spoilt(16.0, 65535.0, 1)
    turned = scale_values(values, white_is_zero=True)
    assert np.abs(turned.pixels[~mask] - (255 - stretched(GRAY)[~mask])).max() <= 2
    assert turned.pixels[mask] == 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((50, 50), 900.0), "one value, 900, nearly everywhere"),
        (np.where(np.arange(2500) < 2, 7.5, 0.25).reshape(50, 50), "one value, 0.25, nearly"),
        (np.full((50, 50), np.nan), "most of the picture's values are no numbers"),
        (np.where(np.arange(2500) < 1300, np.inf, 1.0).reshape(50, 50), "are no numbers"),
        (np.where(np.arange(2500) < 900, -9999.0, 3.0).reshape(50, 50), "one value, 3, nearly"),
    ],
)
def test_what_has_no_range_is_refused(values: FloatArray, words: str) -> None:
    with pytest.raises(ScanError, match=words):
        scale_values(values)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (65535.0, "65535"),
        (4294967295.0, "4294967295"),
        (-9999.0, "-9999"),
        (-0.25, "-0.25"),
        (123.456, "123.5"),
        (1234567.8, "1234568"),
        (0.0001234, "0.0001234"),
        (3.4e38, "3.4 x 10^38"),
        (-2e-9, "-2.0 x 10^-9"),
    ],
)
def test_values_are_written_as_people_read_them(value: float, text: str) -> None:
    assert format_value(value) == text


def test_the_warnings_reach_the_scan_from_a_file() -> None:
    values, _ = spoilt(16.0, 65535.0, 1)
    buffer = io.BytesIO()
    Image.fromarray(values.astype(np.uint16)).save(buffer, "PNG")
    scan = read_scan(buffer.getvalue())
    assert scan.warnings == scan.notes[1:] and "1 pixel far outside" in scan.warnings[0]
    buffer = io.BytesIO()
    Image.fromarray(np.full((50, 50), np.nan, np.float32)).save(buffer, "TIFF")
    with pytest.raises(ScanError, match="are no numbers"):
        read_scan(buffer.getvalue())
