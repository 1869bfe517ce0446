"""What is known of OCT2017's official test sets: hashes of version 2, names of version 3."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from oct_core.data.manifest import Record


@cache
def official_test_hashes() -> frozenset[str]:
    """sha256 of the 1,000 official test images of OCT2017 (version 2, the one on Kaggle).

    Copies of them sit in its own train folder under other names, so the name proves nothing.
    """
    return frozenset(
        Path(__file__).with_name("oct2017_official_test.sha256").read_text(encoding="utf-8").split()
    )


@cache
def version_3_test_names() -> frozenset[str]:
    """File names of the 1,000 test images of OCT2017 version 3; none of them is one of version
    2's.
    """
    names = Path(__file__).with_name("oct2017_v3_test.names").read_text(encoding="utf-8")
    return frozenset(names.split())


def official_test_in_training(records: Sequence[Record]) -> list[str]:
    """Paths of training and validation scans that are images of OCT2017's official test set."""
    known = official_test_hashes()
    return sorted(
        record.path for record in records if record.split != "test" and record.sha256 in known
    )
