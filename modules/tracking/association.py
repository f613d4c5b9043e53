"""The joint tracker's loop over frames, compiled: which box continues which track, read in one direction.

A track is a Kalman filter of constant velocity. Noise is told relative to the size of a box, so that one covariance
serves all coordinates of a track, whatever their units.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from modules.tracking.kernel import iou, room_for

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# Columns of a live track's numbers: centre, size, velocity of the centre, covariance (position, both, velocity), class.
CX, CY, W, H, VX, VY, P_POSITION, P_BOTH, P_VELOCITY, CLASS, COLUMNS = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
# Columns of its whole numbers: track, frame of its last box, number of boxes, and whether it stands.
TRACK, LAST, BOXES, STANDS, WHOLE_COLUMNS = 0, 1, 2, 3, 4

FIRST_SPEED = 0.25
"""Standard deviation of the speed of a new track, sizes of its box a frame."""
WIDEST = 0.5
"""By at most this share of its size a box is enlarged on each side, however uncertain its place."""


@numba.njit(cache=True)
def associate(
    frames: IntArray,
    first: IntArray,
    boxes: FloatArray,
    classes: FloatArray,
    strong: BoolArray,
    noise: FloatArray,
    least_overlap: FloatArray,
    other_class: float,
    drift: float,
    still: float,
    patience: int,
    patience_still: int,
) -> IntArray:
    """Track all boxes of a sequence: strong boxes first, then weak ones for the tracks that got none.

    Args:
        frames: ascending frame numbers [F].
        first: index of each frame's first box, and the number of boxes [F + 1].
        boxes: cx, cy, w, h of every box [N, 4].
        classes: of every box [N].
        strong: boxes that may begin a track [N].
        noise: variance of a box's position relative to its size [N].
        least_overlap: of a track's predicted box with each one that may continue it, both enlarged by the uncertainty
            [N].
        other_class: factor of the overlap with a box of another class.
        drift: variance of a change of speed in a frame, relative to the size of the box.
        still: a track slower than this share of its size a frame stands.
        patience: frames after which a track without boxes is over.
        patience_still: the same for one that stands.

    Returns:
        Track of every box, −1 for weak boxes that continue none [N].
    """
    track_id = np.full(len(boxes), -1, dtype=np.int64)
    live, whole, num_live = np.zeros((64, COLUMNS)), np.zeros((64, WHOLE_COLUMNS), dtype=np.int64), 0
    num_tracks = 0
    for index in range(len(frames)):
        frame, start, stop = frames[index], first[index], first[index + 1]
        kept = 0
        for row in range(num_live):
            if frame - whole[row, LAST] <= (patience_still if whole[row, STANDS] else patience):
                if kept != row:
                    live[kept], whole[kept] = live[row], whole[row]
                for _ in range(frame - frames[index - 1]):
                    foresee(live[kept], whole[kept, STANDS], drift)
                kept += 1
        num_live = kept
        for stage in (True, False):
            pairs = likely(
                live, whole, num_live, boxes[start:stop], classes[start:stop], strong[start:stop], stage,
                track_id[start:stop], frame, noise[start:stop], least_overlap[start:stop], other_class,
            )  # fmt: skip
            for pair in np.argsort(-pairs[:, 2], kind="mergesort"):
                row, box = int(pairs[pair, 0]), start + int(pairs[pair, 1])
                if whole[row, LAST] < frame and track_id[box] < 0:
                    track_id[box] = whole[row, TRACK]
                    correct(live[row], whole[row], boxes[box], float(noise[box]), frame, still)
                    if strong[box]:
                        live[row, CLASS] = classes[box]
        live, whole = room_for(live, num_live + stop - start), room_for(whole, num_live + stop - start)
        for box in range(start, stop):
            if track_id[box] < 0 and strong[box]:
                live[num_live] = 0.0
                live[num_live, :VX] = boxes[box]
                live[num_live, P_POSITION], live[num_live, P_VELOCITY] = noise[box], FIRST_SPEED**2
                live[num_live, CLASS] = classes[box]
                whole[num_live, TRACK], whole[num_live, LAST] = num_tracks, frame
                whole[num_live, BOXES], whole[num_live, STANDS] = 1, 0
                track_id[box] = num_tracks
                num_tracks += 1
                num_live += 1
    return track_id


@numba.njit(cache=True)
def foresee(live: FloatArray, stands: int, drift: float) -> None:
    """Move a track by one frame; one that stands stays where it is."""
    if not stands:
        live[CX] += live[VX]
        live[CY] += live[VY]
    live[P_POSITION] += 2 * live[P_BOTH] + live[P_VELOCITY] + drift / 4
    live[P_BOTH] += live[P_VELOCITY] + drift / 2
    live[P_VELOCITY] += drift


@numba.njit(cache=True)
def likely(
    live: FloatArray,
    whole: IntArray,
    num_live: int,
    boxes: FloatArray,
    classes: FloatArray,
    strong: BoolArray,
    stage: bool,
    track_id: IntArray,
    frame: int,
    noise: FloatArray,
    least_overlap: FloatArray,
    other_class: float,
) -> FloatArray:
    """Rows track, box, overlap [P, 3] of the free tracks and the free boxes of a stage that may belong together."""
    pairs, count = np.zeros((max(num_live, 1), 3)), 0
    a, b = np.zeros(4), np.zeros(4)
    for row in range(num_live):
        if whole[row, LAST] == frame:
            continue
        for box in range(len(boxes)):
            if strong[box] != stage or track_id[box] >= 0:
                continue
            share = min(np.sqrt(live[row, P_POSITION] + noise[box]), WIDEST)
            enlarge(live[row], share, a)
            enlarge(boxes[box], share, b)
            overlap = iou(a, b)
            if classes[box] != live[row, CLASS]:
                overlap *= other_class
            if overlap >= least_overlap[box]:
                pairs = room_for(pairs, count + 1)
                pairs[count, 0], pairs[count, 1], pairs[count, 2] = row, box, overlap
                count += 1
    return pairs[:count]


@numba.njit(cache=True)
def enlarge(box: FloatArray, share: float, corners: FloatArray) -> None:
    """Write the corners of a box cx, cy, w, h that is larger by a share of its size on each side."""
    for axis in range(2):
        half = box[W + axis] * (0.5 + share)
        corners[axis], corners[axis + 2] = box[axis] - half, box[axis] + half


@numba.njit(cache=True)
def correct(live: FloatArray, whole: IntArray, box: FloatArray, noise: float, frame: int, still: float) -> None:
    """Continue a track with a box: its place, size and velocity, and whether it stands."""
    total = live[P_POSITION] + noise
    gain, gain_velocity = live[P_POSITION] / total, live[P_BOTH] / total
    for axis in range(2):
        rest = box[axis] - live[axis]
        live[axis] += gain * rest
        live[VX + axis] += gain_velocity * rest
        live[W + axis] += gain * (box[W + axis] - live[W + axis])
    live[P_VELOCITY] -= gain_velocity * live[P_BOTH]
    live[P_BOTH] *= 1 - gain
    live[P_POSITION] *= 1 - gain
    whole[LAST] = frame
    whole[BOXES] += 1
    slow = abs(live[VX]) < still * live[W] and abs(live[VY]) < still * live[H]
    whole[STANDS] = 1 if slow and whole[BOXES] > 2 else 0
