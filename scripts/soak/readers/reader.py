"""What a reader is, and the sound sequence that several of them read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from data.sequences.layout import SequencePaths, SequenceWriter, StoredLabels
from utils.atomic import write_json
from utils.boxes import BBOX_DTYPE

HW = (64, 80)
REPRESENTATION = "stacked_histogram_dt=50_nbins=1"
FRAMES = 6


class Reader(NamedTuple):
    """A reader.

    Attributes:
        name: group and kind of the file.
        write: writes a sound file, and what belongs to it, into an empty folder; returns the file.
        read: reads the file to its end.
    """

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], object]


def in_folder(name: str, write: Callable[[Path], object]) -> Callable[[Path], Path]:
    """How a file of this name is written, from a function that writes to a path."""

    def write_file(folder: Path) -> Path:
        write(folder / name)
        return folder / name

    return write_file


def json_file(name: str, value: object) -> Callable[[Path], Path]:
    """How a file of JSON is written."""
    return in_folder(name, lambda path: write_json(path, value))


def sample_boxes() -> npt.NDArray[Any]:
    """Two boxes on each of three frames, ``BBOX_DTYPE`` [6]."""
    boxes = np.zeros(6, dtype=BBOX_DTYPE)
    boxes["t"], boxes["class_id"] = 50_000 * np.repeat([2, 4, 6], 2), [0, 1] * 3
    boxes["x"], boxes["y"], boxes["w"], boxes["h"], boxes["class_confidence"] = 10, 8, 20, 30, 1
    return boxes


def write_sequence(folder: Path) -> SequencePaths:
    """A sequence ``dataset/train/a`` with these boxes; returns its files."""
    labels = StoredLabels(sample_boxes(), np.array([0, 2, 4]), np.array([1, 3, 5]), 50_000 * np.array([2, 4, 6]))
    with SequenceWriter(folder / "dataset" / "train" / "a", REPRESENTATION, 2, *HW) as writer:
        writer.append_frames(np.ones((FRAMES, 2, *HW), dtype=np.uint8))
        writer.write_frame_timestamps(50_000 * np.arange(1, FRAMES + 1))
        writer.write_labels(labels)
    return writer.paths
