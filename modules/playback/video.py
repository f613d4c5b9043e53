"""From a source and its boxes to pictures: when frames are shown, what is on them, where they go."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modules.playback.boxes import Detections, LabelTrack
from modules.playback.sources import EventSource, Int64Array, regular_ticks
from utils.errors import UserError
from utils.pictures.boxes import BoxKind, DrawnBox, draw_boxes
from utils.pictures.drawing import (
    FEW_EVENTS,
    Image,
    Theme,
    contact_sheet,
    draw_events,
    exposure,
    scale_events,
    sheet_columns,
    sheet_gap,
)
from utils.pictures.overlay import draw_caption, draw_legend, has_room, plates

_ADAPTS = 0.2
"""Share of a frame's own exposure in that of the video, the rest is of the frames before."""


@dataclass(frozen=True)
class Timeline:
    """When frames of a video show what.

    Attributes:
        ends: moments shown, int64 [n], µs.
        window_us: length of the window of events before each.
        fps: frames per second of the video.
        start_us, stop_us: part of the recording shown.
    """

    ends: Int64Array
    window_us: float
    fps: float
    start_us: int
    stop_us: int


def plan_time(
    source: EventSource,
    window_us: float,
    fps: float | None = None,
    speed: float = 1.0,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> Timeline:
    """Choose the moments that a video shows, so that it lasts as long as the recording divided by ``speed``.

    Args:
        source: what is played.
        window_us: length of the window of events in a frame.
        fps: frames per second; by default one frame per window.
        speed: 1 is real time.
        start_s, duration_s: part of the recording, from its first event; by default all of it.

    Raises:
        UserError: the start lies behind the end.
    """
    start = source.start_us + round(start_s * 1e6)
    if start_s > 0 and start >= source.stop_us:
        raise UserError(
            expected=f"a start before the end of the recording at {(source.stop_us - source.start_us) / 1e6:.3f} s",
            got=f"{start_s:g} s",
            where="--start-s",
            fix="choose an earlier start",
        )
    stop = source.stop_us if duration_s is None else min(source.stop_us, start + round(duration_s * 1e6))
    if fps is None:
        return Timeline(source.ticks(start, stop, window_us), window_us, speed * 1e6 / window_us, start, stop)
    return Timeline(regular_ticks(start, stop, speed * 1e6 / fps), window_us, fps, start, stop)


@dataclass(frozen=True)
class Moment:
    """What one frame shows.

    Attributes:
        counts: (OFF, ON) events per pixel, [2, h, w].
        boxes: in camera pixels, in the order of drawing.
        seconds: time from the start of the recording.
        full: events at a pixel that show its full colour.
    """

    counts: npt.NDArray[Any]
    boxes: list[DrawnBox]
    seconds: float
    full: float = FEW_EVENTS


@dataclass(frozen=True)
class Overlays:
    """Boxes over the events.

    Attributes:
        labels: stored boxes, if any.
        detections: a model's, if any.
        names: class names of the labels.
        hold_us: how long labels stay, fading.
    """

    labels: LabelTrack | None = None
    detections: Detections | None = None
    names: Sequence[str] = ()
    hold_us: float = 0.0

    def kinds(self) -> list[BoxKind]:
        """Looks of boxes that occur, for the legend."""
        predicted = [BoxKind.PREDICTION] if self.detections else []
        return predicted + (self.labels.kinds() if self.labels else [])

    def at(self, end_us: int, window_us: float) -> list[DrawnBox]:
        """Boxes at a moment, labels below detections; moments must be asked for in order."""
        labels = self.labels.at(end_us, window_us, self.hold_us, self.names) if self.labels else []
        return labels + (self.detections.at(end_us) if self.detections else [])


def moments(source: EventSource, timeline: Timeline, overlays: Overlays) -> Iterator[Moment]:
    """Frame after frame of the video, its exposure following the rate of events without a flicker."""
    full = 0.0
    for end in timeline.ends.tolist():
        counts = source.counts(end, timeline.window_us)
        now = exposure(counts)
        full = now if full == 0.0 else (1 - _ADAPTS) * full + _ADAPTS * now
        yield Moment(counts, overlays.at(end, timeline.window_us), (end - source.start_us) / 1e6, full)


@dataclass(frozen=True)
class Painter:
    """Draws moments at any size.

    Attributes:
        theme: colours.
        camera_hw: camera pixels, to which boxes refer.
        kinds: looks of boxes, for the legend; None leaves legend and time out.
        speed: told in the caption unless 1.
    """

    theme: Theme
    camera_hw: tuple[int, int]
    kinds: list[BoxKind] | None = None
    speed: float = 1.0

    def paint(self, moment: Moment, height: int, width: int, legend: bool = True) -> Image:
        """Picture uint8 [height, width, 3] of a moment."""
        image = scale_events(draw_events(moment.counts, self.theme, moment.full), height, width, self.theme)
        factors = (width / self.camera_hw[1], height / self.camera_hw[0])
        explained = self.kinds is not None and has_room(image)
        taken = plates(image) if explained else []
        draw_boxes(image, [box.scaled(*factors) for box in moment.boxes], self.theme, taken)
        if self.kinds is not None and explained:
            speed = "" if self.speed == 1 else f"   speed {self.speed:g}"
            draw_caption(image, f"{moment.seconds:.2f} s{speed}", self.theme)
            if legend:
                draw_legend(image, self.kinds, self.theme)
        return image


class Sheet:
    """Picks frames spread over a video and lays them out on a grid.

    Args:
        painter: draws them.
        total: frames of the video.
        frames: frames on the sheet, fewer if the video is shorter.
        columns: frames in a row, None for about 16:9 in all.
        max_width: pixels; frames are drawn smaller if they need to be.
        scale: size of a frame relative to the camera, where there is room.
    """

    def __init__(
        self, painter: Painter, total: int, frames: int, columns: int | None, max_width: int, scale: float = 1.0
    ) -> None:
        height, width = painter.camera_hw
        wanted = min(frames, total)
        self._painter = painter
        self._chosen = {int(index) for index in (np.arange(wanted) + 0.5) * total / wanted}
        self._columns = min(columns or sheet_columns(wanted, height, width), wanted)
        gap = sheet_gap(height * scale, width * scale)
        room = (max_width - gap) / self._columns - gap
        scale = min(scale, max(room, 16.0) / width)
        self._size = (max(1, math.floor(height * scale)), max(1, math.floor(width * scale)))
        self._images: list[Image] = []

    def offer(self, index: int, moment: Moment) -> None:
        """Take frame ``index`` of the video if it is one of those on the sheet."""
        if index in self._chosen:
            self._images.append(self._painter.paint(moment, *self._size, legend=not self._images))

    def image(self) -> Image:
        """The sheet, uint8 [H, W, 3], at most ``max_width`` wide."""
        return contact_sheet(self._images, self._painter.theme, self._columns)
