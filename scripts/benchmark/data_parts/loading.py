"""Loading of training batches: frames per second from h5 files to a batch in memory, random and streamed."""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import chain, cycle, islice, product
from pathlib import Path

import numpy as np

from data.augmentation.config import AugmentationConfig, CropConfig, IntensityConfig, MixConfig, ZoomConfig
from data.batches.batch import Batch
from data.batches.config import DataModuleConfig, Sampling
from data.sequences.layout import SequenceWriter, StoredLabels
from modules.data.genx import DataModule
from scripts.benchmark.measure import Row
from utils.boxes import BBOX_DTYPE

NAME = "stacked_histogram_dt=50_nbins=10"
CHANNELS, HEIGHT, WIDTH = 20, 240, 304
SEQUENCES, LANES, LENGTH, LABEL_EVERY = 8, 4, 10, 5
ACTIVE = 0.01
"""Share of values that are not zero."""

PAPER = AugmentationConfig(hflip=0.5, zoom=ZoomConfig(prob=0.8))
"""Flips and zooms of random lanes as on Gen1."""
ALL = AugmentationConfig(
    hflip=0.5,
    zoom=ZoomConfig(prob=0.8),
    crop=CropConfig(prob=0.5),
    intensity=IntensityConfig(prob=0.5),
    mix=MixConfig(prob=0.5),
    max_count=10,
)


def write_dataset(root: Path, frames: int, splits: Sequence[str] = ("train",)) -> None:
    """Sequences of sparse counts with a label at every fifth frame.

    Args:
        root: becomes a dataset folder.
        frames: number of frames of a split, shared by eight sequences.
        splits: their names.
    """
    each = max(frames // SEQUENCES, LENGTH)
    labelled = np.arange(LABEL_EVERY - 1, each, LABEL_EVERY, dtype=np.int64)
    boxes = np.zeros(len(labelled), dtype=BBOX_DTYPE)
    boxes["t"], boxes["class_confidence"], boxes["objectness"] = 50_000 * (labelled + 1), 1, 1
    boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 100, 80, 60, 40
    for split, number in product(splits, range(SEQUENCES)):
        rng = np.random.default_rng(number)
        with SequenceWriter(root / split / f"sequence_{number}", NAME, CHANNELS, HEIGHT, WIDTH, np.uint8) as writer:
            for _ in range(each):
                counts = rng.integers(1, 11, (1, CHANNELS, HEIGHT, WIDTH), dtype=np.uint8)
                active = rng.random(counts.shape, dtype=np.float32) < ACTIVE
                writer.append_frames(counts * active)
            writer.write_frame_timestamps(50_000 * np.arange(1, each + 1))
            writer.write_labels(StoredLabels(boxes, np.arange(len(labelled), dtype=np.int64), labelled, None))


def rows(frames: int, repeats: int) -> list[Row]:
    """Measure on a dataset in a temporary folder.

    Args:
        frames: frames of the dataset, and of each measurement.
        repeats: measurements of each row; the medians are reported.

    Returns:
        Values by the clock; without loader processes the processor time in the note is all that loading takes.
    """
    plain = AugmentationConfig()
    cases: list[tuple[str, Sampling, int, AugmentationConfig]] = [
        ("random, 0 workers", "random", 0, plain),
        ("random, 2 workers", "random", 2, plain),
        ("stream, 0 workers", "stream", 0, plain),
        ("stream, 2 workers", "stream", 2, plain),
        ("random, 0 workers, flips and zooms as on Gen1", "random", 0, PAPER),
        ("random, 0 workers, crop, intensity and mixing half of the time too", "random", 0, ALL),
    ]
    logging.getLogger("data.batches.load_sequences").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), frames)
        return [
            _row(name, _config(Path(folder), sampling, workers, augmentation), frames, repeats)
            for name, sampling, workers, augmentation in cases
        ]


def _config(root: Path, sampling: Sampling, workers: int, augmentation: AugmentationConfig) -> DataModuleConfig:
    return DataModuleConfig(
        path=str(root),
        ev_repr_name=NAME,
        sensor_hw=(HEIGHT, WIDTH),
        num_classes=1,
        sequence_length=LENGTH,
        train_sampling=sampling,
        num_stream_groups=1,
        batch_size_train=LANES,
        num_workers_train=workers,
        augmentation_random=augmentation,
        augmentation_stream=augmentation,
    )


def _row(name: str, config: DataModuleConfig, frames: int, repeats: int) -> Row:
    """Speed of a running loader, the median of ``repeats``; the start of its processes is left out."""
    batches = max(frames // (LANES * LENGTH), 1)
    loader = DataModule(config).train_dataloader()
    endless: Iterator[Batch] = chain.from_iterable(loader for _ in cycle([None]))
    next(endless)
    speeds, processor = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        count = sum(batch["is_padded"].numel() for batch in islice(endless, batches))
        speeds.append(count / (time.perf_counter() - start))
        processor.append(1000 * (time.process_time() - used) / count)
    note = f"batches of {LANES} lanes of {LENGTH} frames {CHANNELS}x{HEIGHT}x{WIDTH}, {ACTIVE:.0%} not zero, Blosc-zstd"
    note += f"; {statistics.median(processor):.2f} ms of the main process a frame"
    return {"name": f"loading, {name}", "value": statistics.median(speeds), "unit": "frames/s", "note": note}
