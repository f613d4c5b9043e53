"""Windows of events changed as lanes are: reversed, moved, mixed, and with more or fewer of them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from data.augmentation.intensity import IntensityState
from data.augmentation.state import AugmentationState
from data.events.types import Events
from data.labels.box_ops import zoom_window_hw


def chosen(events: Events, which: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Events:
    """Some events, by mask or index."""
    return Events(events.t[which], events.x[which], events.y[which], events.p[which])


def joined(first: Events, second: Events) -> Events:
    """Events of both in the order of time; of equal times the first's come first."""
    both = Events(*(np.concatenate([getattr(first, name), getattr(second, name)]) for name in ("t", "x", "y", "p")))
    return chosen(both, np.argsort(both.t, kind="stable"))


def mirrored(events: Events, width: int) -> Events:
    """X becomes width - 1 - x."""
    return Events(events.t, (width - 1 - events.x.astype(np.int64)).astype(np.uint16), events.y, events.p)


def in_reversed_time(events: Events, dt_us: int) -> Events:
    """A window as it would look with time running backwards: what grew brighter grows darker."""
    return Events((dt_us - events.t)[::-1], events.x[::-1], events.y[::-1], (1 - events.p)[::-1])


def moved(events: Events, sensor_hw: tuple[int, int], frame_hw: tuple[int, int], state: AugmentationState) -> Events:
    """Events where a state puts them; those that leave the view are left out.

    Args:
        events: of a window.
        sensor_hw: size of their pixels' plane.
        frame_hw: size of the plane that the state is told in, as boxes are.
        state: what to do.
    """
    if state.is_identity:
        return events
    if state.hflip:
        events = mirrored(events, sensor_hw[1])
    scale = np.array([frame / sensor for frame, sensor in zip(frame_hw, sensor_hw, strict=True)])
    place = (np.stack([events.y, events.x]) + 0.5) * scale[:, None]  # (y, x) of the middle, in pixels of the frame
    size = np.array(frame_hw)[:, None]
    if state.angle_deg != 0.0:
        cos, sin = math.cos(math.radians(state.angle_deg)), math.sin(math.radians(state.angle_deg))
        middle = size // 2 + 0.5
        y, x = place - middle
        place = np.stack([y * cos - x * sin, x * cos + y * sin]) + middle
    corner = np.array(state.x0y0[::-1])[:, None]
    window = np.array(zoom_window_hw(frame_hw, state.factor))[:, None]
    if state.zoom == "in":
        place = (place - corner) * (size / window)
    elif state.zoom == "out":
        place = corner + place * (window / size)
    inside = np.ones(len(events), bool)
    if state.crop is not None:
        place = place - np.array(state.crop.x0y0[::-1])[:, None]
        inside = ((place >= 0) & (place < np.array(state.crop.size_hw)[:, None])).all(axis=0)
        place = place + np.array(state.crop.to_x0y0[::-1])[:, None]
    pixel = np.floor(place / scale[:, None]).astype(np.int64)
    inside &= ((pixel >= 0) & (pixel < np.array(sensor_hw)[:, None])).all(axis=0)
    y, x = pixel[:, inside].astype(np.uint16)
    return Events(events.t[inside], x, y, events.p[inside])


def jittered(
    events: Events, sensor_hw: tuple[int, int], dt_us: int, state: IntensityState, rng: np.random.Generator
) -> Events:
    """More and fewer events: lost ones, copies of some, and single ones anywhere."""
    if state.dropout > 0.0:
        events = chosen(events, rng.random(len(events)) >= state.dropout)
    if state.scale != 1.0:
        copies = np.floor(state.scale + rng.random(len(events))).astype(np.int64)
        events = chosen(events, np.repeat(np.arange(len(events)), copies))
    if state.noise > 0.0:
        height, width = sensor_hw
        count = rng.poisson(state.noise * height * width)
        t, x, y, p = (rng.integers(0, limit, count) for limit in (dt_us, width, height, 2))
        noise = Events.from_arrays(np.sort(t), x, y, p)
        events = joined(events, noise)
    return events
