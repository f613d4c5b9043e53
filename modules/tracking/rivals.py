"""Tracks of one object that go side by side: where they overlap, only the one with more evidence keeps its boxes."""

from __future__ import annotations

import numpy as np

from modules.tracking.joint import BoolArray, Boxes, IntArray, JointConfig
from modules.tracking.summary import TrackSummary
from utils.boxes import paired_iou

ALONGSIDE = 0.5
"""Least share of a track's boxes that lie on the stronger track; objects that only cross share less."""


def outdone(flat: Boxes, tracks: TrackSummary, config: JointConfig) -> BoolArray:
    """Which of the tracks' boxes lie on a stronger track that goes with theirs [N'].

    A track is stronger by ground truth, then by its sum of scores. Classes make no difference: a detector that sees an
    object as two things does so for many frames. Ground truth is never outdone.
    """
    ids, frame = tracks.track_id, flat.frame[tracks.boxes]
    count = np.diff(tracks.first)
    strength = np.bincount(ids, flat.score[tracks.boxes], len(count)) + tracks.has_gt * len(frame)
    place = tracks.place[tracks.row_of(ids, frame)]
    boxes = np.concatenate([place[:, :2] - place[:, 2:] / 2, place[:, 2:]], axis=1)
    a, b = _pairs(frame)
    close = paired_iou(boxes[a], boxes[b]) >= config.rival_iou
    a, b = a[close], b[close]
    swap = (strength[ids[a]] < strength[ids[b]]) | ((strength[ids[a]] == strength[ids[b]]) & (ids[a] > ids[b]))
    weak, strong = np.where(swap, a, b), np.where(swap, b, a)
    pair = ids[weak] * len(count) + ids[strong]
    different, which, shared = np.unique(pair, return_inverse=True, return_counts=True)
    alongside = shared >= ALONGSIDE * count[different // max(len(count), 1)]
    found = np.zeros(len(frame), dtype=bool)
    found[weak[alongside[which] & tracks.counts[ids[strong]]]] = True
    return found & ~flat.is_gt[tracks.boxes]


def _pairs(frame: IntArray) -> tuple[IntArray, IntArray]:
    """Indices of all pairs of boxes of the same frame, each pair once."""
    order = np.argsort(frame, kind="stable")
    ordered = frame[order]
    later = np.searchsorted(ordered, ordered, side="right") - np.arange(len(frame)) - 1
    a = np.repeat(np.arange(len(frame)), later)
    b = a + 1 + np.arange(len(a)) - np.repeat(np.cumsum(later) - later, later)
    return order[a], order[b]
