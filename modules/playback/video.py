"""From a source and its boxes to the frames of a video: when they are shown, and what is on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from modules.playback.boxes import LabelTrack
from modules.playback.detections import Detections
from modules.playback.painting import Moment
from modules.playback.sources import EventSource, Int64Array, regular_ticks
from utils.errors import UserError
from utils.pictures.boxes import BoxKind, DrawnBox
from utils.pictures.drawing import exposure

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
class Overlays:
    """Boxes over the events.

    Attributes:
        labels: stored boxes, if any.
        detections: a model's, if any.
        names: class names of the labels.
        hold_us: how long labels stay, fading.
        truth: further stored boxes, such as a truth that the labels do not have.
    """

    labels: LabelTrack | None = None
    detections: Detections | None = None
    names: Sequence[str] = ()
    hold_us: float = 0.0
    truth: LabelTrack | None = None

    def kinds(self) -> list[BoxKind]:
        """Looks of boxes that occur, for the legend."""
        predicted = [BoxKind.PREDICTION] if self.detections else []
        stored = [kind for track in self._stored() for kind in track.kinds()]
        return [*predicted, *dict.fromkeys(stored)]

    def titles(self) -> list[str]:
        """What there is to show side by side, in the order of the panels."""
        titles = ["ground truth"] if self.truth else []
        if self.labels:
            titles.append("pseudo labels" if BoxKind.PSEUDO in self.labels.kinds() else "labels")
        return titles + (["prediction"] if self.detections else [])

    def at(self, end_us: int, window_us: float) -> list[DrawnBox]:
        """Boxes at a moment, labels below detections; moments must be asked for in order."""
        groups = [track.at(end_us, window_us, self.hold_us, self.names) for track in self._stored()]
        groups += [self.detections.at(end_us)] if self.detections else []
        return [replace(box, panel=panel) for panel, boxes in enumerate(groups) for box in boxes]

    def _stored(self) -> list[LabelTrack]:
        return [track for track in (self.truth, self.labels) if track]


class Ground(Protocol):
    """Pictures of the scene behind the events."""

    def at(self, end_us: int) -> npt.NDArray[np.uint8] | None:
        """The newest picture, uint8 [h, w]; moments must be asked for in order."""
        ...


def moments(
    source: EventSource,
    timeline: Timeline,
    overlays: Overlays,
    follow: Callable[[list[list[DrawnBox]]], list[list[DrawnBox]]] | None = None,
    ground: Ground | None = None,
) -> Iterator[Moment]:
    """Frame after frame of the video, its exposure following the rate of events without a flicker.

    Args:
        source: of the events.
        timeline: when frames are shown.
        overlays: the boxes.
        follow: changes the boxes of all frames together, as a tracker does; they are all in memory then.
        ground: what is seen behind the events.
    """
    full, ends = 0.0, timeline.ends.tolist()
    boxes: Iterator[list[DrawnBox]] = (overlays.at(end, timeline.window_us) for end in ends)
    if follow is not None:
        boxes = iter(follow(list(boxes)))
    for end, drawn in zip(ends, boxes, strict=True):
        counts = source.counts(end, timeline.window_us)
        now = exposure(counts)
        full = now if full == 0.0 else (1 - _ADAPTS) * full + _ADAPTS * now
        yield Moment(counts, drawn, (end - source.start_us) / 1e6, full, ground.at(end) if ground else None)
