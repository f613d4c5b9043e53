"""Whether a sequence in the RVT layout is readable to its last frame and consistent in itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.genx_utils.layout import FrameReader, SequencePaths, StoredLabels, read_labels
from utils.boxes import IGNORE_LABEL
from utils.errors import UserError

_FRAMES_AT_ONCE = 16


@dataclass(frozen=True)
class Structure:
    """What all sequences of a dataset have in common.

    Attributes:
        ev_repr_name: name of the representation.
        downsampled: frames are at half resolution.
        frame_shape: channels, height and width of a frame.
        dtype: of the frames.
        sensor_hw: frame in which boxes lie.
        num_classes: class ids lie below; None: any.
    """

    ev_repr_name: str
    downsampled: bool
    frame_shape: tuple[int, int, int]
    dtype: str
    sensor_hw: tuple[int, int]
    num_classes: int | None


def check_structure(job: tuple[Path, Structure]) -> list[str]:
    """What is wrong with a sequence, in words; nothing for a sound one (called in worker processes)."""
    root, structure = job
    paths = SequencePaths(root, structure.ev_repr_name, structure.downsampled)
    try:
        paths.check()
        labels = read_labels(paths)
        problems, num_frames = _frame_problems(FrameReader(paths.h5), structure)
    except UserError as error:
        return [f"expected {error.expected}, got {error.got} ({error.where})"]
    problems += _box_problems(labels, structure)
    if len(labels) and int(labels.objframe_idx_2_repr_idx[-1]) >= num_frames:
        problems.append(f"labels of frame {labels.objframe_idx_2_repr_idx[-1]}, but {num_frames} frames")
    if paths.frame_timestamps.is_file():
        problems += _time_problems(paths, labels, num_frames)
    return problems


def _frame_problems(reader: FrameReader, structure: Structure) -> tuple[list[str], int]:
    """Read every frame, which also unpacks it; problems and number of frames."""
    num_frames, *shape = reader.shape
    problems: list[str] = []
    if tuple(shape) != structure.frame_shape or str(reader.dtype) != structure.dtype:
        expected = f"{structure.dtype} {list(structure.frame_shape)}"
        problems.append(f"frames are {reader.dtype} {shape} instead of {expected}")
    if num_frames == 0:
        problems.append("no frame")
    for start in range(0, num_frames, _FRAMES_AT_ONCE):
        frames = reader.read(start, min(start + _FRAMES_AT_ONCE, num_frames))
        if frames.dtype.kind == "f" and not np.isfinite(frames).all():
            problems.append(f"numbers that are not finite in frames {start} to {start + len(frames)}")
    return problems, num_frames


def _box_problems(labels: StoredLabels, structure: Structure) -> list[str]:
    boxes, problems = labels.boxes, []
    numbers = np.stack([boxes[name] for name in ("x", "y", "w", "h", "class_confidence")])
    if not np.isfinite(numbers).all():
        problems.append("boxes with numbers that are not finite")
    if (boxes["w"] < 0).any() or (boxes["h"] < 0).any():
        problems.append("boxes with a negative size")
    height, width = structure.sensor_hw
    if len(boxes) and ((boxes["x"] >= width) | (boxes["y"] >= height)).any():
        problems.append(f"boxes outside the {height} x {width} pixels of the sensor")
    class_ids = boxes["class_id"][boxes["class_id"] != IGNORE_LABEL]
    if structure.num_classes is not None and (class_ids >= structure.num_classes).any():
        problems.append(f"class ids up to {class_ids.max()}, but {structure.num_classes} classes")
    return problems


def _time_problems(paths: SequencePaths, labels: StoredLabels, num_frames: int) -> list[str]:
    try:
        times: npt.NDArray[np.int64] = np.load(paths.frame_timestamps, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        return [f"{paths.frame_timestamps.name} of the frames is unreadable ({error})"]
    if len(times) != num_frames:
        return [f"{len(times)} frame times for {num_frames} frames"]
    problems = [] if (np.diff(times) > 0).all() else ["frame times that do not ascend"]
    indices = labels.objframe_idx_2_repr_idx
    if labels.label_timestamps_us is not None and len(indices) and int(indices[-1]) < num_frames:
        late = int(np.abs(times[indices] - labels.label_timestamps_us).max())
        if late:
            problems.append(f"labels up to {late} µs away from the frames that they belong to")
    return problems
