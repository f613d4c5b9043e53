"""Compiled drawing: backdrops, sprites from far to near, and who covers which pixel."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from data.synthetic.objects.sprites import LEVELS
from data.synthetic.scene import Cast, Scene, pose_all
from data.synthetic.scenery import FAR_M, GROUND_LEVELS, GROUND_SIZE, GROUND_TEXELS_PER_M
from data.synthetic.textures import FloatImage

_SOLID = 0.5
"""Least alpha that counts as silhouette."""

_BLEED = 2.0
"""Pixels that interpolation spreads a sprite beyond its outline."""


@njit(cache=True, nogil=True)
def _tile_rows(level: int, z: float) -> tuple[int, int, np.float32]:
    """Offsets of the two rows of a level of the ground tile around texel row ``z`` of level 0, and their mix."""
    start = 0
    for lower in range(level):
        start += (GROUND_SIZE >> lower) * (GROUND_SIZE >> lower)
    size = GROUND_SIZE >> level
    z = z / (1 << level) - 0.5
    floor = math.floor(z)
    row = int(floor)
    return start + (row & (size - 1)) * size, start + ((row + 1) & (size - 1)) * size, np.float32(z - floor)


@njit(cache=True, nogil=True)
def _tile(ground: FloatImage, level: int, rows: tuple[int, int, np.float32], x: float) -> np.float32:
    """Bilinear value of the ground tile at texel column ``x`` of level 0, between the given rows."""
    top, low, az = rows
    x = x / (1 << level) - 0.5
    floor = math.floor(x)
    ax = np.float32(x - floor)
    mask = (GROUND_SIZE >> level) - 1
    x0 = int(floor) & mask
    x1 = (x0 + 1) & mask
    t0, t1 = ground[np.uintp(top + x0)], ground[np.uintp(top + x1)]
    l0, l1 = ground[np.uintp(low + x0)], ground[np.uintp(low + x1)]
    upper, lower = t0 + (t1 - t0) * ax, l0 + (l1 - l0) * ax
    return upper + (lower - upper) * az


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
    mix, weight = np.float32(detail - level), np.float32(share)
    z = (camera_z + distance) * GROUND_TEXELS_PER_M
    fine, coarse = _tile_rows(level, z), _tile_rows(level + 1, z)
    x = camera_x * GROUND_TEXELS_PER_M + (0.5 - width / 2 - pan) * step
    for u in range(width):
        value = _tile(ground, level, fine, x)
        value += (_tile(ground, level + 1, coarse, x) - value) * mix
        row[u] += (value - row[u]) * weight
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
def _texel(
    texels: FloatImage, start: int, rows: int, columns: int, x: float, y: float
) -> tuple[np.float32, np.float32]:
    """Bilinear (premultiplied luminance, alpha) at (x, y), counted from the first texel's centre; 0 outside."""
    if x < 0 or y < 0 or x >= columns - 1 or y >= rows - 1:
        return np.float32(0), np.float32(0)
    x0, y0 = int(x), int(y)
    ax, ay = np.float32(x - x0), np.float32(y - y0)
    bx, by = np.float32(1) - ax, np.float32(1) - ay
    i = np.uintp(start + y0 * columns + x0)
    j = np.uintp(i + np.uintp(columns))
    i1, j1 = i + np.uintp(1), j + np.uintp(1)
    w00, w01, w10, w11 = bx * by, ax * by, bx * ay, ax * ay
    alpha = texels[i, 1] * w00 + texels[i1, 1] * w01 + texels[j, 1] * w10 + texels[j1, 1] * w11
    value = texels[i, 0] * w00 + texels[i1, 0] * w01 + texels[j, 0] * w10 + texels[j1, 0] * w11
    return value, alpha


Lookup = tuple[float, float, float, float, float, float, np.float32, int, int, int, int, int, int]
"""Affine map from pixels to texels of a level, and the two levels (offset, rows, columns) to mix."""


@njit(cache=True, nogil=True)
def _lookup(table: npt.NDArray[np.int64], shape: npt.NDArray[np.float64], pose: npt.NDArray[np.float64]) -> Lookup:
    """What `_sample` needs of a posed sprite, in local variables."""
    detail = min(max(math.log2(pose[4]), 0.0), LEVELS - 1.001)
    level = int(detail)
    scale = 1.0 / (1 << level)
    k = pose[4] * scale
    x_u, x_v = pose[2] * pose[5] * k, pose[3] * k
    y_u, y_v = -pose[3] * pose[5] * k, pose[2] * k
    x_0 = shape[0] * scale - 0.5 + x_u * (0.5 - pose[0]) + x_v * (0.5 - pose[1])
    y_0 = shape[1] * scale - 0.5 + y_u * (0.5 - pose[0]) + y_v * (0.5 - pose[1])
    fine, coarse = table[level], table[level + 1]
    return (
        x_0, x_u, x_v, y_0, y_u, y_v, np.float32(detail - level),
        fine[0], fine[1], fine[2], coarse[0], coarse[1], coarse[2],
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _sample(texels: FloatImage, lookup: Lookup, u: int, v: int) -> tuple[np.float32, np.float32]:
    """Trilinear (premultiplied luminance, alpha) at a pixel."""
    x_0, x_u, x_v, y_0, y_u, y_v, mix, start, rows, columns, start1, rows1, columns1 = lookup
    x = x_0 + x_u * u + x_v * v
    y = y_0 + y_u * u + y_v * v
    value, alpha = _texel(texels, start, rows, columns, x, y)
    if mix > 0:
        rest = np.float32(1) - mix
        value1, alpha1 = _texel(texels, start1, rows1, columns1, 0.5 * x - 0.25, 0.5 * y - 0.25)
        value, alpha = value * rest + value1 * mix, alpha * rest + alpha1 * mix
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
    lookup = _lookup(table, shape, pose)
    for v in range(top, bottom):
        for u in range(left, right):
            value, alpha = _sample(texels, lookup, u, v)
            if alpha > 0:
                frame[v, u] = frame[v, u] * (np.float32(1) - alpha) + value


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
    lookup = _lookup(table, shape, pose)
    for v in range(top, bottom):
        for u in range(left, right):
            if owners[v, u] != figure and _sample(texels, lookup, u, v)[1] >= _SOLID:
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
