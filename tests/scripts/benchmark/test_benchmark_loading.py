"""The benchmark of loading: a row for each case, with figures that can be."""

from __future__ import annotations

from pathlib import Path

from data.sequences.layout import FrameReader, list_sequences
from scripts.benchmark.data_parts.loading import rows, write_dataset


def test_rows() -> None:
    found = rows(frames=40, repeats=1)
    assert len({row["name"] for row in found}) == len(found) == 6
    for row in found:
        assert set(row) == {"name", "value", "unit", "note"}
        assert row["unit"] == "frames/s"
        assert 0 < row["value"] < 1e6
    assert sum("2 workers" in row["name"] for row in found) == 2


def test_the_dataset_is_gen1_sized(tmp_path: Path) -> None:
    write_dataset(tmp_path, 80)
    sequences = list_sequences(tmp_path / "train")
    assert len(sequences) == 8
    frames = FrameReader(next(sequences[0].rglob("*.h5"))).read(0, 10)
    assert frames.shape == (10, 20, 240, 304)
    assert 0.005 < (frames > 0).mean() < 0.015
    assert frames.max() == 10
