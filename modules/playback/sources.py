"""Play recordings back: moments in time, event counts and the frames that a detector takes.

Times are absolute, int microseconds of the recording's own clock. A *tick* is a moment at which a detector takes a
frame; it ends a window of ``dt_us``, as in preprocessing (RVT).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from data.events.recording import Recording
from utils.pictures.drawing import count_events

Int64Array = npt.NDArray[np.int64]


class FrameFormat(Protocol):
    """What frames a detector takes (structural type of a checkpoint's representation)."""

    @property
    def bins(self) -> int:
        """Time bins per window."""
        ...

    @property
    def count_cutoff(self) -> int | None:
        """Largest count per bin and pixel."""
        ...

    @property
    def dt_ms(self) -> float:
        """Length of a window in ms."""
        ...

    @property
    def downsample_by_factor_2(self) -> bool:
        """Frames have half the camera's resolution."""
        ...


class EventSource(Protocol):
    """Something that can be played back.

    Attributes:
        name: for file names and messages.
        height, width: camera pixels.
        start_us, stop_us: time before the first and after the last event.
    """

    name: str
    height: int
    width: int
    start_us: int
    stop_us: int

    @property
    def dt_us(self) -> float | None:
        """Length of a stored window, None for raw events."""
        ...

    def ticks(self, start_us: int, stop_us: int, step_us: float) -> Int64Array:
        """Ends of the windows that together cover ``start_us`` to ``stop_us``, int64 [n], at least one."""
        ...

    def counts(self, end_us: int, window_us: float) -> npt.NDArray[Any]:
        """(OFF, ON) events of every pixel in the window before ``end_us``, [2, h, w] (camera pixels or half)."""
        ...

    def stack(self, end_us: int) -> Any:
        """What the detector takes at a tick: a frame [C, h, w], or the events of a window."""
        ...


def regular_ticks(start_us: int, stop_us: int, step_us: float) -> Int64Array:
    """Ends of windows of ``step_us`` from ``start_us`` on, the last at or behind ``stop_us``.

    >>> regular_ticks(100, 350, 100.0).tolist()
    [200, 300, 400]
    """
    count = max(1, int(np.ceil((stop_us - start_us) / step_us - 1e-6)))
    return start_us + np.rint((np.arange(count) + 1) * step_us).astype(np.int64)


class RecordingSource:
    """Raw events.

    Args:
        recording: an open recording.
        frame_format: what frames for a detector look like; without it ``stack`` cannot be called.
    """

    dt_us: float | None = None

    def __init__(self, recording: Recording, frame_format: FrameFormat | None = None) -> None:
        self.name = recording.name
        self.height, self.width = recording.height, recording.width
        self.start_us, self.stop_us = recording.t_first_us, recording.t_last_us
        self._recording = recording
        self._format = frame_format
        if frame_format is not None:
            kind = getattr(frame_format, "kind", "stacked_histogram")
            from data.representations.factory import make_representation  # with numba, which training need not wait for

            self._builder = make_representation(kind, frame_format.bins, frame_format.count_cutoff, frame_format.dt_ms)

    def ticks(self, start_us: int, stop_us: int, step_us: float) -> Int64Array:
        """Every ``step_us`` from ``start_us`` on."""
        return regular_ticks(start_us, stop_us, step_us)

    def counts(self, end_us: int, window_us: float) -> npt.NDArray[Any]:
        """(OFF, ON) events of the last ``window_us``, int64 [2, H, W]."""
        events = self._recording.read(end_us - round(window_us), end_us)
        return count_events(events.x, events.y, events.p, self.height, self.width)

    def stack(self, end_us: int) -> Any:
        """Frame [C, h, w] of the last ``dt_ms`` of the frame format, or their events where it says so."""
        assert self._format is not None
        events = self._recording.read(end_us - round(self._format.dt_ms * 1000), end_us)
        if getattr(self._format, "reads_events", False):
            return events
        return self._builder.build(events, self.height, self.width, self._format.downsample_by_factor_2)
