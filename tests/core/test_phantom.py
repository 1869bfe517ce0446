"""Synthetic B-scans: a seed gives the same pixels, and the mask is where the lesion is."""

from __future__ import annotations

import numpy as np
import pytest

from oct_core.errors import DataError, OctError, ScanError, UnknownNameError
from oct_core.scans.phantom import LARGEST, SMALLEST, make_phantom, phantom_set
from oct_core.types import CLASSES, Phantom

LESION_CLASSES = tuple(label for label in CLASSES if label != "NORMAL")
SEEDS = range(6)


def mean_inside(phantom: Phantom, mask: np.ndarray) -> float:
    return float(phantom.pixels[mask].mean())


@pytest.mark.parametrize("label", CLASSES)
@pytest.mark.parametrize(("height", "width"), [(496, 512), (496, 768), (64, 64), (100, 211)])
def test_shapes_and_types(label: str, height: int, width: int) -> None:
    phantom = make_phantom(label, 3, height, width)
    assert (phantom.label, phantom.seed) == (label, 3)
    for array, kind in (
        (phantom.pixels, np.uint8),
        (phantom.lesion, np.bool_),
        (phantom.retina, np.bool_),
    ):
        assert array.shape == (height, width)
        assert array.dtype == kind


@pytest.mark.parametrize("label", CLASSES)
def test_the_same_seed_draws_the_same_scan(label: str) -> None:
    first, second = make_phantom(label, 11, 96, 96), make_phantom(label, 11, 96, 96)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.lesion, second.lesion)
    np.testing.assert_array_equal(first.retina, second.retina)


def test_the_global_generator_neither_matters_nor_moves() -> None:
    np.random.seed(5)
    expected = np.random.random()
    reference = make_phantom("CNV", 2, 64, 64).pixels
    np.random.seed(5)
    np.testing.assert_array_equal(make_phantom("CNV", 2, 64, 64).pixels, reference)
    assert np.random.random() == expected


@pytest.mark.parametrize("label", CLASSES)
def test_other_seeds_draw_other_eyes(label: str) -> None:
    retinas = [make_phantom(label, seed, 96, 96).retina for seed in SEEDS]
    for index, retina in enumerate(retinas):
        assert all(np.any(retina != other) for other in retinas[:index])


def test_one_seed_draws_different_eyes_for_different_classes() -> None:
    """Else a classifier could pair the classes by their shared speckle."""
    retinas = [make_phantom(label, 4, 96, 96).retina for label in CLASSES]
    for index, retina in enumerate(retinas):
        assert all(np.mean(retina != other) > 0.01 for other in retinas[:index])


@pytest.mark.parametrize("label", CLASSES)
@pytest.mark.parametrize("size", [64, 224])
def test_only_a_lesion_class_has_a_lesion(label: str, size: int) -> None:
    for seed in range(40 if size == 64 else 10):
        area = float(make_phantom(label, seed, size, size).lesion.mean())
        if label == "NORMAL":
            assert area == 0
        else:
            assert 0.0005 < area < 0.2, f"{label} seed {seed} at {size}: lesion covers {area:.4f}"


@pytest.mark.parametrize("label", CLASSES)
def test_the_retina_is_one_band_that_the_lesion_does_not_leave(label: str) -> None:
    for seed in range(20):
        phantom = make_phantom(label, seed, 128, 160)
        assert not np.any(phantom.lesion & ~phantom.retina)
        per_column = phantom.retina.sum(axis=0)
        assert per_column.min() > 8
        top, bottom = phantom.retina.argmax(axis=0), 128 - phantom.retina[::-1].argmax(axis=0)
        np.testing.assert_array_equal(bottom - top, per_column)
        assert top.min() > 0
        assert bottom.max() < 128


@pytest.mark.parametrize("seed", SEEDS)
def test_drusen_lie_on_bruchs_membrane(seed: int) -> None:
    """The mask of drusen ends at the retina's lower border and never reaches its inner half."""
    phantom = make_phantom("DRUSEN", seed)
    depth = np.cumsum(phantom.retina, axis=0) / phantom.retina.sum(axis=0)
    columns = phantom.lesion.any(axis=0)
    lowest_retina = 496 - phantom.retina[::-1].argmax(axis=0)
    lowest_lesion = 496 - phantom.lesion[::-1].argmax(axis=0)
    np.testing.assert_array_equal(lowest_lesion[columns], lowest_retina[columns])
    assert depth[phantom.lesion].min() > 0.4


