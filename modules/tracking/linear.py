"""A constant-velocity tracker for boxes of a sequence, as LEOD (CVPR 2024) filters pseudo labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modules.tracking.kernel import M_FRAME, M_TRACK, follow
from utils.boxes import Label

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
    """What tracking found: arrays with one entry per box in input order [N], or one per track [K].

    Attributes:
        track_id: track of every box [N].
        confidence: of its track when the box was added [N].
        hits: frames from a track's first box to its last one, both included (missed frames between count) [K].
        done: the track ended before the last frame [K].
        is_gt: the track holds a ground-truth box [K].
        n_boxes: boxes of the track [K].
        missed: predicted boxes on missed frames between two boxes of a track, by track and frame,
            columns track, frame, cx, cy, w, h, class [M, 7].
    """

    track_id: IntArray
    confidence: FloatArray
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
    had cut the predicted box, the step of the edge that is still visible. Time grows linearly with the frames.

    Args:
        frame_hw: height and width in pixels of the frame that holds the boxes.
        config: settings.
    """

    def __init__(self, frame_hw: tuple[int, int], config: TrackerConfig | None = None) -> None:
        height, width = frame_hw
        self.config = config or TrackerConfig()
        self._limit = (float(width - 1), float(height - 1))

    def track(self, frames: Sequence[int] | IntArray, boxes: Sequence[BoxRows]) -> Tracks:
        """Track the boxes of a whole sequence; frame numbers left out are frames without boxes.

        Args:
            frames: frame numbers, ascending [F].
            boxes: label rows [n, ≥6] of each frame: t, x, y, w, h, class, …; t > 0 marks ground truth.

        Raises:
            ValueError: the frame numbers do not ascend.
        """
        numbers = np.asarray(frames, dtype=np.int64)
        if (np.diff(numbers) <= 0).any():
            raise ValueError(f"frames must ascend: {numbers.tolist()}")
        first = np.concatenate([[0], np.cumsum([len(rows) for rows in boxes])]).astype(np.int64)
        used = slice(Label.T, Label.CLASS_ID + 1)
        empty = np.zeros((0, Label.CLASS_ID + 1), dtype=np.float64)
        rows = np.concatenate([empty, *(np.asarray(part, dtype=np.float64)[:, used] for part in boxes)])
        corners = np.stack(Label.corners(rows), axis=1)
        q = self.config.decay
        span = int(numbers[-1] - numbers[0]) + 2 if len(numbers) else 1
        weights = q * (1 - q ** np.arange(span, dtype=np.float64)) / (1 - q)
        track_id, confidence, last_frame, hits, alive, missed = follow(
            numbers, first, corners, rows[:, Label.CLASS_ID].copy(), self._limit, weights, self.config.iou_threshold, q,
            self.config.min_confidence,
        )  # fmt: skip
        done = np.ones(len(hits), dtype=bool)
        done[alive] = False
        is_gt = np.zeros(len(hits), dtype=bool)
        is_gt[track_id[rows[:, Label.T] > 0]] = True
        missed = missed[missed[:, M_FRAME] < last_frame[missed[:, M_TRACK].astype(np.int64)]]
        missed = missed[np.lexsort((missed[:, M_FRAME], missed[:, M_TRACK]))]
        return Tracks(track_id, confidence, hits, done, is_gt, np.bincount(track_id, minlength=len(hits)), missed)
