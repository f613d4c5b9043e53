"""What can be wrong with the labels of one sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from data.inspection.findings import Finding
from data.sequences.layout import StoredLabels
from utils.boxes import IGNORE_LABEL

TIME_TOLERANCE_US = 2000
"""Labels and the frames they belong to may be apart by this much (as in preprocessing)."""
BOX_FIX = "correct or remove these boxes at their source (*_bbox.npy) and preprocess the sequence again"

Mask = npt.NDArray[np.bool_]


def check_labels(
    where: str,
    labels: StoredLabels,
    num_frames: int | None,
    frame_times_us: npt.NDArray[np.int64] | None,
    hw: tuple[int, int] | None,
    classes: Sequence[str] | None,
) -> Iterator[Finding]:
    """Compare labels with the sequence, the frame and the classes.

    Args:
        where: the sequence, for messages.
        labels: consistent in themselves (``read_labels`` has seen to it).
        num_frames: frames of the sequence, None if unknown.
        frame_times_us: their times, None if unknown.
        hw: height and width of the labels' pixels, None if unknown.
        classes: names, None if unknown.
    """
    yield from _check_places(where, labels, num_frames, frame_times_us)
    boxes = labels.boxes
    numbers = np.stack([boxes[name] for name in ("x", "y", "w", "h", "class_confidence", "objectness")])
    finite: Mask = np.all(np.isfinite(numbers), axis=0)
    yield from _report(where, "boxes that are not numbers", ~finite, boxes)
    flat = finite & ((boxes["w"] <= 0) | (boxes["h"] <= 0))
    yield from _report(where, "boxes without an area", flat, boxes)
    scores = numbers[4:]
    outside = finite & np.any((scores < 0) | (scores > 1), axis=0)
    yield from _report(where, "scores outside 0 to 1", outside, boxes)
    if hw is not None:
        yield from _check_inside(where, boxes, finite & ~flat, hw)
    if classes is not None:
        unknown = (boxes["class_id"] >= len(classes)) & (boxes["class_id"] != IGNORE_LABEL)
        fix = "list all classes in dataset.classes, or choose the dataset these files belong to"
        yield from _report(where, f"class ids beyond the {len(classes)} classes", unknown, boxes, fix=fix)
    yield from _check_repeated(where, labels)


def _check_places(
    where: str, labels: StoredLabels, num_frames: int | None, frame_times_us: npt.NDArray[np.int64] | None
) -> Iterator[Finding]:
    frames, times = labels.objframe_idx_2_repr_idx, labels.label_timestamps_us
    if num_frames is not None and len(frames) and frames[-1] >= num_frames:
        beyond = int((frames >= num_frames).sum())
        yield Finding(
            "labels beyond the end of the sequence",
            where,
            f"{beyond} labelled frames, the last is frame {frames[-1]} of {num_frames}",
        )
    elif frame_times_us is not None and times is not None and len(frames):
        apart = np.abs(times - frame_times_us[frames])
        if apart.max() > TIME_TOLERANCE_US:
            worst = int(apart.argmax())
            detail = f"label {worst} at {times[worst]} µs belongs to frame {frames[worst]} at "
            yield Finding(
                "labels at other times than their frames", where, f"{detail}{frame_times_us[frames[worst]]} µs"
            )
    if times is not None and len(times) > 1 and np.any(np.diff(times) <= 0):
        yield Finding("label times that do not ascend", where, f"at label {int(np.argmax(np.diff(times) <= 0)) + 1}")


def _check_inside(where: str, boxes: npt.NDArray[np.void], usable: Mask, hw: tuple[int, int]) -> Iterator[Finding]:
    height, width = hw
    left, top = boxes["x"].astype(np.float64), boxes["y"].astype(np.float64)
    right, bottom = left + boxes["w"], top + boxes["h"]
    outside = usable & ((right <= 0) | (bottom <= 0) | (left >= width) | (top >= height))
    fix = f"correct the boxes, or set dataset.sensor_hw (now [{height},{width}]) to the camera's size"
    yield from _report(where, f"boxes outside the frame of {width} x {height} pixels", outside, boxes, fix=fix)
    over = usable & ~outside & ((left < -1) | (top < -1) | (right > width + 1) | (bottom > height + 1))
    yield from _report(where, "boxes that stick out of the frame (loading clips them)", over, boxes, wrong=False)


def _check_repeated(where: str, labels: StoredLabels) -> Iterator[Finding]:
    boxes, first = labels.boxes, labels.objframe_idx_2_label_idx
    if len(boxes) < 2:
        return
    frame = np.searchsorted(first, np.arange(len(boxes)), side="right") - 1
    keys = np.rec.fromarrays([frame, *(boxes[name] for name in ("x", "y", "w", "h", "class_id"))])
    _, kept = np.unique(keys, return_index=True)
    repeated = np.ones(len(boxes), dtype=bool)
    repeated[kept] = False
    yield from _report(where, "boxes that are there twice in a frame", repeated, boxes)


def _report(
    where: str, kind: str, mask: Mask, boxes: npt.NDArray[np.void], wrong: bool = True, fix: str = BOX_FIX
) -> Iterator[Finding]:
    """One finding for all marked boxes of a sequence, with the first of them."""
    if mask.any():
        index = int(mask.argmax())
        box = boxes[index]
        corner = ", ".join(f"{name}={float(box[name]):g}" for name in ("x", "y", "w", "h"))
        detail = f"{int(mask.sum())} of {len(boxes)} boxes, the first is box {index}: {corner}, class {box['class_id']}"
        yield Finding(kind, where, detail, wrong, fix)
