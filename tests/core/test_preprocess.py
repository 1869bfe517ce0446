"""Preprocessing: the whole scan, stretched; white wedges found and painted out; the card's form."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from oct_core.errors import CheckpointError, MetricError, ScanError, UnknownNameError
from oct_core.scans import preprocess, wedges
from oct_core.scans.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import (
    GRAY_MEAN,
    GRAY_STD,
    SIZES,
    Preprocessing,
    Rows,
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
        Preprocessing(64, version=1).prepare(pixels).astype(int) for pixels in (scan, painted)
    )
    left = Preprocessing(64, neutralise_wedges=False, version=1).prepare(painted).astype(int)
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
    prepared = Preprocessing(64, version=1).prepare(pixels)
    np.testing.assert_array_equal(prepared, np.full((64, 64), value))


@pytest.mark.parametrize("size", SIZES)
def test_version_1_stretches_the_whole_scan_to_the_size(size: int) -> None:
    pixels = np.zeros((100, 400), dtype=np.uint8)
    pixels[:, :40], pixels[:, -40:] = 200, 100  # both ends of a wide scan must be there
    prepared = Preprocessing(size, version=1).prepare(pixels)
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


def test_the_pixels_of_version_2_never_change() -> None:
    scan, _ = with_wedges(make_phantom("CNV", 41, 200, 260).pixels)
    prepared = Preprocessing(128, version=2).prepare(scan)
    assert hashlib.sha256(prepared.tobytes()).hexdigest() == (
        "28e40a942df7532f185e986e1ae8beb10bc97616be85905f502601aed352a202"
    )


@pytest.mark.parametrize("label", CLASSES)
@pytest.mark.parametrize("shape", [(496, 512), (326, 800)])
def test_version_2_sees_the_whole_retina_with_its_lesion(
    label: str, shape: tuple[int, int]
) -> None:
    for seed in range(3):
        phantom = make_phantom(label, 70 + seed, *shape)
        rows = Preprocessing(64, version=2).rows(phantom.pixels)
        assert rows.height == shape[0] and not rows.all
        outside = phantom.retina.copy()
        outside[rows.first : rows.last] = False
        # The outermost columns may reach further up or down.
        assert outside.sum() < 0.02 * phantom.retina.sum()
        assert not (outside & phantom.lesion).any()


def test_the_rows_are_those_of_the_scan_however_it_lies_in_the_picture() -> None:
    """The same retina higher up, with more black below, gives the network the same picture."""
    phantom = make_phantom("DME", 5).pixels
    preprocessing = Preprocessing(64, version=2)
    rows = preprocessing.rows(phantom)
    padded = np.concatenate([phantom, np.repeat(phantom[-1:], 200, axis=0)])
    moved = preprocessing.rows(padded)
    assert abs(moved.first - rows.first) <= 12 and abs(moved.last - rows.last) <= 12
    change = preprocessing.prepare(padded).astype(int) - preprocessing.prepare(phantom)
    whole = Preprocessing(64, version=1)
    before = whole.prepare(padded).astype(int) - whole.prepare(phantom)
    assert np.abs(change).mean() < 0.4 * np.abs(before).mean()


@pytest.mark.parametrize("gain", [0.5, 0.8])
@pytest.mark.parametrize("black", [0, 25])
def test_contrast_and_black_level_of_a_device_are_gone_in_version_2(
    gain: float, black: int
) -> None:
    scan = (make_phantom("DRUSEN", 8).pixels * 0.9).astype(np.uint8)
    other = (scan * gain + black).astype(np.uint8)
    one, two = (Preprocessing(64, version=2).prepare(each).astype(int) for each in (scan, other))
    assert np.abs(one - two).mean() < 3
    raw = [Preprocessing(64, version=1).prepare(each).astype(int) for each in (scan, other)]
    assert np.abs(raw[0] - raw[1]).mean() > 3 * np.abs(one - two).mean()
    smooth = ndimage.gaussian_filter(one.astype(float), 64 / 200)
    np.testing.assert_allclose(np.percentile(smooth, [10, 99.5]), [16, 200], atol=4)


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((80, 90), 7, np.uint8),
        np.full((80, 90), 255, np.uint8),
        np.random.default_rng(0).integers(0, 12, (90, 120), dtype=np.uint8),
        np.pad(np.full((20, 10), 250, np.uint8), ((30, 40), (50, 60))),  # no band: a bright spot
        np.eye(2, dtype=np.uint8) * 255,
        np.zeros((1, 300), np.uint8),
    ],
    ids=["dark", "white", "noise", "spot", "tiny", "line"],
)
def test_where_no_band_is_found_all_rows_are_seen(pixels: np.ndarray) -> None:
    preprocessing = Preprocessing(64, version=2)
    assert preprocessing.rows(pixels).all
    assert preprocessing.prepare(pixels).shape == (64, 64)


@pytest.mark.parametrize("rows", [Rows(61, 224, 326), Rows(0, 30, 100), Rows(70, 100, 100)])
def test_rows_of_a_map_at_another_height(rows: Rows) -> None:
    for height in (rows.height, 57, 640):
        part = rows.at(height)
        assert part.start / height == pytest.approx(rows.first / rows.height, abs=0.5 / height)
        assert part.stop / height == pytest.approx(rows.last / rows.height, abs=0.5 / height)
    for side in (64, 224):
        height, first = rows.whole(side)
        assert 0 <= first <= height - side
        assert side / height == pytest.approx((rows.last - rows.first) / rows.height, abs=0.01)
        assert first / height == pytest.approx(rows.first / rows.height, abs=0.01)
    assert Rows(0, 50, 50).all and Rows(0, 50, 50).whole(64) == (64, 0)


def test_a_later_version_changes_no_run_of_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, _ = with_wedges(make_phantom("CNV", 41, 200, 260).pixels)
    before = Preprocessing(64, version=1).prepare(scan)
    rules = {**preprocess.VERSIONS, 3: replace(preprocess.VERSIONS[1], background=90)}
    for module in (preprocess, wedges):
        monkeypatch.setattr(module, "VERSIONS", rules)
    old = Preprocessing.from_dict({**Preprocessing(64).to_dict(), "version": 1})
    new = Preprocessing.from_dict({**Preprocessing(64).to_dict(), "version": 3})
    np.testing.assert_array_equal(old.prepare(scan), before)
    assert (new.prepare(scan) != before).any()


def test_a_card_without_a_version_is_of_version_1_and_new_ones_say_theirs() -> None:
    raw = Preprocessing(64).to_dict()
    assert raw.pop("version") == preprocess.NEWEST
    assert Preprocessing.from_dict(raw).version == 1


@pytest.mark.parametrize("version", [3, 0, "one", None, [1]])
def test_an_unknown_version_is_refused_with_those_that_are_known(version: object) -> None:
    with pytest.raises(
        CheckpointError, match="of the preprocessing, this program knows 1, 2; update"
    ):
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


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_a_corruption_of_many_scans_is_what_it_makes_of_them_at_once(name: str) -> None:
    """A few at a time, with the noise of one draw."""
    scans = np.random.default_rng(0).integers(0, 256, (7, 64, 64)).astype(np.uint8)
    whole = CORRUPTIONS.get(name)(scans / 255.0, 2, np.random.default_rng(3))
    expected = np.round(np.clip(whole, 0, 1) * 255).astype(np.uint8)
    np.testing.assert_array_equal(corrupt(scans, name, 2, seed=3), expected)


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
