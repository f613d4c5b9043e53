"""What one frame shows, its picture at any size, and frames laid out on a sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.pictures.boxes import BoxKind, DrawnBox, draw_boxes
from utils.pictures.drawing import (
    FEW_EVENTS,
    Image,
    Theme,
    contact_sheet,
    draw_events,
    over_picture,
    scale_events,
    sheet_columns,
    sheet_gap,
)
from utils.pictures.overlay import draw_caption, draw_legend, has_room, plates

_USUAL_WIDTH = 640  # pixels


def usual_scale(width: int) -> int:
    """By how much pictures of a camera are enlarged: small ones to about 640 pixels.

    >>> usual_scale(304), usual_scale(1280)
    (2, 1)
    """
    return max(1, round(_USUAL_WIDTH / width))


@dataclass(frozen=True)
class Moment:
    """What one frame shows.

    Attributes:
        counts: (OFF, ON) events per pixel, [2, h, w].
        boxes: in camera pixels, in the order of drawing.
        seconds: time from the start of the recording.
        full: events at a pixel that show its full colour.
        ground: what shows where no events are, uint8 [h, w] grey; None for the theme's colour.
    """

    counts: npt.NDArray[Any]
    boxes: list[DrawnBox]
    seconds: float
    full: float = FEW_EVENTS
    ground: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Painter:
    """Draws moments at any size.

    Attributes:
        theme: colours.
        camera_hw: camera pixels, to which boxes refer.
        kinds: looks of boxes, for the legend; None leaves legend and time out.
        speed: told in the caption unless 1.
        titles: of pictures side by side, each with the boxes of its panel; none: one picture with all boxes.
    """

    theme: Theme
    camera_hw: tuple[int, int]
    kinds: list[BoxKind] | None = None
    speed: float = 1.0
    titles: Sequence[str] = ()

    def size(self, scale: float) -> tuple[int, int]:
        """Height and width of a picture whose camera pixels have this size."""
        height, width = (max(round(pixels * scale), 2) for pixels in self.camera_hw)
        count = max(len(self.titles), 1)
        return height, count * width + (count - 1) * sheet_gap(height, width)

    def paint(self, moment: Moment, height: int, width: int, legend: bool = True) -> Image:
        """Picture uint8 [height, width, 3] of a moment."""
        if not self.titles:
            return self._panel(moment, moment.boxes, height, width, "", legend)
        count = len(self.titles)
        gap = sheet_gap(height, width / count)
        each = (width - (count - 1) * gap) // count
        picture = np.empty((height, width, 3), dtype=np.uint8)
        picture[:] = self.theme.gap
        for panel, title in enumerate(self.titles):
            boxes, left = [box for box in moment.boxes if box.panel == panel], panel * (each + gap)
            picture[:, left : left + each] = self._panel(moment, boxes, height, each, title, legend and not panel)
        return picture

    def events(self, moment: Moment, height: int, width: int) -> Image:
        """The events of a moment without boxes, uint8 [height, width, 3]."""
        events = draw_events(moment.counts, self.theme, moment.full)
        if moment.ground is not None:
            events = over_picture(events, moment.counts, moment.ground, self.theme)
        return scale_events(events, height, width, self.theme)

    def _panel(self, moment: Moment, boxes: list[DrawnBox], height: int, width: int, title: str, legend: bool) -> Image:
        image = self.events(moment, height, width)
        factors = (width / self.camera_hw[1], height / self.camera_hw[0])
        explained = self.kinds is not None and has_room(image)
        taken = plates(image) if explained else []
        draw_boxes(image, [box.scaled(*factors) for box in boxes], self.theme, taken)
        if self.kinds is not None and explained:
            speed = "" if self.speed == 1 else f"   speed {self.speed:g}"
            draw_caption(image, f"{moment.seconds:.2f} s{speed}{title and '   '}{title}", self.theme)
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
        height, width = painter.size(1)
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
