"""Scans made of scans while a network trains: where the retina lies, drawn lesions, wider scans."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from oct_core.scans.phantom import Phantom, make_phantom
from oct_core.scans.preprocess import Preprocessing
from oct_core.training import composites
from oct_core.training.augment import Augmenter, look_up, smoothed
from oct_core.training.composites import (
    Composites,
    add_lesions,
    find_retina,
    plan_composites,
    widen,
)
from oct_core.training.draws import Draws
from oct_core.types import CLASSES

SIZE = 128
NORMAL, DME = CLASSES.index("NORMAL"), CLASSES.index("DME")


def phantoms(label: str = "NORMAL", count: int = 6) -> list[Phantom]:
    return [make_phantom(label, 300 + seed, SIZE, SIZE) for seed in range(count)]


def batch(listed: list[Phantom]) -> torch.Tensor:
    prepare = Preprocessing(SIZE, version=1).prepare
    pixels = np.stack([prepare(phantom.pixels) for phantom in listed])
    return torch.from_numpy(pixels)[:, None].float() / 255


def seeded(count: int, seed: int = 0) -> Draws:
    return Draws.seeded(seed, torch.device("cpu"), count)


def every(count: int) -> np.ndarray:
    return np.ones(count, dtype=bool)


def plan(labels: list[int], lesions: float, widening: float, seed: int = 0) -> Composites:
    return plan_composites(np.array(labels), lesions, widening, np.random.default_rng(seed))


@pytest.mark.parametrize("label", CLASSES)
def test_the_retina_is_found_where_the_phantom_has_it(label: str) -> None:
    listed = phantoms(label)
    retina = find_retina(batch(listed))
    rows = torch.arange(SIZE).view(1, -1, 1)
    found = (rows >= retina.upper[:, None]) & (rows <= retina.lower[:, None])
    for mask, phantom in zip(found.numpy(), listed, strict=True):
        assert (mask & phantom.retina).sum() / (mask | phantom.retina).sum() > 0.6


def test_lesions_are_drawn_into_normal_scans_only_and_make_them_dme() -> None:
    gray = batch(phantoms())
    labels = [0, 1, 2, NORMAL, NORMAL, NORMAL]
    made = plan(labels, 1.0, 0.0)
    assert made.labels.tolist() == [0, 1, 2, DME, DME, DME] and not made.wider.any()
    drawn = add_lesions(gray.clone(), made.lesions, seeded(6))
    changed = (drawn - gray).abs().amax((1, 2, 3))
    assert (changed[:3] == 0).all() and (changed[3:] > 0.05).all()
    assert drawn.min() >= 0 and drawn.max() <= 1


def test_drawn_lesions_lie_in_the_retina() -> None:
    listed = phantoms(count=8)
    gray = batch(listed)
    drawn = add_lesions(gray.clone(), every(8), seeded(8, 1))
    inside = torch.from_numpy(np.stack([phantom.retina for phantom in listed]))[:, None]
    change = (drawn - gray).abs()
    assert float(change[inside].sum() / change.sum()) > 0.95


def test_a_blob_is_computed_as_far_as_it_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same lesions computed over the whole scan differ by less than a gray level."""
    gray = batch(phantoms())
    near = add_lesions(gray.clone(), every(6), seeded(6, 2))
    monkeypatch.setattr(composites, "_REACH", 100.0)
    far = add_lesions(gray.clone(), every(6), seeded(6, 2))
    assert (near - gray).abs().max() > 0.1 and (near - far).abs().max() < 1 / 255


def test_the_shares_of_scans_are_those_asked_for() -> None:
    made = plan([NORMAL] * 400, 0.3, 0.2)
    assert made.lesions.mean() == pytest.approx(0.3, abs=0.07)
    assert made.wider.mean() == pytest.approx(0.2, abs=0.07)
    assert (made.labels == DME).tolist() == made.lesions.tolist()


