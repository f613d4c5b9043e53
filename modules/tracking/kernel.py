"""The tracker's loop over frames, compiled: live tracks are rows of small arrays, boxes are flat arrays.

All arithmetic is float64: in float32 a box that touches the border falls on either side of it by rounding, and
tracks change silently.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Columns of a live track's numbers: corners cut by the border, corners one frame ago, velocity, confidence, class.
X0, Y0, X1, Y1, LAST, VX, VY, CONFIDENCE, CLASS, COLUMNS = 0, 1, 2, 3, 4, 8, 9, 10, 11, 12
# Columns of its whole numbers: track, age in frames, and which corner coordinates the border cut since the last match.
TRACK, AGE, CUT, WHOLE_COLUMNS = 0, 1, 2, 6
# Columns of a predicted box on a missed frame.
M_TRACK, M_FRAME, M_CX, M_CY, M_W, M_H, M_CLASS, M_COLUMNS = 0, 1, 2, 3, 4, 5, 6, 7


@numba.njit(cache=True)
def follow(
    frames: IntArray,
    first: IntArray,
    corners: FloatArray,
    classes: FloatArray,
    limit: tuple[float, float],
    weights: FloatArray,
    iou_threshold: float,
    decay: float,
    min_confidence: float,
) -> Any:
    """Track all boxes of a sequence.

    Args:
        frames: ascending frame numbers [F].
        first: index of each frame's first box, and the number of boxes [F + 1].
        corners: x0, y0, x1, y1 of every box [N, 4].
        classes: of every box [N].
        limit: largest x and y.
        weights: w of the confidence rule by age.
        iou_threshold, decay, min_confidence: as in ``TrackerConfig``.

    Returns:
        track of every box [N]; its track's confidence at that time [N]; frame of every track's last box [K]; its hits
        [K]; tracks alive at the end; predicted boxes of missed frames, also those after a track's last box, as rows
        track, frame, cx, cy, w, h, class [M, 7].
    """
    num_boxes = len(corners)
    track_id = np.full(num_boxes, -1, dtype=np.int64)
    confidence = np.zeros(num_boxes)
    last_frame = np.zeros(num_boxes, dtype=np.int64)
    hits = np.ones(num_boxes, dtype=np.int64)
    missed, num_missed = np.zeros((64, M_COLUMNS)), 0
    live, whole, num_live = np.zeros((64, COLUMNS)), np.zeros((64, WHOLE_COLUMNS), dtype=np.int64), 0
    num_tracks = 0
    for index in range(len(frames)):
        start, stop = first[index], first[index + 1]
        frame = frames[index]
        if index:
            for skipped in range(frames[index - 1] + 1, frame):
                if num_live == 0:
                    break
                predict(live, whole, num_live, limit)
                missed = room_for(missed, num_missed + num_live)
                for row in range(num_live):
                    note_missed(missed[num_missed + row], live[row], whole[row], skipped)
                    live[row, CONFIDENCE] *= decay
                num_missed += num_live
                num_live = drop_faded(live, whole, num_live, min_confidence)
            predict(live, whole, num_live, limit)
        picked = assign(live, num_live, corners[start:stop], classes[start:stop], iou_threshold)
        missed = room_for(missed, num_missed + num_live)
        for row in range(num_live):
            if picked[row] < 0:
                note_missed(missed[num_missed], live[row], whole[row], frame)
                num_missed += 1
                live[row, CONFIDENCE] *= decay
                continue
            box, track = start + picked[row], whole[row, TRACK]
            hit(live[row], whole[row], corners[box], weights)
            track_id[box], confidence[box] = track, live[row, CONFIDENCE]
            last_frame[track], hits[track] = frame, whole[row, AGE] + 1
        num_live = drop_faded(live, whole, num_live, min_confidence)
        live, whole = room_for(live, num_live + stop - start), room_for(whole, num_live + stop - start)
        for box in range(start, stop):
            if track_id[box] < 0:
                live[num_live] = 0.0
                live[num_live, X0:LAST] = corners[box]
                live[num_live, LAST:VX] = corners[box]
                live[num_live, CONFIDENCE], live[num_live, CLASS] = decay, classes[box]
                whole[num_live] = 0
                whole[num_live, TRACK] = num_tracks
                track_id[box], confidence[box], last_frame[num_tracks] = num_tracks, decay, frame
                num_tracks += 1
                num_live += 1
    return (
        track_id,
        confidence,
        last_frame[:num_tracks],
        hits[:num_tracks],
        whole[:num_live, TRACK].copy(),
        missed[:num_missed],
    )


@numba.njit(cache=True)
def room_for(rows: npt.NDArray[Any], wanted: int) -> npt.NDArray[Any]:
    """Return the array itself, or a longer copy if it has fewer than ``wanted`` rows."""
    if wanted <= len(rows):
        return rows
    longer = np.zeros((max(wanted, 2 * len(rows)), rows.shape[1]), dtype=rows.dtype)
    longer[: len(rows)] = rows
    return longer


@numba.njit(cache=True)
def predict(live: FloatArray, whole: IntArray, num_live: int, limit: tuple[float, float]) -> None:
    """Move every live track by its velocity and cut its box at the border."""
    for row in range(num_live):
        whole[row, AGE] += 1
        for side in range(4):
            before, axis = live[row, side], side % 2
            live[row, LAST + side] = before
            moved = before + live[row, VX + axis]
            if moved < 0 or moved > limit[axis]:
                whole[row, CUT + side] = 1
            live[row, side] = min(max(moved, 0.0), limit[axis])


@numba.njit(cache=True)
def assign(live: FloatArray, num_live: int, corners: FloatArray, classes: FloatArray, iou_threshold: float) -> IntArray:
    """Give every live track, the most confident first, the index of its box in this frame, or −1."""
    picked = np.full(num_live, -1, dtype=np.int64)
    taken = np.zeros(len(corners), dtype=np.bool_)
    for row in np.argsort(-live[:num_live, CONFIDENCE], kind="mergesort"):
        best, best_overlap = -1, -1.0
        for box in range(len(corners)):
            if not taken[box] and classes[box] == live[row, CLASS]:
                overlap = iou(live[row], corners[box])
                if overlap > best_overlap:
                    best, best_overlap = box, overlap
        if best >= 0 and best_overlap >= iou_threshold:
            picked[row], taken[best] = best, True
    return picked


@numba.njit(cache=True)
def iou(a: FloatArray, b: FloatArray) -> float:
    """Overlap of two boxes given by their corners; 0 for two boxes without area."""
    width = max(min(a[X1], b[X1]) - max(a[X0], b[X0]), 0.0)
    height = max(min(a[Y1], b[Y1]) - max(a[Y0], b[Y0]), 0.0)
    inter = width * height
    union = (a[X1] - a[X0]) * (a[Y1] - a[Y0]) + (b[X1] - b[X0]) * (b[Y1] - b[Y0]) - inter
    return inter / union if union > 0 else 0.0


@numba.njit(cache=True)
def hit(live: FloatArray, whole: IntArray, corners: FloatArray, weights: FloatArray) -> None:
    """Continue a track with a box: velocity, of the visible edge where the border cut the other, and confidence."""
    for axis in range(2):
        low = corners[axis] - live[LAST + axis]
        high = corners[axis + 2] - live[LAST + axis + 2]
        low_cut, high_cut = whole[CUT + axis] > 0, whole[CUT + axis + 2] > 0
        live[VX + axis] = high if low_cut and not high_cut else low if high_cut and not low_cut else (low + high) / 2
    weight = weights[whole[AGE]]
    live[CONFIDENCE] = (weight * live[CONFIDENCE] + 1) / (weight + 1)
    live[X0:LAST] = corners
    whole[CUT:] = 0


@numba.njit(cache=True)
def note_missed(out: FloatArray, live: FloatArray, whole: IntArray, frame: int) -> None:
    """Write a track's predicted box as a row track, frame, cx, cy, w, h, class."""
    out[M_TRACK], out[M_FRAME], out[M_CLASS] = whole[TRACK], frame, live[CLASS]
    out[M_CX], out[M_CY] = (live[X0] + live[X1]) / 2, (live[Y0] + live[Y1]) / 2
    out[M_W], out[M_H] = live[X1] - live[X0], live[Y1] - live[Y0]


@numba.njit(cache=True)
def drop_faded(live: FloatArray, whole: IntArray, num_live: int, min_confidence: float) -> int:
    """Close up the rows of tracks that are confident enough, in order; return how many they are."""
    kept = 0
    for row in range(num_live):
        if live[row, CONFIDENCE] >= min_confidence:
            if kept != row:
                live[kept], whole[kept] = live[row], whole[row]
            kept += 1
    return kept
