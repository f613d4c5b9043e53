"""Compiled drawing: backdrops, sprites from far to near, and who covers which pixel."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from data.synthetic.scene import Cast, Scene, pose_all
from data.synthetic.scenery import FAR_M, GROUND_LEVELS, GROUND_SIZE, GROUND_TEXELS_PER_M
from data.synthetic.sprites import LEVELS
from data.synthetic.textures import FloatImage

_SOLID = 0.5
"""Least alpha that counts as silhouette."""

_BLEED = 2.0
"""Pixels that interpolation spreads a sprite beyond its outline."""


@njit(cache=True, nogil=True)
def _tile(ground: FloatImage, level: int, x: float, z: float) -> float:
    """Bilinear value of the ground tile at texel (x, z) of level 0."""
    size = GROUND_SIZE >> level
    start = 0
    for lower in range(level):
        start += (GROUND_SIZE >> lower) * (GROUND_SIZE >> lower)
    scale = 1.0 / (1 << level)
    x = x * scale - 0.5
    z = z * scale - 0.5
    fx, fz = math.floor(x), math.floor(z)
    ax, az = x - fx, z - fz
    x0, z0 = int(fx) & (size - 1), int(fz) & (size - 1)
    x1, z1 = (x0 + 1) & (size - 1), (z0 + 1) & (size - 1)
    top = ground[start + z0 * size + x0] * (1 - ax) + ground[start + z0 * size + x1] * ax
    low = ground[start + z1 * size + x0] * (1 - ax) + ground[start + z1 * size + x1] * ax
    return top * (1 - az) + low * az


@njit(cache=True, nogil=True)
def _draw_ground_row(
    row: FloatImage, share: float, below: float, ground: FloatImage, lens: npt.NDArray[np.float64]
) -> None:
    """Blend one row of ground, ``below`` pixels under the horizon, over the row with weight ``share``."""
    focal, camera_height, pan, camera_x, camera_z = lens[0], lens[1], lens[2], lens[4], lens[5]
    width = row.shape[0]
    distance = min(focal * camera_height / below, FAR_M)
    step = distance / focal * GROUND_TEXELS_PER_M
    step_z = distance * distance / (focal * camera_height) * GROUND_TEXELS_PER_M
    detail = 0.5 * (math.log2(step) + math.log2(max(step_z, step)))
    detail = min(max(detail, 0.0), GROUND_LEVELS - 1.001)
    level = int(detail)
    mix = detail - level
    z = (camera_z + distance) * GROUND_TEXELS_PER_M
    x = camera_x * GROUND_TEXELS_PER_M + (0.5 - width / 2 - pan) * step
    for u in range(width):
        value = _tile(ground, level, x, z) * (1 - mix) + _tile(ground, level + 1, x, z) * mix
        row[u] = row[u] * (1 - share) + value * share
        x += step


@njit(cache=True, nogil=True)
def _draw_sky_row(row: FloatImage, y: float, skyline: FloatImage, shift: float) -> None:
    """Draw a row of skyline at its row ``y``; ``shift`` is its column at the left edge of the frame."""
    rows, columns = skyline.shape
    y = min(max(y, 0.0), rows - 1.001)
    y0 = int(y)
    ay = y - y0
    fx = math.floor(shift)
    ax = shift - fx
    x0 = int(fx) % columns
    for u in range(row.shape[0]):
        x1 = x0 + 1
        if x1 == columns:
            x1 = 0
        top = skyline[y0, x0] * (1 - ax) + skyline[y0, x1] * ax
        low = skyline[y0 + 1, x0] * (1 - ax) + skyline[y0 + 1, x1] * ax
        row[u] = top * (1 - ay) + low * ay
        x0 = x1


@njit(cache=True, nogil=True)
def draw_backdrop(
    frame: FloatImage, skyline: FloatImage, foot: float, ground: FloatImage, lens: npt.NDArray[np.float64]
) -> None:
    """Fill the frame [H, W] with skyline and ground.

    ``lens`` is a row of `Poses.lens`.
    """
    focal, camera_height, pan, horizon, camera_x = lens[0], lens[1], lens[2], lens[3], lens[4]
    height, width = frame.shape
    edge = focal * camera_height / FAR_M
    shift = focal * camera_x / FAR_M - pan - width / 2 + skyline.shape[1] // 2
    for v in range(height):
        below = v + 0.5 - horizon
        share = min(max(below - edge + 0.5, 0.0), 1.0)
        if share < 1.0:
            _draw_sky_row(frame[v], below + foot, skyline, shift)
        if share > 0.0:
            _draw_ground_row(frame[v], share, max(below, edge), ground, lens)


@njit(cache=True, nogil=True)
def _texel(texels: FloatImage, start: int, rows: int, columns: int, x: float, y: float) -> tuple[float, float]:
    """Bilinear (premultiplied luminance, alpha) at (x, y), counted from the first texel's centre; 0 outside."""
    if x < 0 or y < 0 or x >= columns - 1 or y >= rows - 1:
        return 0.0, 0.0
    x0, y0 = int(x), int(y)
    ax, ay = x - x0, y - y0
    i = start + y0 * columns + x0
    j = i + columns
    w00, w01, w10, w11 = (1 - ax) * (1 - ay), ax * (1 - ay), (1 - ax) * ay, ax * ay
    alpha = texels[i, 1] * w00 + texels[i + 1, 1] * w01 + texels[j, 1] * w10 + texels[j + 1, 1] * w11
    value = texels[i, 0] * w00 + texels[i + 1, 0] * w01 + texels[j, 0] * w10 + texels[j + 1, 0] * w11
    return value, alpha


