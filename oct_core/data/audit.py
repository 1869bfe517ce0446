"""What a reviewer would look for: equal pictures in different parts, and official test scans inside
a training part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from oct_core.data.manifest import Record


def find_duplicates(records: Sequence[Record]) -> list[list[str]]:
    """Groups of paths with equal bytes that stand in different splits or under different labels."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.sha256].append(record)
    return [
        sorted(record.path for record in group)
        for group in groups.values()
        if len({(record.split, record.label) for record in group}) > 1
    ]


@cache
def official_test_hashes() -> frozenset[str]:
    """sha256 of the 1,000 official test images of OCT2017 (version 2, the one on Kaggle).

    Copies of them sit in its own train folder under other names, so the name proves nothing.
    """
    return frozenset(
        Path(__file__).with_name("oct2017_official_test.sha256").read_text(encoding="utf-8").split()
    )


def official_test_in_training(records: Sequence[Record]) -> list[str]:
    """Paths of training and validation scans that are images of OCT2017's official test set."""
    known = official_test_hashes()
    return sorted(
        record.path for record in records if record.split != "test" and record.sha256 in known
    )
