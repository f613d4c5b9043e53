"""The store of raw events: those of each window in the order of time, beside the frames made of them; without torch.

One file a sequence, columns over all windows: ``xp`` (x times two, plus the polarity), ``y``, ``dt`` (microseconds from
the event before, or from the beginning of the window), and ``first`` [T + 1], where each window begins. Differences of
times are small numbers, which pack to less than the times. An event on the edge of two windows is in both, as in the
frames.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

from data.events.types import Events
from data.payloads.frame_reader import UnreadableFrames
from utils.errors import UserError

Size = tuple[int, int]

_CHUNK = 1 << 15
_COLUMNS = ("xp", "y", "dt")
_KEEP = "dataset.preprocessing.keep_events=true"


@dataclass(frozen=True)
class EventWindows:
    """Windows of one sequence.

    Attributes:
        windows: events of each, times from its beginning.
        sensor_hw: height and width of their pixels' plane.
        frame_hw: of the plane that boxes are told in.
        dt_us: length of a window.
    """

    windows: tuple[Events, ...]
    sensor_hw: Size
    frame_hw: Size
    dt_us: int

    def __len__(self) -> int:
        return len(self.windows)


class EventWriter:
    """Events of a sequence while they are written.

    Args:
        file: open for writing.
        sensor_hw: height and width of the sensor.
        dt_us: length of a window.
    """

    def __init__(self, file: h5py.File, sensor_hw: tuple[int, int], dt_us: int) -> None:
        file.attrs["sensor_hw"], file.attrs["dt_us"] = sensor_hw, dt_us
        times = np.uint16 if dt_us <= np.iinfo(np.uint16).max else np.uint32
        packing = hdf5plugin.Blosc(cname="zstd", clevel=5, shuffle=hdf5plugin.Blosc.SHUFFLE)
        self._file = file
        self._data = {
            name: file.create_dataset(
                name, (0,), times if name == "dt" else np.uint16, maxshape=(None,), chunks=(_CHUNK,), **packing
            )
            for name in _COLUMNS
        }
        self._first = [0]
        self._waiting: list[dict[str, npt.NDArray[Any]]] = []

    def __len__(self) -> int:
        return len(self._first) - 1

    def append(self, part: Events, start_us: int) -> None:
        """Add a window that begins at ``start_us``."""
        columns = {
            "xp": part.x * np.uint16(2) + part.p,
            "y": part.y,
            "dt": np.diff(part.t - start_us, prepend=0),
        }
        self._waiting.append(columns)
        self._first.append(self._first[-1] + len(part))
        if self._first[-1] - len(self._data["y"]) >= _CHUNK:
            self._write()

    def close(self) -> None:
        """Write what waits."""
        self._write()
        self._file.create_dataset("first", data=np.array(self._first, dtype=np.int64))

    def _write(self) -> None:
        for name, data in self._data.items():
            begun = len(data)
            data.resize(self._first[-1], axis=0)
            data[begun:] = np.concatenate([columns[name] for columns in self._waiting] or [np.zeros(0, data.dtype)])
        self._waiting = []


class EventReader:
    """Events of one sequence; the file is opened for every reading, so that processes may share the reader.

    Args:
        path: the file.
        half: boxes are told in pixels of twice the size (``dataset.downsample_by_factor_2``); events stay as they are.
    """

    def __init__(self, path: Path | str, half: bool = False) -> None:
        self.path, self.half = Path(path), half

    @property
    def shape(self) -> tuple[int, int, int]:
        """Windows, and height and width of the pixels that boxes are told in."""
        with self._open() as file:
            return len(file["first"]) - 1, *self._frame_hw(file)

    @property
    def largest(self) -> int:
        """Events of the fullest window."""
        with self._open() as file:
            return int(np.diff(file["first"][:]).max(initial=0))

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, start: int, stop: int) -> EventWindows:
        """Events of the windows ``start`` to ``stop`` (exclusive), times from the beginning of each.

        Raises:
            UserError: the range leaves the file, or its data are damaged.
        """
        with self._open() as file:
            count = len(file["first"]) - 1
            if not 0 <= start <= stop <= count:
                raise UserError(
                    expected=f"windows {start} to {stop}",
                    got=f"{count} windows",
                    where=str(self.path),
                    fix="labels and events do not belong together: preprocess the sequence again",
                )
            height, width = map(int, file.attrs["sensor_hw"])
            frame_hw, dt_us = self._frame_hw(file), int(file.attrs["dt_us"])
            try:
                first = file["first"][start : stop + 1]
                xp, y, dt = (file[name][first[0] : first[-1]] for name in _COLUMNS)
            except (OSError, RuntimeError) as error:
                raise self._unreadable(f"damaged data ({error})") from error
        # Each window counts from its beginning: what had run up before is taken off again.
        times = np.concatenate(([0], np.cumsum(dt, dtype=np.int64)))
        first = first - first[0]
        windows = (
            Events(times[a + 1 : b + 1] - times[a], xp[a:b] >> 1, y[a:b], (xp[a:b] & 1).astype(np.uint8))
            for a, b in itertools.pairwise(first)
        )
        return EventWindows(tuple(windows), (height, width), frame_hw, dt_us)

    def _frame_hw(self, file: Any) -> Size:
        height, width = (int(side) >> self.half for side in file.attrs["sensor_hw"])
        return height, width

    def _open(self) -> Any:
        if not self.path.is_file():
            raise self._unreadable("no such file")
        try:
            file = h5py.File(self.path, "r", locking=False)
        except OSError as error:
            raise self._unreadable(f"a damaged file ({error})") from error
        if {"first", *_COLUMNS} <= set(file) and {"sensor_hw", "dt_us"} <= set(file.attrs):
            return file
        file.close()
        raise self._unreadable("a file of something else")

    def _unreadable(self, got: str) -> UnreadableFrames:
        return UnreadableFrames(
            expected="a file of the events of each window",
            got=got,
            where=str(self.path),
            fix=f"preprocess the dataset with {_KEEP}, into a new folder if it is there without",
            path=str(self.path),
        )
