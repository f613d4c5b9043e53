"""A constant-velocity tracker for boxes that arrive frame by frame, as LEOD (CVPR 2024) filters pseudo labels.

All arithmetic is float64: in float32 a box that touches the border falls on either side of it by rounding, and
tracks change silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoxRows = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TrackerConfig:
    """Settings of ``LinearTracker``.

    Attributes:
        iou_threshold: least overlap of a track's predicted box with a box that continues it.
        decay: q, the confidence of a new track and the factor for each missed frame.
        min_confidence: a track whose confidence falls below it is over.
    """

    iou_threshold: float = 0.45
    decay: float = 0.9
    min_confidence: float = 0.55


@dataclass(frozen=True)
class Tracks:
    """What tracking found. ``track_id`` has one entry per box, in input order; the other arrays one per track.

    Attributes:
        track_id: track of every box [N].
        hits: frames from a track's first box to its last one, both included (missed frames between count) [K].
        done: the track ended before the last frame [K].
        is_gt: the track holds a ground-truth box [K].
        n_boxes: boxes of the track [K].
        missed: predicted boxes on missed frames between two boxes of a track, by track and frame,
            columns track, frame, cx, cy, w, h, class [M, 7].
    """

    track_id: IntArray
    hits: IntArray
    done: BoolArray
    is_gt: BoolArray
    n_boxes: IntArray
    missed: FloatArray


class LinearTracker:
    """Tracks with constant velocity of the centre and fixed size, matched greedily by track confidence.

    A track takes the free box of its class with the largest overlap, at least ``iou_threshold``. Its confidence
    starts at q, is multiplied by q on a missed frame, and becomes (w·c + 1) / (w + 1) with w = q(1 − q^age)/(1 − q)
    on a match. Velocity is the step from the track's last position (seen or predicted) to the new box; if the border
    had cut the predicted box, the step of the edge that is still visible.

    Args:
        frame_hw: height and width in pixels of the frame that holds the boxes.
        config: settings.
    """

    def __init__(self, frame_hw: tuple[int, int], config: TrackerConfig | None = None) -> None:
        height, width = frame_hw
        self.config = config or TrackerConfig()
        self._limit = np.array([width - 1, height - 1], dtype=np.float64)
        self._frame: int | None = None
        # One row per track alive.
        self._corners = np.zeros((0, 2, 2))  # (low, high) × (x, y), cut by the border
        self._last = np.zeros((0, 2, 2))  # corners one frame ago
        self._velocity = np.zeros((0, 2))
        self._cut = np.zeros((0, 2, 2), dtype=bool)  # corner coordinates the border cut since the last match
        self._confidence = np.zeros(0)
        self._age = np.zeros(0, dtype=np.int64)
        self._alive = np.zeros(0, dtype=np.int64)  # ids
        self._class = np.zeros(0)
        # One entry per track.
        self._hits: list[int] = []
        self._track_class: list[float] = []
        self._is_gt: list[bool] = []
        self._n_boxes: list[int] = []
        self._pending: list[list[tuple[float, ...]]] = []  # missed since the last match
        self._missed: list[list[tuple[float, ...]]] = []
        self._ids: list[IntArray] = []

    def update(self, frame: int, boxes: BoxRows) -> IntArray:
        """Continue or start tracks with the boxes of one frame; frames left out since the last call are missed ones.

        Args:
            frame: its number, larger than the last one.
            boxes: [n, ≥6] label rows t, x, y, w, h, class, …; t > 0 marks ground truth.

        Returns:
            Track number of every box, int64 [n].
        """
        rows = np.asarray(boxes, dtype=np.float64)
        if self._frame is not None:
            if frame <= self._frame:
                raise ValueError(f"frames must ascend: {frame} after {self._frame}")
            for skipped in range(self._frame + 1, frame):
                if not len(self._alive):
                    break
                self._predict()
                self._miss(skipped, np.ones(len(self._alive), dtype=bool))
            self._predict()
        self._frame = frame
        low = rows[:, 1:3]
        corners = np.stack([low, low + rows[:, 3:5]], axis=1)
        picked = self._assign(corners, rows[:, 5])
        ids = np.full(len(rows), -1, dtype=np.int64)
        matched = picked >= 0
        ids[picked[matched]] = self._alive[matched]
        self._hit(np.flatnonzero(matched), corners[picked[matched]])
        self._miss(frame, ~matched)
        self._start(ids, corners, rows[:, 5])
        for track, is_gt in zip(ids.tolist(), (rows[:, 0] > 0).tolist(), strict=True):
            self._n_boxes[track] += 1
            self._is_gt[track] |= is_gt
        self._ids.append(ids)
        return ids

    def result(self) -> Tracks:
        """Return all tracks so far."""
        done = np.ones(len(self._hits), dtype=bool)
        done[self._alive] = False
        missed = [row for rows in self._missed for row in rows]
        return Tracks(
            track_id=np.concatenate(self._ids) if self._ids else np.zeros(0, dtype=np.int64),
            hits=np.array(self._hits, dtype=np.int64),
            done=done,
            is_gt=np.array(self._is_gt, dtype=bool),
            n_boxes=np.array(self._n_boxes, dtype=np.int64),
            missed=np.array(missed, dtype=np.float64).reshape(-1, 7),
        )

    def confidences(self, tracks: IntArray) -> FloatArray:
        """Return the present confidence of tracks that are alive, given by number."""
        return self._confidence[np.searchsorted(self._alive, tracks)]

    def _predict(self) -> None:
        moved = self._corners + self._velocity[:, None]
        self._last = self._corners
        self._cut = self._cut | (moved < 0) | (moved > self._limit)
        self._corners = np.clip(moved, 0, self._limit)
        self._age += 1

    def _assign(self, corners: FloatArray, classes: FloatArray) -> IntArray:
        """Give every live track the index of its box in this frame, or −1."""
        picked = np.full(len(self._alive), -1, dtype=np.int64)
        if not len(self._alive) or not len(corners):
            return picked
        overlap = _iou(self._corners, corners)
        overlap[self._class[:, None] != classes] = -1.0
        for track in np.argsort(-self._confidence, kind="stable").tolist():
            best = int(np.argmax(overlap[track]))
            if overlap[track, best] >= self.config.iou_threshold:
                picked[track] = best
                overlap[:, best] = -1.0
        return picked

    def _hit(self, rows: IntArray, corners: FloatArray) -> None:
        step = corners - self._last[rows]
        cut = self._cut[rows]
        velocity = step.mean(axis=1)
        velocity = np.where(cut[:, 0] & ~cut[:, 1], step[:, 1], velocity)
        velocity = np.where(cut[:, 1] & ~cut[:, 0], step[:, 0], velocity)
        q = self.config.decay
        weight = q * (1 - q ** self._age[rows]) / (1 - q)
        self._confidence[rows] = (weight * self._confidence[rows] + 1) / (weight + 1)
        self._velocity[rows] = velocity
        self._corners[rows] = corners
        self._cut[rows] = False
        for track, age in zip(self._alive[rows].tolist(), self._age[rows].tolist(), strict=True):
            self._hits[track] = age + 1
            if self._pending[track]:
                self._missed[track] += self._pending[track]
                self._pending[track] = []

    def _miss(self, frame: int, missed: BoolArray) -> None:
        """Lower the confidence of the marked tracks, note their predicted boxes, and end those that faded."""
        if not missed.any():
            return
        self._confidence = np.where(missed, self._confidence * self.config.decay, self._confidence)
        centre, size = self._corners.mean(axis=1), self._corners[:, 1] - self._corners[:, 0]
        for row in np.flatnonzero(missed).tolist():
            track = int(self._alive[row])
            box = (track, frame, *centre[row].tolist(), *size[row].tolist(), self._track_class[track])
            self._pending[track].append(box)
        keep = self._confidence >= self.config.min_confidence
        if not keep.all():
            for name in ("_corners", "_last", "_velocity", "_cut", "_confidence", "_age", "_alive", "_class"):
                setattr(self, name, getattr(self, name)[keep])

    def _start(self, ids: IntArray, corners: FloatArray, classes: FloatArray) -> None:
        new = np.flatnonzero(ids < 0)
        if not len(new):
            return
        first = len(self._hits)
        ids[new] = np.arange(first, first + len(new))
        self._corners = np.concatenate([self._corners, corners[new]])
        self._last = np.concatenate([self._last, corners[new]])
        self._velocity = np.concatenate([self._velocity, np.zeros((len(new), 2))])
        self._cut = np.concatenate([self._cut, np.zeros((len(new), 2, 2), dtype=bool)])
        self._confidence = np.concatenate([self._confidence, np.full(len(new), self.config.decay)])
        self._age = np.concatenate([self._age, np.zeros(len(new), dtype=np.int64)])
        self._alive = np.concatenate([self._alive, ids[new]])
        self._class = np.concatenate([self._class, classes[new]])
        self._hits += [1] * len(new)
        self._track_class += classes[new].tolist()
        self._is_gt += [False] * len(new)
        self._n_boxes += [0] * len(new)
        self._pending += [[] for _ in new]
        self._missed += [[] for _ in new]


def track_boxes(
    frames: Sequence[int], boxes: Sequence[BoxRows], frame_hw: tuple[int, int], config: TrackerConfig | None = None
) -> Tracks:
    """Track a whole sequence: frame numbers (ascending) and one array of label rows [n, ≥6] for each."""
    tracker = LinearTracker(frame_hw, config)
    for frame, rows in zip(frames, boxes, strict=True):
        tracker.update(int(frame), rows)
    return tracker.result()


def _iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Overlap of corner boxes [n, 2, 2] and [m, 2, 2] as [n, m]."""
    low = np.maximum(a[:, None, 0], b[None, :, 0])
    high = np.minimum(a[:, None, 1], b[None, :, 1])
    inter = np.clip(high - low, 0, None).prod(axis=-1)
    area_a, area_b = (a[:, 1] - a[:, 0]).prod(axis=-1), (b[:, 1] - b[:, 0]).prod(axis=-1)
    union = area_a[:, None] + area_b - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
