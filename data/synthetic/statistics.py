"""Figures about recordings with boxes: event rate, boxes by class, how many stand still or are silent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.formats.dat import read_dat
from data.events.types import Events
from data.synthetic.config import CLASS_NAMES, STEP_US

_STILL_PX = 0.5
_SILENT_EVENTS_PER_PX = 0.03


@dataclass(frozen=True)
class WorldStatistics:
    """What recordings hold.

    Attributes:
        recordings: how many.
        events_per_window: int64 [windows], events of each 50 ms.
        boxes: structured [N] with fields x, y, w, h, class_id.
        frames: labelled times that have a box.
        still: bool [N], the box is where it was one label before, to half a pixel.
        silent: bool [N], next to no event in the box during the last 50 ms.
    """

    recordings: int
    events_per_window: npt.NDArray[np.int64]
    boxes: npt.NDArray[Any]
    frames: int
    still: npt.NDArray[np.bool_]
    silent: npt.NDArray[np.bool_]

    def lines(self) -> list[str]:
        """The figures as text, one fact a line."""
        rate = self.events_per_window
        result = [f"{self.recordings} recordings, {len(self.boxes)} boxes on {self.frames} labelled frames"]
        if len(rate):
            low, middle, high = np.percentile(rate, (10, 50, 90))
            result.append(
                f"events per 50 ms: mean {rate.mean():.0f}, median {middle:.0f}, "
                f"10 % below {low:.0f}, 10 % above {high:.0f}"
            )
        for number, name in enumerate(CLASS_NAMES):
            chosen = self.boxes[self.boxes["class_id"] == number]
            if len(chosen):
                wide, high = (np.percentile(chosen[side], (5, 50, 95)).round().astype(int).tolist() for side in "wh")
                result.append(f"{name}: {len(chosen)} boxes, width {wide} and height {high} px (5, 50, 95 %)")
        if len(self.boxes):
            result.append(f"boxes that stand still: {self.still.mean():.1%}, without events: {self.silent.mean():.1%}")
        return result


def measure(events: Events, boxes: npt.NDArray[Any]) -> WorldStatistics:
    """Figures of one recording.

    Args:
        events: ordered events.
        boxes: structured [N] with t, x, y, w, h, class_id, track_id.
    """
    windows = np.bincount(np.maximum(events.t - 1, 0) // STEP_US) if len(events) else np.zeros(0, np.int64)
    return WorldStatistics(
        recordings=1,
        events_per_window=windows.astype(np.int64),
        boxes=boxes[["x", "y", "w", "h", "class_id"]],
        frames=len(np.unique(boxes["t"])),
        still=_still(boxes),
        silent=np.array([_is_silent(events, box) for box in boxes], bool),
    )


def _still(boxes: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    still = np.zeros(len(boxes), bool)
    corners = np.stack([boxes["x"], boxes["y"], boxes["x"] + boxes["w"], boxes["y"] + boxes["h"]], axis=1)
    order = np.lexsort((boxes["t"], boxes["track_id"]))
    before, after = order[:-1], order[1:]
    near = np.abs(corners[after] - corners[before]).max(axis=1) <= _STILL_PX if len(order) > 1 else np.zeros(0, bool)
    still[after] = near & (boxes["track_id"][after] == boxes["track_id"][before])
    return still


def _is_silent(events: Events, box: Any) -> bool:
    part = events.window(int(box["t"]) - STEP_US, int(box["t"]))
    inside = (
        (part.x >= box["x"]) & (part.x < box["x"] + box["w"]) & (part.y >= box["y"]) & (part.y < box["y"] + box["h"])
    )
    return bool(inside.sum() < _SILENT_EVENTS_PER_PX * box["w"] * box["h"])


def combine(parts: Iterable[WorldStatistics]) -> WorldStatistics:
    """Figures of several recordings together.

    Raises:
        ValueError: there is none.
    """
    parts = list(parts)
    return WorldStatistics(
        recordings=sum(part.recordings for part in parts),
        events_per_window=np.concatenate([part.events_per_window for part in parts]),
        boxes=np.concatenate([part.boxes for part in parts]),
        frames=sum(part.frames for part in parts),
        still=np.concatenate([part.still for part in parts]),
        silent=np.concatenate([part.silent for part in parts]),
    )


def measure_folder(folder: Path | str) -> WorldStatistics | None:
    """Figures of all recordings below a folder, None when it holds none."""
    parts = []
    for path in sorted(Path(folder).rglob("*_td.dat")):
        boxes = np.load(path.with_name(path.name.replace("_td.dat", "_bbox.npy")), allow_pickle=False)
        parts.append(measure(read_dat(path), boxes))
    return combine(parts) if parts else None
