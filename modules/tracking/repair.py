"""Pseudo labels repaired by their tracks: class and scores by vote, boxes smoothed, gaps filled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from modules.tracking.filling import Passes, fill_gaps
from modules.tracking.joint import BoolArray, Boxes, BoxRows, JointConfig, joint_tracks
from modules.tracking.rivals import outdone
from modules.tracking.summary import SCORES, TrackSummary, placed_in_frame, summarise
from utils.boxes import IGNORE_LABEL, Label

Rows32 = npt.NDArray[np.float32]


def track_and_repair(
    frames: Sequence[int],
    boxes: Sequence[BoxRows],
    frame_hw: tuple[int, int],
    config: JointConfig,
    passes: Passes,
    min_track_len: int = 6,
    inpaint: bool = True,
) -> dict[int, Rows32]:
    """Turn candidates of any score into labels, boxes to ignore, and nothing.

    A track counts if it has ``min_track_len`` boxes, holds ground truth, or reaches the first or last frame. Its boxes
    take its class, and scores mixed with its means; those that pass and lie on no stronger track are labels, the
    others of such a track are ignored. Strong boxes of other tracks are ignored, weak ones left out. Ground truth and
    boxes that are already ignored stay as they are.

    Args:
        frames: frame numbers, ascending [F].
        boxes: label rows [n, 8] of each frame; t > 0 marks ground truth, whose frames get nothing else.
        frame_hw: size of the frame that holds the boxes, pixels.
        config: settings.
        passes: the thresholds of a label; by its own scores it also decides which boxes are strong.
        min_track_len: least boxes of a track.
        inpaint: ignore the places of missed frames that do not become labels, and those before and after a track.

    Returns:
        Label rows by frame number, ascending, frames without rows left out.
    """
    rows = np.concatenate([np.zeros((0, len(Label)), np.float32), *boxes]).astype(np.float32)
    numbers = np.repeat(np.asarray(frames, dtype=np.int64), [len(part) for part in boxes])
    usable = rows[:, Label.CLASS_ID] != IGNORE_LABEL
    chosen = np.split(usable, np.cumsum([len(part) for part in boxes])[:-1]) if len(boxes) else []
    own = rows[usable]
    strong = passes(own[:, Label.CLASS_ID], own[:, Label.OBJECTNESS], own[:, Label.CLASS_CONFIDENCE])
    flat = Boxes.of(frames, [part[mask] for part, mask in zip(boxes, chosen, strict=True)], strong)
    track_id, agreed = joint_tracks(flat, config)
    tracks = summarise(flat, track_id, config, min_track_len)
    repaired, keep = _repaired(flat, own, tracks, config, passes, frame_hw)
    rows[usable] = repaired
    stays = np.ones(len(rows), dtype=bool)
    stays[usable] = keep
    added, at = fill_gaps(flat, agreed, tracks, config, passes, frame_hw, inpaint)
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
    passes: Passes,
    frame_hw: tuple[int, int],
) -> tuple[Rows32, BoolArray]:
    """Rows of all boxes after the vote [N, 8], and which of them stay at all [N]."""
    rows, index, ids = own.copy(), tracks.boxes, tracks.track_id
    scores = rows[index][:, SCORES].astype(np.float64)
    other = rows[index, Label.CLASS_ID] != tracks.class_id[ids]
    scores[other, 1] = tracks.scores[ids[other], 1]  # its confidence was in another class
    mixed = ((1 - config.score_mix) * scores + config.score_mix * tracks.scores[ids]).astype(np.float32)
    label = tracks.counts[ids] & passes(tracks.class_id[ids], mixed[:, 0], mixed[:, 1])
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