@pytest.mark.parametrize("seed", SEEDS)
def test_the_fluid_of_oedema_is_dark(seed: int) -> None:
    phantom = make_phantom("DME", seed)
    assert mean_inside(phantom, phantom.lesion) < 0.75 * mean_inside(
        phantom, phantom.retina & ~phantom.lesion
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_drusen_are_bright(seed: int) -> None:
    """RPE over a filled mound is brighter than the rest of the retina."""
    phantom = make_phantom("DRUSEN", seed)
    assert mean_inside(phantom, phantom.lesion) > 1.2 * mean_inside(
        phantom, phantom.retina & ~phantom.lesion
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_neovascularisation_mixes_bright_and_dark(seed: int) -> None:
    """RPE or material well above the mean of the retina around it, fluid or filling below."""
    phantom = make_phantom("CNV", seed)
    around = mean_inside(phantom, phantom.retina & ~phantom.lesion)
    dark, bright = np.percentile(phantom.pixels[phantom.lesion], [10, 90])
    assert dark < around
    assert bright > 1.3 * around


def test_oedema_thickens_the_retina() -> None:
    def mean_greatest_thickness(label: str) -> float:
        return float(
            np.mean(
                [make_phantom(label, seed, 128, 128).retina.sum(axis=0).max() for seed in range(20)]
            )
        )

    assert mean_greatest_thickness("DME") > 1.2 * mean_greatest_thickness("NORMAL")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rpe_is_the_brightest_line_of_a_normal_retina(seed: int) -> None:
    """Columns aligned at Bruch's membrane: the mean profile peaks within the RPE and falls to both
    sides.
    """
    phantom = make_phantom("NORMAL", seed)
    bruch = 496 - phantom.retina[::-1].argmax(axis=0)
    offsets = np.arange(-60, 60)
    profile = phantom.pixels[bruch + offsets[:, None], np.arange(512)].mean(axis=1)
    peak = int(offsets[profile.argmax()])
    assert -10 <= peak <= 0
    assert profile.max() > 2 * profile[offsets == 40][0]
    assert profile.max() > 2 * profile[offsets == -40][0]


@pytest.mark.parametrize("label", CLASSES)
def test_the_vitreous_is_darker_than_the_retina(label: str) -> None:
    for seed in SEEDS:
        phantom = make_phantom(label, seed, 224, 224)
        above = np.cumsum(phantom.retina, axis=0) == 0
        assert mean_inside(phantom, above) < 0.5 * mean_inside(phantom, phantom.retina)


@pytest.mark.parametrize("label", CLASSES)
def test_speckle_grows_with_the_signal(label: str) -> None:
    """Multiplicative noise: neighbouring rows differ more in the RPE than in the vitreous."""
    phantom = make_phantom(label, 1)
    pixels = phantom.pixels.astype(np.float64)
    step = np.abs(np.diff(pixels, axis=1))
    above = (np.cumsum(phantom.retina, axis=0) == 0)[:, 1:]
    assert step[phantom.retina[:, 1:]].mean() > 1.5 * step[above].mean()


def test_brightness_does_not_tell_the_class() -> None:
    """Gain and contrast are drawn alike: the classes' mean brightness differs by less than they
    vary within.
    """
    means = {
        label: [float(make_phantom(label, seed, 96, 96).pixels.mean()) for seed in range(30)]
        for label in CLASSES
    }
    between = np.ptp([np.mean(values) for values in means.values()])
    within = np.mean([np.std(values) for values in means.values()])
    assert between < 1.5 * within


def test_a_set_holds_every_class_in_order() -> None:
    phantoms = phantom_set(2, seed=1, height=64, width=64)
    assert [p.label for p in phantoms] == [label for label in CLASSES for _ in range(2)]
    assert [p.seed for p in phantoms[:2]] == [100_000, 100_001]
    np.testing.assert_array_equal(phantoms[1].pixels, make_phantom("CNV", 100_001, 64, 64).pixels)


def test_sets_of_other_seeds_share_nothing() -> None:
    first = {(p.label, p.seed) for p in phantom_set(3, seed=0, height=64, width=64)}
    assert not first & {(p.label, p.seed) for p in phantom_set(3, seed=1, height=64, width=64)}


def test_the_scan_is_called_synthetic() -> None:
    scan = make_phantom("DME", 7, 64, 64).scan
    assert "synthetic" in scan.name
    assert scan.source == "sample"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("AMD", 0), UnknownNameError, "expected a class of CNV, DME, DRUSEN, NORMAL; got 'AMD'"),
        (("cnv", 0), UnknownNameError, "in capitals"),
        (
            ("CNV", 0, SMALLEST - 1, 512),
            ScanError,
            "expected a phantom of 64 to 2048 pixels a side; got height 63, width 512",
        ),
        (("CNV", 0, 496, LARGEST + 1), ScanError, "got height 496, width 2049"),
        (("CNV", -1), DataError, "expected a seed of 0 or more; got -1"),
    ],
)
def test_a_wrong_request_is_refused(
    arguments: tuple[str, int], error: type[OctError], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_phantom(*arguments)


@pytest.mark.parametrize("per_class", [0, -2, 100_001])
def test_a_set_of_a_wrong_size_is_refused(per_class: int) -> None:
    with pytest.raises(DataError, match=f"expected 1 to 100000 phantoms a class; got {per_class}"):
        phantom_set(per_class, seed=0)


@pytest.mark.parametrize("label", LESION_CLASSES)
def test_the_lesion_can_be_seen(label: str) -> None:
    """Painting differs inside the mask: its histogram is far from the rest of the retina's (total
    variation).
    """
    for seed in SEEDS:
        phantom = make_phantom(label, seed)
        inside, _ = np.histogram(phantom.pixels[phantom.lesion], bins=16, range=(0, 256))
        outside, _ = np.histogram(
            phantom.pixels[phantom.retina & ~phantom.lesion], bins=16, range=(0, 256)
        )
        assert 0.5 * np.abs(inside / inside.sum() - outside / outside.sum()).sum() > 0.15