def test_without_a_normal_scan_or_a_share_nothing_is_done() -> None:
    for made in (plan([DME, DME], 1.0, 1.0), plan([DME, NORMAL], 0.0, 0.0)):
        assert not made.lesions.any() and not made.wider.any()
        gray = batch(phantoms(count=2))
        before = gray.clone()
        assert torch.equal(add_lesions(gray, made.lesions, seeded(2)), before)
        assert torch.equal(widen(gray, gray[:0], made.wider, seeded(2)), before)


def test_only_a_normal_scan_without_lesions_is_put_beside_another() -> None:
    for seed in range(20):
        made = plan([DME, NORMAL, NORMAL, 0], 0.5, 0.7, seed)
        assert (made.labels[made.beside[made.wider]] == NORMAL).all()


def test_a_wider_scan_shows_both_scans_side_by_side_at_one_height() -> None:
    bright, normal = phantoms("DME", 1)[0], phantoms("NORMAL", 1)[0]
    gray = batch([bright, normal])
    joined = widen(gray.clone(), gray[1:], np.array([True, False]), seeded(2, 3))[:1]
    retina = find_retina(joined)
    steps = retina.lower[0].diff().abs()
    assert float(steps.max()) < SIZE / 8, "the retina goes on over the seam"
    own, other = find_retina(gray[:1]), find_retina(gray[1:])
    left = retina.lower[0, : SIZE // 3] - retina.lower[0, 0]
    assert (left - (own.lower[0, ::2][: SIZE // 3] - own.lower[0, 0])).abs().median() < SIZE / 16
    assert other.lower.shape == own.lower.shape


def test_composites_are_seeded() -> None:
    gray = batch(phantoms())
    for make in (
        lambda seed: add_lesions(gray.clone(), every(6), seeded(6, seed)),
        lambda seed: widen(gray.clone(), gray, every(6), seeded(6, seed)),
        lambda seed: Augmenter(0.0, styles=1.0)(gray, seeded(6, seed)),
    ):
        torch.testing.assert_close(make(5), make(5), rtol=0, atol=0)
        assert (make(5) != make(6)).any()


@pytest.mark.parametrize("change", ["_sharpened", "_curved", "_shaded", "_shadowed", "_floored"])
def test_each_other_look_stays_in_range_and_grows_with_its_strength(change: str) -> None:
    gray = batch(phantoms("CNV"))
    weak, strong = (
        getattr(Augmenter(0.0, styles), change)(gray, seeded(6, 2)) for styles in (0.1, 1.0)
    )
    assert strong.min() >= 0 and strong.max() <= 1
    assert 0 < (weak - gray).abs().mean() < (strong - gray).abs().mean()


def test_a_tone_curve_rises() -> None:
    ramp = torch.linspace(0, 1, 64 * 64).view(1, 1, 64, 64).expand(8, -1, -1, -1).contiguous()
    curved = Augmenter(0.0, 1.0)._curved(ramp, seeded(8)).flatten(1)
    assert (curved.diff(dim=1) >= -1e-6).all()


def test_smoothing_is_three_pixels_averaged_each_way_twice() -> None:
    gray = batch(phantoms(count=2))
    twice = F.avg_pool2d(F.avg_pool2d(gray, 3, 1, 1), 3, 1, 1)
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    torch.testing.assert_close(smoothed(gray)[inner], twice[inner], rtol=0, atol=1e-5)


def test_a_table_is_read_at_the_nearest_entry_and_each_scan_has_its_own() -> None:
    gray = torch.tensor([[0.0, 0.24], [0.26, 1.0]]).repeat(2, 1, 1, 1)
    tables = torch.tensor([[0.0, 0.5, 0.9], [1.0, 0.2, 0.0]])
    found = look_up(gray, tables)
    torch.testing.assert_close(found[0, 0], torch.tensor([[0.0, 0.0], [0.5, 0.9]]))
    torch.testing.assert_close(found[1, 0], torch.tensor([[1.0, 1.0], [0.2, 0.0]]))