@njit(cache=True, nogil=True)
def _sample(
    texels: FloatImage, table: npt.NDArray[np.int64], level: int, mix: float, x: float, y: float
) -> tuple[float, float]:
    """Trilinear (premultiplied luminance, alpha) at texel (x, y) of level 0, ``mix`` between two levels."""
    scale = 1.0 / (1 << level)
    value, alpha = _texel(texels, table[level, 0], table[level, 1], table[level, 2], x * scale - 0.5, y * scale - 0.5)
    if mix > 0.0:
        scale *= 0.5
        level += 1
        value1, alpha1 = _texel(
            texels, table[level, 0], table[level, 1], table[level, 2], x * scale - 0.5, y * scale - 0.5
        )
        value, alpha = value * (1 - mix) + value1 * mix, alpha * (1 - mix) + alpha1 * mix
    return value, alpha


@njit(cache=True, nogil=True)
def _extent(
    shape: npt.NDArray[np.float64], pose: npt.NDArray[np.float64], height: int, width: int
) -> tuple[int, int, int, int]:
    """Rows and columns (first, one past last) of the frame that a posed sprite can touch."""
    low_u = low_v = 1e9
    high_u = high_v = -1e9
    for corner in range(4):
        x = (shape[4] if corner & 1 else shape[2]) / pose[4]
        y = (shape[5] if corner >> 1 else shape[3]) / pose[4]
        u = pose[0] + pose[5] * (pose[2] * x - pose[3] * y)
        v = pose[1] + pose[3] * x + pose[2] * y
        low_u, high_u = min(low_u, u), max(high_u, u)
        low_v, high_v = min(low_v, v), max(high_v, v)
    # Clamp before the cast: what is very near or very far away need not fit an integer.
    top, bottom = min(max(low_v - _BLEED, 0.0), height), min(max(high_v + _BLEED, 0.0), height)
    left, right = min(max(low_u - _BLEED, 0.0), width), min(max(high_u + _BLEED, 0.0), width)
    return int(top), int(bottom), int(left), int(right)


@njit(cache=True, nogil=True)
def draw_sprite(
    frame: FloatImage,
    texels: FloatImage,
    table: npt.NDArray[np.int64],
    shape: npt.NDArray[np.float64],
    pose: npt.NDArray[np.float64],
) -> None:
    """Blend one posed sprite over the frame [H, W]."""
    if pose[4] <= 0:
        return
    top, bottom, left, right = _extent(shape, pose, frame.shape[0], frame.shape[1])
    detail = min(max(math.log2(pose[4]), 0.0), LEVELS - 1.001)
    level = int(detail)
    mix = detail - level
    for v in range(top, bottom):
        dy = v + 0.5 - pose[1]
        for u in range(left, right):
            dx = (u + 0.5 - pose[0]) * pose[5]
            x = (pose[2] * dx + pose[3] * dy) * pose[4] + shape[0]
            y = (pose[2] * dy - pose[3] * dx) * pose[4] + shape[1]
            value, alpha = _sample(texels, table, level, mix, x, y)
            if alpha > 0.0:
                frame[v, u] = frame[v, u] * (1 - alpha) + value


@njit(cache=True, nogil=True)
def cover(
    owners: npt.NDArray[np.int32],
    areas: npt.NDArray[np.int64],
    figure: int,
    texels: FloatImage,
    table: npt.NDArray[np.int64],
    shape: npt.NDArray[np.float64],
    pose: npt.NDArray[np.float64],
) -> None:
    """Write ``figure`` where a posed sprite is solid, and count the pixels that it newly takes into ``areas``."""
    if pose[4] <= 0:
        return
    top, bottom, left, right = _extent(shape, pose, owners.shape[0], owners.shape[1])
    detail = min(max(math.log2(pose[4]), 0.0), LEVELS - 1.001)
    level = int(detail)
    mix = detail - level
    for v in range(top, bottom):
        dy = v + 0.5 - pose[1]
        for u in range(left, right):
            dx = (u + 0.5 - pose[0]) * pose[5]
            x = (pose[2] * dx + pose[3] * dy) * pose[4] + shape[0]
            y = (pose[2] * dy - pose[3] * dx) * pose[4] + shape[1]
            if owners[v, u] != figure and _sample(texels, table, level, mix, x, y)[1] >= _SOLID:
                owners[v, u] = figure
                if figure >= 0:
                    areas[figure] += 1


@njit(cache=True, nogil=True)
def draw_figures(
    frame: FloatImage,
    texels: FloatImage,
    tables: npt.NDArray[np.int64],
    shapes: npt.NDArray[np.float64],
    sprite: npt.NDArray[np.int64],
    bounds: npt.NDArray[np.int64],
    poses: npt.NDArray[np.float64],
    order: npt.NDArray[np.int64],
) -> None:
    """Draw all figures over the frame [H, W]; the arguments are those of `Atlas`, `Cast` and `Poses` at one time."""
    for figure in order:
        for part in range(bounds[figure], bounds[figure + 1]):
            number = sprite[part]
            draw_sprite(frame, texels, tables[number], shapes[number], poses[part])


def render(scene: Scene, cast: Cast, index: int) -> FloatImage:
    """Luminance float32 [H, W], in [0, 1], at one render time."""
    frame = np.zeros((scene.height, scene.width), np.float32)
    poses, scenery, atlas = pose_all(scene, slice(index, index + 1)), scene.scenery, cast.atlas
    draw_backdrop(frame, scenery.skyline, scenery.foot, scenery.ground, poses.lens[0])
    draw_figures(
        frame, atlas.texels, atlas.tables, atlas.shapes, cast.sprite, cast.bounds, poses.parts[0], poses.order[0]
    )
    return frame * np.float32(scene.light)
