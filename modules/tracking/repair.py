"""Pseudo labels repaired by their tracks: class and scores by vote, boxes smoothed, gaps filled."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from modules.tracking.filling import fill_gaps
from modules.tracking.filter import TrackFilterConfig
from modules.tracking.joint import BoolArray, Boxes, BoxRows, JointConfig, joint_tracks
from modules.tracking.rivals import outdone
from modules.tracking.summary import SCORES, TrackSummary, placed_in_frame, summarise
from utils.boxes import IGNORE_LABEL, Label, ScoreLimits, rows_above

Rows32 = npt.NDArray[np.float32]


def track_and_repair(
    candidates: Mapping[int, BoxRows],
    frame_hw: tuple[int, int],
    config: TrackFilterConfig,
    sure: ScoreLimits,
    unsure: ScoreLimits | None = None,
) -> dict[int, Rows32]:
    """Turn candidates of any score into labels, boxes to ignore, and nothing.

    A track counts if it has ``min_track_len`` boxes, holds ground truth, or reaches the first or last frame, unless it
    passes through more labelled frames than it holds ground truth of. Its boxes take its class, and scores mixed with
    its means; those that pass and lie on no stronger track are labels, the others of such a track are ignored. Strong
    boxes of other tracks are ignored, weak ones left out. Ground truth and boxes that are already ignored stay as they
    are.

    Args:
        candidates: label rows [n, 8] by frame number, ascending; t > 0 marks ground truth, whose frames get nothing
            else.
        frame_hw: size of the frame that holds the boxes, pixels.
        config: settings; with ``inpaint`` missed frames that get no label, and those before and after a track, get a
            box to ignore.
        sure: the thresholds of a label; by their own scores they also decide which boxes are strong.
        unsure: candidates above them are ignored if they are no labels, whatever their track.

    Returns:
        Label rows by frame number, ascending, frames without rows left out.
    """
    joint, frames, boxes = config.joint or JointConfig(), list(candidates), list(candidates.values())
    rows = np.concatenate([np.zeros((0, len(Label)), np.float32), *boxes]).astype(np.float32)
    numbers = np.repeat(np.asarray(frames, dtype=np.int64), [len(part) for part in boxes])
    before = rows[:, Label.CLASS_ID] == IGNORE_LABEL
    strong = rows_above(rows, sure)
    usable = (strong | (rows[:, SCORES] >= joint.floor).all(axis=1) | (rows[:, Label.T] > 0)) & ~before
    chosen = np.split(usable, np.cumsum([len(part) for part in boxes])[:-1]) if len(boxes) else []
    own = rows[usable]
    flat = Boxes.of(frames, [part[mask] for part, mask in zip(boxes, chosen, strict=True)], strong[usable])
    track_id, agreed = joint_tracks(flat, joint)
    tracks = summarise(flat, track_id, joint, config.min_track_len)
    repaired, keep = _repaired(flat, own, tracks, joint, sure, frame_hw)
    if unsure is not None:
        doubtful = ~keep & rows_above(own, unsure)
        repaired[doubtful, Label.CLASS_ID] = IGNORE_LABEL
        keep |= doubtful
    rows[usable] = repaired
    stays = before
    stays[usable] = keep
    added, at = fill_gaps(flat, agreed, tracks, joint, sure, frame_hw, config.inpaint)
    everything, frame = np.concatenate([rows[stays], added]), np.concatenate([numbers[stays], at])
    order = np.argsort(frame, kind="stable")
    different, first = np.unique(frame[order], return_index=True)
    parts = np.split(everything[order], first[1:])
    return dict(zip(different.tolist(), parts, strict=False))


def _repaired(
    flat: Boxes,
    own: Rows32,
    tracks: TrackSummary,
    config: JointConfig,
    sure: ScoreLimits,
    frame_hw: tuple[int, int],
) -> tuple[Rows32, BoolArray]:
    """Rows of all boxes after the vote [N, 8], and which of them stay at all [N]."""
    rows, index, ids = own.copy(), tracks.boxes, tracks.track_id
    scores = rows[index][:, SCORES].astype(np.float64)
    other = rows[index, Label.CLASS_ID] != tracks.class_id[ids]
    scores[other, 1] = tracks.scores[ids[other], 1]  # its confidence was in another class
    mixed = ((1 - config.score_mix) * scores + config.score_mix * tracks.scores[ids]).astype(np.float32)
    label = tracks.counts[ids] & sure.mask(tracks.class_id[ids], mixed[:, 0], mixed[:, 1])
    label &= ~outdone(flat, tracks, config)
    is_gt = flat.is_gt[index]
    change, drop = label & ~is_gt, ~label & ~is_gt
    changed = index[change]
    rows[changed, Label.CLASS_ID] = tracks.class_id[ids[change]]
    rows[changed[:, None], SCORES] = mixed[change]
    if config.smooth:
        place = tracks.place[tracks.row_of(ids[change], flat.frame[changed])]
        placed = placed_in_frame(place, frame_hw)
        sound = (placed[:, 2:] > 0).all(axis=1)
        rows[changed[sound], Label.XYWH] = placed[sound]
    rows[index[drop], Label.CLASS_ID] = IGNORE_LABEL
    keep = flat.strong.copy()
    keep[index] |= label | tracks.counts[ids]
    return rows, keep
