"""The benchmark of the data side runs with tiny sizes and carries its protocol."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.benchmark.data_parts import preprocessing
from tests.helpers.commands import failure, run

PARTS = {
    "decoding": ["EVT3", ".csv"],
    "preprocessing": [
        "preprocessing, voxel_grid, Gen1", "preprocessing, stacked_histogram, 1Mpx",
        "histogram, ours against np.add.at, Gen1", "peak memory, 0.004 million events",
    ],
    "pillars": ["pillars, ours against NumPy, exact places"],
    "loading": ["random", "stream", "2 workers"],
}  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_each_part_gives_rows(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gen1, large = preprocessing.CAMERAS
    monkeypatch.setattr(preprocessing, "CAMERAS", (gen1, replace(large, hw=(72, 128), events_per_us=0.1)))
    monkeypatch.setattr(preprocessing, "LENGTHS", (4,))  # each is measured in a fresh process
    target = tmp_path / "BENCHMARKS.md"
    sizes = ("--events", "4000", "--frames", "40", "--repeats", "1")
    assert run("scripts/benchmark/data.py", "--sections", part, *sizes, "--markdown", str(target)) == 0
    text = target.read_text()
    for fact in ("device: ", "numpy: ", "repeats: 1", "load of the machine: ", *PARTS[part]):
        assert fact in text
    values = re.findall(r"^\| [^|]+ \| ([\d.,e+-]+) \| ", text, flags=re.MULTILINE)
    assert len(values) >= len(PARTS[part])
    assert all(float(value.replace(",", "")) > 0 for value in values)


@pytest.mark.soak
def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    short, long = (preprocessing.memory_row(tmp_path, events)["value"] for events in (500_000, 3_000_000))
    assert long - short < 25  # MiB; the longer one's further events alone take 32


def test_sizes_too_small_are_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--events from 1000" in failure(capsys, "scripts/benchmark/data.py", "--events", "10")
