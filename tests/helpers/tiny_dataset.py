"""A tiny dataset in the real layout: bright moving rectangles, enough for the whole loop on a CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.sequences.layout import SequenceWriter, StoredLabels
from utils.boxes import BBOX_DTYPE

REPR_NAME = "stacked_histogram_dt=50_nbins=10"
FRAME_HW = (64, 80)
FRAMES = 24


_WRITTEN: dict[tuple[int, int], dict[Path, bytes]] = {}
"""Files of the sequences that this process has written, by seed and frames: to compress frames takes the most."""


def write_tiny_sequence(root: Path, seed: int, frames: int = FRAMES) -> None:
    """One sequence: two rectangles of two classes move over noise; every frame is labelled (half-resolution frames)."""
    for name, content in _WRITTEN.get((seed, frames), {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    if (seed, frames) not in _WRITTEN:
        _write_sequence(root, seed, frames)
        files = (path for path in root.rglob("*") if path.is_file())
        _WRITTEN[seed, frames] = {path.relative_to(root): path.read_bytes() for path in files}


def _write_sequence(root: Path, seed: int, frames: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = FRAME_HW
    data = (rng.random((frames, 20, height, width)) < 0.01).astype(np.uint8)
    boxes = np.zeros(2 * frames, dtype=BBOX_DTYPE)
    sizes, starts = [(24, 14), (12, 28)], rng.uniform(2, 20, size=(2, 2))
    for t in range(frames):
        for k, (w, h) in enumerate(sizes):
            x = float(np.clip(starts[k, 0] + 1.2 * t * (1 + k), 0, width - w - 1))
            y = float(np.clip(starts[k, 1] + 8 * k, 0, height - h - 1))
            data[t, 10 * k : 10 * k + 10, int(y) : int(y) + h, int(x) : int(x) + w] += 3
            row = boxes[2 * t + k]
            row["t"], row["class_id"], row["class_confidence"], row["objectness"] = 100_000 + 50_000 * t, k, 1, 1
            row["x"], row["y"], row["w"], row["h"] = 2 * x, 2 * y, 2 * w, 2 * h
    times = 100_000 + 50_000 * np.arange(frames, dtype=np.int64)
    labels = StoredLabels(
        boxes=boxes,
        objframe_idx_2_label_idx=2 * np.arange(frames, dtype=np.int64),
        objframe_idx_2_repr_idx=np.arange(frames, dtype=np.int64),
        label_timestamps_us=times,
    )
    with SequenceWriter(root, REPR_NAME, 20, height, width, np.dtype(np.uint8), downsampled=True) as writer:
        writer.append_frames(data)
        writer.write_frame_timestamps(times)
        writer.write_labels(labels)


def write_tiny_dataset(root: Path, train: int = 3, val: int = 1, test: int = 1) -> Path:
    """Train, val and test sequences; returns ``root``."""
    seed = 0
    for split, count in (("train", train), ("val", val), ("test", test)):
        for index in range(count):
            seed += 1
            write_tiny_sequence(root / split / f"{split}_{index:02d}", seed)
    return root
