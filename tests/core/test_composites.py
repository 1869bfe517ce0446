"""Scans made of scans while a network trains: where the retina lies, drawn lesions, wider scans."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oct_core.scans.phantom import Phantom, make_phantom
from oct_core.scans.preprocess import Preprocessing
from oct_core.training.augment import Augmenter
from oct_core.training.composites import add_lesions, find_retina, widen
from oct_core.types import CLASSES

SIZE = 128
NORMAL, DME = CLASSES.index("NORMAL"), CLASSES.index("DME")


def phantoms(label: str = "NORMAL", count: int = 6) -> list[Phantom]:
    return [make_phantom(label, 300 + seed, SIZE, SIZE) for seed in range(count)]


def batch(listed: list[Phantom]) -> torch.Tensor:
    prepare = Preprocessing(SIZE, version=1).prepare
    pixels = np.stack([prepare(phantom.pixels) for phantom in listed])
    return torch.from_numpy(pixels)[:, None].float() / 255


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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
    labels = torch.tensor([0, 1, 2, NORMAL, NORMAL, NORMAL])
    before = gray.clone()
    drawn, told = add_lesions(gray, labels, 1.0, seeded())
    assert told.tolist() == [0, 1, 2, DME, DME, DME] and labels.tolist()[3:] == [NORMAL] * 3
    torch.testing.assert_close(gray, before, rtol=0, atol=0)
    changed = (drawn - gray).abs().amax((1, 2, 3))
    assert (changed[:3] == 0).all() and (changed[3:] > 0.05).all()
    assert drawn.min() >= 0 and drawn.max() <= 1


def test_drawn_lesions_lie_in_the_retina() -> None:
    listed = phantoms(count=8)
    gray = batch(listed)
    drawn, _ = add_lesions(gray, torch.full((8,), NORMAL), 1.0, seeded(1))
    inside = torch.from_numpy(np.stack([phantom.retina for phantom in listed]))[:, None]
    change = (drawn - gray).abs()
    assert float(change[inside].sum() / change.sum()) > 0.95


def test_the_share_of_scans_is_the_one_asked_for() -> None:
    gray = batch(phantoms(count=1)).expand(400, -1, -1, -1)[:, :, ::4, ::4].contiguous()
    _, told = add_lesions(gray, torch.full((400,), NORMAL), 0.3, seeded())
    assert float((told == DME).float().mean()) == pytest.approx(0.3, abs=0.07)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_without_a_normal_scan_or_a_share_nothing_is_done(share: float) -> None:
    gray, labels = batch(phantoms(count=2)), torch.tensor([DME, DME if share else NORMAL])
    generator = seeded()
    drawn, told = add_lesions(gray, labels, share, generator)
    assert drawn is gray and told is labels
    assert widen(gray, labels, share, generator) is gray
    if not share:  # an older recipe gets the random numbers that it always got
        assert (generator.get_state() == seeded().get_state()).all()


def test_a_wider_scan_shows_both_scans_side_by_side_at_one_height() -> None:
    bright, normal = phantoms("DME", 1)[0], phantoms("NORMAL", 1)[0]
    gray = batch([bright, normal])
    joined = widen(gray, torch.tensor([DME, NORMAL]), 1.0, seeded(3))[:1]
    retina = find_retina(joined)
    steps = retina.lower[0].diff().abs()
    assert float(steps.max()) < SIZE / 8, "the retina goes on over the seam"
    own, other = find_retina(gray[:1]), find_retina(gray[1:])
    left = retina.lower[0, : SIZE // 3] - retina.lower[0, 0]
    assert (left - (own.lower[0, ::2][: SIZE // 3] - own.lower[0, 0])).abs().median() < SIZE / 16
    assert other.lower.shape == own.lower.shape


def test_composites_are_seeded() -> None:
    gray, labels = batch(phantoms()), torch.tensor([NORMAL] * 3 + [DME] * 3)
    for make in (
        lambda seed: add_lesions(gray, labels, 0.7, seeded(seed))[0],
        lambda seed: widen(gray, labels, 0.7, seeded(seed)),
        lambda seed: Augmenter(0.0, seeded(seed), styles=1.0)(gray),
    ):
        torch.testing.assert_close(make(5), make(5), rtol=0, atol=0)
        assert (make(5) != make(6)).any()


@pytest.mark.parametrize("change", ["_sharpened", "_curved", "_shaded", "_shadowed", "_floored"])
def test_each_other_look_stays_in_range_and_grows_with_its_strength(change: str) -> None:
    gray = batch(phantoms("CNV"))
    weak, strong = (
        getattr(Augmenter(0.0, seeded(2), styles), change)(gray) for styles in (0.1, 1.0)
    )
    assert strong.min() >= 0 and strong.max() <= 1
    assert 0 < (weak - gray).abs().mean() < (strong - gray).abs().mean()


def test_a_tone_curve_rises() -> None:
    ramp = torch.linspace(0, 1, 64 * 64).view(1, 1, 64, 64).expand(8, -1, -1, -1).contiguous()
    curved = Augmenter(0.0, seeded(), 1.0)._curved(ramp).flatten(1)
    assert (curved.diff(dim=1) >= -1e-6).all()
