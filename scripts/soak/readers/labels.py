"""Readers of boxes, of frames and of what says which labels count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from data.events.bbox import read_bbox_npy, write_bbox_npy
from data.importers.pedro import read_yolo_boxes
from data.preprocessing.raw_boxes import read_raw_boxes
from data.sequences.layout import SequencePaths
from data.sequences.sequence import EventSequence
from data.supervision.rules import hide_by_file
from modules.labelling.dataset import MANIFEST, prepare_dataset
from modules.labelling.sequence_boxes import EventSeqData
from modules.labelling.views import read_views
from modules.playback.sequence import sequence_times
from scripts.soak.readers.reader import HW, REPRESENTATION, Reader, in_folder, json_file, sample_boxes, write_sequence
from utils.atomic import write_text

SETTINGS = {"a": 1, "b": {"c": [1, 2]}}


def _part(which: str) -> Callable[[Path], Path]:
    return lambda folder: getattr(write_sequence(folder), which)


def _read_sequence(path: Path) -> None:
    root = next(parent for parent in path.parents if parent.parent.name == "train")
    paths = SequencePaths(root, REPRESENTATION)
    sequence = EventSequence(paths, HW)
    sequence.labels_between(0, sequence.num_frames, reverse=False, offset=0)
    sequence.reader.read(0, sequence.num_frames)
    sequence_times(paths, sequence.num_frame_times)


def _split(folder: Path) -> Path:
    write_sequence(folder)
    write_text(folder / "split.json", '{"a": [0, 2], "b": []}')
    return folder / "split.json"


def _read_split(path: Path) -> None:
    hide_by_file([EventSequence(SequencePaths(path.parent / "dataset" / "train" / "a", REPRESENTATION), HW)], path)


def _views(folder: Path) -> Path:
    sequence = EventSeqData(folder / "a", HW)
    sequence.set_ground_truth(1, sample_boxes()[:2])
    sequence.update([np.ones((2, 8), dtype=np.float32)], [2])
    np.savez_compressed(folder / "a.npz", **sequence.state())  # pyright: ignore[reportArgumentType]
    return folder / "a.npz"


def _read_views(path: Path) -> None:
    sequence = EventSeqData(path.parent / "a", HW)
    sequence.add_state(read_views(path))
    sequence.finish()


def _read_raw(path: Path) -> None:
    read_raw_boxes(path, read_bbox_npy)


READERS = (
    Reader("labels/bbox.npy", in_folder("a.npy", lambda path: write_bbox_npy(path, sample_boxes())), _read_raw),
    Reader(
        "labels/yolo.txt",
        in_folder("a.txt", lambda path: write_text(path, "0 0.5 0.5 0.2 0.2\n1 0.25 0.5 0.1 0.3\n")),
        lambda path: read_yolo_boxes(path, HW, 1000),
    ),
    Reader("labels/labels.npz", _part("labels_npz"), _read_sequence),
    Reader("labels/frames.npy", _part("objframe_idx_2_repr_idx"), _read_sequence),
    Reader("labels/times.npy", _part("label_timestamps"), _read_sequence),
    Reader("labels/views.npz", _views, _read_views),
    Reader("labels/split.json", _split, _read_split),
    Reader(
        "labels/manifest.json",
        json_file(MANIFEST, {"settings": SETTINGS, "complete": False}),
        lambda path: prepare_dataset(path.parent / "train", path.parent / "source" / "train", SETTINGS),
    ),
    Reader("frames/frames.h5", _part("h5"), _read_sequence),
    Reader("frames/times.npy", _part("frame_timestamps"), _read_sequence),
)
