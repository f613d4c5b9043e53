"""Frames in which a track was missed: labels where both directions agree, boxes to ignore elsewhere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from modules.tracking.joint import BoolArray, Boxes, FloatArray, IntArray, JointConfig
from modules.tracking.summary import TrackSummary, placed_in_frame
from utils.boxes import IGNORE_LABEL, Label, ScoreLimits, paired_iou

Rows32 = npt.NDArray[np.float32]
SAME_PLACE = 0.5
"""Least overlap of the boxes before and after an object stood unseen."""
RECENT = 4
"""Boxes before an end that show whether an object stands."""
INSIDE = 0.5
"""Least share of a box within the frame; with less of it the object has left."""


def fill_gaps(
    flat: Boxes,
    agreed: BoolArray,
    tracks: TrackSummary,
    config: JointConfig,
    sure: ScoreLimits,
    frame_hw: tuple[int, int],
    inpaint: bool,
) -> tuple[Rows32, IntArray]:
    """Label rows for missed frames of tracks that count, those between two boxes and those before and after.

    Args:
        flat: all boxes [N].
        agreed: both directions of time link a box with the next one of its track [N].
        tracks: what is known of them.
        config: settings.
        sure: the thresholds of a label, for the track's mean scores.
        frame_hw: size of the frame, pixels.
        inpaint: add boxes to ignore, with scores 0, where no label is added.

    Returns:
        Label rows with t = 0 [m, 8] and their frames [m]; frames with ground truth get none.
    """
    frame = flat.frame[tracks.boxes]
    means = tracks.scores.astype(np.float32)
    confident = sure.mask(tracks.class_id, means[:, 0], means[:, 1])
    known = (int(flat.frames[0]), int(flat.frames[-1])) if len(flat.frames) else (0, 0)
    parts = [(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool))]
    for track in np.flatnonzero(tracks.counts).tolist():
        own = slice(tracks.first[track], tracks.first[track + 1])
        base = tracks.span_first[track] - tracks.span[track]
        for index in (own.start + np.flatnonzero(np.diff(frame[own]) > 1)).tolist():
            missed = np.arange(int(frame[index]) + 1, int(frame[index + 1]))
            ends = tracks.boxes[index : index + 2]
            place, label = tracks.place[base + missed], len(missed) <= config.fill_gap and agreed[ends[0]]
            if config.fill_gap < len(missed) <= config.keep_stopped and _overlap(flat.rows[ends]) >= SAME_PLACE:
                share = ((missed - frame[index]) / (len(missed) + 1))[:, None]
                before, after = _centred(flat.rows[ends])
                place, label = (1 - share) * before + share * after, True
            label = np.full(len(missed), label and confident[track])
            parts.append((place, missed, np.full(len(missed), track), label))
        for way in (1, -1) if inpaint else ():
            members = tracks.boxes[own][::way]
            end = int(flat.frame[members[-1]])
            left = known[1] - end if way > 0 else end - known[0]
            if config.keep_stopped and _stands(flat, members[-RECENT:], config.still):
                frames = end + way * np.arange(1, min(config.keep_stopped, left) + 1)
                place = np.repeat(_centred(flat.rows[members[-1:]]), len(frames), axis=0)
            else:
                frames = end + way * np.arange(1, min(config.fill_gap, left) + 1)
                motion = tracks.speed[base + end] * [1, 1, 0, 0]  # its size stays
                place = tracks.place[base + end] + (frames - end)[:, None] * motion
            parts.append((place, frames, np.full(len(frames), track), np.zeros(len(frames), bool)))
    place, number, track_id, label = (np.concatenate(part) for part in zip(*parts, strict=True))
    boxes = placed_in_frame(place, frame_hw)
    keep = (boxes[:, 2:].prod(axis=1) >= INSIDE * place[:, 2:].prod(axis=1)) & (boxes[:, 2:] > 0).all(axis=1)
    keep &= (label | inpaint) & (number >= known[0]) & (number <= known[1])
    keep &= ~np.isin(number, flat.frame[flat.is_gt])
    rows = np.zeros((len(boxes), len(Label)), dtype=np.float32)
    rows[:, Label.XYWH] = boxes
    rows[:, Label.CLASS_ID] = np.where(label, tracks.class_id[track_id], IGNORE_LABEL)
    rows[:, Label.OBJECTNESS] = np.where(label, means[track_id, 0], 0)
    rows[:, Label.CLASS_CONFIDENCE] = np.where(label, means[track_id, 1], 0)
    return rows[keep], number[keep]


def _overlap(pair: FloatArray) -> float:
    boxes = pair[:, Label.XYWH]
    return float(paired_iou(boxes[:1], boxes[1:])[0])


def _stands(flat: Boxes, recent: IntArray, still: float) -> bool:
    """Whether a track moves by less than a share of its size a frame in its boxes before an end, the last one last."""
    first, last = flat.rows[recent[0]], flat.rows[recent[-1]]
    elapsed = abs(int(flat.frame[recent[-1]] - flat.frame[recent[0]]))
    moved = np.abs(last[Label.XY] + last[Label.WH] / 2 - first[Label.XY] - first[Label.WH] / 2)
    return len(recent) == RECENT and bool((moved < still * elapsed * last[Label.WH]).all())


def _centred(rows: FloatArray) -> FloatArray:
    """Boxes cx, cy, w, h [n, 4] of label rows."""
    return np.concatenate([rows[:, Label.XY] + rows[:, Label.WH] / 2, rows[:, Label.WH]], axis=1)
