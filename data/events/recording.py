"""One view of a recording, whatever file it comes from: its size, its span and the events of a time window."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data.events.problems import no_events
from data.events.report import RecordingReport
from data.events.types import Events


class Recording(ABC):
    """Events of one recording, in time order: times that step backwards are raised to the running maximum (RVT).

    Attributes:
        name: the file's name without its suffixes.
        height, width: sensor size in pixels.
        size_known: the file itself gives the size (otherwise: the caller did, or the largest coordinates).
        num_events: number of events, at least 1.
        t_first_us, t_last_us: times of the first and last event.
        report: what was repaired or left out.
    """

    name: str
    height: int
    width: int
    size_known: bool
    num_events: int
    t_first_us: int
    t_last_us: int
    report: RecordingReport

    @property
    def duration_us(self) -> int:
        """Microseconds from the first to the last event."""
        return self.t_last_us - self.t_first_us

    @abstractmethod
    def read(self, t0_us: int, t1_us: int) -> Events:
        """Events with ``t0_us <= t <= t1_us``; both ends belong to the window."""

    @abstractmethod
    def chunks(self) -> Iterator[Events]:
        """All events in order, in runs that fit into memory (some may be empty)."""


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
        moved = self.events.t - events.t
        self.report = RecordingReport(
            times_back=int(np.count_nonzero(moved)), largest_step_back_us=int(moved.max(initial=0))
        )
        self.size_known = size_known and hw is not None
        self.height, self.width = hw or (int(events.y.max()) + 1, int(events.x.max()) + 1)
        self.num_events = len(events)
        self.t_first_us = int(self.events.t[0])
        self.t_last_us = int(self.events.t[-1])

    def read(self, t0_us: int, t1_us: int) -> Events:
        """Events of the window, as views."""
        return self.events.window(t0_us, t1_us)

    def chunks(self) -> Iterator[Events]:
        """All events at once."""
        yield self.events


def recording_name(path: Path) -> str:
    """Name of a recording's file without its suffixes.

    >>> recording_name(Path("raw/17-03-30_0_60000000_td.dat"))
    '17-03-30_0_60000000'
    """
    return path.stem.removesuffix("_td")
