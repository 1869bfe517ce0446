"""Near duplicates: the hash against its literal twin, the search against every two compared."""

from __future__ import annotations

import io
import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from oct_core.data import near
from oct_core.data.near import COARSE_BITS, FINE_BITS, Hashes, find_near, perceptual_hash
from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES, GrayImage


def scan(seed: int) -> GrayImage:
    return make_phantom(CLASSES[seed % 4], 7000 + seed, 248, 256).pixels


def bits_of(words: Hashes) -> NDArray[np.bool_]:
    return np.unpackbits(words.view(np.uint8)).astype(bool)


def differ(one: Hashes, other: Hashes) -> tuple[int, int]:
    """(coarse, fine) bits that differ, counted one by one."""
    apart = bits_of(one) != bits_of(other)
    return int(apart[:64].sum()), int(apart[64:].sum())


def test_the_hash_is_the_low_frequencies_above_their_median() -> None:
    for seed in range(4):
        pixels = scan(seed)
        small = Image.fromarray(pixels).resize((64, 64), Image.Resampling.BOX)
        waves = dctn(np.asarray(small, dtype=np.float64), norm="ortho")
        words = perceptual_hash(pixels)
        for side, bits in ((8, bits_of(words[:1])), (16, bits_of(words[1:]))):
            low = waves[:side, :side].ravel()[1:]
            assert (bits[: len(low)] == (low > np.median(low))).mean() > 0.99
            assert not bits[len(low) :].any()


def saved_again(pixels: GrayImage) -> GrayImage:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))


def halved(pixels: GrayImage) -> GrayImage:
    return np.asarray(Image.fromarray(pixels).resize((128, 124), Image.Resampling.BILINEAR))


def brightened(pixels: GrayImage) -> GrayImage:
    return np.clip(pixels * 1.15 + 8, 0, 255).astype(np.uint8)


def noisy(pixels: GrayImage) -> GrayImage:
    noise = np.random.default_rng(0).normal(0, 8, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("change", [saved_again, halved, brightened, noisy])
def test_a_scan_that_was_changed_a_little_is_near_and_other_scans_are_not(change: object) -> None:
    assert callable(change)
    hashes = [perceptual_hash(scan(seed)) for seed in range(12)]
    for seed, own in enumerate(hashes):
        coarse, fine = differ(own, perceptual_hash(change(scan(seed))))
        assert coarse <= COARSE_BITS and fine <= FINE_BITS
    for one, other in combinations(hashes, 2):
        assert differ(one, other)[1] > FINE_BITS


def study(n: int, seed: int = 0) -> tuple[Hashes, NDArray[np.int64]]:
    """Random hashes, a third of them others again with a few bits turned."""
    generator = np.random.default_rng(seed)
    hashes = generator.integers(0, 2**64, (n, 5), dtype=np.uint64)
    for row in range(0, n, 3):
        hashes[row] = hashes[generator.integers(0, n)]
        for bit in generator.integers(0, 320, generator.integers(0, 40)):
            hashes[row, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    return hashes, generator.integers(0, 3, n)


@pytest.mark.parametrize("block", [(128, 4096), (7, 11)])
def test_the_search_finds_what_comparing_every_two_finds(
    block: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near, "_ROWS", block[0])
    monkeypatch.setattr(near, "_COLUMNS", block[1])
    hashes, groups = study(160)
    found = find_near(hashes, groups)
    for row in range(len(hashes)):
        best = 256
        for other in range(len(hashes)):
            coarse, fine = differ(hashes[row], hashes[other])
            if groups[other] != groups[row] and coarse <= COARSE_BITS and fine <= FINE_BITS:
                best = min(best, fine)
        assert found.distance[row] == best
        if best == 256:
            assert found.row[row] == -1
        else:
            partner = int(found.row[row])
            assert groups[partner] != groups[row]
            assert differ(hashes[row], hashes[partner])[1] == best
    assert 10 < (found.row >= 0).sum() < 160
    pairs = found.pairs()
    assert [bits for *_, bits in pairs] == sorted(bits for *_, bits in pairs)
    assert len({frozenset(pair[:2]) for pair in pairs}) == len(pairs)
    assert {row for pair in pairs for row in pair[:2]} >= set(np.flatnonzero(found.row >= 0))


def test_one_group_has_no_pairs_and_equal_scans_of_two_groups_have() -> None:
    hashes = np.repeat(study(1)[0], 1000, axis=0)
    assert find_near(hashes, np.zeros(1000, dtype=np.int64)).pairs() == []
    found = find_near(hashes, np.arange(1000) % 2)
    assert (found.distance == 0).all() and (found.row % 2 != np.arange(1000) % 2).all()


def test_memory_is_linear() -> None:
    peaks = []
    for n in (5_000, 20_000):
        hashes, groups = study(n)
        tracemalloc.start()
        find_near(hashes, groups)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0] + 15_000 * 400
