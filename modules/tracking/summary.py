"""What the boxes of a track say together: its class, its scores, whether it counts, and where it was in every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modules.tracking.joint import BoolArray, Boxes, FloatArray, IntArray, JointConfig
from modules.tracking.smoothing import smooth_tracks
from utils.boxes import Label

SCORES = [Label.OBJECTNESS, Label.CLASS_CONFIDENCE]


@dataclass(frozen=True)
class TrackSummary:
    """What is known of every track, one entry each [K].

    Attributes:
        boxes: index of their boxes, by track and frame [N'].
        track_id: track of each of them [N'].
        first: index in ``boxes`` of each track's first one, and their number [K + 1].
        class_id: class with the largest sum of scores; of ground truth where there is some.
        scores: mean objectness and class confidence of the boxes of that class [K, 2].
        has_gt: it holds ground truth.
        counts: its boxes may become labels.
        span_first: index of each track's first frame in the arrays below, and their number [K + 1].
        span: number of that frame.
        place: smoothed cx, cy, w, h in every frame of every track [M, 4].
        speed: of these, pixels a frame [M, 4].
    """

    boxes: IntArray
    track_id: IntArray
    first: IntArray
    class_id: IntArray
    scores: FloatArray
    has_gt: BoolArray
    counts: BoolArray
    span_first: IntArray
    span: IntArray
    place: FloatArray
    speed: FloatArray

    def row_of(self, track_id: IntArray, frame: IntArray) -> IntArray:
        """Index of a frame of a track in ``place`` and ``speed`` [n]."""
        return self.span_first[track_id] + frame - self.span[track_id]


def summarise(flat: Boxes, track_id: IntArray, config: JointConfig, min_track_len: int) -> TrackSummary:
    """Vote, average and smooth.

    Args:
        flat: all boxes [N].
        track_id: track of every box, −1 for none [N].
        config: settings.
        min_track_len: boxes that a track needs to count, if it holds no ground truth and both its ends are seen.
    """
    order = np.lexsort((flat.frame, track_id))
    order = order[track_id[order] >= 0]
    ids, rows, frame, is_gt = track_id[order], flat.rows[order], flat.frame[order], flat.is_gt[order]
    num_tracks = int(ids[-1]) + 1 if len(ids) else 0
    first = np.searchsorted(ids, np.arange(num_tracks + 1))
    class_id = rows[:, Label.CLASS_ID].astype(np.int64)
    classes = int(class_id.max(initial=0)) + 1
    votes = np.bincount(
        ids * classes + class_id, weights=np.where(is_gt, len(ids), flat.score[order]), minlength=num_tracks * classes
    )
    winner = votes.reshape(num_tracks, classes).argmax(axis=1)
    agrees = (class_id == winner[ids]).astype(np.float64)
    scores = np.where(is_gt[:, None], 1.0, rows[:, SCORES])
    means = np.stack([np.bincount(ids, agrees * column, num_tracks) for column in scores.T], axis=1)
    means = means / np.maximum(np.bincount(ids, agrees, num_tracks), 1)[:, None]
    begin, end = frame[first[:-1]], frame[first[1:] - 1]
    known = (flat.frames[0], flat.frames[-1]) if len(flat.frames) else (0, 0)
    open_ended = (begin - known[0] <= config.longest) | (known[1] - end <= config.longest)
    anchors, labelled = np.bincount(ids, is_gt, num_tracks), np.unique(flat.frame[flat.is_gt])
    missed = np.searchsorted(labelled, end, side="right") - np.searchsorted(labelled, begin) - anchors
    counts = ((np.diff(first) >= min_track_len) | (anchors > 0) | open_ended) & (missed <= anchors)
    noise = flat.noise(config.jitter)[order]
    centre = rows[:, Label.XY] + rows[:, Label.WH] / 2
    span_first, *parts = smooth_tracks(first, frame, centre, noise, config.drift**2)
    _, *sizes = smooth_tracks(first, frame, rows[:, Label.WH].copy(), noise, config.drift**2)
    place, speed = (np.concatenate(pair, axis=1) for pair in zip(parts, sizes, strict=True))
    return TrackSummary(order, ids, first, winner, means, anchors > 0, counts, span_first, begin, place, speed)


def placed_in_frame(centred: FloatArray, frame_hw: tuple[int, int]) -> FloatArray:
    """Boxes cx, cy, w, h as x, y, w, h cut by the frame [n, 4]; outside of it a side is 0."""
    limit = np.array(frame_hw[::-1], dtype=np.float64) - 1
    low = np.clip(centred[:, :2] - centred[:, 2:] / 2, 0, limit)
    high = np.clip(centred[:, :2] + centred[:, 2:] / 2, 0, limit)
    return np.concatenate([low, np.maximum(high - low, 0)], axis=1)
