"""Preprocessing: the whole scan, stretched; white wedges found and painted out; the card's form."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from oct_core.errors import CheckpointError, MetricError, ScanError, UnknownNameError
from oct_core.scans import preprocess
from oct_core.scans.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import (
    GRAY_MEAN,
    GRAY_STD,
    SIZES,
    Preprocessing,
    neutralise,
    wedge_mask,
)
from oct_core.types import CLASSES


@pytest.fixture(scope="module", params=CLASSES)
def scan(request: pytest.FixtureRequest) -> np.ndarray:
    return make_phantom(request.param, 41, 200, 260).pixels


def with_wedges(pixels: np.ndarray, depth: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """The scan with two white triangles in opposite corners, and where they are."""
    rows, columns = np.indices(pixels.shape)
    height, width = pixels.shape
    wedge = (rows + columns < depth) | (rows + columns > height + width - 2 - depth)
    return np.where(wedge, 255, pixels).astype(np.uint8), wedge


def test_a_clean_scan_has_no_wedge_and_is_returned_as_it_is(scan: np.ndarray) -> None:
    assert not wedge_mask(scan).any()
    assert neutralise(scan) is scan


def test_wedges_are_found_and_little_else(scan: np.ndarray) -> None:
    painted, wedge = with_wedges(scan)
    found = wedge_mask(painted)
    assert found[wedge].mean() > 0.99
    assert (found & ~wedge).sum() < 0.03 * wedge.size


def test_the_background_takes_the_place_of_wedges_and_the_rest_stays(scan: np.ndarray) -> None:
    painted, wedge = with_wedges(scan)
    clean, found = neutralise(painted), wedge_mask(painted)
    assert len(np.unique(clean[found])) == 1
    assert clean[found][0] == int(np.percentile(painted[~found], 10))
    np.testing.assert_array_equal(clean[~found], painted[~found])
    assert painted[wedge].min() == 255, "the picture given is not written on"


def test_a_wedge_hardly_changes_what_the_network_sees(scan: np.ndarray) -> None:
    painted, _ = with_wedges(scan, 40)
    clean, with_wedge = (
        Preprocessing(64).prepare(pixels).astype(int) for pixels in (scan, painted)
    )
    left = Preprocessing(64, neutralise_wedges=False).prepare(painted).astype(int)
    assert np.abs(clean - with_wedge).mean() < 1.5
    assert np.abs(clean - left).mean() > 3 * np.abs(clean - with_wedge).mean()


def test_white_that_is_retina_stays() -> None:
    pixels = np.full((100, 120), 20, dtype=np.uint8)
    pixels[40:60, 30:90] = 255  # solid, but away from the border
    pixels[70:72, :] = 255  # on the border, but too thin to be solid
    assert not wedge_mask(pixels).any()


@pytest.mark.parametrize("value", [0, 255])
def test_a_constant_picture_is_left_alone(value: int) -> None:
    pixels = np.full((80, 90), value, dtype=np.uint8)
    np.testing.assert_array_equal(Preprocessing(64).prepare(pixels), np.full((64, 64), value))


@pytest.mark.parametrize("size", SIZES)
def test_the_whole_scan_is_stretched_to_the_size(size: int) -> None:
    pixels = np.zeros((100, 400), dtype=np.uint8)
    pixels[:, :40], pixels[:, -40:] = 200, 100  # both ends of a wide scan must be there
    prepared = Preprocessing(size).prepare(pixels)
    assert prepared.shape == (size, size) and prepared.dtype == np.uint8
    assert prepared[size // 2, 1] == 200 and prepared[size // 2, -2] == 100
    expected = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(prepared, np.asarray(expected))


@pytest.mark.parametrize("size", [0, 63, 256, 225])
def test_another_size_is_refused_with_the_choices(size: int) -> None:
    with pytest.raises(ScanError, match=rf"must be one of .*128, 192, 224.*, not {size}"):
        Preprocessing(size)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((4, 4), np.float32),
        np.zeros((0, 4), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_what_is_no_gray_scan_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ScanError, match="expected a gray uint8 picture"):
        Preprocessing(64).prepare(pixels)


def test_the_cards_form_comes_back_the_same() -> None:
    ours = Preprocessing(128, GRAY_MEAN, GRAY_STD, neutralise_wedges=False)
    assert Preprocessing.from_dict(ours.to_dict()) == ours


@pytest.mark.parametrize(
    "damage",
    [{"size": "large"}, {"size": 100}, {"mean": None}, {"std": 3}, {"size": None}],
    ids=lambda damage: str(damage),
)
def test_a_damaged_card_is_a_checkpoint_error(damage: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="the run card's preprocessing cannot be read"):
        Preprocessing.from_dict({**Preprocessing().to_dict(), **damage})


def test_a_missing_key_of_the_card_is_named() -> None:
    raw = Preprocessing().to_dict()
    del raw["neutralise_wedges"]
    with pytest.raises(CheckpointError, match="neutralise_wedges"):
        Preprocessing.from_dict(raw)


def test_the_pixels_of_version_1_never_change() -> None:
    """Runs were trained on them: whoever changes the rule adds a version."""
    scan, _ = with_wedges(make_phantom("CNV", 41, 200, 260).pixels)
    prepared = Preprocessing(128, version=1).prepare(scan)
    assert hashlib.sha256(prepared.tobytes()).hexdigest() == (
        "bed566bed29fa15cfb7f91cba2c4fd72fbb3eaddad45c2b9d082183a113a6ffb"
    )


def test_a_later_version_changes_no_run_of_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, _ = with_wedges(make_phantom("CNV", 41, 200, 260).pixels)
    before = Preprocessing(64).prepare(scan)
    rules = {**preprocess.VERSIONS, 2: replace(preprocess.VERSIONS[1], background=90)}
    monkeypatch.setattr(preprocess, "VERSIONS", rules)
    old = Preprocessing.from_dict({**Preprocessing(64).to_dict(), "version": 1})
    new = Preprocessing.from_dict({**Preprocessing(64).to_dict(), "version": 2})
    np.testing.assert_array_equal(old.prepare(scan), before)
    assert (new.prepare(scan) != before).any()


def test_a_card_without_a_version_is_of_version_1_and_new_ones_say_theirs() -> None:
    raw = Preprocessing(64).to_dict()
    assert raw.pop("version") == preprocess.NEWEST
    assert Preprocessing.from_dict(raw).version == 1


@pytest.mark.parametrize("version", [2, 0, "one", None, [1]])
def test_an_unknown_version_is_refused_with_those_that_are_known(version: object) -> None:
    with pytest.raises(CheckpointError, match="of the preprocessing, this program knows 1; update"):
        Preprocessing.from_dict({**Preprocessing(64).to_dict(), "version": version})


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_a_corruption_grows_with_its_severity_and_is_seeded(name: str) -> None:
    pixels = np.stack(
        [Preprocessing(128).prepare(make_phantom(label, 5, 128, 128).pixels) for label in CLASSES]
    )
    before = pixels.copy()
    changed = [corrupt(pixels, name, severity, seed=3) for severity in SEVERITIES]
    change = [float(np.abs(each.astype(int) - pixels).mean()) for each in changed]
    assert 0 < change[0] < change[1] < change[2]
    assert all(each.dtype == np.uint8 and each.shape == pixels.shape for each in changed)
    np.testing.assert_array_equal(corrupt(pixels, name, 2, seed=3), changed[1])
    np.testing.assert_array_equal(pixels, before)


def test_speckle_has_the_same_grains_at_every_size() -> None:
    flat = {size: np.full((2, size, size), 100, dtype=np.uint8) for size in (64, 128, 224)}
    found = {size: corrupt(pixels, "speckle", 2, seed=3) for size, pixels in flat.items()}
    np.testing.assert_array_equal(found[64], found[128][:, ::2, ::2])
    at = np.arange(224) * 128 // 224
    np.testing.assert_array_equal(found[224], found[128][:, at][:, :, at])


def test_an_unknown_corruption_or_severity_is_refused() -> None:
    pixels = np.zeros((1, 64, 64), np.uint8)
    with pytest.raises(
        UnknownNameError, match="no corruption is called 'blurr'; did you mean blur"
    ):
        corrupt(pixels, "blurr", 1)
    with pytest.raises(MetricError, match=r"one of \(1, 2, 3\), not 4"):
        corrupt(pixels, "blur", 4)
