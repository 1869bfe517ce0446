"""Wedges, runs, words of bits and percentiles against the slow ways that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from oct_core.scans import bits
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import VERSIONS
from oct_core.scans.runs import Runs
from oct_core.scans.statistics import percentile_of_counts, percentiles
from oct_core.scans.wedges import neutralise, wedge_mask
from oct_core.types import CLASSES, GrayImage, Mask


def literal_wedges(pixels: GrayImage, version: int) -> Mask:
    """What versions 1 and 2 were defined by."""
    rule = VERSIONS[version]
    white = pixels >= rule.white
    core = ndimage.minimum_filter(white, size=rule.solid, mode="constant", cval=True)
    labels, _ = ndimage.label(core)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    sizes = np.bincount(labels.ravel())
    keep = [i for i in np.unique(border) if i and sizes[i] >= rule.least_share * pixels.size]
    solid = np.isin(labels, keep)
    if not keep:
        return solid
    white[rule.tip : -rule.tip, rule.tip : -rule.tip] = False
    grown = ndimage.binary_propagation(solid, mask=solid | white)
    return np.asarray(ndimage.binary_dilation(grown, iterations=rule.solid))


def pictures() -> list[GrayImage]:
    """Noise, white with holes, blocks, corners, phantoms with corners; widths about 64 and 128."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(150):
        height, width = generator.integers(1, 160, 2)
        if number % 3 == 0:
            width = generator.choice([63, 64, 65, 127, 128, 129])
        rows, columns = np.indices((height, width))
        dark = generator.integers(0, 120, (height, width))
        kind = number % 6
        if kind == 0:
            pixels = generator.integers(200, 256, (height, width))
        elif kind == 1:
            pixels = np.where(generator.random((height, width)) < 0.93, 255, 0)
        elif kind == 2:
            pixels = dark
            for _ in range(6):
                top, left = generator.integers(0, height), generator.integers(0, width)
                side = generator.integers(2, 40)
                pixels[max(0, top - side) : top + side, max(0, left - side) : left + side] = 240
        elif kind == 3:
            slope = generator.random(2)
            pixels = np.where(rows * slope[0] + columns * slope[1] < 30, 255, dark)
        elif kind == 4:
            drawn = make_phantom(
                CLASSES[number % 4], number, max(height, 64), max(width, 64)
            ).pixels
            pixels = drawn.copy()
            pixels[np.add.outer(np.arange(len(drawn)), np.arange(drawn.shape[1]) // 3) < 40] = 250
        else:
            waves = np.sin(rows / 7 + number) + np.sin(columns / 5)
            pixels = np.where(waves > generator.random() - 0.5, 250, dark)
        found.append(pixels.astype(np.uint8))
    return found


@pytest.mark.parametrize("version", list(VERSIONS))
def test_wedges_are_those_of_the_definition_to_the_pixel(version: int) -> None:
    marked = 0
    for pixels in pictures():
        mask = wedge_mask(pixels, version)
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, literal_wedges(pixels, version))
        marked += bool(mask.any() and not mask.all())
        clean = neutralise(pixels, version)
        if mask.any() and not mask.all():
            level = np.uint8(np.percentile(pixels[~mask], VERSIONS[version].background))
            np.testing.assert_array_equal(clean, np.where(mask, level, pixels))
        else:
            assert clean is pixels
    assert marked > 40, "the pictures have wedges"


def masks() -> list[Mask]:
    generator = np.random.default_rng(1)
    shapes = [(1, 1), (1, 64), (5, 1), (40, 63), (40, 64), (40, 65), (70, 200)]
    return [
        generator.random(shape) < share for shape in shapes for share in (0, 0.3, 0.6, 0.9, 0.98, 1)
    ]


def test_words_of_bits_grow_and_shrink_as_masks_do() -> None:
    for mask in masks():
        words = bits.pack(mask)
        np.testing.assert_array_equal(bits.unpack(words, mask.shape), mask)
        for half in (1, 2):
            shrunk = ndimage.minimum_filter(mask, size=2 * half + 1, mode="constant", cval=True)
            ours = bits.unpack(bits.erode(words, half, mask.shape[1]), mask.shape)
            np.testing.assert_array_equal(ours, shrunk)
        for steps in (1, 5):
            grown = ndimage.binary_dilation(mask, iterations=steps)
            np.testing.assert_array_equal(bits.unpack(bits.dilate(words, steps), mask.shape), grown)
        np.testing.assert_array_equal(bits.unpack(words, mask.shape), mask)


def painted(runs: Runs, values: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    picture = np.full(shape, -1)
    for row, start, stop, value in zip(runs.rows, runs.starts, runs.stops, values, strict=True):
        picture[row, start:stop] = value
    return picture


def test_runs_form_the_regions_that_labelling_finds() -> None:
    for mask in masks():
        runs = Runs.of(mask)
        np.testing.assert_array_equal(painted(runs, runs.rows, mask.shape) >= 0, mask)
        ours = painted(runs, runs.components, mask.shape)[mask]
        theirs = ndimage.label(mask)[0][mask]
        pairs = set(zip(ours.tolist(), theirs.tolist(), strict=True))
        assert len(pairs) == len(set(ours.tolist())) == len(set(theirs.tolist()))
        every_second = np.arange(len(runs)) % 2 == 0
        erased = mask.copy()
        runs.erase(erased, every_second)
        left = painted(runs, every_second.astype(np.int64), mask.shape) == 0
        np.testing.assert_array_equal(erased, left)
        held = Runs.of(erased)
        np.testing.assert_array_equal(
            runs.holding(held, np.ones(len(held), dtype=bool)), np.flatnonzero(~every_second)
        )


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, np.float64])
def test_percentiles_are_numpys_to_the_last_bit(kind: type) -> None:
    generator = np.random.default_rng(0)
    for number in (1, 2, 3, 10, 11, 1000, 4096, 50176):
        for spread in (3, 255):
            values = (generator.random(number) * spread).astype(kind)
            shares = (0, 5, 10, 50, 95, 99, 99.5, 100)
            theirs = np.percentile(values, list(shares)).tolist()
            assert percentiles(values, *shares) == theirs
            if kind is np.uint8:
                counts = np.bincount(values, minlength=256).tolist()
                assert [percentile_of_counts(counts, share) for share in shares] == theirs
