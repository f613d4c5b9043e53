"""Flat textured pieces of objects, drawn in metres, stored as image pyramids in one atlas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from data.synthetic.textures import FloatImage

LEVELS = 5
_SUPERSAMPLE = 3


@dataclass(frozen=True)
class Sprite:
    """A textured piece.

    Attributes:
        image: float32 [h, w, 2], luminance times alpha, and alpha; h and w are multiples of 2**(LEVELS-1).
        pivot: texel position (x, y) that a pose moves and turns about.
        texels_per_m: resolution.
    """

    image: FloatImage
    pivot: tuple[float, float]
    texels_per_m: float


class Canvas:
    """Draws a sprite: x to the right and y up, in metres, with the pivot at the origin.

    Args:
        x0: left edge in metres.
        y0: lower edge in metres.
        x1: right edge.
        y1: upper edge.
        texels_per_m: resolution of the finished sprite.
    """

    def __init__(self, x0: float, y0: float, x1: float, y1: float, texels_per_m: float) -> None:
        self._x0, self._y1 = x0, y1
        self._out = texels_per_m
        self.texels_per_m = texels_per_m * _SUPERSAMPLE
        self._height = max(1, int(np.ceil((y1 - y0) * texels_per_m))) * _SUPERSAMPLE
        self._width = max(1, int(np.ceil((x1 - x0) * texels_per_m))) * _SUPERSAMPLE
        self._value = np.zeros((self._height, self._width), np.float32)
        self._alpha = np.zeros((self._height, self._width), np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a texture that covers the canvas."""
        return self._height, self._width

    def _points(self, points: Sequence[tuple[float, float]]) -> npt.NDArray[np.int32]:
        array = np.asarray(points, np.float64)
        x = (array[:, 0] - self._x0) * self.texels_per_m
        y = (self._y1 - array[:, 1]) * self.texels_per_m
        return np.round(np.stack([x, y], axis=1)).astype(np.int32)

    def _fill(self, mask: npt.NDArray[np.uint8], paint: float | FloatImage, alpha: float, inside: bool) -> None:
        chosen = mask > 0
        if inside:
            chosen &= self._alpha > 0
        self._value[chosen] = paint[chosen] if isinstance(paint, np.ndarray) else paint
        self._alpha[chosen] = np.maximum(self._alpha[chosen], alpha)

    def polygon(
        self,
        points: Sequence[tuple[float, float]],
        paint: float | FloatImage,
        *,
        alpha: float = 1.0,
        inside: bool = False,
    ) -> None:
        """Fill a polygon with a luminance or a texture of the canvas' shape; ``inside`` keeps to what is drawn."""
        mask = np.zeros(self.shape, np.uint8)
        cv2.fillPoly(mask, [self._points(points)], 1)
        self._fill(mask, paint, alpha, inside)

    def rectangle(
        self, x0: float, y0: float, x1: float, y1: float, paint: float | FloatImage, *, inside: bool = False
    ) -> None:
        """Fill an upright rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], paint, inside=inside)

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        paint: float | FloatImage,
        *,
        alpha: float = 1.0,
        inside: bool = False,
    ) -> None:
        """Fill an ellipse with centre (x, y) and half axes rx, ry."""
        mask = np.zeros(self.shape, np.uint8)
        centre = self._points([(x, y)])[0]
        axes = (max(1, round(rx * self.texels_per_m)), max(1, round(ry * self.texels_per_m)))
        cv2.ellipse(mask, (int(centre[0]), int(centre[1])), axes, 0, 0, 360, 1, -1)
        self._fill(mask, paint, alpha, inside)

    def capsule(self, x0: float, y0: float, x1: float, y1: float, radius: float, paint: float | FloatImage) -> None:
        """Fill a line with round ends."""
        mask = np.zeros(self.shape, np.uint8)
        a, b = self._points([(x0, y0), (x1, y1)])
        thickness = max(1, round(2 * radius * self.texels_per_m))
        cv2.line(mask, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), 1, thickness)
        self._fill(mask, paint, 1.0, False)

    def cut(self, mask: npt.NDArray[np.bool_]) -> None:
        """Make the canvas transparent where ``mask`` (of the canvas' shape) holds."""
        self._alpha[mask] = 0.0

    def finish(self) -> Sprite:
        """Scale down to the sprite's resolution, premultiply and pad with transparent texels."""
        size = (self._width // _SUPERSAMPLE, self._height // _SUPERSAMPLE)
        alpha = cv2.resize(self._alpha, size, interpolation=cv2.INTER_AREA)
        value = cv2.resize(self._value * self._alpha, size, interpolation=cv2.INTER_AREA)
        block = 2 ** (LEVELS - 1)
        rows, columns = (-(-(length + 2) // block) * block + block for length in (size[1], size[0]))
        image = np.zeros((rows, columns, 2), np.float32)
        top, left = (rows - size[1]) // 2, (columns - size[0]) // 2
        image[top : top + size[1], left : left + size[0], 0] = value
        image[top : top + size[1], left : left + size[0], 1] = alpha
        pivot = (left - self._x0 * self._out, top + self._y1 * self._out)
        return Sprite(image, pivot, self._out)


@dataclass(frozen=True)
class Atlas:
    """All sprites of a scene in flat arrays for the compiled renderer.

    Attributes:
        texels: float32 [N, 2], premultiplied luminance and alpha of all levels of all sprites, row by row.
        tables: int64 [sprites, LEVELS, 3], offset into ``texels``, rows, columns.
        shapes: float64 [sprites, 6], in texels of level 0: pivot x and y, then the first column and row and the
            last column and row that are not transparent, counted from the pivot.
    """

    texels: FloatImage
    tables: npt.NDArray[np.int64]
    shapes: npt.NDArray[np.float64]


def pyramid(image: FloatImage, levels: int) -> list[FloatImage]:
    """Halve an image repeatedly by area averaging; sides must be multiples of 2**(levels-1)."""
    result = [image]
    for _ in range(levels - 1):
        last = result[-1]
        half = (last.shape[1] // 2, last.shape[0] // 2)
        result.append(cv2.resize(last, half, interpolation=cv2.INTER_AREA).astype(np.float32, copy=False))
    return result


def build_atlas(sprites: Sequence[Sprite]) -> Atlas:
    """Pack the pyramids of all sprites."""
    pieces: list[FloatImage] = [np.zeros((1, 2), np.float32)]
    tables = np.zeros((len(sprites), LEVELS, 3), np.int64)
    offset = 1
    for index, sprite in enumerate(sprites):
        for level, image in enumerate(pyramid(sprite.image, LEVELS)):
            tables[index, level] = offset, image.shape[0], image.shape[1]
            pieces.append(image.reshape(-1, 2))
            offset += image.shape[0] * image.shape[1]
    shapes = np.array([_shape(sprite) for sprite in sprites], np.float64).reshape(-1, 6)
    return Atlas(np.concatenate(pieces), tables, shapes)


def _shape(sprite: Sprite) -> tuple[float, ...]:
    (x, y), solid = sprite.pivot, sprite.image[:, :, 1] > 0
    if not solid.any():
        return x, y, 0.0, 0.0, 0.0, 0.0
    columns, rows = np.flatnonzero(solid.any(axis=0)), np.flatnonzero(solid.any(axis=1))
    return x, y, columns[0] - x, rows[0] - y, columns[-1] + 1 - x, rows[-1] + 1 - y
