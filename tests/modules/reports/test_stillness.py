"""Time since there were events in a box, and what is found by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.sequences.layout import SequenceWriter, StoredLabels
from modules.reports.matches import match_frames
from modules.reports.stillness import average_precision, seconds_without_events, stillness_rows
from tests.helpers.tiny_dataset import REPR_NAME
from tests.modules.reports.test_rates import EVALUATOR, FRAMES
from utils.boxes import BBOX_DTYPE

DATASET = {"representation": {"name": REPR_NAME, "dt_ms": 50}, "downsample_by_factor_2": False}


def box(x: int) -> np.ndarray:
    row = np.zeros(1, dtype=BBOX_DTYPE)
    row["x"], row["y"], row["w"], row["h"] = x, 4, 10, 10
    return row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """70 frames: events at x 0 to 20 in frame 3 alone, a little noise everywhere, events at x 30 to 40 from 60 on."""
    frames = np.zeros((70, 20, 32, 48), dtype=np.uint8)
    frames[3, 5, 4:14, :20] = 1
    frames[:, 0, 5, ::7] = 1
    frames[60:, 19, 4:14, 30:40] = 1
    times = 50_000 * np.arange(1, 71, dtype=np.int64)
    with SequenceWriter(tmp_path / "a", REPR_NAME, 20, 32, 48, np.dtype(np.uint8)) as writer:
        writer.append_frames(frames)
        writer.write_frame_timestamps(times)
        one = np.zeros(1, dtype=np.int64)
        writer.write_labels(StoredLabels(box(0), one, one, times[:1]))
    return tmp_path / "a"


def test_seconds_since_the_last_events(folder: Path) -> None:
    numbers = (3, 5, 13, 62, 69)
    frames = [((str(folder), number), (box(0), box(0))) for number in numbers]
    boxes = np.concatenate([*(box(2) for _ in numbers), box(30), box(30)])
    frame = np.array([*range(5), 1, 4])
    found = seconds_without_events(boxes, frame, frames, DATASET)
    assert found.tolist() == pytest.approx([0, 0.1, 0.5, 2, 2, 0.25, 0])
    other = [(("elsewhere", 0), (box(0), box(0))), *frames]
    assert np.isnan(seconds_without_events(box(2), np.array([1]), other, DATASET, most=1)).all(), "a share is read"


def test_labels_and_mistakes_of_each_span() -> None:
    matches = match_frames(FRAMES, EVALUATOR)
    rows = stillness_rows(matches, np.array([0, 0.3, np.nan]), np.array([0, 0, 0.3, 9.0]), 0.6)
    assert rows[0] == ("now", 1, 100, 100)
    assert rows[2] == ("up to 0.5 s ago", 1, 0, 0)
    assert rows[1][1:] == rows[4][1:] == (0, None, None)
    assert average_precision(np.array([0.9, 0.2]), np.array([0.5]), 2) == pytest.approx((51 + 50 * 2 / 3) / 101)
