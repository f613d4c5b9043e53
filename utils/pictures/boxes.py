"""Boxes and their tags over a picture, in place. Images are uint8 [H, W, 3], RGB.

Widths of lines and sizes of text follow the size of the image, so that a picture of 128 pixels and one of 1280 both
read well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import cv2
import numpy as np

from utils.pictures.drawing import Colour, Image, Theme, mix

Area = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; the last two are outside."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX


class BoxKind(Enum):
    """Where a box comes from; each kind has its own look."""

    PREDICTION = "prediction"
    TRUTH = "ground truth"
    PSEUDO = "pseudo label"
    IGNORED = "ignored"

    def colour(self, theme: Theme, class_id: int) -> Colour:
        """Colour of a box of this kind."""
        if self is BoxKind.TRUTH:
            return theme.truth
        return theme.ignored if self is BoxKind.IGNORED else theme.class_colour(class_id)


@dataclass(frozen=True)
class DrawnBox:
    """One box to draw.

    Attributes:
        xyxy: corners in pixels of the image.
        kind: its look: predictions have whole lines and a filled tag above, the others dashed lines; ground truth
            wears its tag below.
        class_id: chooses the colour.
        text: what the tag says; empty for no tag.
        strength: 1 draws it fully, less lets it fade into the ground.
        trail: where its centre was before, the oldest first.
        panel: which of several pictures side by side it belongs to.
        score: as a number, None for what has none.
        track: number of its object, from 1; 0 where objects are not followed.
    """

    xyxy: tuple[float, float, float, float]
    kind: BoxKind
    class_id: int
    text: str = ""
    strength: float = 1.0
    trail: tuple[tuple[float, float], ...] = ()
    panel: int = 0
    score: float | None = None
    track: int = 0

    def scaled(self, x_factor: float, y_factor: float) -> DrawnBox:
        """The same box on a picture of another size."""
        x1, y1, x2, y2 = self.xyxy
        trail = tuple((x * x_factor, y * y_factor) for x, y in self.trail)
        return replace(self, xyxy=(x1 * x_factor, y1 * y_factor, x2 * x_factor, y2 * y_factor), trail=trail)


@dataclass(frozen=True)
class Metrics:
    """Sizes in pixels that suit a picture.

    Attributes:
        line: width of box lines.
        font: font scale of OpenCV.
        pad: room around text.
        ascent, descent: height of text above and below its base line.
    """

    line: int
    font: float
    pad: int
    ascent: int
    descent: int

    @classmethod
    def of(cls, image: Image) -> Metrics:
        """Sizes for ``image``."""
        side = math.sqrt(image.shape[0] * image.shape[1])
        font = min(max(side / 1700, 0.33), 1.1)
        (_, ascent), descent = cv2.getTextSize("Ag", _FONT, font, 1)
        return cls(max(1, round(side / 320)), font, max(2, round(side / 220)), int(ascent), int(descent))

    @property
    def line_height(self) -> int:
        """Height of a line of text."""
        return self.ascent + self.descent

    @property
    def point(self) -> int:
        """Side of a decimal point: the font's own is hardly seen."""
        return max(2, round(3 * self.font))

    def width(self, text: str) -> int:
        """Width of a text."""
        parts = text.split(".")
        widths = [int(cv2.getTextSize(part, _FONT, self.font, 1)[0][0]) for part in parts if part]
        return sum(widths) + (len(parts) - 1) * (self.point + 2)


def put_text(image: Image, text: str, left: int, top: int, colour: Colour, metrics: Metrics) -> None:
    """Write one line of text with its top-left corner at (left, top)."""
    base, reach = top + metrics.ascent, metrics.point - 1
    for index, part in enumerate(text.split(".")):
        if index:
            cv2.rectangle(image, (left + 1, base - 1 - reach), (left + 1 + reach, base - 1), colour, -1)
            left += metrics.point + 2
        cv2.putText(image, part, (left, base), _FONT, metrics.font, colour, 1, cv2.LINE_AA)
        left += metrics.width(part)


def draw_boxes(image: Image, boxes: Iterable[DrawnBox], theme: Theme, taken: Sequence[Area] = ()) -> None:
    """Draw boxes in the given order, then their tags, so that no line crosses a tag; parts outside are cut off.

    Args:
        image: drawn on.
        boxes: in pixels of the image.
        theme: colours.
        taken: areas that tags keep clear of where they can, such as a legend's.
    """
    metrics = Metrics.of(image)
    drawn = [box for box in boxes if _visible(image, box)]
    for box in drawn:
        points = np.rint(np.array(box.trail)).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(image, [points], isClosed=False, color=_faded(box, theme), thickness=metrics.line)
    for box in drawn:
        # A seam of the ground's colour on both sides keeps lines apart from dense events.
        outline(image, box, theme.background, metrics.line, seam=1)
        outline(image, box, _faded(box, theme), metrics.line)
    covered = list(taken)
    for box in reversed([box for box in drawn if box.text]):  # the last are the surest: they choose first
        covered.append(_tag(image, box, theme, metrics, covered))


