"""What has no label: poles, trees, boxes, walls and posts that stand, balls and bags that move."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data.synthetic.objects.figure import Floats, Part
from data.synthetic.objects.sprites import Canvas
from data.synthetic.textures import DARKEST, FloatImage, fractal_noise, random_luminance, random_texture


def _pole(rng: np.random.Generator, contrast: float, texels_per_m: float) -> list[Part]:
    height, half = rng.uniform(2.2, 6.0), rng.uniform(0.05, 0.13)
    sign = rng.random() < 0.5
    reach = max(half, 0.45 if sign else half)
    canvas = Canvas(-reach, 0, reach, height, texels_per_m)
    paint = random_texture(rng, *canvas.shape, canvas.texels_per_m, 0.5 * contrast)
    canvas.rectangle(-half, 0, half, height, paint)
    if sign:
        luminance = random_luminance(rng)
        y = rng.uniform(0.6, 0.9) * height
        canvas.ellipse(0, y, 0.42, 0.42, luminance)
        canvas.rectangle(-0.3, y - 0.08, 0.3, y + 0.08, random_luminance(rng), inside=True)
    return [Part(canvas.finish())]


def _leaves(rng: np.random.Generator, canvas: Canvas, contrast: float) -> FloatImage:
    noise = fractal_noise(rng, *canvas.shape, rng.uniform(0.8, 1.3))
    luminance = random_luminance(rng, 0.07, 0.5) * np.exp(1.3 * contrast * noise)
    return np.clip(luminance, DARKEST, 1.0).astype(np.float32)


def _tree(rng: np.random.Generator, contrast: float, texels_per_m: float) -> list[Part]:
    height, crown = rng.uniform(3.0, 6.0), rng.uniform(0.8, 1.7)
    canvas = Canvas(-crown, 0, crown, height, texels_per_m)
    trunk = rng.uniform(0.08, 0.2)
    canvas.rectangle(-trunk, 0, trunk, height - crown, random_luminance(rng, 0.05, 0.3))
    leaves = _leaves(rng, canvas, contrast)
    middle = height - rng.uniform(0.9, 1.2) * crown
    canvas.ellipse(0, middle, crown, height - middle, leaves)
    ragged = fractal_noise(rng, *canvas.shape, 1.2) > 0.55
    rows = np.arange(canvas.shape[0])[:, None] < (height - middle + crown) * canvas.texels_per_m
    canvas.cut(ragged & rows)
    return [Part(canvas.finish())]


def _box(rng: np.random.Generator, contrast: float, texels_per_m: float) -> list[Part]:
    """Containers, booths, kiosks: as large as a car, without wheels."""
    half, height = rng.uniform(0.5, 2.2), rng.uniform(0.8, 2.2)
    canvas = Canvas(-half, 0, half, height, texels_per_m)
    canvas.rectangle(-half, 0, half, height, random_texture(rng, *canvas.shape, canvas.texels_per_m, contrast))
    if rng.random() < 0.6:
        x, y = rng.uniform(-0.7, 0.1) * half, rng.uniform(0.2, 0.5) * height
        canvas.rectangle(x, y, x + 0.6 * half, y + 0.4 * height, random_luminance(rng), inside=True)
    canvas.rectangle(-half, 0.92 * height, half, height, random_luminance(rng), inside=True)
    return [Part(canvas.finish())]


def _post(rng: np.random.Generator, contrast: float, texels_per_m: float) -> list[Part]:
    """Post boxes, hydrants, advertising columns: about as large as a pedestrian."""
    half, height = rng.uniform(0.15, 0.35), rng.uniform(0.9, 1.9)
    canvas = Canvas(-1.3 * half, 0, 1.3 * half, height, texels_per_m)
    canvas.rectangle(-half, 0, half, height - half, random_texture(rng, *canvas.shape, canvas.texels_per_m, contrast))
    canvas.ellipse(0, height - half, 1.25 * half, half, random_luminance(rng))
    return [Part(canvas.finish())]


def _bush(rng: np.random.Generator, contrast: float, texels_per_m: float) -> list[Part]:
    half, height = rng.uniform(0.5, 1.8), rng.uniform(0.5, 1.3)
    canvas = Canvas(-half, -0.1, half, height, texels_per_m)
    leaves = _leaves(rng, canvas, contrast)
    for _ in range(5):
        x = rng.uniform(-0.5, 0.5) * half
        canvas.ellipse(x, 0.4 * height, 0.5 * half, rng.uniform(0.4, 0.6) * height, leaves)
    return [Part(canvas.finish())]


def _fence(rng: np.random.Generator, contrast: float, texels_per_m: float) -> list[Part]:
    half, height = rng.uniform(1.5, 4.0), rng.uniform(0.7, 1.2)
    canvas = Canvas(-half, 0, half, height, texels_per_m)
    paint = random_texture(rng, *canvas.shape, canvas.texels_per_m, 0.5 * contrast)
    gap = rng.uniform(0.25, 0.6)
    for x in np.arange(-half + 0.1, half, gap):
        canvas.rectangle(x - 0.05, 0, x + 0.05, height, paint)
    for y in (0.25 * height, 0.85 * height):
        canvas.rectangle(-half, y - 0.04, half, y + 0.04, paint)
    return [Part(canvas.finish())]


Builder = Callable[[np.random.Generator, float, float], list[Part]]
_STATIC: tuple[tuple[Builder, float], ...] = (
    (_pole, 0.22),
    (_tree, 0.2),
    (_box, 0.22),
    (_post, 0.16),
    (_bush, 0.12),
    (_fence, 0.08),
)


def standing_thing(rng: np.random.Generator, contrast: float, texels_per_m: float) -> list[Part]:
    """Parts of a random static thing without a label."""
    weights = np.array([weight for _, weight in _STATIC])
    return _STATIC[int(rng.choice(len(_STATIC), p=weights / weights.sum()))][0](rng, contrast, texels_per_m)


def foreground_thing(rng: np.random.Generator, contrast: float, texels_per_m: float) -> list[Part]:
    """Parts of a narrow static thing that may stand close to the camera and hide others."""
    return (_pole, _post)[int(rng.integers(2))](rng, contrast, texels_per_m)


def moving_thing(rng: np.random.Generator, contrast: float, texels_per_m: float, walked: Floats) -> list[Part]:
    """Parts of something that moves and has no label: a rolling ball, a blown bag, a sliding crate."""
    kind = int(rng.integers(3))
    radius = rng.uniform(0.15, 0.35)
    canvas = Canvas(-1.2 * radius, -1.2 * radius, 1.2 * radius, 1.2 * radius, texels_per_m)
    paint = random_texture(rng, *canvas.shape, canvas.texels_per_m, contrast)
    if kind == 0:
        canvas.ellipse(0, 0, radius, radius, paint)
        return [Part(canvas.finish(), y=radius, angle=-walked / radius)]
    if kind == 1:
        angles = np.sort(rng.uniform(0, 2 * np.pi, 7))
        reach = radius * rng.uniform(0.5, 1.15, 7)
        canvas.polygon(
            [(float(r * np.cos(a)), float(r * np.sin(a))) for r, a in zip(reach, angles, strict=True)], paint
        )
        lift = radius + rng.uniform(0.2, 1.2) * (1 + np.sin(1.3 * walked + rng.uniform(0, 6)))
        return [Part(canvas.finish(), y=lift, angle=rng.uniform(0.5, 2.0) * walked)]
    canvas.rectangle(-radius, -0.8 * radius, radius, 0.8 * radius, paint)
    return [Part(canvas.finish(), y=0.85 * radius)]
