"""The folders in which DMANet's dataset is built from the 1 megapixel recordings: ten windows of 50 ms to an archive.

``SPLIT/FILELIST/events/RECORDING/evKKK.npz`` holds arrays e0 .. e9 of events, ``labels/RECORDING/lbKKK.npz`` beside it
l0 .. l9 of boxes, structured, with fields by name; a window without events is in no archive. Archives of a folder are
one recording here.

Of the boxes of a window that one track has, the first one counts, and it lies at the window's end. Boxes wider than the
sensor are dropped and the others cut to it, before the least sizes of ``preprocessing`` (60 pixels of diagonal, 20 of
side) are looked at.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.chunked import ChunkedRecording, ChunkSource
from data.events.problems import bad_value
from data.events.recording import Recording
from data.events.types import Events
from data.preprocessing.layouts.base import Found, Layout, split_folder
from utils.arrays import load_npz
from utils.boxes import BBOX_DTYPE

WINDOW_US = 50_000
WIDTH, HEIGHT = 1280, 720
WINDOWS = 10
"""In an archive, at most."""

_EVENTS = ("t", "x", "y", "p")
_BOXES = ("t", "x", "y", "w", "h", "class_id")
_NUMBER = re.compile(r"(?:ev|lb)(\d+)\.npz")

Rows = npt.NDArray[Any]


class WindowArchives(Layout):
    """A folder of archives for each recording."""

    wanted = "recordings (SPLIT/FILELIST/events/RECORDING/ev000.npz)"
    box_files = "labels/RECORDING/lb000.npz"

    def find(self, raw_path: Path, split: str) -> list[Found] | None:
        """Folders of archives; recordings of one name in several lists are called after their list, too."""
        place = split_folder(raw_path, split)
        if place is None:
            return None
        folders = sorted({path.parent for path in place.rglob("ev*.npz") if path.parent.parent.name == "events"})
        names = [folder.name for folder in folders]
        return [
            Found(
                name if names.count(name) == 1 else f"{folder.parent.parent.name}_{name}",
                folder,
                folder.parent.parent / "labels" / name,
            )
            for name, folder in zip(names, folders, strict=True)
        ]

    def read_boxes(self, path: Path) -> Rows:
        """Boxes of all windows of a recording.

        Raises:
            UserError: an archive is damaged, or its arrays lack a field.
        """
        parts = [_boxes(rows) for archive in archives(path) for rows in windows(archive, "l", _BOXES)]
        return np.concatenate([np.zeros(0, BBOX_DTYPE), *parts])

    def open(self, path: Path, sensor_hw: tuple[int, int]) -> Recording:
        """Archive after archive."""
        return ChunkedRecording(ArchiveSource(path, sensor_hw), sensor_hw)


class ArchiveSource(ChunkSource):
    """Each archive is a piece; events outside the sensor are left out."""

    def __init__(self, folder: Path, sensor_hw: tuple[int, int]) -> None:
        self._archives, self._sensor_hw = archives(folder), sensor_hw
        self.path, self.hw, self.num_chunks = folder, None, len(self._archives)

    def chunk(self, index: int) -> Events:
        """Events of up to ten windows."""
        height, width = self._sensor_hw
        parts = windows(self._archives[index], "e", _EVENTS)
        columns = (
            np.concatenate([np.zeros(0, np.int64), *(part[name].astype(np.int64) for part in parts)])
            for name in _EVENTS
        )
        t, x, y, p = columns
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        return Events.from_arrays(t[inside], x[inside], y[inside], p[inside])

    def place(self, chunk: int, event: int) -> str:
        """Which event of which archive."""
        return f"number {event} of {self._archives[chunk].name}"


def archives(folder: Path) -> list[Path]:
    """Archives of a folder by their numbers."""
    found = [(int(match[1]), path) for path in folder.glob("*.npz") if (match := _NUMBER.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def windows(archive: Path, letter: str, fields: tuple[str, ...]) -> list[Rows]:
    """Arrays LETTER0, LETTER1, ... of an archive, those that are there.

    Raises:
        UserError: the file is damaged, or an array lacks a field.
    """
    arrays = load_npz(archive, fix="copy the file again")
    found = [arrays[key] for number in range(WINDOWS) if (key := f"{letter}{number}") in arrays]
    for rows in found:
        if rows.ndim != 1 or not set(fields) <= set(rows.dtype.names or ()):
            expected = f"arrays {letter}0 .. {letter}{WINDOWS - 1} [N] with the fields {', '.join(fields)}"
            raise bad_value(archive, expected, f"{rows.dtype} {list(rows.shape)}")
    return found


def _boxes(rows: Rows) -> Rows:
    """Boxes of one window, ``BBOX_DTYPE`` [n]."""
    boxes = np.zeros(len(rows), BBOX_DTYPE)
    for name in _BOXES:
        boxes[name] = rows[name]
    boxes["objectness"] = 1.0
    boxes["class_confidence"] = rows["class_confidence"] if "class_confidence" in (rows.dtype.names or ()) else 1.0
    if len(rows):
        boxes["t"] = (int(rows["t"][0]) // WINDOW_US + 1) * WINDOW_US
    if "track_id" in (rows.dtype.names or ()):
        boxes = boxes[np.sort(np.unique(rows["track_id"], return_index=True)[1])]
    boxes = boxes[boxes["w"] <= WIDTH]
    for corner, side, size in (("x", "w", WIDTH), ("y", "h", HEIGHT)):
        far = np.minimum(boxes[corner] + boxes[side], size)
        boxes[corner] = np.maximum(boxes[corner], 0)
        boxes[side] = far - boxes[corner]
    return boxes[(boxes["w"] > 0) & (boxes["h"] > 0)]


LAYOUT = WindowArchives()