def _faded(box: DrawnBox, theme: Theme) -> Colour:
    return mix(box.kind.colour(theme, box.class_id), theme.background, box.strength)


def _visible(image: Image, box: DrawnBox) -> bool:
    """Whether the box touches the image; not so if a corner is NaN."""
    x1, y1, x2, y2 = box.xyxy
    return x2 >= 0 and x1 <= image.shape[1] and x1 <= x2 and y2 >= 0 and y1 <= image.shape[0] and y1 <= y2


def _corners(image: Image, box: DrawnBox) -> tuple[int, int, int, int]:
    """Corners as whole pixels of the image, clipped to it."""
    height, width = image.shape[:2]
    x1, x2 = (round(min(max(value, 0), width - 1)) for value in (box.xyxy[0], box.xyxy[2]))
    y1, y2 = (round(min(max(value, 0), height - 1)) for value in (box.xyxy[1], box.xyxy[3]))
    return x1, y1, x2, y2


def outline(image: Image, box: DrawnBox, colour: Colour, line: int, seam: int = 0) -> None:
    """Outline a box, whole or dashed, with lines ``seam`` pixels wider on both sides."""
    x1, y1, x2, y2 = _corners(image, box)
    if box.kind is BoxKind.PREDICTION:
        cv2.rectangle(image, (x1, y1), (x2, y2), colour, line + 2 * seam, cv2.LINE_8)
        return
    dash = 3 + 3 * line
    for start, stop in (((x1, y1), (x2, y1)), ((x1, y2), (x2, y2)), ((x1, y1), (x1, y2)), ((x2, y1), (x2, y2))):
        _dashed_line(image, start, stop, dash, colour, line + 2 * seam)


def _dashed_line(
    image: Image, start: tuple[int, int], stop: tuple[int, int], dash: int, colour: Colour, line: int
) -> None:
    """A dashed line along an axis, with half a dash at both ends, so that corners of boxes show."""
    length = abs(stop[0] - start[0]) + abs(stop[1] - start[1])
    periods = max(1, round(length / (2 * dash)))
    for index in range(periods + 1):
        begin = max((index - 0.25) / periods, 0.0)
        end = min((index + 0.25) / periods, 1.0)
        first = (round(start[0] + (stop[0] - start[0]) * begin), round(start[1] + (stop[1] - start[1]) * begin))
        last = (round(start[0] + (stop[0] - start[0]) * end), round(start[1] + (stop[1] - start[1]) * end))
        cv2.line(image, first, last, colour, line, cv2.LINE_8)


def _tag(image: Image, box: DrawnBox, theme: Theme, metrics: Metrics, covered: Sequence[Area]) -> Area:
    """Write a box's tag where it covers least of the others; returns the area that it takes."""
    height, width = image.shape[:2]
    tag_width, tag_height = metrics.width(box.text) + 2 * metrics.pad, metrics.line_height + metrics.pad
    places = [
        (max(min(left, width - tag_width), 0), max(min(top, height - tag_height), 0))
        for left, top in _places(_corners(image, box), tag_width, tag_height, box.kind, height)
    ]
    areas = [(left, top, left + tag_width, top + tag_height) for left, top in places]
    area = min(areas, key=lambda area: sum(_overlap(area, other) for other in covered))
    colour = _faded(box, theme)
    filled = box.kind is BoxKind.PREDICTION
    ground = colour if filled else theme.panel
    left, top, right, bottom = area
    cv2.rectangle(image, (left, top), (right - 1, bottom - 1), ground, cv2.FILLED)
    ink = ink_on(ground) if filled else colour
    put_text(image, box.text, left + metrics.pad, top + (metrics.pad + 1) // 2, ink, metrics)
    return area


def _places(
    corners: tuple[int, int, int, int], tag_width: int, tag_height: int, kind: BoxKind, height: int
) -> list[tuple[int, int]]:
    """Left and top of a tag at its box, the usual place first: above at the left, else below at the right."""
    x1, y1, x2, y2 = corners
    above = y1 - tag_height if y1 >= tag_height else y1
    below = y2 + 1 if y2 + 1 + tag_height <= height else y2 + 1 - tag_height
    left, right = x1, x2 + 1 - tag_width
    if kind is BoxKind.PREDICTION or kind is BoxKind.PSEUDO:
        usual = [(left, above), (right, above), (left, below), (right, below)]
    else:
        usual = [(right, below), (left, below), (right, above), (left, above)]
    return [*usual, (left, y1), (right, y2 + 1 - tag_height), (x2 + 1, y1), (x1 - tag_width, y1)]


def _overlap(one: Area, other: Area) -> int:
    """Pixels that two areas share."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    return max(across, 0) * max(min(one[3], other[3]) - max(one[1], other[1]), 0)


def ink_on(ground: Colour) -> Colour:
    """Black or white, whichever reads better on ``ground``."""
    lightness = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
    return (12, 12, 16) if lightness > 130 else (255, 255, 255)
