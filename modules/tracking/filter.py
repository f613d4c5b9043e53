"""Dropping pseudo labels that no track supports, and marking places where a track was lost for a while (LEOD)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from modules.tracking.joint import JointConfig
from modules.tracking.kernel import M_CX, M_CY, M_FRAME, M_H, M_TRACK, M_W
from modules.tracking.linear import LinearTracker, TrackerConfig, Tracks
from utils.boxes import IGNORE_LABEL, Label
from utils.errors import UserError

TrackMethod = Literal["forward", "forward or backward"]


@dataclass(frozen=True)
class TrackFilterConfig:
    """Settings of ``filter_tracks``, or of ``track_and_repair`` where ``joint`` is given.

    Attributes:
        min_track_len: a finished track of fewer frames loses its boxes; 0 switches tracking off.
        track_method: ``forward``, or ``forward or backward``: a box goes only if both directions want it.
        inpaint: add the predicted boxes at missed frames of kept tracks as boxes to ignore.
        tracker: settings of the tracker.
        joint: repair labels by tracks of both directions instead; None: filter them.

    Raises:
        UserError: an unknown method or a negative length.
    """

    min_track_len: int = 6
    track_method: TrackMethod = "forward or backward"
    inpaint: bool = False
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    joint: JointConfig | None = None

    def __post_init__(self) -> None:
        if self.track_method not in ("forward", "forward or backward"):
            raise UserError(
                expected="'forward' or 'forward or backward'",
                got=repr(self.track_method),
                where="tracking.track_method",
                fix="choose one of the two",
            )
        if self.min_track_len < 0:
            raise UserError(
                expected="a number ≥ 0",
                got=str(self.min_track_len),
                where="tracking.min_track_len",
                fix="use 0 for off",
            )

    @property
    def repairs(self) -> bool:
        """Labels are chosen after tracking, from candidates of lower scores."""
        return self.joint is not None and self.min_track_len > 0


def filter_tracks(
    frames: Sequence[int],
    boxes: Sequence[npt.NDArray[np.floating[Any]]],
    frame_hw: tuple[int, int],
    config: TrackFilterConfig,
) -> tuple[list[npt.NDArray[np.bool_]], dict[int, npt.NDArray[np.float32]]]:
    """Find the boxes that no lasting track supports, and the boxes to paint in.

    A box goes if its track is over, spans fewer than ``min_track_len`` frames and holds no ground truth.

    Args:
        frames: frame numbers, ascending.
        boxes: label rows [n, 8] of each frame; t > 0 marks ground truth.
        frame_hw: size of the frame that holds the boxes, pixels.
        config: settings.

    Returns:
        A mask per frame, true where a box should be ignored; and by frame number the label rows [m, 8] to add, with
        class ``IGNORE_LABEL``, t and scores 0. Frames with ground truth get none.
    """
    counts = np.array([len(rows) for rows in boxes], dtype=np.int64)
    tracker = LinearTracker(frame_hw, config.tracker)
    forward = tracker.track(frames, boxes)
    ignored = _unsupported(forward, config.min_track_len)
    if config.track_method == "forward or backward" and ignored.any():
        reverse = [-int(frame) for frame in reversed(frames)]
        backward = tracker.track(reverse, list(reversed(boxes)))
        per_frame = np.split(_unsupported(backward, config.min_track_len), np.cumsum(counts[::-1])[:-1])
        ignored &= np.concatenate(per_frame[::-1])
    masks = np.split(ignored, np.cumsum(counts)[:-1]) if len(counts) else []
    labelled = {int(frame) for frame, rows in zip(frames, boxes, strict=True) if (rows[:, Label.T] > 0).any()}
    painted = _painted(forward, config.min_track_len, labelled) if config.inpaint else {}
    return masks, painted


def _short(tracks: Tracks, min_track_len: int) -> npt.NDArray[np.bool_]:
    return tracks.done & (tracks.hits < min_track_len) & ~tracks.is_gt


def _unsupported(tracks: Tracks, min_track_len: int) -> npt.NDArray[np.bool_]:
    if not len(tracks.track_id):
        return np.zeros(0, dtype=bool)
    return _short(tracks, min_track_len)[tracks.track_id]


def _painted(tracks: Tracks, min_track_len: int, labelled: set[int]) -> dict[int, npt.NDArray[np.float32]]:
    missed = tracks.missed
    missed = missed[~_short(tracks, min_track_len)[missed[:, M_TRACK].astype(np.int64)]] if len(missed) else missed
    rows = np.zeros((len(missed), len(Label)), dtype=np.float32)
    rows[:, Label.XY] = missed[:, [M_CX, M_CY]] - missed[:, [M_W, M_H]] / 2
    rows[:, Label.WH] = missed[:, [M_W, M_H]]
    rows[:, Label.CLASS_ID] = IGNORE_LABEL
    painted: dict[int, list[int]] = {}
    for index, frame in enumerate(missed[:, M_FRAME].astype(np.int64).tolist()):
        if frame not in labelled:
            painted.setdefault(frame, []).append(index)
    return {frame: rows[indices] for frame, indices in sorted(painted.items())}
