"""Equal pictures where they should not be: in different parts, or under different labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from oct_core.data.manifest import Record


def find_duplicates(records: Sequence[Record]) -> list[list[str]]:
    """Groups of paths with equal bytes that stand in different parts."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.sha256].append(record)
    return [
        sorted(record.path for record in group)
        for group in groups.values()
        if len({record.split for record in group}) > 1
    ]


def find_conflicts(records: Sequence[Record]) -> dict[str, tuple[int, int]]:
    """sha256 of the scans that stand under two labels -> the rows of the first two that differ."""
    first: dict[str, int] = {}
    conflicts: dict[str, tuple[int, int]] = {}
    for row, record in enumerate(records):
        before = first.setdefault(record.sha256, row)
        if records[before].label != record.label:
            conflicts.setdefault(record.sha256, (before, row))
    return conflicts
