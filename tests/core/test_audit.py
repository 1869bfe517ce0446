"""The audit finds official test images by content, whatever they are called."""

from __future__ import annotations

from oct_core.data.audit import find_conflicts, find_duplicates, official_test_in_training
from oct_core.data.manifest import Record
from oct_core.data.official import official_test_hashes


def record(path: str, label: str, sha256: str, split: str) -> Record:
    return Record(path, label, "1", sha256, 10, 10, split)


def test_the_official_list_has_a_thousand_hashes() -> None:
    assert len(official_test_hashes()) == 1000
    assert all(len(each) == 64 for each in official_test_hashes())


def test_official_images_in_training_are_found_under_any_name() -> None:
    one, two = sorted(official_test_hashes())[:2]
    rows = [
        record("renamed.png", "CNV", one, "train"),
        record("kept.png", "CNV", two, "test"),
        record("own.png", "DME", "0" * 64, "val"),
    ]
    assert official_test_in_training(rows) == ["renamed.png"]


def test_duplicates_are_groups_across_parts_and_conflicts_pairs_across_labels() -> None:
    rows = [
        record("a", "CNV", "x", "train"),
        record("b", "CNV", "x", "train"),
        record("c", "DME", "y", "train"),
    ]
    assert find_duplicates(rows) == [] and find_conflicts(rows) == {}
    rows += [record("d", "DRUSEN", "y", "train"), record("e", "CNV", "x", "test")]
    assert find_duplicates(rows) == [["a", "b", "e"]]
    assert find_conflicts(rows) == {"y": (2, 3)}
