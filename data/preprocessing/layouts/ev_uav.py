"""EV-UAV's archives as downloaded: ``SPLIT/SPLIT_000.npz`` with an array ``ev`` of events, each with its target.

There are no boxes: one is drawn around the events of each target in every ``WINDOW_US``, and lies at the window's end.
Times are milliseconds with fractions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.chunked import ChunkedRecording
from data.events.formats.columns import ColumnSource
from data.events.problems import bad_value
from data.events.recording import Recording
from data.preprocessing.layouts.base import Found, Layout, split_folder
from utils.arrays import load_npz
from utils.boxes import BBOX_DTYPE

WINDOW_US = 50_000
"""From box to box of a target; the window in which its publishers count events for detectors of frames."""

FIELDS = ("x", "y", "t", "p", "label", "name")
_LONGEST_MS = 1e9


class LabelledEvents(Layout):
    """Events that say which target they are of, in an archive for each recording."""

    wanted = "recordings (SPLIT/*.npz with an array ev)"

    def find(self, raw_path: Path, split: str) -> list[Found] | None:
        """Archives of a split's folder."""
        place = split_folder(raw_path, split)
        return place and [Found(path.stem, path, path) for path in sorted(place.glob("*.npz"))]

    def read_boxes(self, path: Path) -> npt.NDArray[Any]:
        """Boxes around the targets' events."""
        events = read_events(path)
        events = events[events["label"] > 0]
        window = times_us(events) // WINDOW_US
        order = np.lexsort((events["name"], window))
        events, window = events[order], window[order]
        other = (np.diff(window) != 0) | (np.diff(events["name"]) != 0)
        first = np.flatnonzero(np.append(True, other))[: len(events)]
        boxes = np.zeros(len(first), dtype=BBOX_DTYPE)
        if len(first):
            for corner, size in (("x", "w"), ("y", "h")):
                boxes[corner] = np.minimum.reduceat(events[corner], first)
                boxes[size] = np.maximum.reduceat(events[corner], first) - boxes[corner] + 1
            boxes["t"] = (window[first] + 1) * WINDOW_US
        boxes["class_confidence"] = boxes["objectness"] = 1.0
        return boxes

    def open(self, path: Path, sensor_hw: tuple[int, int]) -> Recording:
        """All events of an archive, held in memory."""
        events = read_events(path)
        columns = {"t": times_us(events), **{name: events[name] for name in "xyp"}}
        source = ColumnSource(
            path, lambda start, stop: {name: column[start:stop] for name, column in columns.items()}, len(events), None
        )
        return ChunkedRecording(source, sensor_hw)


def read_events(path: Path) -> npt.NDArray[Any]:
    """The array ``ev``, structured [N] with ``FIELDS``.

    Raises:
        UserError: the file is damaged, or its array has other fields or times that are none.
    """
    events = load_npz(path, "ev", fix="copy the file again")["ev"]
    kinds = {name: events.dtype[name].kind for name in events.dtype.names or ()}
    if events.ndim != 1 or any(kinds.get(name, "-") not in ("iuf" if name == "t" else "iu") for name in FIELDS):
        got = f"{events.dtype} {list(events.shape)}"
        raise bad_value(path, "ev [N] with whole numbers x, y, p, label, name and times t", got)
    wrong = ~(np.abs(events["t"]) < _LONGEST_MS)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise bad_value(path, "times in milliseconds", f"t = {events['t'][at]} of event number {at}")
    return events


def times_us(events: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Times in whole microseconds, int64 [N]."""
    return np.rint(events["t"].astype(np.float64) * 1000).astype(np.int64)


LAYOUT = LabelledEvents()
