"""Drawn pictures that are no B-scan: gray, of ordinary sizes, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from oct_core.errors import UnknownNameError
from oct_core.trust.wrong_inputs import ANATOMY, PICTURES, draw_picture


@pytest.mark.parametrize("kind", [*PICTURES, *ANATOMY])
def test_a_kind_of_picture_is_gray_and_decided_by_its_seed(kind: str) -> None:
    scan = draw_picture(kind, 1)
    assert scan.pixels.dtype == np.uint8 and scan.pixels.ndim == 2
    assert scan.pixels.shape in {(384, 384), (496, 512), (300, 400), (512, 384)}
    assert scan.name == f"{kind} #1" and scan.source == "sample" and scan.colour is None
    np.testing.assert_array_equal(scan.pixels, draw_picture(kind, 1).pixels)
    other = draw_picture(kind, 2).pixels
    assert other.shape != scan.pixels.shape or (other != scan.pixels).any()


def test_there_are_kinds_enough_and_none_is_in_both_registries() -> None:
    assert len(PICTURES) >= 12 and len(ANATOMY) >= 3
    assert not set(PICTURES) & set(ANATOMY)
    with pytest.raises(UnknownNameError, match="kind of picture"):
        draw_picture("a cat", 0)
