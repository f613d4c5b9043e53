"""Pictures to look at: events with boxes on a contact sheet, and the luminance that the sensor saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from data.events.types import Events
from data.synthetic.config import STEP_US
from data.synthetic.render import render
from data.synthetic.scene import Scene, gather_cast
from utils.pictures.drawing import DARK, Image, Theme, contact_sheet, count_events, draw_events


def event_picture(
    events: Events,
    boxes: npt.NDArray[Any],
    height: int,
    width: int,
    time_us: int,
    *,
    zoom: int = 3,
    theme: Theme = DARK,
) -> Image:
    """The events of the 50 ms before ``time_us`` with the boxes of that time.

    Args:
        events: ordered events.
        boxes: structured with t, x, y, w, h, class_id.
        height: rows of the sensor.
        width: columns.
        time_us: end of the window.
        zoom: whole factor by which pixels grow.
        theme: colours.

    Returns:
        uint8 [zoom * height, zoom * width, 3], RGB.
    """
    part = events.window(time_us - STEP_US, time_us)
    return _with_boxes(
        draw_events(count_events(part.x, part.y, part.p, height, width), theme), boxes, time_us, zoom, theme
    )


def _with_boxes(image: Image, boxes: npt.NDArray[Any], time_us: int, zoom: int, theme: Theme) -> Image:
    large = np.ascontiguousarray(image.repeat(zoom, axis=0).repeat(zoom, axis=1))
    for box in boxes[boxes["t"] == time_us]:
        left, top = round(float(box["x"]) * zoom), round(float(box["y"]) * zoom)
        right, bottom = round(float(box["x"] + box["w"]) * zoom), round(float(box["y"] + box["h"]) * zoom)
        colour = theme.class_colour(int(box["class_id"]))
        cv2.rectangle(large, (left, top), (right - 1, bottom - 1), colour, 1)
    return large


def preview(
    events: Events, boxes: npt.NDArray[Any], height: int, width: int, times_us: Sequence[int], *, zoom: int = 3
) -> Image:
    """Contact sheet of the event pictures at several times, uint8 [H', W', 3], RGB."""
    return contact_sheet([event_picture(events, boxes, height, width, time, zoom=zoom) for time in times_us])


def luminance_picture(
    scene: Scene, boxes: npt.NDArray[Any], time_us: int, *, zoom: int = 3, theme: Theme = DARK
) -> Image:
    """What the camera sees at a time, with the boxes of that time; uint8 [zoom * H, zoom * W, 3]."""
    index = int(np.argmin(np.abs(scene.times - time_us * 1e-6)))
    grey = np.clip(255 * np.sqrt(render(scene, gather_cast(scene), index)), 0, 255).astype(np.uint8)
    return _with_boxes(np.repeat(grey[:, :, None], 3, axis=2), boxes, time_us, zoom, theme)
