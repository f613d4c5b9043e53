"""Caption and legend over a picture, in place, and the colours of pictures. Images are uint8 [H, W, 3], RGB."""

from __future__ import annotations

from collections.abc import Sequence

import cv2

from utils.pictures.boxes import Area, BoxKind, DrawnBox, Metrics, ink_on, outline, put_text
from utils.pictures.drawing import Colour, Image, Theme, event_table, mix

LEGEND_MIN_HEIGHT, LEGEND_MIN_WIDTH = 200, 260
"""Smaller pictures carry no legend: it would hide what it explains."""


def has_room(image: Image) -> bool:
    """Whether a caption and a legend fit the image without hiding much of it."""
    return image.shape[0] >= LEGEND_MIN_HEIGHT and image.shape[1] >= LEGEND_MIN_WIDTH


def plates(image: Image) -> list[Area]:
    """Where caption and legend lie, for tags to keep clear of."""
    metrics = Metrics.of(image)
    height, width = image.shape[:2]
    side = metrics.line_height + 2 * metrics.pad
    return [(0, 0, metrics.width("100.00 s"), side), (0, height - side, width, height)]


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
    entries: list[BoxKind | Colour] = [theme.on, theme.off, theme.both, *kinds]
    texts = ["ON", "OFF", "both", *(kind.value for kind in kinds)]
    marks = [side if isinstance(entry, tuple) else 2 * side for entry in entries]
    widths = [mark + space + metrics.width(text) + gap for mark, text in zip(marks, texts, strict=True)]
    if sum(widths) > image.shape[1]:  # the mixture explains itself
        del entries[2], texts[2], marks[2], widths[2]
    total = sum(widths)
    top = image.shape[0] - metrics.line_height - 2 * metrics.pad
    left, mark_top = 2 * metrics.pad, top + metrics.pad + 1
    _plate(image, 0, top, left + total, image.shape[0], theme)
    for entry, mark, text in zip(entries, marks, texts, strict=True):
        right, bottom = left + mark - 1, mark_top + side - 1
        if isinstance(entry, BoxKind):
            sample = DrawnBox((float(left), float(mark_top), float(right), float(bottom)), entry, 0)
            outline(image, sample, entry.colour(theme, 0), metrics.line)
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
    ink = [mix(ink_on(colour), colour, share) for colour in theme.classes for share in (1.0, 0.7, 0.4)]
    return list(dict.fromkeys([*events, theme.panel, *behind_plates, *edges, *ink]))[:256]
