"""What all representations share, and the choice between them by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.types import Events
from utils.errors import UserError


class Representation(ABC):
    """Turns the events of a window into one frame [C, H, W].

    Attributes:
        name: the folder's name in the RVT layout.
        channels: C.
        dtype: of the frames, in memory and on disk.
    """

    name: str
    channels: int
    dtype: np.dtype[Any]

    def build(self, events: Events, height: int, width: int, downsample: bool = False) -> npt.NDArray[Any]:
        """Frame of one window.

        Args:
            events: the window's events in time order, possibly none.
            height, width: sensor size in pixels.
            downsample: half resolution, as nearest-exact interpolation by 0.5 of the full frame would give it:
                pixel (i, j) is pixel (2i + 1, 2j + 1), size H // 2, W // 2.

        Returns:
            [C, H, W] or [C, H // 2, W // 2].

        Raises:
            UserError: an event lies outside the sensor.
        """
        if len(events) and (int(events.x.max()) >= width or int(events.y.max()) >= height):
            raise UserError(
                expected=f"events inside {height} rows and {width} columns",
                got=f"an event in row {int(events.y.max())} or column {int(events.x.max())}",
                where=f"events at {int(events.t[0])} to {int(events.t[-1])} µs",
                fix="check dataset.sensor_hw",
            )
        shift = 1 if downsample else 0
        frame = np.zeros((self.channels, height >> shift, width >> shift), dtype=self.dtype)
        if len(events) and frame.size:
            self._fill(frame, events, shift)
        return frame

    @abstractmethod
    def _fill(self, frame: npt.NDArray[Any], events: Events, shift: int) -> None:
        """Fill a frame of zeros from at least one event; ``shift`` 1 keeps odd rows and columns only."""
