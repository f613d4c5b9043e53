"""Boxes, tags, captions and a legend over a picture, in place. Images are uint8 [H, W, 3], RGB.

Widths of lines and sizes of text follow the size of the image, so that a picture of 128 pixels and one of 1280 both
read well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import cv2

from utils.pictures.drawing import Colour, Image, Theme, event_table, mix

_FONT = cv2.FONT_HERSHEY_SIMPLEX
LEGEND_MIN_HEIGHT, LEGEND_MIN_WIDTH = 200, 260
"""Smaller pictures carry no legend: it would hide what it explains."""


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
    """

    xyxy: tuple[float, float, float, float]
    kind: BoxKind
    class_id: int
    text: str = ""
    strength: float = 1.0

    def scaled(self, x_factor: float, y_factor: float) -> DrawnBox:
        """The same box on a picture of another size."""
        x1, y1, x2, y2 = self.xyxy
        return replace(self, xyxy=(x1 * x_factor, y1 * y_factor, x2 * x_factor, y2 * y_factor))


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

    def width(self, text: str) -> int:
        """Width of a text."""
        return int(cv2.getTextSize(text, _FONT, self.font, 1)[0][0])


def put_text(image: Image, text: str, left: int, top: int, colour: Colour, metrics: Metrics) -> None:
    """Write one line of text with its top-left corner at (left, top)."""
    cv2.putText(image, text, (left, top + metrics.ascent), _FONT, metrics.font, colour, 1, cv2.LINE_AA)


def draw_boxes(image: Image, boxes: Iterable[DrawnBox], theme: Theme) -> None:
    """Draw boxes in the given order, then their tags, so that no line crosses a tag; parts outside are cut off."""
    metrics = Metrics.of(image)
    drawn = [box for box in boxes if _visible(image, box)]
    for box in drawn:
        # A seam of the ground's colour on both sides keeps lines apart from dense events.
        _rectangle(image, box, theme.background, metrics.line, seam=1)
        _rectangle(image, box, _faded(box, theme), metrics.line)
    for box in drawn:
        if box.text:
            _tag(image, box, theme, metrics)


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


def _rectangle(image: Image, box: DrawnBox, colour: Colour, line: int, seam: int = 0) -> None:
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


def _tag(image: Image, box: DrawnBox, theme: Theme, metrics: Metrics) -> None:
    height, width = image.shape[:2]
    x1, y1, x2, y2 = _corners(image, box)
    tag_width, tag_height = metrics.width(box.text) + 2 * metrics.pad, metrics.line_height + metrics.pad
    left = max(min(x1, width - tag_width), 0)
    if box.kind is BoxKind.PREDICTION or box.kind is BoxKind.PSEUDO:
        top = y1 - tag_height if y1 >= tag_height else y1
    else:
        left = max(min(x2 + 1 - tag_width, width - tag_width), 0)
        top = y2 + 1 if y2 + 1 + tag_height <= height else y2 + 1 - tag_height
    top = max(min(top, height - tag_height), 0)
    colour = _faded(box, theme)
    filled = box.kind is BoxKind.PREDICTION
    ground = colour if filled else theme.panel
    cv2.rectangle(image, (left, top), (left + tag_width - 1, top + tag_height - 1), ground, cv2.FILLED)
    ink = _ink_on(ground) if filled else colour
    put_text(image, box.text, left + metrics.pad, top + (metrics.pad + 1) // 2, ink, metrics)


def _ink_on(ground: Colour) -> Colour:
    """Black or white, whichever reads better on ``ground``."""
    lightness = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
    return (12, 12, 16) if lightness > 130 else (255, 255, 255)


def has_room(image: Image) -> bool:
    """Whether a caption and a legend fit the image without hiding much of it."""
    return image.shape[0] >= LEGEND_MIN_HEIGHT and image.shape[1] >= LEGEND_MIN_WIDTH


def draw_caption(image: Image, text: str, theme: Theme) -> None:
    """Write a line of text into the top-left corner on a see-through plate."""
    metrics = Metrics.of(image)
    _plate(image, 0, 0, metrics.width(text) + 4 * metrics.pad, metrics.line_height + 2 * metrics.pad, theme)
    put_text(image, text, 2 * metrics.pad, metrics.pad, theme.text, metrics)


def draw_legend(image: Image, kinds: Sequence[BoxKind], theme: Theme) -> None:
    """Explain the colours of events and the looks of boxes along the bottom-left corner.

    Args:
        image: drawn on.
        kinds: looks of boxes that occur in the video.
        theme: colours.
    """
    metrics = Metrics.of(image)
    side, space, gap = metrics.ascent, metrics.pad + metrics.pad // 2, 3 * metrics.pad - 1
    entries: list[BoxKind | Colour] = [theme.on, theme.off, *kinds]
    texts = ["ON", "OFF", *(kind.value for kind in kinds)]
    marks = [side if isinstance(entry, tuple) else 2 * side for entry in entries]
    total = sum(mark + space + metrics.width(text) + gap for mark, text in zip(marks, texts, strict=True))
    top = image.shape[0] - metrics.line_height - 2 * metrics.pad
    left, mark_top = 2 * metrics.pad, top + metrics.pad + 1
    _plate(image, 0, top, left + total, image.shape[0], theme)
    for entry, mark, text in zip(entries, marks, texts, strict=True):
        right, bottom = left + mark - 1, mark_top + side - 1
        if isinstance(entry, BoxKind):
            sample = DrawnBox((float(left), float(mark_top), float(right), float(bottom)), entry, 0)
            _rectangle(image, sample, entry.colour(theme, 0), metrics.line)
        else:
            cv2.rectangle(image, (left, mark_top), (right, bottom), entry, cv2.FILLED)
        put_text(image, text, left + mark + space, top + metrics.pad, theme.text, metrics)
        left += mark + space + metrics.width(text) + gap


def _plate(image: Image, left: int, top: int, right: int, bottom: int, theme: Theme) -> None:
    """Blend the panel colour over a part of the image so that text on it reads well."""
    part = image[max(top, 0) : bottom, left : min(right, image.shape[1])]
    ground = part * 0.25 + [0.75 * value for value in theme.panel]
    part[:] = ground.round().astype("uint8")


def theme_palette(theme: Theme) -> list[Colour]:
    """At most 256 colours that pictures of this theme consist of, for GIF files: events first, then soft edges."""
    events = [(int(red), int(green), int(blue)) for red, green, blue in event_table(theme).reshape(-1, 3)]
    behind_plates = [mix(colour, theme.panel, 0.25) for colour in events]
    accents = [*theme.classes, theme.truth, theme.ignored, theme.text]
    edges = [
        mix(colour, ground, share)
        for share in (1.0, 0.75, 0.5, 0.3)
        for colour in accents
        for ground in (theme.panel, theme.background)
    ]
    ink = [mix(_ink_on(colour), colour, share) for colour in theme.classes for share in (1.0, 0.7, 0.4)]
    return list(dict.fromkeys([*events, theme.panel, *behind_plates, *edges, *ink]))[:256]
