"""Tracks of a whole sequence from both directions of time: what both see is linked first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modules.tracking.association import associate
from utils.boxes import Label

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
BoxRows = npt.NDArray[np.floating[Any]]

ANCHOR_NOISE = 1e-3
"""Noise of ground truth relative to that of a certain detection: it is a hard anchor."""
ANCHOR_OVERLAP = 0.3
"""Least overlap of a track with ground truth: it is more likely to lie beside its object than to belong to none."""


@dataclass(frozen=True)
class JointConfig:
    """Settings of the joint tracker and of what is repaired by its tracks.

    Attributes:
        iou_threshold: least overlap of a track's predicted box with one that continues it, both enlarged by what is
            uncertain of the prediction.
        smooth: kept boxes take the place and size that the whole track gives them.
        score_mix: 0 leaves a box its own scores, 1 gives it the means of its track.
        fill_gap: a track's missed frames get labels if there are no more than these between two boxes.
        keep_stopped: the same for an object that stands; 0 treats it as any other.
        rival_iou: overlap from which the weaker of two tracks that go side by side gives way.
        floor: candidates with a smaller objectness or class confidence are left out.
        patience: missed frames after which a track is over, if it does not stand; no fewer than ``fill_gap``.
        other_class: factor of the overlap with a box of another class.
        jitter: standard deviation of a certain detection's place, relative to the size of the box.
        agility: standard deviation of a change of speed in a frame, relative to the size of the box, when a track is
            followed.
        drift: the same when its boxes are smoothed.
        still: an object slower than this share of its size a frame stands.
    """

    iou_threshold: float = 0.45
    smooth: bool = False
    score_mix: float = 0.5
    fill_gap: int = 6
    keep_stopped: int = 0
    rival_iou: float = 0.3
    floor: float = 0.3
    patience: int = 5
    other_class: float = 0.6
    jitter: float = 0.1
    agility: float = 0.03
    drift: float = 0.01
    still: float = 0.05

    @property
    def longest(self) -> int:
        """Most missed frames between two boxes of a track that moves."""
        return max(self.patience, self.fill_gap)


@dataclass(frozen=True)
class Boxes:
    """All boxes of a sequence in one array each, in the order of the frames.

    Attributes:
        frames: frame numbers, ascending [F].
        first: index of each frame's first box, and the number of boxes [F + 1].
        rows: label rows [N, 8]; t > 0 marks ground truth.
        frame: of every box [N].
        strong: boxes that may begin a track [N].
    """

    frames: IntArray
    first: IntArray
    rows: FloatArray
    frame: IntArray
    strong: BoolArray

    @classmethod
    def of(cls, frames: Sequence[int] | IntArray, boxes: Sequence[BoxRows], strong: BoolArray) -> Boxes:
        """Join the label rows [n, 8] of all frames.

        Raises:
            ValueError: the frame numbers do not ascend.
        """
        numbers = np.asarray(frames, dtype=np.int64)
        if (np.diff(numbers) <= 0).any():
            raise ValueError(f"frames must ascend: {numbers.tolist()}")
        counts = np.array([len(rows) for rows in boxes], dtype=np.int64)
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        rows = np.concatenate([np.zeros((0, len(Label))), *boxes]).astype(np.float64)
        return cls(numbers, first, rows, np.repeat(numbers, counts), strong | (rows[:, Label.T] > 0))

    @property
    def is_gt(self) -> BoolArray:
        """Ground truth [N]."""
        return self.rows[:, Label.T] > 0

    @property
    def score(self) -> FloatArray:
        """Objectness times class confidence, 1 for ground truth [N]."""
        return np.where(self.is_gt, 1.0, self.rows[:, Label.OBJECTNESS] * self.rows[:, Label.CLASS_CONFIDENCE])

    def noise(self, jitter: float) -> FloatArray:
        """Variance of every box's place relative to its size: the less certain a box, the larger [N]."""
        return jitter**2 * np.where(self.is_gt, ANCHOR_NOISE, 1 / np.maximum(self.score, 0.05))

    def reversed(self) -> tuple[Boxes, IntArray]:
        """The same in reversed time, and the index that every one of its boxes has here [N]."""
        order = np.lexsort((np.arange(len(self.rows)), -self.frame))
        first = np.concatenate([[0], np.cumsum(np.diff(self.first)[::-1])]).astype(np.int64)
        back = Boxes(-self.frames[::-1], first, self.rows[order], -self.frame[order], self.strong[order])
        return back, order


def joint_tracks(boxes: Boxes, config: JointConfig) -> tuple[IntArray, BoolArray]:
    """Track forward and backward, and join both to one set of tracks.

    A link of two boxes that both directions make stands. One that only one of them makes is added if neither box has
    another on that side; those of the track with the larger sum of scores come first.

    Returns:
        Track of every box, −1 for weak ones that belong to none; whether both directions link it with the next box of
        its track [N].
    """
    back, order = boxes.reversed()
    ids = [_follow(boxes, config), np.empty(len(boxes.rows), dtype=np.int64)]
    ids[1][order] = _follow(back, config)
    links = [_next_boxes(own, boxes.frame) for own in ids]
    agreed = (links[0] == links[1]) & (links[0] >= 0)
    following = np.where(agreed, links[0], -1)
    previous = np.full(len(boxes.rows), -1, dtype=np.int64)
    previous[following[agreed]] = np.flatnonzero(agreed)
    single = [np.flatnonzero((own >= 0) & ~agreed) for own in links]
    start, end = np.concatenate(single), np.concatenate([own[part] for own, part in zip(links, single, strict=True)])
    weight = np.concatenate([_totals(own, boxes.score)[own[part]] for own, part in zip(ids, single, strict=True)])
    for index in np.lexsort((start, -weight)).tolist():
        if following[start[index]] < 0 and previous[end[index]] < 0:
            following[start[index]], previous[end[index]] = end[index], start[index]
    track_id, num_tracks = np.full(len(boxes.rows), -1, dtype=np.int64), 0
    tracked = (ids[0] >= 0) | (ids[1] >= 0)
    for box in np.flatnonzero(tracked).tolist():
        if previous[box] < 0:
            track_id[box], num_tracks = num_tracks, num_tracks + 1
        else:
            track_id[box] = track_id[previous[box]]
    return track_id, agreed


def _follow(boxes: Boxes, config: JointConfig) -> IntArray:
    rows = boxes.rows
    centred = np.concatenate([rows[:, Label.XY] + rows[:, Label.WH] / 2, rows[:, Label.WH]], axis=1)
    least = np.where(boxes.is_gt, min(ANCHOR_OVERLAP, config.iou_threshold), config.iou_threshold)
    return associate(
        boxes.frames, boxes.first, centred, rows[:, Label.CLASS_ID].copy(), boxes.strong, boxes.noise(config.jitter),
        least, config.other_class, config.agility**2, config.still, config.longest + 1,
        max(config.keep_stopped, config.longest) + 1,
    )  # fmt: skip


def _next_boxes(track_id: IntArray, frame: IntArray) -> IntArray:
    """Index of the next box of the same track, −1 for none [N]."""
    order = np.lexsort((frame, track_id))
    same = (np.diff(track_id[order]) == 0) & (track_id[order[1:]] >= 0)
    following = np.full(len(track_id), -1, dtype=np.int64)
    following[order[:-1][same]] = order[1:][same]
    return following


def _totals(track_id: IntArray, score: FloatArray) -> FloatArray:
    """Sum of the scores of every track [K]."""
    own = track_id >= 0
    return np.bincount(track_id[own], weights=score[own]).astype(np.float64)
