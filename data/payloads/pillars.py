"""Pillars of a window's events: the first events of every pixel of a square canvas, each polarity by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from data.events.types import Events
from utils.settings import settings_of, whole

POLARITIES = 2
T_BINS = 4
"""The window lasts this long in a pillar's own time; its last event lies at the end, where nothing counts."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PillarSettings:
    """How pillars are made.

    Attributes:
        size: side of the canvas in pixels; the sensor is stretched to it.
        quantize: x, y and t are cut to whole numbers, as the published files do; else one event of each pixel of the
            sensor stays, where it is.
        max_points: events of a pillar that are kept, the earliest ones.
        max_pillars: pillars of a polarity; the first event that would need another one ends the window.
    """

    size: int = 512
    quantize: bool = True
    max_points: int = 5
    max_pillars: int = 100_000

    def __post_init__(self) -> None:
        for name in ("size", "max_points", "max_pillars"):
            whole(getattr(self, name), f"model.pillars.{name}")

    @classmethod
    def of(cls, model: Mapping[str, Any]) -> PillarSettings:
        """From the ``model`` section."""
        return settings_of(cls, model, "pillars")

    @property
    def columns(self) -> int:
        """Numbers of a pillar: x, y and t of each point, the number of points, row and column of its pixel."""
        return 3 * self.max_points + 3


def window_pillars(events: Events, sensor_hw: tuple[int, int], settings: PillarSettings) -> list[Array]:
    """Pillars float32 [n, columns] of the brighter events and of the darker ones.

    Of events in one place (whole pixels of the canvas or of the sensor, see ``quantize``) the earliest one stays, of
    whatever polarity. A polarity without any event is given those of the other one.

    Args:
        events: of the window, in the order of time.
        sensor_hw: height and width; events outside are left out.
        settings: how.
    """
    height, width = sensor_hw
    inside = (events.x < width) & (events.y < height)
    if not inside.all():
        events = Events(*(getattr(events, name)[inside] for name in ("t", "x", "y", "p")))
    if not len(events):
        return [np.zeros((0, settings.columns), np.float32)] * POLARITIES
    size = settings.size
    seen = np.zeros((size, size) if settings.quantize else sensor_hw, np.uint8)
    kept = _first_of_places(events.t, events.x, events.y, width, height, size, settings.quantize, seen)
    span = max(int(events.t[-1] - events.t[0]), 1)
    t = T_BINS * (events.t[kept] - events.t[0]) / span
    x, y, p = events.x[kept] / width * size, events.y[kept] / height * size, events.p[kept]
    if settings.quantize:
        x, y, t = np.floor(x), np.floor(y), np.floor(t)
    sides = [p == 1, p == 0]
    everything = np.ones(len(p), bool)
    return [
        voxelise(np.stack([x[side], y[side], t[side]], axis=1), settings)
        for side in (side if side.any() else everything for side in sides)
    ]


def voxelise(points: Array, settings: PillarSettings) -> Array:
    """Pillars float32 [n, columns] of points [N, 3] (x, y, t), in the order of their first points."""
    most = min(len(points), settings.max_pillars)
    table = np.zeros((most, settings.columns), np.float32)
    grid = np.full((settings.size, settings.size), -1, np.int32)
    return table[: _collect(points, table, grid, settings.max_points)]


def pillar_picture(pillars: Array, size_hw: tuple[int, int], size: int) -> npt.NDArray[np.uint8]:
    """Counts of pillars [2, H, W], darker ones first, for drawing.

    Args:
        pillars: [2, P, columns], brighter ones first; those without points are none.
        size_hw: height and width of the picture.
        size: side of the canvas.
    """
    picture = np.zeros((POLARITIES, *size_hw), np.uint8)
    for target, side in zip(picture[::-1], pillars, strict=True):
        there = side[side[:, -3] > 0, -2:]
        y, x = ((there + 0.5) / size * size_hw).astype(np.int64).T
        np.add.at(target, (y, x), 1)
    return picture


@njit(cache=True, nogil=True)
def _first_of_places(t, x, y, width, height, size, quantize, seen):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Indices of the first event of every place."""
    kept = np.empty(len(t), np.int64)
    count = 0
    for i in range(len(t)):
        row, column = np.int64(y[i]), np.int64(x[i])
        if quantize:
            row, column = np.int64(row / height * size), np.int64(column / width * size)
        if seen[row, column] == 0:
            seen[row, column] = 1
            kept[count] = i
            count += 1
    return kept[:count]


@njit(cache=True, nogil=True)
def _collect(points, table, grid, max_points):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill the table; returns the number of pillars."""
    size, most = len(grid), len(table)
    last = 3 * max_points
    count = 0
    for i in range(len(points)):
        x, y, t = points[i, 0], points[i, 1], points[i, 2]
        if not (0 <= x < size and 0 <= y < size and 0 <= t < T_BINS):
            continue
        row, column = np.int64(y), np.int64(x)
        pillar = grid[row, column]
        if pillar < 0:
            if count == most:
                break
            pillar = count
            grid[row, column] = pillar
            table[pillar, last + 1] = row
            table[pillar, last + 2] = column
            count += 1
        number = np.int64(table[pillar, last])
        if number < max_points:
            table[pillar, 3 * number] = x
            table[pillar, 3 * number + 1] = y
            table[pillar, 3 * number + 2] = t
            table[pillar, last] = number + 1
    return count
