"""What is known of OCT2017's official test sets: hashes of version 2, names of version 3."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def official_test_hashes() -> frozenset[str]:
    """sha256 of the 1,000 official test images of OCT2017 (version 2, the one on Kaggle).

    Copies of them sit in its own train folder under other names, so the name proves nothing.
    """
    return frozenset(
        Path(__file__).with_name("oct2017_official_test.sha256").read_text(encoding="utf-8").split()
    )
