"""The two backdrops of a scene: a skyline far away and a tiled ground with roads and pavements."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from data.synthetic.objects.sprites import pyramid
from data.synthetic.textures import DARKEST, FloatImage, fractal_noise, random_luminance

FAR_M = 60.0
"""Distance of the skyline; the ground ends there."""

GROUND_TEXELS_PER_M = 32
GROUND_SIZE = 1024
"""Side of the ground tile in texels, a power of two."""

GROUND_LEVELS = 6


@dataclass(frozen=True)
class Scenery:
    """Backdrops.

    Attributes:
        skyline: float32 [rows, columns], one texel a pixel; repeats sideways.
        foot: row of ``skyline`` that lies on the horizon.
        ground: float32 [N], the levels of the ground tile one after the other, each row by row.
    """

    skyline: FloatImage
    foot: float
    ground: FloatImage


def random_scenery(rng: np.random.Generator, height: int, width: int, horizon: float, contrast: float) -> Scenery:
    """Draw the backdrops for a frame of ``height`` by ``width`` with its horizon at a share of the height."""
    skyline, foot = _skyline(rng, height, width, horizon, contrast)
    levels = pyramid(_ground(rng, contrast), GROUND_LEVELS)
    return Scenery(skyline, foot, np.concatenate([level.reshape(-1) for level in levels]))


def _skyline(
    rng: np.random.Generator, height: int, width: int, horizon: float, contrast: float
) -> tuple[FloatImage, float]:
    """Sky with clouds, houses with windows, a line of trees; float32 rows, and the row of the horizon."""
    columns = 4 * width
    foot = int(np.ceil(horizon * height * 1.3)) + 4
    rows = foot + int(np.ceil(0.25 * height)) + 4
    shade = np.linspace(0, rng.uniform(-0.4, 0.4), rows, dtype=np.float32)[:, None]
    clouds = 0.3 * fractal_noise(rng, rows, columns, 1.6)
    image = np.asarray(rng.uniform(0.4, 0.9) * np.exp(shade + contrast * clouds), np.float32)
    for _ in range(int(rng.integers(6, 22))):
        _house(rng, image, foot, height, width, contrast)
    if rng.random() < 0.7:
        _treeline(rng, image, foot, height, contrast)
    image[foot:] = random_luminance(rng, 0.1, 0.5)
    haze = rng.uniform(0.35, 0.7)
    image = np.exp((1 - haze) * np.log(image) + haze * np.log(image).mean())
    smooth = cv2.GaussianBlur(np.pad(image, ((0, 0), (4, 4)), mode="wrap"), (0, 0), 0.7)[:, 4:-4]
    return np.clip(smooth, DARKEST, 1.0).astype(np.float32), float(foot)


def _house(rng: np.random.Generator, image: FloatImage, foot: int, height: int, width: int, contrast: float) -> None:
    tall, wide = int(rng.uniform(0.08, 0.4) * height), int(rng.uniform(0.1, 0.5) * width)
    left = int(rng.integers(image.shape[1]))
    columns = (left + np.arange(wide)) % image.shape[1]
    wall = random_luminance(rng, 0.08, 0.8)
    block = wall * np.exp(0.4 * contrast * fractal_noise(rng, tall, wide, 1.2))
    pitch_x, pitch_y = rng.uniform(0.035, 0.09) * width, rng.uniform(0.035, 0.09) * width
    xs, ys = (np.arange(wide) / pitch_x) % 1.0, (np.arange(tall) / pitch_y) % 1.0
    window = (xs[None, :] > rng.uniform(0.35, 0.6)) & (ys[:, None] > rng.uniform(0.35, 0.6))
    block[window] = wall * np.exp(rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 1.2) * min(1.0, 2 * contrast))
    image[foot - tall : foot, columns] = block[:, : len(columns)]


def _treeline(rng: np.random.Generator, image: FloatImage, foot: int, height: int, contrast: float) -> None:
    columns = image.shape[1]
    outline = fractal_noise(rng, 8, columns, 1.0)[0] * 0.5 + 0.6
    top = foot - np.maximum(0, rng.uniform(0.03, 0.14) * height * outline)
    leaves = random_luminance(rng, 0.06, 0.3) * np.exp(contrast * fractal_noise(rng, image.shape[0], columns, 1.0))
    inside = np.arange(image.shape[0])[:, None] >= top[None, :]
    image[inside] = leaves[inside]


def _ground(rng: np.random.Generator, contrast: float) -> FloatImage:
    """The ground tile [GROUND_SIZE, GROUND_SIZE]; rows run away from the camera, columns to the right."""
    size, per_m = GROUND_SIZE, GROUND_TEXELS_PER_M
    coarse = fractal_noise(rng, size, size, 1.5)
    fine = fractal_noise(rng, size, size, 0.7)
    luminance = np.full((size, size), random_luminance(rng, 0.12, 0.6), np.float32)
    road = random_luminance(rng, 0.1, 0.45)
    near, far = int(rng.uniform(5, 8) * per_m), int(rng.uniform(17, 26) * per_m)
    luminance[near:far] = road
    _markings(rng, luminance, near, far, road)
    if rng.random() < 0.5:
        left, wide = int(rng.integers(size)), int(rng.uniform(4, 8) * per_m)
        luminance[:, (left + np.arange(wide)) % size] = road
    for _ in range(int(rng.integers(5, 25))):
        _patch(rng, luminance, contrast)
    grain = contrast * (rng.uniform(0.2, 0.7) * coarse + rng.uniform(0.1, 0.5) * fine)
    return np.clip(luminance * np.exp(grain), DARKEST, 1.0).astype(np.float32)


def _markings(rng: np.random.Generator, luminance: FloatImage, near: int, far: int, road: float) -> None:
    """Kerbs, dashed lines between lanes, sometimes a zebra crossing."""
    size, per_m = GROUND_SIZE, GROUND_TEXELS_PER_M
    paint = min(1.0, road * rng.uniform(1.8, 3.5))
    kerb = int(0.3 * per_m)
    for row in (near, far):
        luminance[row - kerb : row] = road * rng.uniform(0.5, 2.0)
    dashes = int(rng.choice([4, 8, 16]))
    dashed = (np.arange(size) * dashes // size % 2 == 0) if rng.random() < 0.8 else np.ones(size, bool)
    for row in np.linspace(near, far, int(rng.integers(2, 5)) + 1)[1:-1].astype(int):
        luminance[row : row + int(0.3 * per_m), dashed] = paint
    if rng.random() < 0.4:
        left = int(rng.integers(size - 4 * per_m))
        stripes = np.arange(near, far) // int(0.6 * per_m) % 2 == 0
        luminance[near:far, left : left + 4 * per_m][stripes] = paint


def _patch(rng: np.random.Generator, luminance: FloatImage, contrast: float) -> None:
    """A random spot: repaired tarmac, a manhole, a puddle, grass."""
    centre = rng.integers(0, GROUND_SIZE, 2)
    axes = (rng.uniform(0.2, 2.0, 2) * GROUND_TEXELS_PER_M).astype(int)
    factor = float(np.exp(rng.normal(0, 0.8 * contrast)))
    mask = np.zeros(luminance.shape, np.uint8)
    if rng.random() < 0.5:
        cv2.ellipse(mask, (int(centre[0]), int(centre[1])), (int(axes[0]), int(axes[1])), 0, 0, 360, 1, -1)
    else:
        corner = centre + axes
        cv2.rectangle(mask, (int(centre[0]), int(centre[1])), (int(corner[0]), int(corner[1])), 1, -1)
    luminance[mask > 0] *= factor
