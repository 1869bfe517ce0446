"""Colour travels with the pixels: cut, turned and taken away with them; changes are undone."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from oct_core.errors import ScanError, UnknownNameError
from oct_core.scans import (
    CHANGES,
    COLOUR_NOTE,
    crop,
    is_coloured,
    read_scan,
    take_luminance,
    turn,
    undo_change,
)
from oct_core.scans.colour import FALSE_COLOURS, SPREAD, colour_share, find_colour, paint_falsely
from oct_core.scans.likeness import find_objection
from oct_core.scans.phantom import make_phantom
from oct_core.trust.wrong_inputs import change_scan
from oct_core.types import GrayImage, Scan


@pytest.fixture(scope="module")
def gray() -> GrayImage:
    return make_phantom("CNV", 5, 128, 160).pixels


def read(rgb: NDArray[np.uint8], kind: str = "PNG") -> Scan:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, kind, **({"quality": 90} if kind == "JPEG" else {}))
    return read_scan(buffer.getvalue(), f"scan.{kind.lower()}")


def export(gray: GrayImage) -> NDArray[np.uint8]:
    """A gray B-scan beside a coloured panel, as device exports have it."""
    panel = np.zeros((*gray.shape[:1], 80, 3), np.uint8)
    panel[..., 0] = 200
    return np.concatenate([np.stack([gray] * 3, 2), panel], 1)


def test_a_pixel_is_coloured_by_the_spread_of_its_channels() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (9, 11, 3)).astype(np.uint8)
    rgb[0, 0], rgb[0, 1] = (100, 100, 100 + SPREAD), (100, 101 + SPREAD, 100)
    mask = find_colour(rgb)
    assert mask is not None and not mask[0, 0] and mask[0, 1]
    for row in range(9):
        for column in range(11):
            values = [int(value) for value in rgb[row, column]]
            assert mask[row, column] == (max(values) - min(values) > SPREAD)
    assert find_colour(np.full((3, 3, 3), 70, np.uint8)) is None
    scan = Scan(np.zeros((9, 11), np.uint8), colour=mask)
    assert colour_share(scan) == pytest.approx(mask.sum() / 99)


def test_a_gray_crop_beside_coloured_panels_is_gray(gray: GrayImage) -> None:
    whole = read(export(gray))
    assert is_coloured(whole) and COLOUR_NOTE in whole.notes
    assert "it is in colour" in str(find_objection(whole))
    part = crop(whole, (0, 0, 160, 128))
    assert colour_share(part) == 0 and COLOUR_NOTE not in part.notes
    assert find_objection(part) is None
    np.testing.assert_array_equal(part.pixels, gray)
    panel = crop(whole, (150, 0, 240, 128))
    assert panel.colour is not None and COLOUR_NOTE in panel.notes
    np.testing.assert_array_equal(panel.colour, np.arange(90)[None] >= 10 + np.zeros((128, 1)))


@pytest.mark.parametrize("name", list(FALSE_COLOURS))
def test_a_crop_of_a_falsely_coloured_scan_stays_coloured(name: str, gray: GrayImage) -> None:
    whole = read(paint_falsely(gray, name))
    assert is_coloured(whole) and COLOUR_NOTE in whole.notes
    part = crop(whole, (20, 10, 140, 110))
    assert is_coloured(part) and COLOUR_NOTE in part.notes
    assert "it is in colour" in str(find_objection(part))


def test_a_false_colour_is_its_straight_lines_written_out() -> None:
    shades = np.arange(256, dtype=np.uint8)[None]
    painted = paint_falsely(shades, "hot")
    places, colours = zip(*FALSE_COLOURS.get("hot"), strict=True)
    for shade in (0, 40, 128, 200, 255):
        for channel in range(3):
            value = np.interp(shade / 255, places, [colour[channel] for colour in colours])
            assert painted[0, shade, channel] == round(float(value) * 255)
    with pytest.raises(UnknownNameError):
        paint_falsely(shades, "sepia")


def test_jpeg_leaves_no_colour_on_gray(gray: GrayImage) -> None:
    scan = read(np.stack([gray] * 3, 2), "JPEG")
    assert not is_coloured(scan) and COLOUR_NOTE not in scan.notes


TURNED = {"left": 1, "right": -1, "round": 2}


@pytest.mark.parametrize("way", ["left", "right", "round", "over"])
def test_a_scan_is_turned_with_its_colour(way: str, gray: GrayImage) -> None:
    scan = read(export(gray))
    turned = turn(scan, way)
    assert scan.colour is not None and turned.colour is not None
    for before, after in ((scan.pixels, turned.pixels), (scan.colour, turned.colour)):
        expected = np.flipud(before) if way == "over" else np.rot90(before, TURNED[way])
        np.testing.assert_array_equal(after, expected)
        assert after.flags.c_contiguous
    assert turned.notes[:-1] == scan.notes and len(turned.notes) == len(scan.notes) + 1


def test_other_ways_and_changes_are_named(gray: GrayImage) -> None:
    with pytest.raises(ScanError, match=r"turned left, right, round, over, not 'up'"):
        turn(Scan(gray), "up")
    with pytest.raises(ScanError, match=r"upside down, .*false colour, got 'tilted'"):
        undo_change(Scan(gray), "tilted")
    with pytest.raises(KeyError):
        change_scan(gray, "tilted")


def test_who_takes_the_luminance_hears_no_more_of_colour(gray: GrayImage) -> None:
    scan = read(paint_falsely(gray, "green"))
    taken = take_luminance(scan)
    np.testing.assert_array_equal(taken.pixels, scan.pixels)
    assert not is_coloured(taken) and taken.colour is None
    assert COLOUR_NOTE not in taken.notes and taken.notes[-1] == "luminance of its colours taken"
    assert "colour" not in (find_objection(taken) or "")


@pytest.mark.parametrize("change", CHANGES[:-1])
def test_what_was_done_to_a_scan_is_undone(change: str, gray: GrayImage) -> None:
    changed = change_scan(gray, change, seed=0)
    assert changed.shape != gray.shape or (changed != gray).any()
    undone = undo_change(Scan(changed), change)
    np.testing.assert_array_equal(undone.pixels, gray)
    assert undone.notes
    if change == "upside down":  # half a turn is given back as the other eye's
        half = undo_change(Scan(change_scan(gray, change, seed=1)), change)
        np.testing.assert_array_equal(half.pixels, gray[:, ::-1])


def test_a_false_colour_is_undone_by_its_luminance(gray: GrayImage) -> None:
    scan = read(paint_falsely(gray, "jet"))
    assert not is_coloured(undo_change(scan, "false colour"))
    maps = [change_scan(gray, "false colour", seed) for seed in range(4)]
    assert len({each.tobytes() for each in maps}) == 4, "another map each"
    for each in maps:
        assert each.dtype == np.uint8 and each.shape == gray.shape


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((300, 3000), "10.0 times as wide as high, and B-scans are at most 8 times"),
        ((1000, 200), "5.0 times as high as wide, and B-scans are at most 2.5 times"),
        ((1024, 512), None),
        ((496, 512), None),
    ],
)
def test_odd_proportions_are_said_in_plain_numbers(
    shape: tuple[int, int], words: str | None, gray: GrayImage
) -> None:
    pixels = np.asarray(Image.fromarray(gray).resize(shape[::-1]))
    objection = find_objection(replace(Scan(gray), pixels=pixels))
    assert (words in (objection or "")) if words else "times" not in (objection or "")
