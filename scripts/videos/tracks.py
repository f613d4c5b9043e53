"""Numbers and trails for what is drawn: boxes of the same object in one frame after another."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from modules.tracking.joint import Boxes, JointConfig, joint_tracks
from utils.boxes import Label
from utils.pictures.boxes import BoxKind, DrawnBox

TRAIL = 20
"""Frames that a trail goes back, one second of windows of 50 ms."""


def with_tracks(frames: Sequence[Sequence[DrawnBox]]) -> list[list[DrawnBox]]:
    """The boxes of all frames of a video with a number of their track in the tag, and where it came from as a trail.

    What fades, and what is ignored, belongs to no track. Each panel has tracks of its own, numbered from 1.
    """
    done = [list(boxes) for boxes in frames]
    for panel in {box.panel for boxes in frames for box in boxes}:
        places = [[at for at, box in enumerate(boxes) if box.panel == panel and _belongs(box)] for boxes in done]
        ids = iter(_track_ids([[done[t][at] for at in chosen] for t, chosen in enumerate(places)]).tolist())
        trails: defaultdict[int, deque[tuple[float, float]]] = defaultdict(lambda: deque(maxlen=TRAIL))
        for boxes, chosen in zip(done, places, strict=True):
            for at, track in zip(chosen, ids, strict=False):
                x1, y1, x2, y2 = boxes[at].xyxy
                trails[track].append(((x1 + x2) / 2, (y1 + y2) / 2))
                text = f"#{track + 1} {boxes[at].text}".rstrip()
                boxes[at] = replace(boxes[at], text=text, trail=tuple(trails[track]), track=track + 1)
    return done


def _belongs(box: DrawnBox) -> bool:
    return box.kind is not BoxKind.IGNORED and box.strength == 1.0


def _track_ids(frames: Iterable[Sequence[DrawnBox]]) -> npt.NDArray[np.int64]:
    """Track of every box, in the order of the frames [N]."""
    rows = [_rows(boxes) for boxes in frames]
    everything = np.ones(sum(map(len, rows)), dtype=np.bool_)
    return joint_tracks(Boxes.of(np.arange(len(rows)), rows, everything), JointConfig())[0]


def _rows(boxes: Sequence[DrawnBox]) -> npt.NDArray[np.float64]:
    rows = np.zeros((len(boxes), len(Label)))
    if boxes:
        Label.set_corners_(rows, *np.array([box.xyxy for box in boxes]).T)
        rows[:, Label.CLASS_ID] = [box.class_id for box in boxes]
        rows[:, [Label.OBJECTNESS, Label.CLASS_CONFIDENCE]] = 1
    return rows
