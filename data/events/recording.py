"""One view of a recording, whatever file it comes from: its size, its span and the events of a time window."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.events.dat import decode, map_records, read_dat_header
from data.events.types import Events, window_indices
from utils.errors import UserError

CHUNK = 1 << 18
"""Events per entry of a ``.dat`` file's time index."""


class Recording(ABC):
    """Events of one recording, in time order: times that step backwards are raised to the running maximum (RVT).

    Attributes:
        name: the file's name without its suffixes.
        height, width: sensor size in pixels.
        size_known: the file itself gives the size (otherwise: the caller did, or the largest coordinates).
        num_events: number of events, at least 1.
        t_first_us, t_last_us: times of the first and last event.
    """

    name: str
    height: int
    width: int
    size_known: bool
    num_events: int
    t_first_us: int
    t_last_us: int

    @abstractmethod
    def read(self, t0_us: int, t1_us: int) -> Events:
        """Events with ``t0_us <= t <= t1_us``; both ends belong to the window."""


class ArrayRecording(Recording):
    """A recording held in memory.

    Args:
        name: how messages call it.
        events: at least one event (UserError otherwise).
        hw: sensor height and width; None takes the largest coordinates.
        size_known: see ``Recording``.
    """

    def __init__(self, name: str, events: Events, hw: tuple[int, int] | None = None, size_known: bool = True) -> None:
        if not len(events):
            raise no_events(name)
        self.name = name
        self.events = events.in_order()
        self.size_known = size_known and hw is not None
        self.height, self.width = hw or (int(events.y.max()) + 1, int(events.x.max()) + 1)
        self.num_events = len(events)
        self.t_first_us = int(self.events.t[0])
        self.t_last_us = int(self.events.t[-1])

    def read(self, t0_us: int, t1_us: int) -> Events:
        """Events of the window, as views."""
        return self.events.window(t0_us, t1_us)


class DatRecording(Recording):
    """A ``.dat`` file through a memory map; only the events of a window are decoded.

    Args:
        path: the file.
        sensor_hw: size if the header gives none; None takes the largest coordinates.

    Raises:
        UserError: the file is not a sound ``.dat`` file, or has no events.
    """

    def __init__(self, path: Path | str, sensor_hw: tuple[int, int] | None = None) -> None:
        path = Path(path)
        header = read_dat_header(path)
        if header.num_events == 0:
            raise no_events(str(path))
        self.name = recording_name(path)
        self.num_events = header.num_events
        self._version = header.version
        self._records = map_records(path, header)
        self._index = self._running_maxima()
        self.t_first_us = int(self._records["t"][0])
        self.t_last_us = int(self._index[-1])
        self.size_known = header.height is not None and header.width is not None
        if header.height is not None and header.width is not None:
            self.height, self.width = header.height, header.width
        else:
            self.height, self.width = sensor_hw or self._largest_coordinates()

    def _running_maxima(self) -> npt.NDArray[np.int64]:
        """Largest time up to the end of each chunk, ascending: the index of time for the whole file."""
        maxima = [self._records["t"][start : start + CHUNK].max() for start in range(0, self.num_events, CHUNK)]
        return np.maximum.accumulate(np.asarray(maxima, dtype=np.int64))

    def _largest_coordinates(self) -> tuple[int, int]:
        height = width = 0
        for start in range(0, self.num_events, CHUNK):
            events = decode(self._records[start : start + CHUNK], self._version)
            height, width = max(height, int(events.y.max()) + 1), max(width, int(events.x.max()) + 1)
        return height, width

    def read(self, t0_us: int, t1_us: int) -> Events:
        """Events of the window, decoded."""
        first = int(np.searchsorted(self._index, t0_us, side="left"))
        last = int(np.searchsorted(self._index, t1_us, side="right"))
        records = self._records[first * CHUNK : (last + 1) * CHUNK]
        t = np.maximum.accumulate(records["t"].astype(np.int64))
        if first > 0:
            t = np.maximum(t, self._index[first - 1])
        start, stop = window_indices(t, t0_us, t1_us)
        events = decode(records[start:stop], self._version)
        return Events(t=t[start:stop], x=events.x, y=events.y, p=events.p)


def recording_name(path: Path) -> str:
    """Name of a recording's file without its suffixes.

    >>> recording_name(Path("raw/17-03-30_0_60000000_td.dat"))
    '17-03-30_0_60000000'
    """
    return path.stem.removesuffix("_td")


def no_events(where: str) -> UserError:
    """The error for a recording without events."""
    return UserError(
        expected="a recording with events", got="no events", where=where, fix="check the recording, or leave it out"
    )
