"""benchmarks/scale.py: what it measures, and what it calls linear."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from scale import Cost, growth, measured, run_step, write_pack

from oct_core.data.pack import open_pack


def test_growth_is_of_the_last_size_and_none_where_there_is_too_little() -> None:
    sizes = (10, 100, 1000)
    assert growth([1.0, 10.0, 100.0], sizes, 0.5) == 1.0
    assert growth([1.0, 10.0, 1000.0], sizes, 0.5) == 10.0, "the square of the size"
    assert growth([5.0, 6.0, 15.0], sizes, 0.5) == 0.25, "mostly a constant"
    assert growth([0.0, 0.0, 0.4], sizes, 0.5) is None
    assert growth([0.0, 0.001, 0.9], sizes, 0.5) == 1.8, "no growth out of rounding"
    assert growth([1.0], (10,), 0.5) is None


def test_processor_time_and_the_most_memory_are_measured() -> None:
    costs: list[Cost] = []
    with measured(costs):
        block = np.ones(12_500_000)
        start = time.process_time()
        while time.process_time() < start + 0.1:
            pass
        time.sleep(0.1)  # it is watched from beside: it must be seen before it goes
        del block
    assert 80 < costs[0].megabytes < 150
    assert costs[0].processor >= 0.1 and costs[0].wall >= costs[0].processor


def test_a_generated_collection_can_be_opened_and_has_all_parts(tmp_path: Path) -> None:
    write_pack(tmp_path / "pack", 160, 32)
    pack = open_pack(tmp_path / "pack")
    assert [len(pack.rows(split)) for split in ("train", "val", "test")] == [120, 20, 20]
    val = pack.rows("val")
    assert set(pack.labels[val]) == {0, 1, 2, 3}
    assert len({pack.records[row].patient for row in val}) == 10, "two scans a patient"


@pytest.mark.parametrize("step", ["prepare", "epoch", "evaluate", "intervals"])
def test_a_step_is_measured_at_each_size(step: str) -> None:
    """The page has Streamlit's whole machinery: benchmarks/scale.py --quick runs it."""
    costs = run_step(step, (160, 320), 64)
    assert len(costs) == 2 and all(cost.processor > 0 for cost in costs)
