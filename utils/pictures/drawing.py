"""Pictures of events: colour themes, event images in two colours, scaling, contact sheets.

Images are uint8 [H, W, 3], RGB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]
Image = npt.NDArray[np.uint8]

_STRENGTH = (0.0, 0.3, 0.55, 0.78, 0.88, 0.95, 1.0)
"""Share of the event colour over the ground, by how strong a pixel is: nothing, then faint to full."""

FEW_EVENTS = 4.0
"""Events at a pixel that show its full colour where events are few; one event is then clearly seen as well."""


@dataclass(frozen=True)
class Theme:
    """Colours of a picture.

    Attributes:
        background: colour without events.
        on, off: colours of brighter and darker events; their lightness differs too, so that they stay apart in a
            video with halved colour resolution and for colour-blind eyes.
        both: colour of a pixel with as many of the one as of the other.
        text: colour of plain text; ``panel`` is what lies behind it.
        truth: colour of ground-truth boxes.
        classes: colours of predicted boxes by class id, repeated when there are more classes.
        ignored: colour of boxes that training and evaluation ignore.
        gap: colour between the images of a contact sheet.
    """

    background: Colour
    on: Colour
    off: Colour
    both: Colour
    text: Colour
    panel: Colour
    truth: Colour
    ignored: Colour
    gap: Colour
    classes: tuple[Colour, ...] = field(repr=False)

    def class_colour(self, class_id: int) -> Colour:
        """Colour of a class."""
        return self.classes[class_id % len(self.classes)]


DARK = Theme(
    background=(20, 24, 35),
    on=(240, 244, 252),
    off=(70, 146, 244),
    both=(196, 112, 236),
    text=(226, 230, 240),
    panel=(8, 10, 16),
    truth=(255, 226, 64),
    ignored=(140, 144, 156),
    gap=(58, 64, 80),
    classes=((255, 140, 26), (58, 214, 122), (255, 84, 156), (40, 216, 226), (178, 132, 255), (255, 92, 82)),
)
"""White and blue on night blue."""

LIGHT = Theme(
    background=(255, 255, 255),
    on=(206, 60, 54),
    off=(28, 84, 190),
    both=(134, 60, 152),
    text=(30, 34, 44),
    panel=(238, 240, 244),
    truth=(16, 16, 20),
    ignored=(150, 150, 156),
    gap=(208, 212, 220),
    classes=((214, 104, 0), (0, 140, 72), (198, 24, 112), (0, 134, 150), (112, 62, 206), (150, 90, 30)),
)
"""Red and blue on white."""

THEMES = {"dark": DARK, "light": LIGHT}


def mix(colour: Colour, ground: Colour, share: float) -> Colour:
    """``share`` of ``colour`` over ``ground``.

    >>> mix((255, 0, 100), (0, 0, 0), 0.5)
    (128, 0, 50)
    """
    red, green, blue = (round(a * share + b * (1.0 - share)) for a, b in zip(colour, ground, strict=True))
    return red, green, blue


def event_table(theme: Theme) -> Image:
    """Colours uint8 [K, K, 3] of a pixel whose ON and OFF events are so strong, each from 0 to K - 1."""
    size = len(_STRENGTH)
    table = np.zeros((size, size, 3), dtype=np.uint8)
    for on in range(size):
        for off in range(size):
            most = max(on, off)
            apart = abs(on - off) / max(most, 1)  # 0 where both are alike, 1 where there is only one
            hue = mix(theme.on if on > off else theme.off, theme.both, apart) if most else theme.background
            table[on, off] = mix(hue, theme.background, _STRENGTH[most])
    return table


def exposure(counts: npt.NDArray[Any]) -> float:
    """Events at a pixel that should show its full colour, so that neither few nor very many events are lost to the eye.

    Args:
        counts: (OFF, ON) events of every pixel, [2, H, W].

    Returns:
        What all but the strongest fiftieth of the pixels with events stay below, ``FEW_EVENTS`` at least.
    """
    found = np.bincount(np.minimum(counts, 255).astype(np.intp).ravel(), minlength=2)
    found[0] = 0
    return max(FEW_EVENTS, float(np.searchsorted(np.cumsum(found), 0.98 * found.sum())))


def count_events(
    x: npt.NDArray[Any], y: npt.NDArray[Any], p: npt.NDArray[Any], height: int, width: int
) -> npt.NDArray[np.int64]:
    """Number of (OFF, ON) events of every pixel, int64 [2, H, W]; events outside the sensor are left out.

    >>> count_events(np.array([0, 1, 1]), np.array([0, 0, 0]), np.array([1, 0, 0]), 1, 2).tolist()
    [[[0, 2]], [[1, 0]]]
    """
    inside = (x < width) & (y < height)
    if not inside.all():
        x, y, p = x[inside], y[inside], p[inside]
    pixel = (p > 0).astype(np.int64) * (height * width) + y.astype(np.int64) * width + x
    return np.bincount(pixel, minlength=2 * height * width).reshape(2, height, width)


def draw_events(counts: npt.NDArray[Any], theme: Theme = DARK, full: float = FEW_EVENTS) -> Image:
    """Colour the (OFF, ON) counts [2, H, W] of every pixel; more events at a pixel are brighter.

    Args:
        counts: events of every pixel.
        theme: colours.
        full: events that show the full colour, see ``exposure``.

    Returns:
        uint8 [H, W, 3].
    """
    table = event_table(theme)
    size = len(table)
    numbers = np.arange(math.ceil(full) + 1)
    level = np.minimum(np.ceil((size - 1) * (numbers + 2) / (full + 2)), size - 1).astype(np.intp)
    level[0] = 0
    off, on = level[np.minimum(counts, len(level) - 1).astype(np.intp)]
    return table.reshape(-1, 3)[on * size + off]


def over_picture(
    image: Image, counts: npt.NDArray[Any], picture: npt.NDArray[np.uint8], theme: Theme, share: float = 0.6
) -> Image:
    """An event image over a grey picture [h, w] of the scene, which is mixed with the ground so that events stand out.

    A picture of another size is scaled to that of the events.
    """
    if picture.shape != image.shape[:2]:
        picture = np.asarray(cv2.resize(picture, image.shape[1::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)
    ground = share * picture[..., None] + (1 - share) * np.array(theme.background)
    return np.where((counts.sum(axis=0) > 0)[..., None], image, np.rint(ground).astype(np.uint8))


def scale_events(image: Image, height: int, width: int, theme: Theme) -> Image:
    """Scale an event image.

    Pixels stay sharp when the image grows. When it shrinks they are averaged, and single events on empty ground are
    lifted by the factor of shrinking so that they do not fade away, up to the mean colour of the events averaged.

    Returns:
        uint8 [height, width, 3], never the array given.
    """
    if image.shape[:2] == (height, width):
        return image.copy()
    size = (width, height)
    if height >= image.shape[0] and width >= image.shape[1]:
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
    ground = np.array(theme.background, dtype=np.float32)
    covered = (image != ground.astype(np.uint8)).any(axis=-1).astype(np.float32)
    share = cv2.resize(covered, size, interpolation=cv2.INTER_AREA)[..., None]
    mean = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    lift = np.minimum(math.sqrt(image.shape[0] * image.shape[1] / (height * width)), 1.0 / np.maximum(share, 1e-3))
    return np.rint(np.clip(ground + (mean - ground) * lift, 0, 255)).astype(np.uint8)


def contact_sheet(images: Sequence[Image], theme: Theme = DARK, columns: int | None = None) -> Image:
    """Lay images of one size out on a grid, row by row, with a gap between and around them.

    Args:
        images: uint8 [H, W, 3] each, at least one.
        theme: gives the colour of the gaps.
        columns: images in a row; by default as many as make the sheet about 16:9, without a mostly empty last row.
    """
    height, width = images[0].shape[:2]
    across = sheet_columns(len(images), height, width) if columns is None else min(columns, len(images))
    space = sheet_gap(height, width)
    rows = math.ceil(len(images) / across)
    sheet = np.empty((space + rows * (height + space), space + across * (width + space), 3), dtype=np.uint8)
    sheet[:] = theme.gap
    for index, image in enumerate(images):
        top = space + (index // across) * (height + space)
        left = space + (index % across) * (width + space)
        sheet[top : top + height, left : left + width] = image
    return sheet


def sheet_gap(height: float, width: float) -> int:
    """Width in pixels of the gaps between images of this size."""
    return max(2, round(math.sqrt(height * width) / 100))


def sheet_columns(count: int, height: int, width: int) -> int:
    """Images in a row that make a sheet of ``count`` images about 16:9 with few empty places.

    >>> sheet_columns(6, 720, 1280), sheet_columns(4, 260, 346), sheet_columns(1, 5, 5)
    (3, 2, 1)
    """

    def cost(columns: int) -> float:
        rows = math.ceil(count / columns)
        shape = abs(math.log(columns * width / (rows * height) / (16 / 9)))
        return shape + (rows * columns - count) / count

    return min(range(1, count + 1), key=cost)
