"""Where a map lies: by hand, and the retina against the phantoms' true band."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from oct_core.errors import ExplanationError
from oct_core.figures.charts.explanations import REGION_TITLES
from oct_core.scans.phantom import make_phantom
from oct_core.trust.baselines import BASELINES
from oct_core.trust.localisation import (
    energy_inside,
    mass_shares,
    pointing_hit,
    regions,
    retina_band,
)
from oct_core.trust.measure import place_scores
from oct_core.types import CLASSES

MASK = np.array([[True, True, False], [False, False, False]])


@pytest.mark.parametrize(
    ("values", "hit", "energy"),
    [
        ([[3, 1, 0], [0, 0, 0]], 1.0, 1.0),
        ([[1, 1, 4], [0, 0, 2]], 0.0, 0.25),
        ([[-5, 0, 3], [0, 2, 0]], 1.0, 0.5),  # magnitudes
        ([[2, 0, 2], [0, 0, 0]], 0.5, 0.5),  # two largest values, one inside
        ([[1, 1, 1], [1, 1, 1]], 1 / 3, 1 / 3),  # no aim: the area
        ([[0, 0, 0], [0, 0, 0]], 0.0, 0.0),  # points nowhere
    ],
)
def test_pointing_and_energy_by_hand(values: list[list[float]], hit: float, energy: float) -> None:
    array = np.array(values, dtype=np.float32)
    assert pointing_hit(array, MASK) == pytest.approx(hit) and energy_inside(
        array, MASK
    ) == pytest.approx(energy)


def test_shapes_that_differ_and_nan_are_refused() -> None:
    with pytest.raises(ExplanationError, match="stretch the map first"):
        pointing_hit(np.zeros((3, 3)), MASK)
    with pytest.raises(ExplanationError, match="finite"):
        energy_inside(np.full((2, 3), np.nan), MASK)


@pytest.mark.parametrize("label", CLASSES)
def test_the_regions_are_a_partition_and_the_shares_add_up(label: str) -> None:
    pixels = make_phantom(label, 40).pixels
    masks = regions(pixels)
    np.testing.assert_array_equal(np.sum(list(masks.values()), axis=0), 1)
    values = np.random.default_rng(0).random(pixels.shape)
    shares = mass_shares(values, pixels)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares == {
        name: pytest.approx(values[mask].sum() / values.sum()) for name, mask in masks.items()
    }


def test_a_map_of_zeros_and_a_blank_scan_have_defined_answers() -> None:
    pixels = make_phantom("CNV", 1, 128, 128).pixels
    assert set(mass_shares(np.zeros(pixels.shape), pixels).values()) == {0.0}
    blank = np.full((64, 64), 90, dtype=np.uint8)
    band = retina_band(blank)
    assert np.isfinite(band.top).all() and np.isfinite(band.bottom).all()
    assert sum(mass_shares(np.ones(blank.shape), blank).values()) == pytest.approx(1)


def test_the_retina_overlaps_the_phantoms_true_band() -> None:
    overlaps = []
    for label in CLASSES:
        for seed in (60, 61, 62):
            phantom = make_phantom(label, seed)
            found = retina_band(phantom.pixels).mask(phantom.pixels.shape[0])
            overlaps.append((found & phantom.retina).sum() / (found | phantom.retina).sum())
    assert np.mean(overlaps) > 0.8 and min(overlaps) > 0.5, overlaps


def test_the_baselines_equal_their_literal_twins() -> None:
    pixels = make_phantom("DME", 3, 96, 128).pixels[::2, ::2]
    bell = BASELINES.get("centred_gaussian").compute(pixels, 0)
    for row, column in ((0, 0), (23, 31), (40, 7)):
        expected = np.exp(-0.5 * (((row - 23.5) / 12) ** 2 + ((column - 31.5) / 16) ** 2))
        assert bell[row, column] == pytest.approx(expected, rel=1e-5)
    steep = BASELINES.get("gradient_magnitude").compute(pixels, 0)
    smooth = [
        ndimage.gaussian_filter(pixels.astype(np.float64), 1.0, order=order)
        for order in ((1, 0), (0, 1))
    ]
    np.testing.assert_allclose(steep, np.hypot(*smooth), rtol=1e-3, atol=1e-2)
    noise = BASELINES.get("random_map").compute(pixels, 5)
    np.testing.assert_array_equal(noise, BASELINES.get("random_map").compute(pixels[::-1], 5))
    assert not np.array_equal(noise, BASELINES.get("random_map").compute(pixels, 6))
    assert list(BASELINES) == ["random_map", "centred_gaussian", "gradient_magnitude"], (
        "a new baseline needs its twin here"
    )


def test_place_scores_equal_their_parts_and_count_the_lesion_only_where_there_is_one() -> None:
    phantom = make_phantom("DRUSEN", 2, 96, 128)
    signed = np.random.default_rng(0).normal(size=(96, 128)).astype(np.float32)
    with_lesion, without = (
        place_scores(phantom.scan, [signed], phantom.lesion)[0],
        place_scores(phantom.scan, [signed])[0],
    )
    assert with_lesion["pointing"] == pointing_hit(signed, phantom.lesion) and with_lesion[
        "energy"
    ] == energy_inside(signed, phantom.lesion)
    assert with_lesion["lesion_area"] == phantom.lesion.mean() and "pointing" not in without
    assert {name: without[f"mass_{name}"] for name in REGION_TITLES} == mass_shares(
        signed, phantom.pixels
    )
    assert place_scores(phantom.scan, [np.zeros_like(signed)])[0]["no_evidence"] == 1
