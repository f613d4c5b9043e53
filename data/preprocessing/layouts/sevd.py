"""SEVD's folders: an archive of events and a COCO file of boxes for each simulated frame.

``dvs-N-xytp.npz`` holds the events of frame N (times in ns, as CARLA gives them) and ``dvs-N.json`` beside it the boxes
with events in them. Files that were renamed to ``N-xytp.npz`` and ``N.json`` and archives in a sub-folder ``npz`` are
found, too. All of a folder are one recording. No file says when its frame was: that is the time of its last event, and
between those of its neighbours for a frame without any.
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
from data.preprocessing.layouts.coco_frame import coco_frame
from utils.arrays import load_npz
from utils.boxes import BBOX_DTYPE

ARRAY = "dvs_events"
_ARCHIVE = re.compile(r"(dvs-)?(\d+)-xytp\.npz")
FIELDS = {"x": np.dtype("u2"), "y": np.dtype("u2"), "t": np.dtype("i8"), "pol": np.dtype(bool)}


class FrameArchives(Layout):
    """An archive for each frame."""

    wanted = f"recordings (SPLIT/.../dvs-N-xytp.npz with {ARRAY})"

    def find(self, raw_path: Path, split: str) -> list[Found] | None:
        """Folders that hold archives, named by their path in the folder of the split."""
        place = split_folder(raw_path, split)
        if place is None:
            return None
        folders = sorted({_home(path) for path in place.rglob("*-xytp.npz") if _ARCHIVE.fullmatch(path.name)})
        return [
            Found("_".join(folder.relative_to(place).parts) or folder.name, folder, _boxes(folder))
            for folder in folders
        ]

    def read_boxes(self, path: Path) -> npt.NDArray[Any]:
        """Boxes of all frames of a recording.

        Raises:
            UserError: a file cannot be read.
        """
        archives, frames = _archives(path), {}
        for number, archive in archives.items():
            times = read_archive(archive)["t"]
            frames[number] = int(times.max()) // 1000 if len(times) else None
        known = {number: time for number, time in frames.items() if time is not None}
        parts = []
        for number, file in _box_files(path, archives).items():
            boxes = coco_frame(file)
            boxes["t"] = round(float(np.interp(number, list(known), list(known.values())))) if known else 0
            parts.append(boxes)
        return np.concatenate(parts) if parts else np.zeros(0, dtype=BBOX_DTYPE)

    def open(self, path: Path, sensor_hw: tuple[int, int]) -> Recording:
        """Archive after archive."""
        return ChunkedRecording(ArchiveSource(path, list(_archives(path).values())), sensor_hw)


class ArchiveSource(ChunkSource):
    """Each archive is a piece, its events put in the order of their times."""

    def __init__(self, folder: Path, archives: list[Path]) -> None:
        self.path, self.hw, self.num_chunks = folder, None, len(archives)
        self._archives = archives

    def chunk(self, index: int) -> Events:
        """Events of one frame."""
        rows = read_archive(self._archives[index])
        rows = rows[np.argsort(rows["t"], kind="stable")]
        return Events.from_arrays(rows["t"] // 1000, rows["x"], rows["y"], rows["pol"])

    def place(self, chunk: int, event: int) -> str:
        """Which event of which archive, by time."""
        return f"number {event} of {self._archives[chunk].name}"


def read_archive(path: Path) -> npt.NDArray[Any]:
    """Events of a frame, structured [N] with x, y, t (ns) and pol.

    Raises:
        UserError: the file is damaged, or its array has other fields.
    """
    rows = load_npz(path, ARRAY, fix="copy the file again")[ARRAY]
    found = {name: rows.dtype[name] for name in rows.dtype.names or ()}
    if rows.ndim != 1 or found | FIELDS != found:
        expected = f"{ARRAY} [N] with x and y (uint16), t (int64) and pol (bool)"
        raise bad_value(path, expected, f"{rows.dtype} {list(rows.shape)}")
    return rows


def _home(archive: Path) -> Path:
    """The folder of a recording that an archive belongs to."""
    return archive.parent.parent if archive.parent.name == "npz" else archive.parent


def _archives(folder: Path) -> dict[int, Path]:
    """Archives of a recording by frame number, ascending."""
    files = [*folder.glob("*.npz"), *folder.glob("npz/*.npz")]
    found = [(int(match[2]), path) for path in files if (match := _ARCHIVE.fullmatch(path.name))]
    return dict(sorted(found))


def _box_files(folder: Path, archives: dict[int, Path]) -> dict[int, Path]:
    """Box files by frame number: ``dvs-N.json`` for ``dvs-N-xytp.npz``, ``N.json`` for ``N-xytp.npz``."""
    names = {number: path.name.removesuffix("-xytp.npz") + ".json" for number, path in archives.items()}
    return {number: folder / name for number, name in names.items() if (folder / name).is_file()}


def _boxes(folder: Path) -> Path:
    """The folder again if it has box files, else the first that it lacks."""
    archives = _archives(folder)
    first = next(iter(archives.values())).name.removesuffix("-xytp.npz")
    return folder if _box_files(folder, archives) else folder / f"{first}.json"


LAYOUT = FrameArchives()
