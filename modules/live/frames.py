"""Frames of a detector: made from the events of a window, or given; what would be misread is refused."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from data.events.types import Events
from data.representations.factory import make_representation
from modules.live.windows import FORMS, events_of
from utils.errors import UserError

log = logging.getLogger(__name__)

_LONGEST = 1.5
"""Windows of as many times the length the detector knows are told of."""


@dataclass(frozen=True)
class RepresentationSettings:
    """How the frames of a detector are made from events.

    Args:
        kind: ``stacked_histogram`` or ``mixed_density``.
        bins: time bins per window.
        count_cutoff: largest count per pixel and bin, None = 255.
        dt_ms: window length in milliseconds.
        downsample_by_factor_2: frames have half the sensor's resolution.
    """

    kind: str
    bins: int
    count_cutoff: int | None
    dt_ms: float
    downsample_by_factor_2: bool


class FrameMaker:
    """Makes and checks the frames that a detector takes.

    Args:
        dataset: section ``dataset`` of its configuration.

    Attributes:
        sensor_hw: height and width of the camera.
        settings: of the representation.
        shape: channels, height and width of a frame before padding.
        dtype: uint8 (stacked histogram) or int8 (mixed density).
    """

    def __init__(self, dataset: Mapping[str, Any]) -> None:
        form = dataset["representation"]
        self.sensor_hw: tuple[int, int] = (int(dataset["sensor_hw"][0]), int(dataset["sensor_hw"][1]))
        self.settings = RepresentationSettings(
            kind=form["kind"],
            bins=int(form["bins"]),
            count_cutoff=None if form["count_cutoff"] is None else int(form["count_cutoff"]),
            dt_ms=float(form["dt_ms"]),
            downsample_by_factor_2=bool(dataset["downsample_by_factor_2"]),
        )
        self._builder = make_representation(
            self.settings.kind, self.settings.bins, self.settings.count_cutoff, form["dt_ms"]
        )
        self.shape: tuple[int, int, int] = (self._builder.channels, *frame_hw(dataset))
        self.dtype: np.dtype[Any] = self._builder.dtype
        self._warned = False

    @property
    def sensor_pixels(self) -> int:
        """Sensor pixels along the side of a pixel of a frame."""
        return 2 if self.settings.downsample_by_factor_2 else 1

    def frame(self, given: object) -> npt.NDArray[Any]:
        """The frame [C, H, W] of events (``modules.live.windows``), or of an array that is one.

        Raises:
            UserError: neither, or of another size or type of number; events that no window of this camera holds.
        """
        events = events_of(given)
        if events is not None:
            self._check_events(events)
            return self._builder.build(events, *self.sensor_hw, self.settings.downsample_by_factor_2)
        frame = given.cpu().numpy() if isinstance(given, torch.Tensor) else given
        if not isinstance(frame, np.ndarray):
            raise _misfit(
                f"the events of a window ({FORMS}) or a frame {self.dtype} {list(self.shape)}",
                f"an object of type {type(given).__name__}",
                "give the events as arrays (x, y, t, p), or make them with Events.from_arrays(t, x, y, p)",
            )
        if frame.shape != self.shape:
            fix = "give the sensor's size with sensor_hw, and frames made as the checkpoint's dataset says"
            half = self.sensor_pixels == 2
            if half and frame.shape == (self.shape[0], *self.sensor_hw):
                fix = "this detector takes frames of half the sensor's size: give frame[:, 1::2, 1::2], or the events"
            halved = ", half the sensor's" if half else ""
            raise _misfit(f"a frame {list(self.shape)} (channels, height, width{halved})", str(list(frame.shape)), fix)
        if frame.dtype != self.dtype:
            raise _misfit(
                f"a frame of {self.dtype}: counts, not scaled", str(frame.dtype), "give the counts, or the events"
            )
        return frame

    def shown(self, frame: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What is drawn of a frame, [C, H, W]."""
        return frame

    def _check_events(self, events: Events) -> None:
        if not len(events):
            return
        where = f"events from {events.t[0]} to {events.t[-1]}"
        for name, values in vars(events).items():
            if values.dtype.kind not in "iub":
                raise UserError(
                    expected="whole numbers: microseconds, columns, rows and polarity",
                    got=f"{name} of {values.dtype}",
                    where=where,
                    fix="make events with Events.from_arrays; of times in seconds: (1e6 * t).round()",
                )
        if (events.t[1:] < events.t[:-1]).any():
            raise UserError(
                expected="events in the order of time",
                got="times that step backwards",
                where=where,
                fix="sort them, or give events.in_order()",
            )
        if min(events.x.min(), events.y.min()) < 0:
            raise UserError(
                expected="columns and rows from 0 on, 0 at the upper left",
                got=f"column {events.x.min()}, row {events.y.min()}",
                where=where,
                fix="leave such events out",
            )
        low, high = events.p.min(), events.p.max()
        if low < 0 or high > 1:
            raise UserError(
                expected="polarity 1 (brighter) or 0 (darker)",
                got=f"{low} to {high}",
                where=where,
                fix="make events with Events.from_arrays, which takes -1 and 1 as well",
            )
        span_ms = (int(events.t[-1]) - int(events.t[0])) / 1000
        if span_ms > _LONGEST * self.settings.dt_ms and not self._warned:
            self._warned = True
            log.warning(
                "events of %g ms came as one window; the detector knows windows of %g ms: cut the stream into such",
                span_ms,
                self.settings.dt_ms,
            )


def frame_hw(dataset: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of a frame before padding."""
    height, width = (int(size) // (2 if dataset["downsample_by_factor_2"] else 1) for size in dataset["sensor_hw"])
    return height, width


def _misfit(expected: str, got: str, fix: str) -> UserError:
    return UserError(expected=expected, got=got, where="what was given to the detector", fix=fix)
